"""torch's DataLoader over JPEG files (decoded by Pillow) and over raw pixels."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.agent.datasets import stored as writers
from harness.agent.datasets.images import CHANNELS, ImageSet, pillow_encoder
from harness.agent.datasets.stored import Stored
from harness.agent.datasets.worker_errors import in_short
from harness.agent.messages import CellSpec
from harness.agent.probes.storage_loader import Passes, Way
from harness.agent.task import Unavailable

NEEDED = {"PIL": "pillow", "numpy": "numpy"}  # module: distribution
WRITE = {"files": writers.write_files, "raw": writers.write_raw}


@dataclass(frozen=True)
class JpegFiles:
    """A map-style data set: an image, as a uint8 tensor (height, width, 3), and its class."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Read and decode an image."""
        torch, numpy, pillow = map(importlib.import_module, ("torch", "numpy", "PIL.Image"))
        with pillow.open(self.paths[index]) as image:
            return torch.from_numpy(numpy.array(image.convert("RGB"))), self.labels[index]


@dataclass(frozen=True)
class RawPixels:
    """The same images out of one file without compression."""

    path: str
    labels: tuple[int, ...]
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Read an image. Raises OSError if the file ends before it does."""
        torch = importlib.import_module("torch")
        height, width, channels = self.shape
        pixels = bytearray(height * width * channels)
        with Path(self.path).open("rb", buffering=0) as file:
            file.seek(index * len(pixels))
            if file.readinto(pixels) != len(pixels):
                raise OSError(f"{self.path} ends before image {index} does")
        return torch.frombuffer(pixels, dtype=torch.uint8).reshape(self.shape), self.labels[index]


class TorchLoader:
    """torch.utils.data.DataLoader."""

    sources = ("files", "raw")
    errors = (OSError, RuntimeError)

    def __init__(self, *, batch_size: int, cuda: bool) -> None:
        self._torch = importlib.import_module("torch")
        self._batch_size = batch_size
        self._cuda = cuda
        if cuda and not self._torch.cuda.is_available():
            raise Unavailable("torch sees no GPU: its build is for CPU, or the driver is not visible here.")
        self.encoder = pillow_encoder()
        self._torch.set_num_threads(1)  # as in its workers: OpenMP's waiting threads would cost CPU time
        jpeg = importlib.import_module("PIL.features").version("libjpeg_turbo") or "not turbo"
        packages = {package: version(package) for package in NEEDED.values()}
        self.versions: Mapping[str, str] = {"torch": str(self._torch.__version__), "libjpeg-turbo": jpeg, **packages}

    def ways(self, source: str, workers: Sequence[int]) -> list[Way]:
        """Files by fork and spawn where the system has both; pinned memory beside pageable with a GPU."""
        starts = [name for name in ("fork", "spawn") if name in multiprocessing.get_all_start_methods()]
        starts = starts if source == "files" else starts[:1]  # a spawned worker takes seconds, whatever it then reads
        return [
            Way(workers=count, start=start, pin_memory=pinned)
            for count in workers
            for start in (starts if count else ["none"])
            for pinned in ([False, True] if self._cuda else [False])
        ]

    def write(self, source: str, folder: Path, images: ImageSet) -> Stored:
        """Write the set."""
        return WRITE[source](folder, images)

    def passes(self, source: str, stored: Stored, images: ImageSet, way: Way) -> Passes:
        """The workers stay from pass to pass."""
        loader = importlib.import_module("torch.utils.data").DataLoader(
            _data_set(source, stored, images),
            batch_size=self._batch_size,
            num_workers=way.workers,
            multiprocessing_context=way.start if way.workers else None,
            persistent_workers=way.workers > 0,
            pin_memory=way.pin_memory,
        )

        def sizes() -> Iterator[int]:
            with in_short():
                for _, labels in loader:
                    yield len(labels)

        return sizes


def loader(spec: CellSpec, *, batch_size: int) -> TorchLoader:
    """Return torch's loader. Raises Unavailable where the stack lacks a package, or the GPU that the cell names."""
    for module, package in NEEDED.items():
        if find_spec(module) is None:
            raise Unavailable(f"stack {spec.stack} has no {package}: install it, or run on a stack that has it")
    return TorchLoader(batch_size=batch_size, cuda=spec.device != "cpu")


def _data_set(source: str, stored: Stored, images: ImageSet) -> JpegFiles | RawPixels:
    if source == "files":
        return JpegFiles(tuple(map(str, stored.paths)), images.labels)
    return RawPixels(str(stored.paths[0]), images.labels, (images.height, images.width, CHANNELS))
