"""What has no counterpart on the other side, as the page shows it: a short list for each platform."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.document import UnmatchedRecord
from harness.report.context import OneSide, Unpaired
from harness.report.words import clean, metric_words

MOST_LINES = 8  # of a platform


def one_sided(records: Sequence[UnmatchedRecord]) -> list[OneSide]:
    """Return one entry a platform; metrics of a task that lack a counterpart for the same reason share a line."""
    found: dict[str, dict[tuple[str, str], list[str]]] = {}
    for record in records:
        metrics = found.setdefault(record["platform"], {}).setdefault((record["task"], record["reason"]), [])
        metrics.append(metric_words(record["metric"]))
    return [
        _entry(platform, [_line(*key, metrics) for key, metrics in lines.items()]) for platform, lines in found.items()
    ]


def _line(task: str, reason: str, metrics: Sequence[str]) -> Unpaired:
    named = ", ".join(dict.fromkeys(metrics))
    return Unpaired(what=clean(f"{task}: {named}"), reason=clean(reason))


def _entry(platform: str, lines: Sequence[Unpaired]) -> OneSide:
    shown = tuple(lines[:MOST_LINES])
    return OneSide(platform=clean(platform, 60), lines=shown, left_out=len(lines) - len(shown))
