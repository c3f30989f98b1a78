from __future__ import annotations

import pytest

from harness.agent.step_counts import NAMES, per_step


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_count_is_a_metric_of_one_value(name: str) -> None:
    metric = per_step(name, 161.0, direction="h2d")
    assert (metric.samples, metric.warmup, metric.dims) == ((161.0,), 0, {"direction": "h2d"})
    assert metric.unit == ("B" if name.endswith("bytes") else "count")


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="step_seconds"):
        per_step("step_seconds", 1.0)
