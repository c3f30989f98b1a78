"""Names on the page, and text from a bundle made harmless."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import words


@given(st.text(max_size=2000), st.integers(2, 400))
def test_clean_text_is_bounded_and_hides_nothing(text: str, limit: int) -> None:
    shown = words.clean(text, limit)
    assert len(shown) <= limit
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in shown)


def test_ordinary_text_is_left_alone_and_direction_marks_are_written_out() -> None:
    assert words.clean("Größe 4 KiB, 訓練") == "Größe 4 KiB, 訓練"
    assert words.clean("a\u202eb\x1b[31m\nc\ud800") == r"a\u202eb\u001b[31m c\ud800"
    assert words.clean("x" * 10_000) == "x" * 299 + "…"


def test_the_verdict_of_a_later_version_is_shown_as_undecided() -> None:
    assert words.mark("slower").shape == "▲"
    assert words.mark("unheard-of") is words.INCONCLUSIVE


@pytest.mark.parametrize(
    ("task", "metric", "text"),
    [
        ("tf_cnn.resnet50[batch_size=64]", "step_seconds", "training"),
        ("storage.small_files", "open_read_seconds", "small files, open read"),
        ("memory.bandwidth", "triad_bandwidth", "triad bandwidth"),
        ("driver.syscall", "syscall_seconds", "syscall"),
        ("odd", "metric", "odd, metric"),
    ],
)
def test_a_finding_is_named_in_words(task: str, metric: str, text: str) -> None:
    assert words.finding_words(task, metric) == text


def test_dims_name_locations_first_and_the_baselines_where_it_is_another() -> None:
    assert words.dims_words({}) == ""
    assert words.dims_words({"threads": 4, "location": "tmpfs"}) == "tmpfs, threads 4"
    assert words.dims_words({"cache": "cold", "location": "tmpfs"}) == "tmpfs, cold"
    assert words.dims_words({"location": "overlay", "baseline_location": "host"}) == "overlay vs host"
