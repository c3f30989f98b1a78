"""What must be true of the newest bundle after `nox -s matrix -- --profile smoke` on a CI machine.

python -m tests.ci.smoke RESULTS: every cell of native and docker is `ok`, but for what the machine was not given (a
clone of tensorflow/benchmarks, a GPU), and all were measured within eight minutes. Prints what is not so, with exit
status 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from harness.agent.inspection.facts import FAILED_INSPECTION
from harness.agent.step_counts import PREFIX
from harness.agent.task import find
from harness.results.bundle import Bundle, read
from harness.results.records import JournalLine

MOST_SECONDS = 480  # from the first attempt's start to the last one's end


def lasted(journal: Sequence[JournalLine]) -> float:
    """Return the seconds from the first attempt's start to the last one's end."""
    starts = [datetime.fromisoformat(line.started) for line in journal]
    return (starts[-1] - starts[0]).total_seconds() + journal[-1].seconds if journal else 0.0


def needs_gpu(entry: str) -> bool:
    """Whether a task runs on a GPU alone."""
    task = find(entry)
    return task is not None and task.devices == ("cuda",)


def problems(bundle: Bundle, *, with_tensorflow: bool) -> Iterator[str]:
    """Yield one line for each thing that is not as it must be."""
    excused = {
        cell.task
        for cell in bundle.manifest.plan.cells
        if (cell.entry.removeprefix(PREFIX).startswith("tf_cnn.") and not with_tensorflow)
        or (needs_gpu(cell.entry) and not bundle.manifest.gpus)
    }
    seen: dict[str, set[str]] = {}
    for line in bundle.journal:
        if line.status == "unavailable" and line.cell.rpartition("/")[2] in excused:
            continue
        task = line.cell.rpartition("/")[2]
        if not task.startswith(PREFIX):  # those run once, on the baseline
            seen.setdefault(task, set()).add(line.cell.partition("/")[0])
        if line.status != "ok":
            yield f"{line.cell}, block {line.block}: {line.status}: {line.reason}"
    for task, arms in sorted(seen.items()):
        if missing := {"native", "native@2", "docker"} - arms:
            yield f"{task}: did not run on {', '.join(sorted(missing))}"
    for name in ("native", "docker"):
        if failed := bundle.manifest.platforms[name].inspection.get(FAILED_INSPECTION):
            yield f"{name}: was not inspected: {failed['error']}"
    if len(seen) < 7:
        yield f"only {len(seen)} tasks ran: {', '.join(sorted(seen))}"


def main(results: Path) -> int:
    newest = max(path.parent for path in results.glob("*/run.json"))
    bundle = read(newest)
    found = list(problems(bundle, with_tensorflow=bool(os.environ.get("TF_BENCHMARKS"))))
    if (seconds := lasted(bundle.journal)) > MOST_SECONDS:
        found.append(f"measuring took {seconds:.0f} s, more than {MOST_SECONDS}")
    sys.stdout.write("".join(f"{line}\n" for line in found) or f"{newest}: every smoke cell ran on every platform\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
