"""Do the torch twins take the time through the harness that they take in a plain loop? torch_by_hand.py has that."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.agent.messages import Scalar
from tests.agreement.cells import result, stack_python, value
from tests.agreement.table import Comparison, Reason, Values, alternated

SCRIPT = Path(__file__).with_name("torch_by_hand.py")
LIMIT = 600.0  # seconds for one run
THREADS = 1  # two on a shared machine wait for whichever is held up


@dataclass(frozen=True, kw_only=True)
class Case:
    """A twin, and how much of it."""

    model: str
    batch_size: int
    batches: int
    warmup: int


CASES = (
    Case(model="trivial", batch_size=32, batches=100, warmup=5),
    Case(model="resnet20", batch_size=32, batches=40, warmup=5),
    Case(model="resnet50", batch_size=2, batches=6, warmup=1),
)


def _through_harness(case: Case) -> Values:
    params: dict[str, Scalar] = {
        "batch_size": case.batch_size,
        "num_batches": case.batches,
        "num_warmup_batches": case.warmup,
        "threads": THREADS,
    }
    done = result(f"torch_cnn.{case.model}", params, python=stack_python("torch"), stack="torch")
    return {name: value(done, name) for name in ("step_seconds", "images_per_second")}


def _by_hand(case: Case) -> Values:
    sizes = map(str, (case.batch_size, case.batches, case.warmup, THREADS))
    argv = [str(stack_python("torch")), str(SCRIPT), case.model, *sizes]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=LIMIT)
    found: dict[str, float] = json.loads(done.stdout)
    return found


HEAP = Reason(
    text="up to one step of five is 20 to 30 ms longer in the plain loop, few are in the harness; hardly any is "
    "where malloc keeps its memory (MALLOC_TRIM_THRESHOLD_); the medians agree",
    low=0.95,
    high=1.25,
)

COMPARISONS = tuple(
    Comparison(
        probe=f"torch_cnn.{case.model}",
        tool="a plain loop of torch",
        measured=alternated(partial(_through_harness, case), partial(_by_hand, case)),
        missing=lambda: "",
        reasons={"images_per_second": HEAP} if case.model == "trivial" else {},
        pairs=6,
    )
    for case in CASES
)
