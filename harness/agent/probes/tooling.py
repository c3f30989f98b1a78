"""Tools that every user of a platform waits for: installing a package, importing a framework, building an extension.

- `install`: pip puts a wheel of many small files from a local folder into an empty one, without network, index, cache
  or byte compilation, on every location that the platform offers; wheel, target and pip's own temporary files are all
  in the location. `install_seconds` is pip's process from start to end; `pip_start_seconds` is pip that only tells
  its version: what is left after that is the unpacking. The pip is this interpreter's own, or, in an environment
  without one, that of the interpreter behind it; which version it is stands in the versions.
- `import`: `import_seconds` is a fresh interpreter that imports the stack's framework and ends (without one: a set of
  standard modules); `start_seconds` is one that does nothing. With `cache` = `cold` the framework's own files were
  dropped from the page cache before, with `warm` they were read just before. Where pages stay in memory (tmpfs, files
  that another process has mapped or that are not this user's), cold is left out.
- `build`, `build_cuda`: see harness.agent.probes.build.

All of it runs in processes of its own: nothing is imported here. The start of a process is timed from here, which
adds a few tenths of a millisecond.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.agent import ext4, frameworks, pagecache, wheel
from harness.agent.children import StepError, isolation, output, timed
from harness.agent.loops import PythonLoops, instrument
from harness.agent.messages import Location, Metric, Scalar
from harness.agent.probes import build
from harness.agent.task import Context, Outcome, Task, Unavailable, Unsupported

STANDARD = (
    "argparse, asyncio, csv, dataclasses, decimal, email.message, http.client, json, logging, multiprocessing, "
    "tempfile, unittest, urllib.request, xml.etree.ElementTree, zipfile"
)
NO_PIP = (
    "neither this interpreter nor the one behind its environment has pip: install python3-pip on the platform, or "
    "choose a base image with pip by OVERHEAD_MATRIX_BASE"
)
INSTALL = ("--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--no-input")
NOT_STANDARD = frozenset({"site-packages", "dist-packages", "test", "tests"})  # folders below the standard library
WARMUP = 1


def run_install(context: Context) -> Outcome:
    """Measure `install_seconds` on each location, and `pip_start_seconds`.

    A location that fails is left out with a warning. Raises Unavailable without a pip or a location to write to; a
    pip that fails is `failed`.
    """
    pip = _pip()
    try:
        start = _samples(context, [*pip, "--version"], "pip --version")
        versions = {"pip": output([*pip, "--version"], "pip --version").split()[1]}
    except StepError as error:
        return Outcome(metrics=(), status="failed", reason=str(error))
    metrics: list[Metric] = []
    warnings: list[str] = []
    broken = False
    for done, location in enumerate(context.spec.locations, start=1):
        try:
            metrics.append(_install(context, pip, location))
            warnings += filter(None, [ext4.warning(location.name, location.path, "install_seconds")])
        except (OSError, StepError) as error:
            broken = broken or isinstance(error, StepError)
            warnings.append(f"location {location.name} ({location.path}) left out: {error}")
        context.progress(done, len(context.spec.locations), location.name)
    if broken and not metrics:
        return Outcome(metrics=(), versions=versions, status="failed", reason="; ".join(warnings))
    if not metrics:
        raise Unavailable("; ".join(warnings) or "tooling.install: the platform offers no location to write to")
    metrics += [_seconds("pip_start_seconds", start), *instrument(PythonLoops())]
    return Outcome(metrics=tuple(metrics), versions=versions, warnings=tuple(warnings))


def run_import(context: Context) -> Outcome:
    """Measure `import_seconds` warm and cold, and `start_seconds`. Raises Unavailable where the framework is absent.

    A framework that can't be imported is `failed`, with the end of what it said.
    """
    name = frameworks.named(context.spec)
    files = _files(context)
    versions = frameworks.versions(context.spec)
    python = [sys.executable, *isolation()]
    program = [*python, "-c", f"import {name or STANDARD}"]
    module = name or "standard library"
    try:
        metrics = [
            _seconds("start_seconds", _samples(context, [*python, "-c", "pass"], "start of the interpreter")),
            _seconds("import_seconds", _samples(context, program, f"import {module}"), module=module, cache="warm"),
        ]
        cold, warnings = _cold(program, f"import {module}", files)
    except StepError as error:
        return Outcome(metrics=(), versions=versions, status="failed", reason=str(error))
    if cold:
        metrics.append(_seconds("import_seconds", cold, warmup=0, module=module, cache="cold"))
    return Outcome(metrics=(*metrics, *instrument(PythonLoops())), versions=versions, warnings=warnings)


def _pip() -> list[str]:
    """Return the command that is pip. Raises Unavailable without one."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for base in _behind():
        if _succeeds([base, "-m", "pip", "--version"]):
            return [base, "-m", "pip"]
    raise Unavailable(NO_PIP)


