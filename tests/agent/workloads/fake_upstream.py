"""A fake of tensorflow/benchmarks: two small modules that behave as upstream's where the launcher looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.agent.workloads.tf_cnn_launcher import SCRIPTS, UPSTREAM_COMMIT

BENCHMARK_CNN = """
def benchmark_one_step(sess, fetches, step, batch_size, step_train_times, trace_filename, params=None):
    step_train_times.append(STEP_SECONDS)
    return None, LOSSES[step + WARMUP]

def train(batch_size):
    times = []
    for step in range(-WARMUP, len(LOSSES) - WARMUP):
        if step == 0:
            times = []
        benchmark_one_step(None, {}, step, batch_size, times, '', params=None)
    assert len(times) == len(LOSSES) - WARMUP
"""

PROGRAM = """
import sys
import benchmark_cnn

def main(argv):
    print('argv', *argv[1:])
    benchmark_cnn.train(32)
    print('10\\timages/sec: 1.0 +/- 0.0 (jitter = 0.0)\\t9.704')
    print(LAST_LINE)

if __name__ == '__main__':
    main(sys.argv)
    sys.exit(STATUS)
"""


def fake_upstream(
    folder: Path,
    *,
    losses: Sequence[float] = (9.7,) * 25,
    warmup: int = 5,
    status: object = None,
    last_line: str = "total images/sec: 612.10",
) -> Path:
    """Write a fake checkout whose every step takes 0.25 s (says the fake) and has the given loss."""
    scripts = folder / SCRIPTS
    scripts.mkdir(parents=True)
    numbers = "".join(f"float('{loss}'), " for loss in losses)
    constants = f"STEP_SECONDS, WARMUP, LOSSES = 0.25, {warmup}, [{numbers}]\n"
    (scripts / "benchmark_cnn.py").write_text(constants + BENCHMARK_CNN, encoding="utf-8")
    program = f"STATUS, LAST_LINE = {status!r}, {last_line!r}\n{PROGRAM}"
    (scripts / "tf_cnn_benchmarks.py").write_text(program, encoding="utf-8")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text(UPSTREAM_COMMIT + "\n", encoding="utf-8")
    return folder
