"""`nox -s truth`: is the analysis right? Bundles with a known truth are drawn, written, analysed and compared with it.

Prints tables as Markdown; exit status 1 when the analysis misses a goal, or when an analysis that is wrong on purpose
misses none. Goals: 95% intervals cover with 94 to 97% (those of p95 with 94% at least), at most 5% of the data sets
without a difference are called slower or faster, and after Holm at most 5% of the bundles have any such data set; each
within what so many data sets can tell (Wilson's 95% interval). Power is reported, not judged.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from operator import add

from tests.truth.measure import BUNDLE, COVERAGE, FALSE_ALARMS, Scores, measured, total
from tests.truth.scenarios import SCENARIOS
from tests.truth.table import Found, tables

PROCESSES = 2


def missed(found: Found) -> list[str]:
    """Return a line for each goal that is missed."""
    lines = [
        f"{scenario.name}: {goal}"
        for scenario, scores in found.items()
        for goal in (*scores.right.misses, *(f"{each}, not stopped" for each in scores.unstopped.misses))
    ]
    everything = reduce(add, found.values(), Scores())
    if not everything.right.families.within(0.0, FALSE_ALARMS):
        lines.append("false alarms after Holm, all scenarios together")
    lines.extend(
        f"the wrong analysis ({name}) misses no goal: these data can't tell right from wrong"
        for name in ("pooled", "hasty")
        if not any(getattr(scores, name).misses for scores in found.values())
    )
    return lines


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--bundles", type=int, default=20, help=f"of {BUNDLE} data sets each, a scenario (default: 20)")
    bundles = parser.parse_args(arguments).bundles
    began = time.monotonic()
    jobs = [(scenario, number) for scenario in SCENARIOS for number in range(bundles)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        scores = list(pool.map(measured, *zip(*jobs, strict=True), chunksize=1))
    found = {
        scenario: total(scores[start * bundles : (start + 1) * bundles]) for start, scenario in enumerate(SCENARIOS)
    }
    lines = missed(found)
    low, high = COVERAGE
    goals = f"Goals: coverage {low} to {high} (of p95 {low} at least), false alarms at most {FALSE_ALARMS:.0%}."
    cost = f"{bundles * BUNDLE} data sets a scenario took {time.monotonic() - began:.0f} s on {PROCESSES} processes."
    ending = ["Missed:", "", *(f"- {line}" for line in lines)] if lines else ["All goals are met."]
    sys.stdout.write("\n".join([*tables(found), "", f"{goals} {cost}", "", *ending, ""]).lstrip("\n"))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
