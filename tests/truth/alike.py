"""`python -m tests.truth.alike`: what does the tool say of two containers that are alike?

Runs a profile on a real Docker engine with two identical containers in place of all platforms, several times with
different seeds, and counts the comparisons that are called slower or faster: each is a false alarm. Prints a table as
Markdown; exit status 1 when more than 5% are called.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.program import ROOT, command, environment, project

FALSE_ALARMS = 0.05  # at most
COLUMNS = ("seed", "blocks", "comparisons", "slower", "faster", "equivalent", "inconclusive", "called", "after Holm")
CONTAINERS = ("container-a", "container-b")
# The same metrics by fewer samples: what takes longest.
LIGHTER: Mapping[str, Mapping[str, object]] = {
    "control.fma": {"samples": 2},
    "copies.collective": {"samples": 20},
    "driver.dispatch": {"samples": 50},
    "memory.faults": {"samples": 8},
    "memory.latency": {"samples": 8},
    "storage.small_files": {"files": 200, "rounds": 3},
    "storage.sequential": {"bytes": "16MiB", "rounds": 2},
    "storage.prefetch": {"bytes": "16MiB", "rounds": 2, "pass_seconds": 0.1},
    "storage.random": {"bytes": "16MiB", "rounds": 2, "pass_seconds": 0.02},
    "tooling.import": {"samples": 2},
}


def matrix(profile: str, blocks: int) -> str:
    """Return the project's matrix with two identical containers as its only platforms, for so many blocks."""
    document = yaml.safe_load((ROOT / "matrix.yaml").read_text("utf-8"))
    options = document["platforms"]["docker"]
    chosen = {**document["profiles"][profile], "platforms": list(CONTAINERS), "blocks": blocks}
    chosen.pop("budget", None)
    stacks = {name: stack for name, stack in document["stacks"].items() if name in chosen["stacks"]}
    return yaml.safe_dump(
        {
            **document,
            "baseline": CONTAINERS[0],
            "platforms": dict.fromkeys(CONTAINERS, options),
            "stacks": stacks,
            "tasks": {**document["tasks"], **LIGHTER},
            "profiles": {profile: chosen},
        },
        sort_keys=False,
    )


def report(folder: Path, seed: int) -> Mapping[str, Any]:
    """Run the matrix in the folder once and return its report.json."""
    subprocess.run(
        command("run", "--seed", str(seed), "--report", "--results", f"results-{seed}"),
        cwd=folder,
        env=environment(),
        check=False,  # a cell that the platforms can't do fails on both
        stdout=sys.stderr,
    )
    newest = max((folder / "reports").glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    document: Mapping[str, Any] = json.loads(newest.read_text("utf-8"))
    if document["run"]["seed"] != seed:
        raise SystemExit(f"the run with seed {seed} left no report")
    return document


def row(document: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the counts of one run, by column."""
    verdicts = Counter(each["verdict"] for each in document["comparisons"])
    return {
        "seed": document["run"]["seed"],
        "blocks": document["run"]["blocks"],
        "comparisons": verdicts.total(),
        **{name: verdicts[name] for name in ("slower", "faster", "equivalent", "inconclusive")},
        "called": verdicts["slower"] + verdicts["faster"],
        "after Holm": len(document["regressions"]),
    }


def share(rows: Sequence[Mapping[str, int]]) -> float:
    """Return the share of all comparisons that are called slower or faster."""
    return sum(each["called"] for each in rows) / sum(each["comparisons"] for each in rows)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.truth.alike", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--profile", default="probes")
    parser.add_argument("--blocks", type=int, default=3)
    options = parser.parse_args(arguments)
    rows = []
    _tell(COLUMNS)
    _tell(["---"] * len(COLUMNS))
    with tempfile.TemporaryDirectory(prefix="alike-") as folder:
        for seed in range(1, options.runs + 1):
            rows.append(row(report(project(Path(folder), matrix(options.profile, options.blocks)), seed)))
            _tell([str(rows[-1][name]) for name in COLUMNS])
    found = share(rows)
    sys.stdout.write(
        f"\n{found:.1%} of all comparisons are called slower or faster; at most {FALSE_ALARMS:.0%} may be.\n"
    )
    return 1 if found > FALSE_ALARMS else 0


def _tell(cells: Sequence[str]) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
