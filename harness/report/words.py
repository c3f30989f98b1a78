"""How things are called on the page: verdict marks, metrics, dims; and text from a bundle made safe to lay out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from harness.report.context import Mark

SLOWER = Mark(word="slower", shape="▲", style="slower")
FASTER = Mark(word="faster", shape="▼", style="faster")
EQUIVALENT = Mark(word="equivalent", shape="●", style="equivalent")
INCONCLUSIVE = Mark(word="inconclusive", shape="◆", style="inconclusive")
NOT_COMPARABLE = Mark(word="not comparable", shape="✚", style="incomparable")
LEGEND = (SLOWER, FASTER, EQUIVALENT, INCONCLUSIVE, NOT_COMPARABLE)
_MARKS = {mark.word: mark for mark in LEGEND}

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, direction, surrogates, private, line separators


def mark(verdict: str) -> Mark:
    """The mark of a verdict; one that this version does not know is shown as undecided."""
    return _MARKS.get(verdict, INCONCLUSIVE)


def clean(value: object, limit: int = 300) -> str:
    """One line of bounded length in which hidden characters are written out by number, so that none can act."""
    text = str(value)[: limit + 1]
    shown = "".join(_written_out(char) if unicodedata.category(char) in _HIDDEN else char for char in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _written_out(char: str) -> str:
    return " " if char in "\n\r\t" else f"\\u{ord(char):04x}"


def metric_words(metric: str) -> str:
    """`open read` of `open_read_seconds`: the unit has its own column."""
    return re.sub(r"_(seconds|bytes_per_second|per_second)$", "", clean(metric, 80)).replace("_", " ")


def dims_words(dims: Mapping[str, Any]) -> str:
    """`overlay vs host, cold, threads 4`: locations and caches speak for themselves, all else has its name."""
    named = [name for name in sorted(dims) if name != "cache" and not name.endswith("location")]
    parts = [f"{clean(name, 40)} {clean(dims[name], 80)}" for name in named]
    if "cache" in dims:
        parts.insert(0, clean(dims["cache"], 80))
    if "location" in dims:
        parts.insert(0, _location(dims))
    return clean(", ".join(parts), 200)


def _location(dims: Mapping[str, Any]) -> str:
    here = clean(dims["location"], 80)
    there = clean(dims.get("baseline_location", here), 80)
    return here if here == there else f"{here} vs {there}"


def finding_words(task: str, metric: str) -> str:
    """What a comparison is about, in a headline: `training`, `small files, open read`, `triad bandwidth`."""
    if metric == "step_seconds":
        return "training"
    name = clean(task, 80).partition(".")[2].partition("[")[0].replace("_", " ") or clean(task, 80)
    words = metric_words(metric)
    return words if name in words else f"{name}, {words}"
