"""`driver.dispatch`: what one operation of a framework costs the host on tensors too small to compute on.

The operations, eager, on float32: `add` of two tensors of one element into a new one, `add_inplace` into the first
(torch's `add_`, a variable's `assign_add` in TensorFlow), `matmul` of 2×2.

Here the interpreter is part of what is measured, since every operation of a training script passes through it: the
stack's lock gives both sides the same one. The loop is the standard library's timeit, as torch.utils.benchmark uses
it: the statement is compiled into the loop as a script has it, `torch.add(one, one)` with the look-up of its names
(about 5% of it), the garbage collector rests, and a sample is the mean of `calls`. What the loop costs without a
statement is `loop_seconds`; nothing is subtracted.

A CPU has computed when the call returns. A GPU has not, so there the host's part is measured twice: with `wait` =
`none` the operations of a sample are submitted back to back, and the device is awaited before and after, outside the
timed section; with `wait` = `each` every operation is awaited within it.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.agent import frameworks
from harness.agent.loops import PythonLoops, instrument, loop_metric
from harness.agent.messages import Metric
from harness.agent.task import Context, Outcome, Task, Unavailable

QUEUE = 512  # launches: half of what a CUDA stream takes before a launch waits for the device


@dataclass(frozen=True, kw_only=True)
class Eager:
    """A framework's operations as statements, the names they use, and how its device is awaited."""

    module: Any
    statements: Mapping[str, str]
    names: Mapping[str, Any]
    wait: str  # a statement

    def timer(self, operation: str, *, wait: bool = False) -> timeit.Timer:
        """Return the timed loop of an operation."""
        statement = self.statements[operation]
        return timeit.Timer(f"{statement}; {self.wait}" if wait else statement, globals=dict(self.names))

    def await_device(self) -> None:
        """Return when everything submitted has been done."""
        timeit.Timer(self.wait, globals=dict(self.names)).timeit(1)

    def check(self) -> None:
        """Raise ArithmeticError unless the operations compute what they should."""
        one, square = self.names["one"], self.names["square"]
        total = float(self.module.add(one, one)[0])
        corner = float(self.module.matmul(square, square)[0][0])
        if (total, corner) != (2.0, 2.0):
            raise ArithmeticError(f"1 + 1 gave {total}, the product of two squares of ones {corner} where 2 is right")


def run(context: Context) -> Outcome:
    """Measure `dispatch_seconds` by operation. Raises Unavailable without the framework or without its GPU."""
    framework = frameworks.load(context.spec)
    eager = _torch(framework, context) if framework.__name__ == "torch" else _tensorflow(framework, context)
    eager.check()
    on_gpu = context.spec.device != "cpu"
    ways = ({"wait": "none"}, {"wait": "each"}) if on_gpu else ({},)
    plan = [(operation, way) for operation in eager.statements for way in ways]
    metrics = [_loop(context)]
    for done, (operation, way) in enumerate(plan, start=1):
        metrics.append(_dispatch(context, eager, operation, way))
        context.progress(done, len(plan), operation)
    versions = {framework.__name__: str(framework.__version__)}
    return Outcome(metrics=(*metrics, *instrument(PythonLoops())), versions=versions)


def _dispatch(context: Context, eager: Eager, operation: str, way: Mapping[str, str]) -> Metric:
    warmup, calls = context.integer("warmup"), context.integer("calls")
    if way:
        calls = min(calls, QUEUE)
    timer = eager.timer(operation, wait=way.get("wait") == "each")
    seconds = []
    for _ in range(warmup + context.integer("samples")):
        eager.await_device()
        seconds.append(timer.timeit(calls) / calls)
    eager.await_device()
    return loop_metric("dispatch_seconds", PythonLoops(), seconds, warmup=warmup, operation=operation, **way)


def _loop(context: Context) -> Metric:
    calls, samples = context.integer("calls"), context.integer("samples")
    seconds = [elapsed / calls for elapsed in timeit.Timer("pass").repeat(samples, calls)]
    return loop_metric("loop_seconds", PythonLoops(), seconds)


def _torch(torch: Any, context: Context) -> Eager:  # noqa: ANN401 - a module
    device = context.spec.device
    if device != "cpu" and not torch.cuda.is_available():
        raise Unavailable("torch sees no GPU: its build is for CPU, or the driver is not visible here")
    return Eager(
        module=torch,
        statements={
            "add": "torch.add(one, one)",
            "add_inplace": "total.add_(one)",
            "matmul": "torch.matmul(square, square)",
        },
        names={
            "torch": torch,
            "one": torch.ones(1, device=device),
            "total": torch.zeros(1, device=device),
            "square": torch.ones(2, 2, device=device),
            "synchronize": torch.cuda.synchronize,
        },
        wait="pass" if device == "cpu" else "synchronize()",
    )


def _tensorflow(tensorflow: Any, context: Context) -> Eager:  # noqa: ANN401 - a module
    device = context.spec.device.replace("cuda", "gpu")
    if device != "cpu" and not tensorflow.config.list_physical_devices("GPU"):
        raise Unavailable("TensorFlow sees no GPU: its build is for CPU, or the driver is not visible here")
    with tensorflow.device(device):
        one = tensorflow.ones(1)
        names = {
            "tensorflow": tensorflow,
            "one": one,
            "total": tensorflow.Variable(tensorflow.zeros(1)),
            "square": tensorflow.ones((2, 2)),
            "synchronize": _synchronize(tensorflow, one),
        }
    return Eager(
        module=tensorflow,
        statements={
            "add": "tensorflow.add(one, one)",
            "add_inplace": "total.assign_add(one)",
            "matmul": "tensorflow.matmul(square, square)",
        },
        names=names,
        wait="pass" if device == "cpu" else "synchronize()",
    )


def _synchronize(tensorflow: Any, one: Any) -> Callable[[], object]:  # noqa: ANN401 - a module, a tensor
    """Return what waits for the device; before TensorFlow 2.12 that is fetching what was computed last."""

    def fetch() -> object:
        return (one + one).numpy()

    if not hasattr(tensorflow.test, "experimental"):
        return fetch
    wait: Callable[[], object] = tensorflow.test.experimental.sync_devices
    return wait


TASK = Task(
    summary="One eager operation of a framework on a tiny tensor: the host's cost of handing work over.",
    run=run,
    params={"samples": 200, "calls": 500, "warmup": 20},
    frameworks=("torch", "tensorflow"),
    devices=("cpu", "cuda"),
    seconds=4.0,
)
