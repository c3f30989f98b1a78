"""The comparisons of loads, faults and threads, which no packaged tool measures alone.

stress-ng's --brk grows the heap by a page at a time and writes to it, --brk-notouch does not write: what lies between
is the first touch of fresh anonymous memory, and `perf stat` counts the faults. For dependent loads the tool is
lmbench's lat_mem_rd (`tests.agreement.cpu`); Debian does not pack it, so there is a chase of our own besides.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from harness.agent.cpus import cpu_to_pin, on_cpus
from tests.agreement import tools
from tests.agreement.cells import require_native, result, value
from tests.agreement.table import Comparison, Reason, Values, all_of, alternated, programs

SOURCE = Path(__file__).with_name("by_hand.c")
PAGE = 4096
REGION = 64 << 20  # bytes that the probe touches
GROWN = 100_000  # pages that stress-ng adds
TRIES = 3  # of a run of stress-ng, of which the shortest counts
SETS = (16 << 10, 128 << 10, 64 << 20)  # bytes walked through: in the first cache, in the second, in memory
THREADS = 20_000

GROWING = Reason(
    text="stress-ng's heap grows by a page with each fault: the kernel looks up a mapping that has just changed, in "
    "caches that its own bookkeeping has used",
    low=0.6,
    high=1.0,
)


def _faults() -> Values:
    with on_cpus([cpu_to_pin()]):
        done = result("memory.faults", {"region_bytes": REGION})
    return {"fault_seconds": value(done, "fault_seconds", min, page_bytes=PAGE)}


def _stress_ng_faults() -> Values:
    """Return the seconds that touching adds, for each fault that it adds."""
    touching, growing = (min(_grown(*extra) for _ in range(TRIES)) for extra in ((), ("--brk-notouch",)))
    return {"fault_seconds": (touching[0] - growing[0]) / (touching[1] - growing[1])}


def _grown(*extra: str) -> tuple[float, float]:
    """Return the seconds and the page faults of growing a heap by GROWN pages."""
    stress_ng = ("stress-ng", "--brk", "1", *extra, "--brk-ops", str(GROWN), "--metrics-brief")
    with on_cpus([cpu_to_pin()]):
        done = subprocess.run(
            ("perf", "stat", "-e", "minor-faults", *stress_ng),
            capture_output=True,
            text=True,
            check=True,
            timeout=tools.LIMIT,
            env=tools.environment(),
        )
    printed = done.stdout + done.stderr
    return GROWN * tools.stress_ng_seconds(printed, "brk"), counted(printed)


def counted(text: str) -> float:
    """Read the faults that `perf stat` counted."""
    found = re.search(r"^ +([\d,]+) +minor-faults", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"no minor-faults in {text.strip()[-300:]!r}")
    return float(found[1].replace(",", ""))


def _loads() -> Values:
    with on_cpus([cpu_to_pin()]):
        done = result("memory.latency", {"max_bytes": max(SETS)})
    return {
        f"load_seconds {size >> 10} KiB": value(done, "load_seconds", min, working_set=size, page_bytes=PAGE)
        for size in SETS
    }


def _loads_by_hand() -> Values:
    with _built() as program:
        return {f"load_seconds {size >> 10} KiB": by_hand(program, "chase", size) for size in SETS}


def _threads() -> Values:
    with on_cpus([cpu_to_pin()]):
        done = result("driver.spawn", {"samples": 2000})
    return {"spawn_seconds thread": value(done, "spawn_seconds", median, kind="thread")}


def _threads_by_hand() -> Values:
    with _built() as program:
        return {"spawn_seconds thread": by_hand(program, "thread", THREADS)}


@contextmanager
def _built() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "by_hand")
        tools.run(["gcc", "-O2", "-pthread", "-o", program, SOURCE])
        yield program


def by_hand(program: Path, what: str, count: int) -> float:
    """Return the seconds that the program of by_hand.c prints."""
    with on_cpus([cpu_to_pin()]):
        return float(tools.run([program, what, str(count)]))


GCC = all_of(require_native, programs(gcc="gcc"))

COMPARISONS = (
    Comparison(
        probe="memory.faults",
        tool="stress-ng --brk less --brk-notouch",
        measured=alternated(_faults, _stress_ng_faults),
        missing=all_of(require_native, programs(**{"stress-ng": "stress-ng", "perf": "linux-perf"})),
        reasons={"fault_seconds": GROWING},
    ),
    Comparison(
        probe="memory.latency",
        tool="a chase of our own, built by gcc",
        measured=alternated(_loads, _loads_by_hand),
        missing=GCC,
    ),
    Comparison(
        probe="driver.spawn",
        tool="pthreads of our own, built by gcc",
        measured=alternated(_threads, _threads_by_hand),
        missing=GCC,
    ),
)
