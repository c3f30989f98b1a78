from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.agent.messages import Scalar, write_json
from harness.errors import PlatformError
from harness.matrix.cells import Cell
from harness.matrix.model import StackConfig
from harness.platforms.base import RUNNABLE, Availability, Ending, Job, Prepared
from harness.runner.prepare import Bench, build_images, inspect, make_ready
from harness.stacks import Stack, resolve
from tests.runner.fake_platform import FakePlatform

STAND_IN = {"fake.stand_in": {"value": "a fake platform", "source": "tests"}}


class WithoutGpu(FakePlatform):
    """A fake of a host without a GPU."""

    def offers(self, stack: Stack, device: str) -> Availability:
        return RUNNABLE if device == "cpu" else Availability(runnable=False, reason="no GPU")


class WithImages(WithoutGpu):
    """A fake of an engine: remembers of which stacks it was to have an image."""

    def __init__(self) -> None:
        super().__init__("fake")
        self.kind = "container"
        self.made: list[str] = []

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        self.made.append(stack.name)
        return Prepared(provenance={"image": f"fake/{stack.name}"})


def bench_of(platform: FakePlatform, folder: Path) -> Bench:
    stack = resolve("driver", StackConfig.model_validate({}), root=folder, gpu=False)
    return Bench(platforms={platform.name: platform}, stacks={"driver": stack}, environ={}, cache=folder)


def cell_of(task: str, device: str) -> Cell:
    return Cell(platform="fake", stack="driver", task=task, entry=task, params={}, device=device)


def test_an_inspection_holds_what_the_agent_and_what_the_platform_say() -> None:
    def agent(job: Job) -> Ending:
        write_json(job.result, {"system.kernel": {"value": "6.1", "source": "uname"}})
        return Ending(exit_code=0)

    found = inspect(FakePlatform("fake", agent), "driver", "cpu")
    assert found == {"system.kernel": {"value": "6.1", "source": "uname"}, **STAND_IN}


def test_a_failed_inspection_says_why_and_keeps_what_the_platform_says() -> None:
    def broken(_job: Job) -> Ending:
        raise PlatformError("the engine is gone")

    found = inspect(FakePlatform("fake", broken), "driver", "cpu")
    assert found == {"inspection": {"value": None, "source": "agent", "error": "the engine is gone"}, **STAND_IN}


def test_a_platform_is_inspected_with_the_devices_of_the_cells_that_run(tmp_path: Path) -> None:
    """A probe that needs a GPU where there is none must not have the inspection ask for one."""
    asked: list[str] = []

    def agent(job: Job) -> Ending:
        asked.append(job.spec.device)
        write_json(job.result, {})
        return Ending(exit_code=0)

    cells = [cell_of("control.fma_device", "cuda:0"), cell_of("control.fma", "cpu")]
    ready = make_ready(cells, bench_of(WithoutGpu("fake", agent), tmp_path), lambda _line: None)
    assert asked == ["cpu"]
    assert set(ready.refused) == {cells[0].id}


@pytest.mark.parametrize(
    ("task", "params", "words"),
    [
        ("tf_cnn.mobilenet", {}, "needs tf.contrib"),
        ("tf_cnn.trivial", {"xla": True}, "changes nothing on a CPU"),
        ("tf_cnn.trivial", {"num_gpus": 2}, "counts GPUs"),
        ("torch_decode.gpt", {"cuda_graph": True}, "needs a GPU"),
        ("counts.torch_decode.gpt", {"cuda_graph": True}, "needs a GPU"),
    ],
)
def test_what_cannot_run_on_its_device_is_refused_before_anything_is_fetched(
    tmp_path: Path, task: str, params: dict[str, Scalar], words: str
) -> None:
    class Untouched(FakePlatform):
        def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
            raise AssertionError("nothing is installed for it")

    cell = Cell(platform="fake", stack="driver", task=task, entry=task, params=params, device="cpu")
    platform = Untouched("fake", lambda _job: Ending(exit_code=0))
    ready = make_ready([cell], bench_of(platform, tmp_path), lambda _line: None)
    found = ready.refused[cell.id]
    assert (found.runnable, found.status) == (False, "unsupported")
    assert words in found.reason


def test_a_failed_inspection_is_said_at_once(tmp_path: Path) -> None:
    def broken(_job: Job) -> Ending:
        raise PlatformError("the engine is gone")

    said: list[str] = []
    make_ready([cell_of("control.fma", "cpu")], bench_of(FakePlatform("fake", broken), tmp_path), said.append)
    assert said[-1] == "fake could not be inspected: the engine is gone"


def test_an_image_is_built_when_any_cell_can_use_it(tmp_path: Path) -> None:
    """`nox -s images -- --task 'driver.*'` without a GPU: some cells can't run, whichever comes last."""
    for devices in (("cpu", "cuda:0"), ("cuda:0", "cpu")):
        platform = WithImages()
        cells = [cell_of(f"driver.{number}", device) for number, device in enumerate(devices)]
        assert build_images(cells, bench_of(platform, tmp_path), lambda _line: None) == [{"image": "fake/driver"}]
        assert platform.made == ["driver"]


def test_where_no_cell_can_use_an_image_none_is_built_and_the_reason_is_said(tmp_path: Path) -> None:
    platform, said = WithImages(), list[str]()
    assert build_images([cell_of("driver.launch", "cuda:0")], bench_of(platform, tmp_path), said.append) == []
    assert (platform.made, said) == ([], ["fake/driver: no GPU"])
