"""What a process pays before its first CUDA kernel: `driver` declares this task as its own.

`init_seconds`, `first_context_seconds` and `first_jit_seconds` have one value each (the invocation is the replicate).
`context_create_seconds` and `jit_seconds` are of those and of later ones, the first being warm-up. What is compiled is
PTX that no cache holds; `module_load_seconds` is the same again: then the driver's cache has it, which is in use here
and lies in a temporary folder, whatever the user's variables say.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from harness.agent import cuda_types as types
from harness.agent import ptx
from harness.agent.cuda import Device, open_driver
from harness.agent.cuda_session import ordinal, session
from harness.agent.gpu_node import beside
from harness.agent.sampling import timed
from harness.agent.task import Context, Outcome, Task

CACHE = "CUDA_CACHE_PATH"
# What the driver reads when it starts. It would put compilation off until a kernel is used, or leave its cache alone.
COMPILING = {
    "CUDA_CACHE_DISABLE": "0",
    "CUDA_CACHE_MAXSIZE": str(2**28),
    "CUDA_DISABLE_PTX_JIT": "0",
    "CUDA_FORCE_PTX_JIT": "0",
    "CUDA_MODULE_LOADING": "EAGER",
}
FIRST = {"context_create_seconds": "first_context_seconds", "jit_seconds": "first_jit_seconds"}


def run_context(context: Context) -> Outcome:
    """Measure a context's creation and destruction, a module's compilation, and its loading once compiled."""
    total = 1 + context.integer("samples")
    with _private_cache():
        started, driver = timed(open_driver)
        seconds: dict[str, list[float]] = {"init_seconds": [started]}
        with beside(driver.device(ordinal(context))):
            for done in range(1, total + 1):
                for name, value in _one_context(driver.device(ordinal(context)), done).items():
                    seconds.setdefault(name, []).append(value)
                context.progress(done, total, "contexts")
    with session(context) as cuda:
        metrics = [cuda.metric(name, each, warmup=min(1, len(each) - 1)) for name, each in seconds.items()]
        first = [cuda.metric(name, seconds[repeated][:1]) for repeated, name in FIRST.items()]
        return cuda.outcome([*first, *metrics])


def _one_context(device: Device, number: int) -> dict[str, float]:
    """Return the seconds of each step of one context's life. The text is this process's and this number's own."""
    driver = device.driver
    text = ptx.unseen((os.getpid() << 16) + number).encode("ascii")
    created, handle = timed(lambda: driver.handle("cuCtxCreate_v2", types.SCHED_SPIN, device.handle))
    try:
        compiled, module = timed(lambda: driver.handle("cuModuleLoadData", text))
        driver.call("cuModuleUnload", module)
        loaded, module = timed(lambda: driver.handle("cuModuleLoadData", text))
    except BaseException:
        driver.status("cuCtxDestroy_v2", handle)
        raise
    destroyed, _ = timed(lambda: driver.call("cuCtxDestroy_v2", handle))
    return {
        "context_create_seconds": created,
        "jit_seconds": compiled,
        "module_load_seconds": loaded,
        "context_destroy_seconds": destroyed,
    }


@contextmanager
def _private_cache() -> Iterator[None]:
    """Let a driver that starts meanwhile compile whatever it loads, and keep that in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="overhead-matrix-", ignore_cleanup_errors=True) as folder:
        settings = {**COMPILING, CACHE: folder}
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


CONTEXT = Task(
    summary="Before the first kernel: the driver's start, a context, a module's compilation and loading.",
    run=run_context,
    params={"samples": 5},
    devices=("cuda",),
    seconds=4.0,
)
