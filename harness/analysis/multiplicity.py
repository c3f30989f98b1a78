"""The list of regressions: of many comparisons some look slower by chance, so all of them are judged together.

Holm's step-down procedure (S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
Statistics 6, 1979; statsmodels.stats.multitest) keeps the chance of even one false entry at 5%, whatever the
comparisons have in common. A single comparison's verdict is its own and is not adjusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from statsmodels.stats.multitest import multipletests

from harness.analysis.model import Comparison

FAMILY_ERROR = 0.05  # the chance of any false entry in the list


def adjusted(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Return the comparisons with `p_holm`, over all of them that compare and have a p-value."""
    tested = [number for number, each in enumerate(found) if each.comparable and each.p_value is not None]
    if not tested:
        return tuple(found)
    corrected = multipletests([found[number].p_value for number in tested], method="holm")[1]
    by_number = dict(zip(tested, map(float, corrected), strict=True))
    return tuple(replace(each, p_holm=by_number.get(number)) for number, each in enumerate(found))


def listed(found: Sequence[Comparison]) -> tuple[int, ...]:
    """Return the places of the regressions: called slower, also when all comparisons are judged together."""
    return tuple(
        number
        for number, each in enumerate(found)
        if each.verdict == "slower" and each.p_holm is not None and each.p_holm <= FAMILY_ERROR
    )
