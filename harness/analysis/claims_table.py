"""The seven claims that the project exists to test: what each says, in which parts, and what may decide them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.kinds import Kind

WINDOWS: frozenset[Kind] = frozenset({"windows", "wsl"})
VM: frozenset[Kind] = frozenset({"vm"})
CONTAINER: frozenset[Kind] = frozenset({"container"})
WORKLOADS = ("tf_cnn.*", "torch_cnn.*", "torch_decode.*", "keras_cnn.*")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the things that a claim says: the tasks that measure it, on which kinds of platform, where.

    Of each task its one primary metric counts, or `metric`.
    """

    name: str
    tasks: tuple[str, ...]  # globs over names of tasks, without parameters
    kinds: frozenset[Kind] = WINDOWS
    cuda: bool = False  # only what ran on a GPU
    metric: str = ""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A claim. `gpu`: it is about a GPU, so that its parts on the host alone decide nothing.

    Without `factor` it says that something is slower; with one, that something is as many times as slow.
    """

    id: str
    text: str
    parts: tuple[Part, ...]
    gpu: bool = False
    factor: float | None = None


STATEMENTS = (
    Statement(
        id="1-driver-model",
        text="The Windows driver model makes kernel launches, synchronization and timers slower than under Linux",
        parts=(
            Part(name="launch", tasks=("driver.launch",), cuda=True),
            Part(name="sync", tasks=("driver.sync",), cuda=True),
            Part(name="jitter", tasks=("driver.jitter",)),
        ),
        gpu=True,
    ),
    Statement(
        id="2-pcie-dma",
        text="Copies over PCIe, peer to peer transfers and pinned memory are slower under Windows and WSL2",
        parts=(
            Part(name="copies", tasks=("copies.bandwidth", "copies.gated"), cuda=True),
            Part(name="peer to peer", tasks=("copies.peer", "copies.collective"), cuda=True),
            Part(name="pinned memory", tasks=("copies.allocation",), cuda=True),
        ),
        gpu=True,
    ),
    Statement(
        id="3-memory-numa",
        text="Memory bandwidth, first touch and thread affinity are worse under Windows and WSL2",
        parts=(
            Part(name="bandwidth and latency", tasks=("memory.bandwidth", "memory.latency")),
            Part(name="first touch", tasks=("memory.faults",)),
            Part(name="thread affinity", tasks=("memory.affinity",)),
        ),
    ),
    Statement(
        id="4-file-systems",
        text="Small files, prefetch and concurrent I/O are slower under Windows and WSL2",
        parts=(
            Part(name="small files", tasks=("storage.small_files",)),
            Part(name="prefetch", tasks=("storage.prefetch",)),
            Part(name="concurrent I/O", tasks=("storage.random", "storage.sequential")),
        ),
    ),
    Statement(
        id="5-tools",
        text="Installing, building native code and Docker with a GPU cost more than under native Linux",
        parts=(
            Part(name="install", tasks=("tooling.install",)),
            Part(name="native build", tasks=("tooling.build", "tooling.build_cuda", "tooling.make")),
            Part(name="Docker with a GPU", tasks=WORKLOADS, kinds=CONTAINER, cuda=True),
        ),
    ),
    Statement(
        id="6-vm-passthrough",
        text="A virtual machine with PCIe passthrough is slower than native Linux",
        parts=(
            Part(name="launch and sync", tasks=("driver.launch", "driver.sync"), kinds=VM, cuda=True),
            Part(name="copies", tasks=("copies.bandwidth", "copies.gated", "copies.peer"), kinds=VM, cuda=True),
            Part(name="training", tasks=WORKLOADS, kinds=VM, cuda=True),
        ),
        gpu=True,
    ),
    Statement(
        id="headline",
        text="Training, data loading and GPU utilization are up to twice as slow (tensorflow/benchmarks)",
        parts=(
            Part(name="training", tasks=("tf_cnn.*",), cuda=True),
            Part(name="data loading", tasks=("storage.loader",)),
            Part(name="GPU utilization", tasks=("tf_cnn.*",), cuda=True, metric="gpu_utilization"),
        ),
        gpu=True,
        factor=2.0,
    ),
)
