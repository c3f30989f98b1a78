"""Does tf_cnn through the harness give what a run by hand gives? Measured in alternating pairs.

    python -m tests.agreement.tf_cnn [--model trivial] [--python PYTHON] [--checkout CHECKOUT] [--pairs 10]

PYTHON is the interpreter of a TensorFlow stack (default: the stack of matrix.yaml, installed if need be), CHECKOUT a
checkout of tensorflow/benchmarks (default: the harness's own). Each pair starts upstream's program by hand and the
agent on the same task, in an order that alternates; what is compared is the `total images/sec` that upstream prints.
The output ends with the geometric mean of harness / hand and its 95% interval (paired t on the logarithms).
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from scipy.stats import ttest_1samp

from harness import sources
from harness.agent.messages import Scalar
from harness.agent.workloads.tf_cnn import TASKS, command_flags
from harness.agent.workloads.tf_cnn_launcher import SCRIPTS, total_images_per_second
from harness.cache import cache_dir
from harness.errors import HarnessError
from tests.agreement.cells import result, stack_python, value
from tests.agreement.table import Comparison, NotMeasuredError, Values, alternated

LIMIT = 600.0  # seconds for one run
# One thread: two on a shared machine wait for whichever is held up, and the noise is several times as large.
THREADS: dict[str, Scalar] = {"num_intra_threads": 1, "num_inter_threads": 1}
PARAMS: dict[str, dict[str, Scalar]] = {
    "trivial": {"batch_size": 32, "num_batches": 150, "num_warmup_batches": 5, **THREADS},
    "resnet20": {"batch_size": 32, "num_batches": 40, "num_warmup_batches": 5, **THREADS},
    "resnet50": {"batch_size": 2, "num_batches": 6, "num_warmup_batches": 1, **THREADS},
}
# What a user would type for these; spelt out, so that the task's own flags are part of what is checked.
COMMON = [
    "--device=cpu",
    "--data_format=NHWC",
    "--local_parameter_device=cpu",
    "--variable_update=parameter_server",
    "--num_intra_threads=1",
    "--num_inter_threads=1",
]
BY_HAND = {
    model: [*COMMON, *flags.split()]
    for model, flags in {
        "trivial": (
            "--model=trivial --data_name=imagenet --batch_size=32 --num_batches=150 --num_warmup_batches=5 "
            "--init_learning_rate=1e-07"
        ),
        "resnet20": "--model=resnet20 --data_name=cifar10 --batch_size=32 --num_batches=40 --num_warmup_batches=5",
        "resnet50": "--model=resnet50 --data_name=imagenet --batch_size=2 --num_batches=6 --num_warmup_batches=1",
    }.items()
}


# As `python tf_cnn_benchmarks.py`, but for numpy's median, which imports a module the first time: upstream calls it
# within the steps that it times, and the harness has the module imported before.
PROGRAM = "import numpy.ma, runpy; runpy.run_path('tf_cnn_benchmarks.py', run_name='__main__')"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The ratios harness / hand of images per second, their geometric mean and its 95% interval."""

    ratios: tuple[float, ...]
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Agreement:
        """Compute mean and interval of two ratios or more."""
        logs = [math.log(ratio) for ratio in ratios]
        test = ttest_1samp(logs, 0.0)
        interval = test.confidence_interval(0.95)
        mean = math.exp(sum(logs) / len(logs))
        return cls(ratios=tuple(ratios), mean=mean, low=math.exp(interval.low), high=math.exp(interval.high))

    @property
    def holds(self) -> bool:
        """Within 1%, or within the noise: the interval covers 1."""
        return abs(self.mean - 1) <= 0.01 or self.low <= 1 <= self.high

    def __str__(self) -> str:
        noise = max(self.high / self.mean, self.mean / self.low) - 1
        verdict = f"agrees, to a noise of {noise:.1%}" if self.holds else "DIFFERS"
        return f"harness / hand: {self.mean:.4f}, 95% interval {self.low:.4f} to {self.high:.4f}: {verdict}"


def measure(model: str, python: Path, checkout: Path, pairs: int) -> Agreement:
    """Run the pairs, telling each on stdout."""
    _check_flags(model)
    ratios = []
    for number in range(pairs):
        if number % 2 == 0:
            hand = by_hand(model, python, checkout)
            harness = through_harness(model, python, checkout)
        else:
            harness = through_harness(model, python, checkout)
            hand = by_hand(model, python, checkout)
        ratios.append(harness / hand)
        _tell(f"pair {number + 1}: by hand {hand:.2f}, harness {harness:.2f} images/s, ratio {ratios[-1]:.4f}")
    return Agreement.of(ratios)


def by_hand(model: str, python: Path, checkout: Path) -> float:
    """Run upstream's program as its README says, numpy imported whole, and return its images per second."""
    folder = checkout / SCRIPTS
    argv = [str(python), "-c", PROGRAM, *BY_HAND[model]]
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=LIMIT)
    return total_images_per_second(done.stdout)


def through_harness(model: str, python: Path, checkout: Path) -> float:
    """Let the agent execute the task and return the result's images per second."""
    resources = {"tf_benchmarks": str(checkout)}
    done = result(f"tf_cnn.{model}", PARAMS[model], python=python, stack="tensorflow", resources=resources)
    return value(done, "images_per_second")


def _check_flags(model: str) -> None:
    """The harness passes more flags than a user types, but only ones that repeat upstream's defaults."""
    task_flags = set(command_flags(model, "cpu", {**TASKS[model].params, **PARAMS[model]}))
    more, less = task_flags - set(BY_HAND[model]), set(BY_HAND[model]) - task_flags
    if less or more != {"--num_gpus=1", "--use_fp16=false", "--xla=false", "--forward_only=false"}:
        raise SystemExit(f"the task's flags are no longer those typed by hand: {sorted(task_flags)}")


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@lru_cache
def _own_checkout() -> Path:
    try:
        return sources.tf_benchmarks(environ=os.environ, cache=cache_dir(), progress=_tell)
    except HarnessError as error:
        raise NotMeasuredError(f"missing: a checkout of tensorflow/benchmarks: {error}") from error


def main(argv: Sequence[str]) -> int:
    """Return 0 where the two agree, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", choices=BY_HAND, default="trivial")
    parser.add_argument("--python", type=Path)
    parser.add_argument("--checkout", type=Path)
    parser.add_argument("--pairs", type=int, default=10)
    arguments = parser.parse_args(argv)
    if arguments.pairs < 2:
        parser.error("--pairs: an interval needs two or more")
    checkout = arguments.checkout or _own_checkout()
    agreement = measure(arguments.model, arguments.python or stack_python("tensorflow"), checkout, arguments.pairs)
    _tell(str(agreement))
    return 0 if agreement.holds else 1


def _images_per_second(measured: Callable[[str, Path, Path], float], model: str) -> Values:
    return {"images_per_second": measured(model, stack_python("tensorflow"), _own_checkout())}


COMPARISONS = tuple(
    Comparison(
        probe=f"tf_cnn.{model}",
        tool="tf_cnn_benchmarks.py by hand",
        measured=alternated(
            partial(_images_per_second, through_harness, model), partial(_images_per_second, by_hand, model)
        ),
        missing=lambda: "",
        pairs=4,
    )
    for model in BY_HAND
)

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
