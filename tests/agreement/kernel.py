"""The comparisons of spawn, small files, memory bandwidth and copies: which tool, asked what, and why it may differ."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, harmonic_mean, median

from harness.agent.cpus import cpu_to_pin, on_cpus
from harness.agent.messages import Location, Scalar
from tests.agreement import tools
from tests.agreement.cells import folder_in_memory, require_native, result, value
from tests.agreement.table import Comparison, Reason, Values, all_of, alternated, programs

MIB = 2**20
FILES = 2000
FILE_SIZE = 4096
ARRAY = 256 * MIB
PASSES = 80  # as long as STREAM's 20, whose triad is one of four kernels
STREAM = "OVERHEAD_MATRIX_STREAM"  # the environment variable that names a binary of STREAM
STREAM_MISSING = (
    f"missing: build STREAM (https://www.cs.virginia.edu/stream/) with gcc -O2 -fopenmp -mcmodel=medium "
    f"-DSTREAM_ARRAY_SIZE={ARRAY // 8} -DNTIMES=20 -DOFFSET=520 and name the binary in {STREAM}"
)  # without the offset its arrays lie 256 MiB apart, where their lines compete for the same places: half the bandwidth;
# with -march=native it moves more in one instruction than the probe, whose code is for every x86-64


# driver.spawn

SPAWNED = 20_000  # processes


def _spawn() -> Values:
    with on_cpus([cpu_to_pin()]):  # free, children go to another CPU or stay, which differs from run to run
        done = result("driver.spawn", {"samples": 2000})
    kinds = {"vfork": "process", "fork": "fork"}
    return {f"spawn_seconds {tool}": value(done, "spawn_seconds", fmean, kind=kind) for tool, kind in kinds.items()}


def _stress_ng() -> Values:
    return {f"spawn_seconds {stressor}": _stressor(stressor) for stressor in ("vfork", "fork")}


def _stressor(name: str) -> float:
    """Long runs: stress-ng prints hundredths of a second, the start of its own process among them."""
    options = (f"--{name}", "1", f"--{name}-ops", str(SPAWNED), f"--{name}-max", "1", "--metrics-brief")
    with on_cpus([cpu_to_pin()]):
        done = subprocess.run(["stress-ng", *options], capture_output=True, text=True, check=True, timeout=tools.LIMIT)
    return tools.stress_ng_seconds(done.stdout + done.stderr, name)


# storage.small_files


def _small_files() -> Values:
    with folder_in_memory() as folder:
        location = Location(name="here", path=str(folder))
        params = {"files": FILES, "size": FILE_SIZE, "rounds": 7}
        done = result("storage.small_files", params, locations=[location])
    operations = ("create", "stat", "open_read", "list", "unlink")
    return {f"{each}_seconds": value(done, f"{each}_seconds", cache="warm") for each in operations}


def _fio_files() -> Values:
    """Let fio lay files out, and create, stat and unlink its own."""
    engines = {"create_seconds": "filecreate", "stat_seconds": "filestat", "unlink_seconds": "filedelete"}
    return {metric: _fio(engine) for metric, engine in engines.items()}


def _fio(engine: str) -> float:
    files = (f"--nrfiles={FILES}", f"--filesize={FILE_SIZE}", "--openfiles=1", "--file_service_type=sequential")
    with folder_in_memory() as folder:
        options = ("--name=x", f"--directory={folder}", f"--ioengine={engine}", *files, "--output-format=json")
        return tools.fio_median(tools.run(["fio", *options]))


def _find_and_cat() -> Values:
    """Time find and cat on many files less the same on one: what is left is the files' part."""
    with folder_in_memory() as folder:
        many, one = folder / "many", folder / "one"
        for place, files in ((many, FILES), (one, 1)):
            place.mkdir()
            for number in range(files):
                (place / str(number)).write_bytes(os.urandom(FILE_SIZE))
        listing = _difference(["find", many, "-name", "x"], ["find", one, "-name", "x"])
        reading = _difference(["cat", *sorted(many.iterdir())], ["cat", *one.iterdir()])
    return {"list_seconds": listing, "open_read_seconds": reading}


def _difference(many: Sequence[str | Path], one: Sequence[str | Path]) -> float:
    times = [tools.hyperfine(command, runs=30, warmup=3) for command in (many, one)]
    return (times[0] - times[1]) / (FILES - 1)


# memory.bandwidth


def _triad(statistic: Callable[[Sequence[float]], float], *threads: int) -> Values:
    done = result("memory.bandwidth", {"array_bytes": ARRAY, "samples": PASSES})
    return {f"triad_bandwidth {each}": value(done, "triad_bandwidth", statistic, threads=each) for each in threads}


def _stream() -> Values:
    printed = {
        threads: tools.run([os.environ[STREAM]], environ={"OMP_NUM_THREADS": str(threads)}) for threads in _threads()
    }
    return {f"triad_bandwidth {threads}": tools.stream_triad_bandwidth(text) for threads, text in printed.items()}


def _threads() -> list[int]:
    return sorted({1, len(os.sched_getaffinity(0))})


def _stream_missing() -> str:
    return "" if shutil.which(os.environ.get(STREAM, "")) else STREAM_MISSING


