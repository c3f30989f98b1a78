"""The analysis under test, read from its report, and two that are wrong on purpose, on the same data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from harness.analysis import sequential
from harness.analysis.analyse import analyse
from harness.analysis.compare import estimated
from harness.analysis.document import ComparisonRecord
from harness.analysis.estimate import LEVEL, Estimate, p_value, unpaired, verdict
from harness.analysis.frame import frame_of, medians
from harness.analysis.pairing import arms, pairs
from harness.analysis.report_json import report_json
from harness.results.bundle import read
from tests.truth import bundles
from tests.truth.draw import Draw
from tests.truth.scenarios import LOOKS

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What an analysis says to each data set, in their order; `low` and `high` are logs."""

    low: Array
    high: Array
    called: Array  # slower or faster
    family: Array  # the same, after Holm over all data sets of the bundle
    blocks: Array
    tail: Array  # low and high of p95 (logs), NaN where the analysis gives none


def reported(folder: Path, drawn: Draw) -> Answers:
    """Write a bundle, analyse it as `report` does, and return what report.json says."""
    level = sequential.level(LOOKS) if drawn.scenario.precision else LEVEL
    bundle = read(bundles.write(folder, drawn, level))
    document = report_json(analyse(bundle), bundle)
    platform = "wsl" if drawn.scenario.apart else "docker"
    found = [each for each in document["comparisons"] if each["platform"] == platform]
    found.sort(key=_number)
    if [_number(each) for each in found] != list(range(len(drawn.truth))):
        raise AssertionError(f"{drawn.scenario.name}: the report does not hold every data set")
    bounds = np.log(np.array([each["ci95"] for each in found], dtype=float))
    return Answers(
        low=bounds[:, 0],
        high=bounds[:, 1],
        called=np.array([each["verdict"] in {"slower", "faster"} for each in found]),
        family=np.array([each["p_holm"] for each in found], dtype=float) <= 0.05,
        blocks=np.array([each["blocks"] for each in found]),
        tail=_tail(found),
    )


def _tail(found: Sequence[ComparisonRecord]) -> Array:
    stated = [[tail["ci95"] for tail in each["percentiles"] if tail["percent"] == 95] for each in found]
    bounds: Array = np.log(np.array([each[0] if each else (None, None) for each in stated], dtype=float))
    return bounds


def pooled(drawn: Draw, blocks: Array) -> Answers:
    """Take every step for a replicate (wrong: the steps of a process share its luck); Welch's t on all of them."""
    return _answers(
        [
            unpaired(drawn.seconds[number, 0, :count].ravel(), drawn.seconds[number, 2, :count].ravel())
            for number, count in enumerate(blocks)
        ]
    )


def hasty(drawn: Draw) -> Answers:
    """Stop as soon as a 95% interval is narrow and report it as it is (wrong: it is narrow by luck, too)."""
    table = arms(medians(frame_of(bundles.stopped(drawn, level=LEVEL))))
    found = sorted(pairs(table, "native"), key=lambda each: _set(each.quantity.task))
    return _answers([estimated(pair, LEVEL) for pair in found])


def _answers(estimates: Sequence[Estimate]) -> Answers:
    return Answers(
        low=np.array([each.low for each in estimates], dtype=float),
        high=np.array([each.high for each in estimates], dtype=float),
        called=np.array([verdict(each, None) in {"slower", "faster"} for each in estimates]),
        family=multipletests([p_value(each, None) for each in estimates], method="holm")[0],
        blocks=np.array([each.blocks for each in estimates]),
        tail=np.full((len(estimates), 2), np.nan),
    )


def _number(each: ComparisonRecord) -> int:
    return int(each["dims"]["set"]) if "set" in each["dims"] else _set(each["task"])


def _set(task: str) -> int:
    """Return the data set that a task is."""
    return int(task.rpartition("=")[2].rstrip("]"))
