"""The comparisons of the kernel's and the tools' probes: which tool, asked for what, and why it may differ."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from harness.agent import wheel
from harness.agent.messages import Location
from harness.agent.probes import build
from tests.agreement import tools
from tests.agreement.cells import require_native, result, stack_python, value
from tests.agreement.table import Comparison, Reason, Values, alternated, programs

MIB = 2**20
FILES = 2000
FILE_SIZE = 4096
ARRAY = 256 * MIB
STREAM = "OVERHEAD_MATRIX_STREAM"  # the environment variable that names a binary of STREAM
STREAM_MISSING = (
    f"missing: build STREAM (https://www.cs.virginia.edu/stream/) with gcc -O3 -march=native -fopenmp -mcmodel=medium "
    f"-DSTREAM_ARRAY_SIZE={ARRAY // 8} -DNTIMES=20 -DOFFSET=520 and name the binary in {STREAM}"
)  # without the offset its arrays lie 256 MiB apart, where their lines compete for the same places: half the bandwidth
MEMORY = Path("/dev/shm")  # noqa: S108 - a file system whose times do not depend on a disk


def _all(*checks: Callable[[], str]) -> Callable[[], str]:
    """Return the first complaint of several checks."""
    return lambda: next((complaint for check in checks if (complaint := check())), "")


@contextmanager
def _folder() -> Iterator[Path]:
    """Make an empty folder in memory, where there is such a file system."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        yield Path(name)


# driver.spawn


def _spawn() -> Values:
    done = result("driver.spawn", {"samples": 2000})
    kinds = {"vfork": "process", "fork": "fork"}
    return {f"spawn_seconds {tool}": value(done, "spawn_seconds", fmean, kind=kind) for tool, kind in kinds.items()}


def _stress_ng() -> Values:
    return {f"spawn_seconds {stressor}": _stressor(stressor) for stressor in ("vfork", "fork")}


def _stressor(name: str) -> float:
    options = (f"--{name}", "1", f"--{name}-ops", "2000", f"--{name}-max", "1", "--metrics-brief")
    done = subprocess.run(["stress-ng", *options], capture_output=True, text=True, check=True, timeout=tools.LIMIT)
    return tools.stress_ng_seconds(done.stdout + done.stderr, name)


# storage.small_files


def _small_files() -> Values:
    with _folder() as folder:
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
    with _folder() as folder:
        options = ("--name=x", f"--directory={folder}", f"--ioengine={engine}", *files, "--output-format=json")
        return tools.fio_median(tools.run(["fio", *options]))


def _find_and_cat() -> Values:
    """Time find and cat on many files less the same on one: what is left is the files' part."""
    with _folder() as folder:
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
    done = result("memory.bandwidth", {"array_bytes": ARRAY, "samples": 20})
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


# tooling.install


def _install() -> Values:
    with _folder() as folder:
        location = Location(name="here", path=str(folder))
        done = result("tooling.install", {"files": 300, "size": FILE_SIZE, "samples": 5}, locations=[location])
    return {name: value(done, name) for name in ("install_seconds", "pip_start_seconds")}


def _pip() -> Values:
    pip = [sys.executable, "-m", "pip"]
    with _folder() as folder:
        package, target = wheel.write(folder, modules=300, size=FILE_SIZE), folder / "target"
        environ = {"TMPDIR": str(folder), "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        options = ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--target", str(target), str(package)]
        install = tools.hyperfine([*pip, "install", *options], runs=5, prepare=["rm", "-rf", target], environ=environ)
    return {"install_seconds": install, "pip_start_seconds": tools.hyperfine([*pip, "--version"], runs=5)}


# tooling.import


def _import(stack: str, module: str) -> Values:
    python = sys.executable if stack == "driver" else stack_python(stack)
    done = result("tooling.import", {"samples": 5}, python=python, stack=stack)
    imported = value(done, "import_seconds", cache="warm")
    return {"start_seconds": value(done, "start_seconds"), f"import_seconds {module}": imported}


def _import_by_hand(stack: str, module: str, program: str) -> Values:
    python = sys.executable if stack == "driver" else stack_python(stack)
    return {
        "start_seconds": tools.hyperfine([python, "-c", "pass"], runs=20),
        f"import_seconds {module}": tools.hyperfine([python, "-c", program], runs=5),
    }


STANDARD_MODULES = (
    "import argparse, asyncio, csv, dataclasses, decimal, email.message, http.client, json, logging, multiprocessing, "
    "tempfile, unittest, urllib.request, xml.etree.ElementTree, zipfile"
)


# tooling.build


def _build() -> Values:
    done = result("tooling.build", {"rounds": 4})
    return {name: value(done, name) for name in ("compile_seconds", "link_seconds")}


def _build_by_hand() -> Values:
    with tempfile.TemporaryDirectory() as folder:
        source, target, library = (Path(folder, name) for name in ("extension.cpp", "extension.o", "extension.so"))
        source.write_text(build.CPP, encoding="utf-8")
        compiling = tools.hyperfine(["c++", "-O2", "-std=c++17", "-fPIC", "-c", source, "-o", target], runs=4)
        linking = tools.hyperfine(["c++", "-shared", target, "-o", library], runs=4)
    return {"compile_seconds": compiling, "link_seconds": linking}


# driver.dispatch

# What a user of torch.utils.benchmark types.
TORCH_BENCHMARK = """
import torch
from torch.utils.benchmark import Timer
one, total, square = torch.ones(1), torch.zeros(1), torch.ones(2, 2)
names = {"torch": torch, "one": one, "total": total, "square": square}
for statement in ("torch.add(one, one)", "total.add_(one)", "torch.matmul(square, square)"):
    print(Timer(statement, globals=names).blocked_autorange(min_run_time=0.5).median)
"""
OPERATIONS = ("add", "add_inplace", "matmul")