def _behind() -> list[str]:
    """Return what the interpreter behind this environment may be called; before Python 3.11 it does not say."""
    if sys.prefix == sys.base_prefix:
        return []
    program = ("python.exe",) if sys.platform == "win32" else ("bin", "python{}.{}".format(*sys.version_info))
    by_prefix = Path(sys.base_prefix, *program)
    return list(dict.fromkeys((str(getattr(sys, "_base_executable", "") or by_prefix), str(by_prefix))))


def _succeeds(argv: Sequence[str]) -> bool:
    try:
        output(argv, "pip --version")
    except StepError:
        return False
    return True


def _install(context: Context, pip: Sequence[str], location: Location) -> Metric:
    """Install the wheel into one empty folder after another. Raises StepError with pip's log, OSError for the place."""
    modules, seconds = context.integer("files"), []
    with tempfile.TemporaryDirectory(prefix="overhead-matrix-", dir=location.path) as folder:
        package = wheel.write(Path(folder), modules=modules, size=context.integer("size"))
        environ = {"TMPDIR": folder, "TEMP": folder, "TMP": folder, "PIP_CONFIG_FILE": os.devnull}
        for number in range(WARMUP + context.integer("samples")):
            target = Path(folder, f"target-{number}")
            argv = [*pip, "--isolated", "install", *INSTALL, "--target", str(target), str(package)]
            seconds.append(timed(argv, "pip install", environ))
            found = sum(1 for _ in target.glob(f"{wheel.NAME}/module_*.py"))
            if found != modules:
                raise StepError(f"pip install: it succeeded, and {found} of {modules} files are there")
            shutil.rmtree(target)
    return _seconds("install_seconds", seconds, location=location.name)


def _files(context: Context) -> list[Path]:
    """Return the files that an import reads. Raises Unavailable if the framework is not there.

    Of the standard library only the modules in Python: this process has others mapped, which keeps them in memory.
    """
    name = frameworks.named(context.spec)
    if not name:
        standard = Path(sysconfig.get_path("stdlib"))
        return sorted(path for path in standard.rglob("*.py*") if NOT_STANDARD.isdisjoint(path.parts))
    found = importlib.util.find_spec(name)
    if found is None:
        raise Unavailable(f"stack {context.spec.stack} has no {name}: run the task on a stack that has it")
    folders = found.submodule_search_locations or ()
    return sorted(path for folder in folders for path in Path(folder).rglob("*") if path.is_file())


def _cold(program: Sequence[str], step: str, files: Sequence[Path]) -> tuple[list[float], tuple[str, ...]]:
    """Return what one import takes after its files were dropped: none where they stay, with the reason."""
    try:
        pagecache.write_back(files)
        if kept := pagecache.drop(files):
            return [], (f"without cold imports: {kept} of {len(files)} files stay in memory",)
    except (OSError, Unsupported) as error:
        return [], (f"without cold imports: {error}",)
    return [timed(program, step)], ()


def _samples(context: Context, argv: Sequence[str], step: str) -> list[float]:
    seconds = []
    total = WARMUP + context.integer("samples")
    for done in range(1, total + 1):
        seconds.append(timed(argv, step))
        context.progress(done, total, step)
    return seconds


def _seconds(name: str, seconds: Sequence[float], *, warmup: int = WARMUP, **dims: Scalar) -> Metric:
    return Metric(name=name, unit="s", better="lower", samples=tuple(seconds), warmup=warmup, dims=dims)


TASKS = {
    "install": Task(
        summary="pip installs a wheel of many small files from a local folder, on every location of the platform.",
        run=run_install,
        params={"files": 300, "size": 4096, "samples": 5},
        work=("samples",),
        seconds=9.0,
    ),
    "import": Task(
        summary="A fresh interpreter imports the stack's framework, cold and warm; and one that does nothing.",
        run=run_import,
        params={"samples": 5},
        frameworks=("none", "torch", "tensorflow"),
        work=("samples",),
        seconds=9.0,
    ),
    "build": build.CPP_TASK,
    "build_cuda": build.CUDA_TASK,
}
