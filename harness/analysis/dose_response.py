"""The check of the attribution: over tasks with few and with many launches, the gap must grow by what one launch costs.

Ordinary least squares of the gaps over the launches of a step (`scipy.stats.linregress`); the interval of the slope is
Student's t with two degrees of freedom less than there are tasks. It has in it whatever else the tasks differ in. The
slope agrees with the probe's difference if the interval of their difference, whose half width is the root of the sum
of the squares of both, has 0 in it (Schenker and Gentleman, "On Judging the Significance of Differences by Examining
the Overlap Between Confidence Intervals", The American Statistician 55, 2001). Launches that the device's work hides
make the slope smaller than the probe's difference: then these tasks do not wait for their launches.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from scipy import stats

from harness.analysis.attribution_sums import Interval
from harness.analysis.estimate import LEVEL
from harness.analysis.model import Attribution, Cause, Dose, DoseResponse

FEWEST = 3  # tasks: through two points there is a line, and nothing that says how good it is


def dose_responses(found: Iterable[Attribution], level: float = LEVEL) -> tuple[DoseResponse, ...]:
    """Return one line for each platform, stack and device whose tasks have launches with a cost."""
    groups: defaultdict[tuple[str, str, str, str], list[tuple[Attribution, Cause]]] = defaultdict(list)
    for each in found:
        for cause in each.causes:
            if cause.cause == "launch" and cause.count and cause.cost_seconds is not None:
                groups[each.platform, each.baseline, each.stack, each.device].append((each, cause))
    return tuple(_line(*key, group, level) for key, group in groups.items())


def _line(
    platform: str, baseline: str, stack: str, device: str, group: Sequence[tuple[Attribution, Cause]], level: float
) -> DoseResponse:
    points = tuple(
        Dose(task=each.task, launches=cause.count or 0.0, gap_seconds=each.gap_seconds) for each, cause in group
    )
    probe, probe_ci95 = _one(group[0][1])
    reason = _unfit(points)
    slope, ci95 = (None, (None, None)) if reason else _slope(points, level)
    return DoseResponse(
        platform=platform,
        baseline=baseline,
        stack=stack,
        device=device,
        slope_seconds=slope,
        ci95=ci95,
        probe_seconds=probe,
        probe_ci95=probe_ci95,
        agrees=None if slope is None else agree(slope, ci95, probe, probe_ci95),
        points=points,
        reason=reason,
    )


def agree(one: float, one_ci95: Interval, other: float, other_ci95: Interval) -> bool | None:
    """Say whether two estimates agree within their intervals; None where one has none."""
    if None in one_ci95 or None in other_ci95:
        return None
    halves = [(high - low) / 2 for low, high in (one_ci95, other_ci95) if low is not None and high is not None]
    return abs(one - other) <= math.hypot(*halves)


def _one(launch: Cause) -> tuple[float, Interval]:
    """Return what one launch costs more, and its interval."""
    number = launch.count or 1.0
    low, high = launch.ci95
    interval = (None, None) if low is None or high is None else (low / number, high / number)
    return launch.cost_seconds or 0.0, interval


def _unfit(points: Sequence[Dose]) -> str:
    """Say why there is no slope; "" where there is one."""
    if len(points) < FEWEST:
        return f"{len(points)} {'task' if len(points) == 1 else 'tasks'} with counted launches, {FEWEST} are needed"
    return "" if len({each.launches for each in points}) > 1 else "all tasks have as many launches"


def _slope(points: Sequence[Dose], level: float) -> tuple[float, Interval]:
    fitted = stats.linregress([each.launches for each in points], [each.gap_seconds for each in points])
    half = float(stats.t.ppf(0.5 + level / 2, len(points) - 2)) * float(fitted.stderr)
    slope = float(fitted.slope)
    return slope, (slope - half, slope + half)
