"""Number formats: the values of a report in the form a reader sees."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import format as form
from harness.report.format import FILTERS, Estimate

THIN = form.NARROW_SPACE
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-12, max_value=1e12)


@pytest.mark.parametrize(
    ("estimate", "places"),
    [
        (Estimate(1.031, 1.012, 1.050), 3),
        (Estimate(1.031, 0.9, 1.2), 2),
        (Estimate(1.0312, 1.0304, 1.0320), 4),
        (Estimate(1.03, 1.0299999, 1.0300001), 4),
        (Estimate(2.5, 1.0, 4.0), 1),
        (Estimate(3.0, 1e-6, 1e6), 1),
        (Estimate(0.27, 1e-6, 1e4), 2),
        (Estimate(250.0, 200.0, 300.0), 0),
        (Estimate(1.031), 3),
        (Estimate(12.3), 2),
        (Estimate(1.031, None, 1.2), 3),
        (Estimate(1.0, 1.0, 1.0), 3),
    ],
)
def test_a_ratio_has_the_decimals_that_its_interval_warrants(estimate: Estimate, places: int) -> None:
    assert form.decimals(estimate) == places


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(1.031, 1.012, 1.050), "3.1% slower"),
        (Estimate(0.996, 0.99, 1.002), "0.4% faster"),
        (Estimate(1.00001, 0.99, 1.01), "0.0% difference"),
        (Estimate(1.4, 1.2, 1.6), "40% slower"),
        (Estimate(2.0, 1.96, 2.04), "2.00× the cost"),
        (Estimate(0.5, 0.46, 0.54), "0.50× the cost"),
        (Estimate(123456.0, 1e5, 1.5e5), "1.23e+05× the cost"),
    ],
)
def test_a_change_is_a_percentage_near_one_and_a_factor_far_from_it(estimate: Estimate, text: str) -> None:
    assert form.change(estimate) == text


def test_the_ends_of_an_interval_carry_their_sign() -> None:
    assert FILTERS["interval"](Estimate(1.004, 0.997, 1.011)) == (
        f'<data value="0.997">{form.MINUS}0.3%</data> to <data value="1.011">+1.1%</data>'
    )


def test_what_can_not_be_told_reaches_from_one_word_to_the_other() -> None:
    said = [
        re.findall(r">([^<]+)<", FILTERS["reach"](each)) for each in (Estimate(0.97, 0.84, 1.12), Estimate(2, 1, 3))
    ]
    assert said == [["16% faster", " to ", "12% slower"], ["1.0×", " to ", "3.0×"]]


def test_an_interval_far_from_one_is_given_as_factors() -> None:
    assert re.findall(r">([^<]+)<", FILTERS["interval"](Estimate(2.0, 1.98, 2.02)))[::2] == ["1.980×", "2.020×"]


@pytest.mark.parametrize(
    ("value", "text"), [(1e-6, "<0.01"), (0.031, "0.03"), (0.31, "0.3"), (4.98, "5.0"), (546.07, "546"), (2e6, ">1000")]
)
def test_the_end_of_a_vast_interval_says_no_more_than_it_knows(value: float, text: str) -> None:
    assert form.limit(value, 1) == text


def test_without_an_interval_the_page_says_so() -> None:
    assert FILTERS["interval"](Estimate(1.1)) == "no interval"
    assert FILTERS["ratio_interval"](Estimate(1.1, 1.0, None)) == "no interval"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0101, "s", f"10.1{THIN}ms"),
        (1.5e-5, "s", f"15.0{THIN}µs"),
        (3e-10, "s", f"0.300{THIN}ns"),
        (0.0009996, "s", f"1.00{THIN}ms"),
        (95.2, "s", f"95.2{THIN}s"),
        (1.234e10, "B/s", f"12.3{THIN}GB/s"),
        (512, "B", f"512{THIN}B"),
        (2612.4, "images/s", f"2{THIN}610{THIN}images/s"),
        (0.0, "s", f"0{THIN}ns"),
        (1.5, "ratio", "1.50"),
        (7.0, "", "7.00"),
    ],
)
def test_a_quantity_has_three_digits_and_the_prefix_that_its_unit_takes(value: float, unit: str, text: str) -> None:
    assert form.quantity(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0043, "0.43%"), (0.0, "0.0%"), (1.3e-5, "0.001%"), (0.02, "2.0%"), (0.128, "13%"), (4.0, "400%")],
)
def test_a_share_has_two_digits(value: float, text: str) -> None:
    assert form.share(value) == text


def test_a_level_is_as_exact_as_it_is() -> None:
    assert form.level(0.95) == "95%"
    assert form.level(0.9875) == "98.75%"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.2, "8.20 s"), (59.9, "59.9 s"), (913.2, "15 min 13 s"), (3599.9, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_a_duration_has_two_units(seconds: float, text: str) -> None:
    assert form.duration(seconds).replace(THIN, " ") == text


def test_a_date_is_written_out_and_anything_else_left_alone() -> None:
    assert form.date("2026-01-02T03:04:05+00:00") == "2 January 2026, 03:04 UTC"
    assert form.date("yesterday") == "yesterday"


def test_recorded_bytes_and_hertz_get_a_unit_and_nothing_else_does() -> None:
    assert form.fact("25276510208", "system.memory_bytes") == f'<data value="25276510208">25.3{THIN}GB</data>'
    assert form.fact("2400000000", "cpu.max_frequency_hz") == f'<data value="2400000000">2.40{THIN}GHz</data>'
    assert form.fact("unlimited", "cgroup.memory_bytes") == "unlimited"
    assert form.fact("3.11.2", "python.version") == "3.11.2"


@given(positive)
def test_a_formatted_quantity_is_within_half_a_unit_of_its_last_digit(value: float) -> None:
    text = form.significant(value).replace(THIN, "").replace(form.MINUS, "-")
    assert math.isclose(float(text), value, rel_tol=0.0051)


@given(finite, finite, finite)
def test_every_estimate_has_a_text(value: float, low: float, high: float) -> None:
    estimate = Estimate(value, low, high)
    for name in ("change", "interval", "ratio", "ratio_interval"):
        assert FILTERS[name](estimate)


@given(finite)
def test_a_figure_gives_its_raw_value_back_exactly(value: float) -> None:
    found = re.fullmatch(r'<data value="([^"]+)">x</data>', form.figure(value, "x"))
    assert found is not None
    assert float(found[1]) == value


def test_a_missing_number_is_a_dash() -> None:
    assert FILTERS["share"](None) == form.NO_VALUE
