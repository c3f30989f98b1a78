"""A straight line through measured costs: what a call costs at all, and what each further launch or byte adds.

The model t = latency + n / rate is Hockney's (R. W. Hockney, "The communication challenge for MPP: Intel Paragon and
Meiko CS-2", Parallel Computing 20 (1994) 389-398). The sizes span nine decades, so the squares of the *relative*
residuals are minimized (C. Tofallis, "Least squares percentage regression", Journal of Modern Applied Statistical
Methods 7 (2008) 526-534): else the largest size alone would decide, and its noise would drown the latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """y = intercept + slope · x."""

    intercept: float
    slope: float


def line(points: Mapping[float, float]) -> Line:
    """Fit a line to x → y by least squares of the relative residuals.

    Raises ValueError unless there are two points and every y is above 0.
    """
    if len(points) < 2 or min(points.values()) <= 0:
        msg = f"a line needs two points or more, all above 0, not {dict(points)}"
        raise ValueError(msg)
    weights = {x: y**-2 for x, y in points.items()}
    total = sum(weights.values())
    mean_x = sum(weight * x for x, weight in weights.items()) / total
    mean_y = sum(weights[x] * y for x, y in points.items()) / total
    spread = sum(weight * (x - mean_x) ** 2 for x, weight in weights.items())
    slope = sum(weights[x] * (x - mean_x) * (y - mean_y) for x, y in points.items()) / spread
    return Line(intercept=mean_y - slope * mean_x, slope=slope)
