"""data.generate's own part, on a stand-in for a framework's loader. The real ones run in test_on_stacks.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.agent.datasets.images import Encoder, ImageSet
from harness.agent.datasets.stored import Stored
from harness.agent.messages import CellSpec, Location
from harness.agent.task import Context, Outcome, Unavailable, find
from tests.agent.probes.conftest import metric
from tests.agent.probes.test_storage_loader import StandInLoader, install, read_two

pytestmark = pytest.mark.answers

MakeSpec = Callable[..., CellSpec]
SMALL = {"count": 4, "width": 60, "height": 40, "sets": 2}
ENCODING, WRITING = 0.05, 0.02  # seconds that the stand-in takes for an image and for a set


class SlowLoader(StandInLoader):
    """Encodes and writes no faster than planted."""

    def __init__(self) -> None:
        super().__init__(read_two)
        self.encoder = Encoder(name="stand-in", encode=_encode)

    def write(self, source: str, folder: Path, images: ImageSet) -> Stored:
        time.sleep(WRITING)
        return super().write(source, folder, images)


def _encode(_pixels: object, _quality: int) -> bytes:
    time.sleep(ENCODING)
    return bytes(5000)


@pytest.fixture
def run(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    def run(locations: Sequence[Path]) -> Outcome:
        install(monkeypatch, SlowLoader())
        task = find("data.generate")
        assert task is not None
        places = tuple(Location(name=path.name, path=str(path)) for path in locations)
        spec = make_spec("data.generate", stack="torch", locations=places)
        return task.run(Context(spec=spec, params={**task.params, **SMALL}, progress=lambda *_: None))

    return run


def test_each_form_is_made_on_each_location_and_removed(run: Callable[..., Outcome], tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
    outcome = run(places)
    for place in places:
        for source in ("files", "raw"):
            made = metric(outcome, "generate_seconds", location=place.name, source=source)
            assert (len(made.samples), made.warmup, made.unit, made.better) == (3, 1, "s", "lower")
        assert not list(place.iterdir())
    assert outcome.versions.keys() == {"stand-in", "data_set.files", "data_set.raw"}


def test_encoding_is_apart_from_writing(run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run([tmp_path])
    made, written = (metric(outcome, name, source="files") for name in ("generate_seconds", "write_seconds"))
    assert min(made.samples) >= WRITING + SMALL["count"] * ENCODING
    assert WRITING <= min(written.samples) < SMALL["count"] * ENCODING
    raw = [each.name for each in outcome.metrics if each.dims.get("source") == "raw"]
    assert raw == ["generate_seconds"]


def test_a_location_that_is_not_there_is_left_out(run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run([tmp_path / "gone", tmp_path])
    assert {each.dims["location"] for each in outcome.metrics if "location" in each.dims} == {tmp_path.name}
    assert "location gone" in outcome.warnings[0]
    with pytest.raises(Unavailable, match="left out"):
        run([tmp_path / "gone"])