def _mbw() -> Values:
    printed = tools.run(["mbw", "-q", "-n", "20", "-t1", str(ARRAY // MIB)])
    return {"triad_bandwidth 1": tools.mbw_bandwidth(printed)}


# copies.bandwidth and copies.gated: of a GPU. nvbandwidth's copies wait behind a kernel that spins, as the gated do.

COPIED = 2**28  # bytes; one of the probe's sizes
TESTS = {"h2d": "host_to_device_memcpy_ce", "d2h": "device_to_host_memcpy_ce", "d2d": "device_local_copy"}


def _copies() -> Values:
    done = result("copies.bandwidth", {"max_bytes": COPIED}, device="cuda:0")
    ways: dict[str, dict[str, Scalar]] = {"h2d": {"memory": "pinned"}, "d2h": {"memory": "pinned"}, "d2d": {}}
    return {
        f"copy_bandwidth {way}": value(done, "copy_bandwidth", median, direction=way, bytes=COPIED, **memory)
        for way, memory in ways.items()
    }


def _gated() -> Values:
    done = result("copies.gated", {"max_bytes": COPIED}, device="cuda:0")
    return {f"gated_bandwidth {way}": value(done, "gated_bandwidth", direction=way, bytes=COPIED) for way in TESTS}


def _nvbandwidth(metric: str) -> Values:
    printed = tools.run(["nvbandwidth", "--json", "--bufferSize", str(COPIED // MIB), "-t", *TESTS.values()])
    return {f"{metric} {way}": tools.nvbandwidth_rate(printed, test) for way, test in TESTS.items()}


def _nvbandwidth_missing() -> str:
    if not shutil.which("nvidia-smi"):
        return "no NVIDIA GPU on this machine"
    return "" if shutil.which("nvbandwidth") else "missing: build https://github.com/NVIDIA/nvbandwidth, onto the PATH"


# What differs by construction. The system calls were counted with strace.
MORE_WORK_BETWEEN = "fio keeps books between two calls, so each finds colder caches than in the probe's loop"
VFORK = Reason(
    text="the kernel walks the memory map at each child's exit (acct_collect, 5% of stress-ng's time by perf record): "
    "stress-ng maps a dozen libraries; a bare loop in C takes what the probe takes",
    low=0.8,
    high=1.0,
)
FORK = Reason(
    text="fork copies page tables: the probe's process is a Python of tens of MB, stress-ng's a small program whose "
    "child makes a dozen more system calls",
    low=1.3,
    high=2.5,
)
FIO_FILES = {
    "create_seconds": Reason(text="fio opens and creates; the probe also writes 4 KiB and closes", low=1.4, high=2.6),
    "stat_seconds": Reason(text=MORE_WORK_BETWEEN, low=0.6, high=1.0),
    "unlink_seconds": Reason(text=MORE_WORK_BETWEEN, low=0.75, high=1.05),
}
FIND_AND_CAT = {
    "list_seconds": Reason(
        text="find sorts nothing, but allocates an entry for each name and matches it", low=0.35, high=0.7
    ),
    "open_read_seconds": Reason(
        text="cat makes 9 system calls a file (open, stat, fadvise, mmap, 2 reads, write, munmap, close) and touches a "
        "new buffer, the probe 3 (open, read, close)",
        low=0.2,
        high=0.4,
    ),
}
MBW = {
    "triad_bandwidth 1": Reason(
        text="mbw counts a copied byte once, 1 of the 3 that the memory moves (read, fetch, write); the triad counts 3 "
        "of 4: 2.25 at equal traffic, less where the processor spares fetches (an Ice Lake: 1.3); mbw's loop is "
        "another compiler's",
        low=1.2,
        high=2.5,
    )
}

COMPARISONS = (
    Comparison(
        probe="driver.spawn",
        tool="stress-ng --vfork, --fork",
        measured=alternated(_spawn, _stress_ng),
        missing=all_of(require_native, programs(**{"stress-ng": "stress-ng"})),
        reasons={"spawn_seconds vfork": VFORK, "spawn_seconds fork": FORK},
    ),
    Comparison(
        probe="storage.small_files",
        tool="fio filecreate, filestat, filedelete",
        measured=alternated(_small_files, _fio_files),
        missing=all_of(require_native, programs(fio="fio")),
        reasons=FIO_FILES,
    ),
    Comparison(
        probe="storage.small_files",
        tool="hyperfine of find, cat",
        measured=alternated(_small_files, _find_and_cat),
        missing=all_of(require_native, programs(hyperfine="hyperfine")),
        reasons=FIND_AND_CAT,
    ),
    Comparison(
        probe="memory.bandwidth",
        tool="STREAM",
        measured=alternated(lambda: _triad(harmonic_mean, *_threads()), _stream),
        missing=all_of(require_native, _stream_missing),
    ),
    Comparison(
        probe="memory.bandwidth",
        tool="mbw -t1",
        measured=alternated(lambda: _triad(fmean, 1), _mbw),
        missing=all_of(require_native, programs(mbw="mbw")),
        reasons=MBW,
    ),
    Comparison(
        probe="copies.bandwidth",
        tool="nvbandwidth",
        measured=alternated(_copies, partial(_nvbandwidth, "copy_bandwidth")),
        missing=_nvbandwidth_missing,
    ),
    Comparison(
        probe="copies.gated",
        tool="nvbandwidth",
        measured=alternated(_gated, partial(_nvbandwidth, "gated_bandwidth")),
        missing=_nvbandwidth_missing,
    ),
)
