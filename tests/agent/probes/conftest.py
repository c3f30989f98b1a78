"""Runs a probe as the agent does, with its defaults but for what a test gives."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import pytest

from harness.agent import compilers, helper
from harness.agent.fit import Line, line
from harness.agent.messages import CellSpec, Location, Metric, Scalar
from harness.agent.sampling import CALL_METRIC, CLOCK_METRIC
from harness.agent.task import Context, Outcome, find
from tests.agent.native_helper import built
from tests.agent.probes.programs import script

INSTRUMENT = {CLOCK_METRIC, CALL_METRIC}  # what every probe reports of itself


class RunTask(Protocol):
    def __call__(self, entry: str, *, locations: Sequence[Location] = (), **params: Scalar) -> Outcome: ...


class RunOnGpu(Protocol):
    def __call__(
        self,
        entry: str,
        *,
        device: str = "cuda:0",
        locations: Sequence[Location] = (),
        **params: Any,  # noqa: ANN401 - Scalars
    ) -> Outcome: ...


@pytest.fixture(scope="session")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `c++` that works: the system's, or zig's under that name."""
    folder = tmp_path_factory.mktemp("compiler")
    system = next((path for name in compilers.PROGRAMS["c++"] if (path := shutil.which(name))), None)
    if system is None and find_spec("ziglang") is None:
        pytest.skip("neither a C++ compiler nor ziglang on this machine")
    program = system or f"{sys.executable} -m ziglang c++"
    return script(folder / "c++", f'exec {program} "$@"').parent


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, cpp: Path, tmp_path: Path) -> Path:
    """A folder before everything else on the PATH, for programs that are the test's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{cpp}:/usr/bin:/bin")
    return folder


@pytest.fixture
def run_task() -> RunTask:
    def run(entry: str, *, locations: Sequence[Location] = (), **params: Scalar) -> Outcome:
        return _run(entry, "cpu", locations, params)

    return run


@pytest.fixture
def run_on_gpu() -> RunOnGpu:
    def run(
        entry: str,
        *,
        device: str = "cuda:0",
        locations: Sequence[Location] = (),
        **params: Any,  # noqa: ANN401 - Scalars
    ) -> Outcome:
        return _run(entry, device, locations, params)

    return run


def _run(entry: str, device: str, locations: Sequence[Location], params: Mapping[str, Scalar]) -> Outcome:
    task = find(entry)
    assert task is not None
    assert params.keys() <= task.params.keys()
    assert device.partition(":")[0] in task.devices
    spec = CellSpec(
        cell=f"native/driver/{entry}",
        platform="native",
        stack="driver",
        task=entry,
        entry=entry,
        params={**task.params, **params},
        device=device,
        block=1,
        attempt=1,
        seed=1,
        locations=tuple(locations),
    )
    seen: list[tuple[int, int]] = []
    context = Context(spec=spec, params=spec.params, progress=lambda done, total, _: seen.append((done, total)))
    outcome = task.run(context)
    assert all(0 < done <= total for done, total in seen)
    # What an outcome holds must survive the way to the controller.
    for metric in outcome.metrics:
        assert Metric.from_json({**vars(metric), "samples": list(metric.samples)}) == metric
    return outcome


@pytest.fixture
def native() -> helper.NativeHelper:
    """The native helper, or a skip."""
    return built()


@pytest.fixture
def no_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform on which the helper cannot be loaded."""
    monkeypatch.setattr(helper, "load", lambda: None)


@pytest.fixture(params=["native", "python"])
def loop(request: pytest.FixtureRequest) -> str:
    """Both ways to measure, one after the other; the name is that of the `loop` dim."""
    request.getfixturevalue("native" if request.param == "native" else "no_native")
    return str(request.param)


def metric(outcome: Outcome, name: str, **dims: Scalar) -> Metric:
    """Return the one metric of that name and those dims (others may be there)."""
    found = [each for each in outcome.metrics if each.name == name and dims.items() <= each.dims.items()]
    assert len(found) == 1, [(each.name, each.dims) for each in outcome.metrics]
    return found[0]


@contextmanager
def favoured() -> Iterator[None]:
    """Have the kernel prefer this thread and those that it starts, where it may be asked to (root on Linux)."""
    if sys.platform == "win32":
        yield
        return
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def least(outcome: Outcome, name: str, **dims: Scalar) -> float:
    """Return the least value of that metric without its warm-up: a busy machine does not spoil all samples."""
    found = metric(outcome, name, **dims)
    return min(found.samples[found.warmup :])


def curve(outcome: Outcome, name: str, over: str, pick: Callable[[Sequence[float]], float], **dims: Scalar) -> Line:
    """Fit a line to what `pick` makes of that metric's samples over one of its dims.

    With `min` it is what was planted, whatever else the machine does; with `median` it is what the probe reports.
    """
    found = [each for each in outcome.metrics if each.name == name and dims.items() <= each.dims.items()]
    return line({float(each.dims[over]): pick(each.samples[each.warmup :]) for each in found})


def names(outcome: Outcome) -> set[str]:
    """Return the names of all metrics."""
    return {each.name for each in outcome.metrics}
