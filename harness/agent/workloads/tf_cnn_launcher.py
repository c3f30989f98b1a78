"""Runs tf_cnn_benchmarks.py of a checkout of tensorflow/benchmarks as its author meant, and takes down every step.

Upstream prints a running mean only. Its module `benchmark_cnn` calls `benchmark_one_step` once a step and appends the
step's time to the list `step_train_times`; that function is wrapped here, in memory: no file of the checkout changes.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

UPSTREAM_COMMIT = "8fb79079265933ad39bea628b777af662f5bf15d"  # October 2023, the last
SCRIPTS = Path("scripts", "tf_cnn_benchmarks")

_TOTAL = re.compile(r"^total images/sec: (\d+(?:\.\d+)?)\s*$", re.MULTILINE)

OnStep = Callable[[float, float], None]  # seconds, loss


class LaunchError(RuntimeError):
    """Upstream did not run to its end, or did not say what it should; the text says which."""


@dataclass
class Tee:
    """A text stream that passes everything on and keeps it."""

    stream: TextIO
    kept: list[str] = field(default_factory=list)

    def write(self, text: str) -> int:
        """Write to the stream, keep a copy."""
        self.kept.append(text)
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else the stream offers
        return getattr(self.stream, name)


def launch(checkout: Path, flags: Sequence[str], on_step: OnStep) -> float:
    """Run `tf_cnn_benchmarks.py FLAGS` in this process and return the images per second that it prints in the end.

    `on_step` gets each step's seconds and loss, warm-up steps first. Upstream's output goes to stdout as it is.
    Raises LaunchError if it ends with a status other than 0 or without its last line.
    """
    scripts = checkout / SCRIPTS
    program = scripts / "tf_cnn_benchmarks.py"
    output = Tee(sys.stdout)
    with _as_program(scripts, [str(program), *flags]), contextlib.redirect_stdout(output):
        _record_steps(importlib.import_module("benchmark_cnn"), on_step)
        status = _run(program)
    if status != 0:
        msg = f"tf_cnn_benchmarks.py ended with status {status}; its log says why."
        raise LaunchError(msg)
    return total_images_per_second("".join(output.kept))


def total_images_per_second(output: str) -> float:
    """Return the number of the line `total images/sec: 612.10`. Raises LaunchError where there is none."""
    found = _TOTAL.findall(output)
    if not found:
        msg = "tf_cnn_benchmarks.py ended without its line 'total images/sec'; its log says why."
        raise LaunchError(msg)
    return float(found[-1])


def checkout_commit(checkout: Path) -> str:
    """Return the commit that a checkout's HEAD names, read without git; '' where it can't be told."""
    try:
        head = (checkout / ".git" / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        return (checkout / ".git" / head.removeprefix("ref: ")).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


@contextlib.contextmanager
def _as_program(scripts: Path, argv: list[str]) -> Iterator[None]:
    """Let the folder's modules be found and argv be the program's, as `python program …` does.

    No bytecode is written: a read-only mount could not keep it either, so every platform compiles alike.
    """
    saved = sys.path[:], sys.argv, sys.dont_write_bytecode
    sys.path.insert(0, str(scripts))
    sys.argv, sys.dont_write_bytecode = argv, True
    try:
        yield
    finally:
        sys.path[:], sys.argv, sys.dont_write_bytecode = saved


def _run(program: Path) -> int:
    """Run the file as `__main__` and return its exit status."""
    try:
        runpy.run_path(str(program), run_name="__main__")
    except SystemExit as ending:
        if ending.code is None or isinstance(ending.code, int):
            return ending.code or 0
        sys.stderr.write(f"{ending.code}\n")
        return 1
    return 0


def _record_steps(benchmark_cnn: Any, on_step: OnStep) -> None:  # noqa: ANN401 - a module of upstream's
    """Wrap `benchmark_one_step` in place."""
    original = benchmark_cnn.benchmark_one_step

    def benchmark_one_step(
        sess: object,
        fetches: object,
        step: int,
        batch_size: int,
        step_train_times: list[float],
        *args: object,
        **kwargs: object,
    ) -> tuple[object, float]:
        summary, loss = original(sess, fetches, step, batch_size, step_train_times, *args, **kwargs)
        on_step(step_train_times[-1], float(loss))
        return summary, loss

    benchmark_cnn.benchmark_one_step = benchmark_one_step
