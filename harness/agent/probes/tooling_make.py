"""`tooling.make`: a build of many small files by the platform's own make (nmake on Windows), one job at a time.

`make_seconds` compiles every source anew in an empty folder: each is so small that starting the compiler and opening
files is most of it, which is what a large project's build multiplies. `remake_seconds` is make that finds nothing
to do. The compiler is that of `tooling.build`, and its outcome is a capability in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from harness.agent import compilers
from harness.agent.children import StepError, timed
from harness.agent.compilers import Compiler, Make
from harness.agent.compilers_windows import WindowsCompiler, WindowsMake
from harness.agent.loops import PythonLoops, instrument
from harness.agent.probes.build import in_rounds
from harness.agent.task import Context, Outcome, Task

MAKEFILE = "makefile"
ONE_JOB = {"MAKEFLAGS": ""}  # nmake knows no more, and a user's own options are not the platform's
UNIT = """
template <typename T> T twice(T x) {{ return x + x; }}
long long unit_{number}(long long x) {{ return twice(x); }}
"""


def run(context: Context) -> Outcome:
    """Measure `make_seconds` and `remake_seconds` of `sources` files."""
    compiler = compilers.find("c++")
    make = compiler.make()
    versions = {"compiler": compiler.path, "make": make.path}
    try:
        versions |= {"compiler": compiler.version(), "make": make.version()}
        metrics = in_rounds(context, partial(_build, compiler, make, context.integer("sources")))
    except StepError as error:
        return Outcome(metrics=(), versions=versions, status="failed", reason=str(error))
    return Outcome(metrics=(*metrics, *instrument(PythonLoops())), versions=versions)


def _build(
    compiler: Compiler | WindowsCompiler, make: Make | WindowsMake, sources: int, folder: Path
) -> Mapping[str, float]:
    """Return the seconds of each step. Raises StepError with the log of the one that fails."""
    objects = []
    rules = []
    for number in range(sources):
        source, target = f"unit_{number}.cpp", f"unit_{number}.o"
        (folder / source).write_text(UNIT.format(number=number), encoding="utf-8")
        recipe = make.recipe(compiler.compile(Path(source), Path(target)))
        rules.append(f"{target}: {source}\n\t{recipe}\n")
        objects.append(target)
    (folder / MAKEFILE).write_text("\n".join([f"all: {' '.join(objects)}\n", *rules]), encoding="utf-8")
    command, environ = make.command(MAKEFILE), {**compiler.environ, **ONE_JOB}
    built = timed(command, f"{make.path}, build", environ, folder)
    lacking = [name for name in objects if not (folder / name).is_file()]
    if lacking:
        raise StepError(f"{make.path}, build: it succeeded, and {', '.join(lacking)} is not there")
    before = [(folder / name).stat().st_mtime_ns for name in objects]
    again = timed(command, f"{make.path}, nothing to do", environ, folder)
    if before != [(folder / name).stat().st_mtime_ns for name in objects]:
        raise StepError(f"{make.path}, nothing to do: it built what was up to date")
    return {"make_seconds": built, "remake_seconds": again}


TASK = Task(
    summary="Build many small C++ sources by the platform's own make (nmake), then find nothing to do.",
    run=run,
    params={"sources": 12, "rounds": 3},
    work=("sources", "rounds"),
    seconds=3.0,
)
