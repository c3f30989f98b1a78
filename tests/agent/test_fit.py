from __future__ import annotations

import numpy as np
import pytest

from harness.agent.fit import line


@pytest.mark.parametrize(("latency", "per_byte"), [(7e-6, 1 / 12e9), (2e-5, 1 / 3e9)])
def test_a_line_comes_back(latency: float, per_byte: float) -> None:
    found = line({size: latency + size * per_byte for size in (4.0, 4096.0, 2.0**20, 2.0**30)})
    assert found.intercept == pytest.approx(latency)
    assert found.slope == pytest.approx(per_byte)


def test_it_is_the_weighted_least_squares_of_numpy() -> None:
    random = np.random.default_rng(5)
    sizes = 4.0 ** np.arange(1, 15)
    seconds = (1e-5 + sizes / 1e10) * random.normal(1, 0.05, len(sizes))
    slope, intercept = np.polyfit(sizes, seconds, 1, w=1 / seconds)
    found = line(dict(zip(sizes.tolist(), seconds.tolist(), strict=True)))
    assert found.intercept == pytest.approx(intercept, rel=1e-6)
    assert found.slope == pytest.approx(slope, rel=1e-6)


def test_noise_of_the_largest_does_not_drown_the_latency() -> None:
    points = {size: 1e-5 + size / 1e10 for size in (4.0, 4096.0, 2.0**20)}
    points[2.0**30] = 1.1 * 2.0**30 / 1e10  # 10% late: a hundred times the latency
    assert line(points).intercept == pytest.approx(1e-5, rel=0.01)


@pytest.mark.parametrize("points", [{}, {1.0: 1.0}, {1.0: 1.0, 2.0: 0.0}])
def test_what_is_no_curve_is_refused(points: dict[float, float]) -> None:
    with pytest.raises(ValueError, match="two points"):
        line(points)