def _dispatch() -> Values:
    done = result("driver.dispatch", {"samples": 400}, python=stack_python("torch"), stack="torch")
    return {f"dispatch_seconds {each}": value(done, "dispatch_seconds", operation=each) for each in OPERATIONS}


def _torch_benchmark() -> Values:
    printed = tools.run([stack_python("torch"), "-c", TORCH_BENCHMARK])
    return dict(zip((f"dispatch_seconds {each}" for each in OPERATIONS), map(float, printed.split()), strict=True))


# copies.bandwidth: of a GPU

TESTS = {"h2d": "host_to_device_memcpy_ce", "d2h": "device_to_host_memcpy_ce"}


def _copies() -> Values:
    done = result("copies.bandwidth", device="cuda:0")
    rates = {way: value(done, "copy_bandwidth", direction=way, memory="pinned") for way in TESTS}
    return {f"copy_bandwidth {way}": rate for way, rate in rates.items()}


def _nvbandwidth() -> Values:
    printed = tools.run(["nvbandwidth", "--json", "-t", *TESTS.values()])
    return {f"copy_bandwidth {way}": tools.nvbandwidth_rate(printed, test) for way, test in TESTS.items()}


def _nvbandwidth_missing() -> str:
    if not shutil.which("nvidia-smi"):
        return "no NVIDIA GPU on this machine"
    return "" if shutil.which("nvbandwidth") else "missing: build https://github.com/NVIDIA/nvbandwidth, onto the PATH"


# What differs by construction. The system calls were counted with strace.
MORE_WORK_BETWEEN = "fio keeps books between two calls, so each finds colder caches than in the probe's loop"
FORK = Reason(
    text="fork copies page tables: the probe's process is a Python of some 10 MB, stress-ng's a small program whose "
    "child makes a dozen more system calls",
    low=0.7,
    high=4.0,
)
FIO_FILES = {
    "create_seconds": Reason(text="fio opens and creates; the probe also writes 4 KiB and closes", low=1.1, high=6.0),
    "stat_seconds": Reason(text=MORE_WORK_BETWEEN, low=0.55, high=1.05),
    "unlink_seconds": Reason(text=MORE_WORK_BETWEEN, low=0.55, high=1.05),
}
FIND_AND_CAT = {
    "list_seconds": Reason(
        text="find sorts nothing, but allocates an entry for each name and matches it", low=0.15, high=0.8
    ),
    "open_read_seconds": Reason(
        text="cat makes 9 system calls a file (open, stat, fadvise, mmap, 2 reads, write, munmap, close) and touches a "
        "new buffer, the probe 3 (open, read, close)",
        low=0.15,
        high=0.6,
    ),
}
MBW = {
    "triad_bandwidth 1": Reason(
        text="mbw counts a copied byte once, 1 of the 3 that the memory moves (read, fetch, write); the triad counts 3 "
        "of 4: 2.25 at equal traffic",
        low=1.8,
        high=2.8,
    )
}

HYPERFINE = programs(hyperfine="hyperfine")

COMPARISONS = (
    Comparison(
        probe="driver.spawn",
        tool="stress-ng --vfork, --fork",
        measured=alternated(_spawn, _stress_ng),
        missing=_all(require_native, programs(**{"stress-ng": "stress-ng"})),
        reasons={"spawn_seconds fork": FORK},
    ),
    Comparison(
        probe="storage.small_files",
        tool="fio filecreate, filestat, filedelete",
        measured=alternated(_small_files, _fio_files),
        missing=_all(require_native, programs(fio="fio")),
        reasons=FIO_FILES,
    ),
    Comparison(
        probe="storage.small_files",
        tool="hyperfine of find, cat",
        measured=alternated(_small_files, _find_and_cat),
        missing=_all(require_native, HYPERFINE),
        reasons=FIND_AND_CAT,
    ),
    Comparison(
        probe="memory.bandwidth",
        tool="STREAM",
        measured=alternated(lambda: _triad(max, *_threads()), _stream),
        missing=_all(require_native, _stream_missing),
    ),
    Comparison(
        probe="memory.bandwidth",
        tool="mbw -t1",
        measured=alternated(lambda: _triad(fmean, 1), _mbw),
        missing=_all(require_native, programs(mbw="mbw")),
        reasons=MBW,
    ),
    Comparison(
        probe="tooling.install",
        tool="hyperfine of pip",
        measured=alternated(_install, _pip),
        missing=HYPERFINE,
    ),
    Comparison(
        probe="tooling.import",
        tool="hyperfine of python",
        measured=alternated(
            lambda: _import("driver", "standard"), lambda: _import_by_hand("driver", "standard", STANDARD_MODULES)
        ),
        missing=HYPERFINE,
    ),
    Comparison(
        probe="tooling.import",
        tool="hyperfine of python with torch",
        measured=alternated(
            lambda: _import("torch", "torch"), lambda: _import_by_hand("torch", "torch", "import torch")
        ),
        missing=HYPERFINE,
        pairs=4,
    ),
    Comparison(
        probe="tooling.build",
        tool="hyperfine of c++",
        measured=alternated(_build, _build_by_hand),
        missing=programs(**{"c++": "g++", "hyperfine": "hyperfine"}),
        pairs=4,
    ),
    Comparison(
        probe="driver.dispatch",
        tool="torch.utils.benchmark",
        measured=alternated(_dispatch, _torch_benchmark),
        missing=lambda: "",
    ),
    Comparison(
        probe="copies.bandwidth",
        tool="nvbandwidth",
        measured=alternated(_copies, _nvbandwidth),
        missing=_nvbandwidth_missing,
    ),
)
