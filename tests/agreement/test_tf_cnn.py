from __future__ import annotations

import pytest

from tests.agreement.tf_cnn import BY_HAND, Agreement, _check_flags


def test_the_interval_of_known_ratios() -> None:
    agreement = Agreement.of([1.02, 0.98, 1.01, 0.99, 1.0])
    # By hand: t with 4 degrees of freedom is 2.776445, the logarithms' standard error 0.00707.
    assert agreement.mean == pytest.approx(0.99990, abs=1e-5)
    assert (agreement.low, agreement.high) == pytest.approx((0.980458, 1.019727), abs=1e-5)
    assert agreement.holds


def test_a_difference_beyond_noise_and_one_percent_is_told() -> None:
    agreement = Agreement.of([0.95, 0.951, 0.949])
    assert not agreement.holds
    assert "DIFFERS" in str(agreement)


def test_a_small_difference_is_agreement_however_sure() -> None:
    assert Agreement.of([0.995, 0.9951, 0.9949]).holds


@pytest.mark.parametrize("model", BY_HAND)
def test_the_flags_typed_by_hand_are_those_of_the_task(model: str) -> None:
    _check_flags(model)
