from __future__ import annotations

from decimal import Decimal

import pytest
from docker.utils import parse_bytes
from hypothesis import given
from hypothesis import strategies as st

from harness.matrix import units

SUFFIXES = {"B": 1, "b": 1, "k": 1024, "KiB": 1024, "m": 1024**2, "MiB": 1024**2, "g": 1024**3, "GB": 1024**3}
SECONDS = {"s": 1, "min": 60, "h": 3600}
ODD = ["", "2", "%", "-2%", "٣%", "2%%", "1 GiBs", "1KiB\n", "1e3k", "min", "1 d", "0x10"]


@given(st.integers(0, 10**12), st.sampled_from(sorted(SUFFIXES)), st.sampled_from(["", " "]))
def test_a_size_is_its_amount_times_its_unit(amount: int, suffix: str, space: str) -> None:
    assert units.size(f"{amount}{space}{suffix}") == amount * SUFFIXES[suffix]


@given(st.integers(1, 2**53))
def test_a_docker_size_reads_back_as_the_same_bytes_here_and_in_docker(amount: int) -> None:
    text = units.docker_size(amount)
    assert units.size(text) == amount
    assert parse_bytes(text) == amount
    assert units.docker_size(text) == text


@given(st.decimals(0, 1000, places=4))
def test_a_percentage_is_a_hundredth(percent: Decimal) -> None:
    assert units.fraction(f"{percent:f}%") == float(percent / 100)


@given(st.decimals(0, 10**6, places=3), st.sampled_from(sorted(SECONDS)))
def test_a_duration_is_in_seconds(amount: Decimal, unit: str) -> None:
    assert units.duration(f"{amount:f}{unit}") == float(amount * SECONDS[unit])


@given(st.floats(allow_nan=False) | st.integers(-(10**6), 10**6))
def test_bare_numbers_stay(value: float) -> None:
    assert units.fraction(value) == units.duration(value) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1.5GiB", 3 * 2**29), ("8g", 2**33), ("4KiB", 4096), ("512", None), ("0.3k", None)]
)
def test_sizes_are_whole_bytes_with_a_unit(text: str, value: int | None) -> None:
    if value is None:
        with pytest.raises(ValueError, match="a size in whole bytes is expected"):
            units.size(text)
    else:
        assert units.size(text) == value


@pytest.mark.parametrize("value", [*ODD, None, True, [], {}, 10**400])
def test_what_is_no_quantity_is_refused(value: object) -> None:
    for parser in (units.fraction, units.duration):
        with pytest.raises(ValueError, match="is expected, such as"):
            parser(value)


@pytest.mark.parametrize("value", [*ODD, None, True, 1.5, [], {}])
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is expected, such as"):
        units.size(value)


@pytest.mark.parametrize("value", [0, -1, 2**53 + 1, "0g"])
def test_a_docker_size_is_one_that_docker_can_hold(value: object) -> None:
    with pytest.raises(ValueError, match="above 0"):
        units.docker_size(value)
