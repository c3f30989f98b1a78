from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest

from harness.agent.messages import CellSpec, Metric
from harness.agent.probes import driver_dispatch as dispatch
from harness.agent.task import Context, Outcome, Unavailable
from tests.agent.cells import ROOT, run_cell, stack_python
from tests.agent.probes.conftest import metric
from tests.agent.systems import not_on_windows

OPERATIONS = ("add", "add_inplace", "matmul")
COST = 200e-6  # seconds that an operation of the fake costs
WAIT = 1e-3  # and its device

# A fake of the few names of torch that the probe uses. Its device is a counter of what waits to be done.
FAKE_TORCH = f"""
import time
from types import SimpleNamespace
__version__ = "0.fake"
pending, longest = 0, 0
wrong = 0.0

def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass

def submit():
    global pending, longest
    pending += 1
    longest = max(longest, pending)
    spin({COST})

class Tensor(list):
    def add_(self, other):
        submit()
        self[0] += other[0]

def ones(*shape, device):
    return Tensor([1.0]) if shape == (1,) else [[1.0, 1.0], [1.0, 1.0]]

def zeros(size, device):
    return Tensor([0.0] * size)

def add(one, other):
    submit()
    return Tensor([one[0] + other[0] + wrong])

def matmul(one, other):
    submit()
    return [[sum(a * b for a, b in zip(row, column)) for column in zip(*other)] for row in one]

def synchronize():
    global pending
    if pending:
        spin({WAIT})
    pending = 0

cuda = SimpleNamespace(is_available=lambda: True, synchronize=synchronize)
"""

Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run the probe on the fake."""
    (tmp_path / "torch.py").write_text(FAKE_TORCH)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)

    def run(*, stack: str = "torch", device: str = "cpu", **params: int) -> Outcome:
        merged = {**dispatch.TASK.params, "samples": 5, "calls": 4, "warmup": 1, **params}
        spec = CellSpec(
            cell="c",
            platform="native",
            stack=stack,
            task="driver.dispatch",
            entry="driver.dispatch",
            params=merged,
            device=device,
            block=1,
            attempt=1,
            seed=1,
        )
        return dispatch.run(Context(spec=spec, params=merged, progress=lambda _done, _total, _note: None))

    yield run
    sys.modules.pop("torch", None)


def _measured(each: Metric) -> float:
    return median(each.samples[each.warmup :])


@not_on_windows("before Python 3.11 its time.sleep and under Wine its timers have 1 to 16 ms")
def test_each_operation_is_timed_by_itself(run: Run) -> None:
    outcome = run()
    for operation in OPERATIONS:
        found = metric(outcome, "dispatch_seconds", operation=operation)
        assert (len(found.samples), found.warmup, found.unit, found.better) == (6, 1, "s", "lower")
        assert min(found.samples) >= COST
        assert _measured(found) < COST + WAIT / 2
        assert "wait" not in found.dims
    assert outcome.versions == {"torch": "0.fake"}
    assert _measured(metric(outcome, "loop_seconds")) < COST / 2


@not_on_windows("before Python 3.11 its time.sleep and under Wine its timers have 1 to 16 ms")
def test_a_gpu_is_awaited_outside_the_section_or_in_it(run: Run) -> None:
    outcome = run(device="cuda:0")
    for operation in OPERATIONS:
        submitted = metric(outcome, "dispatch_seconds", operation=operation, wait="none")
        awaited = metric(outcome, "dispatch_seconds", operation=operation, wait="each")
        assert COST <= _measured(submitted) < COST + WAIT / 2
        assert _measured(awaited) >= COST + WAIT


def test_no_more_is_submitted_than_the_queue_holds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "QUEUE", 3)
    run(device="cuda:0", calls=50, samples=2)
    assert sys.modules["torch"].longest == 3


def test_a_wrong_sum_is_no_measurement(run: Run) -> None:
    run(samples=1)
    sys.modules["torch"].wrong = 1.0  # type: ignore[attr-defined]  # of the fake
    with pytest.raises(ArithmeticError, match=r"1 \+ 1 gave 3\.0"):
        run()


def test_without_its_gpu_it_says_so(run: Run) -> None:
    run(samples=1)
    sys.modules["torch"].cuda.is_available = lambda: False
    with pytest.raises(Unavailable, match="torch sees no GPU"):
        run(device="cuda:0")


@pytest.mark.parametrize(("stack", "name"), [("driver", "framework"), ("tensorflow", "tensorflow")])
def test_a_stack_without_the_framework_is_told(run: Run, stack: str, name: str) -> None:
    with pytest.raises(Unavailable, match=f"stack {stack} has no {name}"):
        run(stack=stack)


def test_an_older_tensorflow_is_awaited_by_fetching_a_value() -> None:
    newer = SimpleNamespace(test=SimpleNamespace(experimental=SimpleNamespace(sync_devices=lambda: "synchronized")))
    assert dispatch._synchronize(newer, None)() == "synchronized"
    older = SimpleNamespace(test=SimpleNamespace())
    fetched: list[str] = []
    total = SimpleNamespace(numpy=lambda: fetched.append("fetched"))
    one = type("One", (), {"__add__": lambda _self, _other: total})()
    dispatch._synchronize(older, one)()
    assert fetched == ["fetched"]


# In one process, alternated: the probe's own loop, and that of torch with the statement that a user would write.
BESIDE_TORCH = """
import torch
from torch.utils.benchmark import Timer
from harness.agent.messages import CellSpec
from harness.agent.probes import driver_dispatch as dispatch
from harness.agent.task import Context
spec = CellSpec(cell="c", platform="p", stack="torch", task="t", entry="t", params={}, device="cpu", block=1,
                attempt=1, seed=1)
eager = dispatch._torch(torch, Context(spec=spec, params={}, progress=print))
names = {"torch": torch, "one": torch.ones(1), "square": torch.ones(2, 2)}
for operation, statement in {"add": "torch.add(one, one)", "matmul": "torch.matmul(square, square)"}.items():
    ours, theirs = eager.timer(operation), Timer(statement, globals=names)
    pairs = [(ours.timeit(1000) / 1000, theirs.timeit(1000).mean) for _ in range(300)]
    print(min(ours for ours, _ in pairs) / min(theirs for _, theirs in pairs))
"""


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_it_runs_on_the_framework(framework: str) -> None:
    result = run_cell("driver.dispatch", {"samples": 20}, python=stack_python(framework), stack=framework)
    assert (result.status, result.reason) == ("ok", "")
    costs = {each.dims["operation"]: min(each.samples) for each in result.metrics if each.name == "dispatch_seconds"}
    assert set(costs) == set(OPERATIONS)
    assert all(1e-7 < cost < 1e-3 for cost in costs.values())
    assert framework in result.versions


@pytest.mark.measures
@pytest.mark.stack
@pytest.mark.slow
def test_it_agrees_with_torchs_own_timer() -> None:
    argv = [str(stack_python("torch")), "-c", BESIDE_TORCH]
    printed = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert [float(line) for line in printed.split()] == [pytest.approx(1, abs=0.1)] * 2
