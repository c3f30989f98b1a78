"""What `nox -s agreement` runs: `python -m tests.agreement [GLOB…] [--pairs N] [--seed N]`.

The table of tests/agreement/table.py: one row for each metric that a probe and an independent tool both give. A GLOB
selects by probe (`tooling.*`) or tool (`*hyperfine*`). The exit status is 1 if a row differs, or is unclear with
its best values apart, and nobody has written why, or if a side failed; a tool
that is not there is a row that says how to get it.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence

from tests.agreement import checkpoint, joined, kernel, memory, tf_cnn, tooling, torch_cnn, unmeasured
from tests.agreement.table import FAULTS, HEADINGS, Agreement, Comparison, Row, line, measure, selected

COMPARISONS: tuple[Comparison, ...] = (
    *joined.COMPARISONS,
    *checkpoint.COMPARISONS,
    *kernel.COMPARISONS,
    *memory.COMPARISONS,
    *tooling.COMPARISONS,
    *tf_cnn.COMPARISONS,
    *torch_cnn.COMPARISONS,
    *unmeasured.COMPARISONS,
)


def main(argv: Sequence[str]) -> int:
    """Measure what is selected, print each row as it comes, and return the exit status."""
    parser = argparse.ArgumentParser(description="Compare the probes with independent tools, measured in turn.")
    parser.add_argument("globs", metavar="GLOB", nargs="*", help="of a probe or a tool (default: all)")
    parser.add_argument("--pairs", type=int, help="of measurements for each comparison, two or more")
    parser.add_argument("--seed", type=int, default=1, help="of the order within the pairs")
    arguments = parser.parse_args(argv)
    chosen = selected(COMPARISONS, arguments.globs)
    if not chosen:
        parser.error(f"no probe or tool is called {' or '.join(arguments.globs)}")
    if arguments.pairs is not None and arguments.pairs < 2:
        parser.error("--pairs: an interval needs two or more")
    order = random.Random(arguments.seed)
    _tell(line(HEADINGS))
    found: list[Row] = []
    for comparison in chosen:
        for row in measure(comparison, arguments.pairs or comparison.pairs, order):
            found.append(row)
            _tell(line(row.cells()))
    _tell(_summary(found))
    return 1 if any(row.agreement in FAULTS for row in found) else 0


def _summary(found: Sequence[Row]) -> str:
    names: dict[Agreement, str] = {
        "yes": "agree",
        "unclear": "unclear (noise: more --pairs, a quieter machine)",
        "no": "differ for a stated reason",
        "unclear: UNEXPLAINED": "unclear, their best values apart without a reason",
        "no: UNEXPLAINED": "UNEXPLAINED",
        "-": "not measured",
        "FAILED": "FAILED",
    }
    counts = Counter(row.agreement for row in found)
    return f"{len(found)} rows: " + ", ".join(f"{counts[key]} {text}" for key, text in names.items() if counts[key])


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
