from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.agent import collective, own_process
from harness.agent.children import StepError
from harness.agent.messages import Scalar
from tests.agent.cells import run_cell, stack_python
from tests.agent.probes.conftest import INSTRUMENT

pytestmark = pytest.mark.answers

SMALL: dict[str, Scalar] = {"max_bytes": 2**20, "growth": 64, "samples": 10, "warmup": 2}


@pytest.mark.stack
@pytest.mark.slow
def test_gloo_sums_over_two_processes() -> None:
    result = run_cell("copies.collective", SMALL, python=stack_python("torch"), stack="torch")
    assert (result.status, result.reason) == ("ok", "")
    curve = {each.dims["bytes"]: each for each in result.metrics if each.name == "all_reduce_seconds"}
    assert list(curve) == [4, 256, 16384, 2**20]
    assert {(len(each.samples), each.warmup) for each in curve.values()} == {(12, 2)}
    assert {(each.dims["ranks"], each.dims["backend"]) for each in curve.values()} == {(2, "gloo")}
    assert min(curve[2**20].samples) > min(curve[4].samples), "a MiB takes longer than a number"
    (bus,) = (each for each in result.metrics if each.name == "bus_bandwidth")
    assert bus.samples == tuple(2**20 / seconds for seconds in curve[2**20].samples)
    assert {each.name for each in result.metrics} == {"all_reduce_seconds", "bus_bandwidth", *INSTRUMENT}


def test_without_torch_the_stack_lacks_it() -> None:
    result = run_cell("copies.collective", stack="torch")
    if find_spec("torch") is None:
        assert result.status == "unavailable"
        assert "stack torch has no torch" in result.reason
    else:
        assert result.status == "ok"


def group(**changes: object) -> collective.Group:
    return collective.Group(**{"ranks": 2, "backend": "gloo", "device": "cpu", "sizes": (4,), "samples": 1, **changes})  # type: ignore[arg-type]


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed in the tests' environment")
def test_a_rank_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(StepError, match=r"(?s)rank . of the process group: exit status 1: .*No module named 'torch'"):
        collective.all_reduce(group())


def test_ranks_that_do_not_end_are_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(own_process, "PROGRAM", "import sys, time; print('hanging', flush=True); time.sleep(60)")
    limit = 3.0 if sys.platform == "win32" else 1.0  # processes start slowly there
    monkeypatch.setattr(collective, "LIMIT", limit)
    with pytest.raises(StepError, match=f"the process group: no end within {limit:.0f} s: hanging"):
        collective.all_reduce(group())


def test_what_rank_0_wrote_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import json, pathlib, sys; order = json.loads(sys.argv[3]);"
        "file = pathlib.Path(order['folder']) / 'seconds.json';"
        "order['rank'] or file.write_text(json.dumps({'4': [order['ranks']]}))"
    )
    monkeypatch.setattr(own_process, "PROGRAM", program)
    assert collective.all_reduce(group(ranks=3)) == {4: [3]}
    assert json.dumps(list(group().sizes)) == "[4]"
