"""The sampler: a child process that reads counters ten times a second while a task runs in its parent.

What the parent (`recorder`) and it say to each other, over pipes on stdin and stdout:

    sampler → parent    `ready` and a line feed: everything is imported and was read once
    parent → sampler    a byte: start; times count from here
    parent → sampler    another byte, or the end of the pipe: stop
    sampler → parent    one JSON object (`_answer`)

It ends with its parent whatever ends that: the pipe closes, or the parent's number changes (processes that the task
forked may hold the pipe open). Ctrl-C is the parent's business.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence

from harness.agent.telemetry import host
from harness.agent.telemetry.series import Series
from harness.agent.telemetry.sources import Source

INTERVAL = 0.1  # seconds
MOST_VALUES = 6000  # of all columns together: less than 100 kB in a result
READY = b"ready\n"


def main(arguments: Sequence[str]) -> int:
    """Sample until told to stop; `arguments` are the task's GPU (`cuda:0`) or nothing."""
    parent = os.getppid()  # now: it may be killed as soon as it was told `ready`
    stops = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        stops.append(signal.SIGBREAK)
    for number in stops:
        signal.signal(number, signal.SIG_IGN)
    candidates = list(host.sources())
    missing: dict[str, str] = {}
    uuids: dict[str, str] = {}
    for device in arguments:
        uuids, found = _gpu(device, missing)
        candidates += found
    sources = list(_answering(candidates, missing))
    startup = time.process_time()
    os.write(sys.stdout.fileno(), READY)
    if not os.read(sys.stdin.fileno(), 1):
        return 0
    began = time.perf_counter()
    series = _sample(sources, began, _stop(), parent)
    lasted = time.perf_counter() - began
    _answer(series, {"missing": missing, "gpus": uuids, **_cost(startup, lasted)})
    return 0


def _gpu(device: str, missing: dict[str, str]) -> tuple[dict[str, str], list[Source]]:
    from harness.agent import cuda  # noqa: PLC0415 - large libraries, for GPU tasks alone
    from harness.agent.cuda_errors import CudaError  # noqa: PLC0415 - likewise
    from harness.agent.nvml_library import library  # noqa: PLC0415 - likewise
    from harness.agent.task import Unavailable, Unsupported  # noqa: PLC0415 - likewise
    from harness.agent.telemetry.gpu import Gpu  # noqa: PLC0415 - likewise

    try:
        nvml = library()
    except ImportError:
        missing["gpu"] = "nvidia-ml-py is not there: python -m pip install nvidia-ml-py"
        return {}, []
    try:
        gpu = Gpu(nvml, cuda.open_driver().device(cuda.ordinal(device)).uuid)
    except (nvml.NVMLError, CudaError, Unavailable, Unsupported) as error:
        missing["gpu"] = str(error)
        return {}, []
    return {gpu.name: gpu.uuid}, list(gpu.sources())


def _answering(candidates: Iterable[Source], missing: dict[str, str]) -> Iterable[Source]:
    """Yield the sources that answer now; of the others note why not."""
    for source in candidates:
        refusal = source.refusal()
        if refusal:
            missing.update(dict.fromkeys(source.names, refusal))
        else:
            yield source


def _stop() -> threading.Event:
    """Return what is set when the parent says stop or is gone."""
    told = threading.Event()

    def listen() -> None:
        os.read(sys.stdin.fileno(), 1)
        told.set()

    threading.Thread(target=listen, daemon=True).start()
    return told


def _sample(sources: Sequence[Source], began: float, stop: threading.Event, parent: int) -> Series:
    """Take a row at once, one an interval, and a last one when told or when `parent` is gone.

    Rows that were missed are not made up for.
    """
    names = [name for source in sources for name in source.names]
    flags = [name for name in names if name.endswith("_reasons")]
    series = Series(names, max(MOST_VALUES // (len(names) + 1), 3), flags)
    tick, due = 0, 0.0
    while True:
        now = time.perf_counter() - began
        series.add(round(now, 4), [value for source in sources for value in source.values(tick)])
        if stop.is_set():
            return series
        tick, due = tick + 1, max(due + INTERVAL * series.stride, now)
        stop.wait(began + due - time.perf_counter())
        if os.getppid() != parent:
            stop.set()


def _cost(startup: float, lasted: float) -> dict[str, float]:
    """Return what sampling took of a processor, without the start (which came before the task)."""
    seconds = time.process_time() - startup
    return {"startup_cpu_seconds": startup, "cpu_seconds": seconds, "cpu_share": seconds / lasted}


def _answer(series: Series, about: dict[str, object]) -> None:
    import json  # noqa: PLC0415 - the task is over: this import no longer disturbs it

    answer = {
        "interval_seconds": INTERVAL * series.stride,
        "times": series.times,
        "columns": series.columns,
        "extremes": series.extremes,
        "shares": series.shares,
        **about,
    }
    sys.stdout.write(json.dumps(answer, allow_nan=False, separators=(",", ":")))
