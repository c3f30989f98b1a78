"""The drawings: complete, in the page's colours, without anything that a browser would fetch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report import charts, charts_strip, plot
from harness.report.charts import NARROW, WIDE, ForestRow, Layout
from harness.report.charts_strip import POINTS, Arm
from harness.report.format import Estimate
from harness.report.palette import hue
from harness.report.words import EQUIVALENT, NOT_COMPARABLE, SLOWER

GREY = hue("native", ["native"])
ROWS = [
    ForestRow(label="tf_cnn.trivial", estimate=Estimate(1.031, 1.012, 1.05), mark=SLOWER, margin=0.01),
    ForestRow(label="<b>&", estimate=Estimate(1.0), mark=EQUIVALENT, margin=0.02),
    ForestRow(label="control.fma", estimate=Estimate(2.0, 0.001, 5000.0), mark=NOT_COMPARABLE, margin=0.01),
]


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - drawn by ourselves


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in parsed(svg).iter("text")]


def colours(svg: str) -> set[str]:
    return set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_the_forest_has_a_label_a_number_and_a_point_for_each_row(layout: Layout) -> None:
    # With altair's own checks, which the report leaves out.
    svg = charts.forest.__wrapped__("docker", ROWS, layout, "forest-0", "Slowdowns")  # type: ignore[attr-defined]
    assert {"docker", "tf_cnn.trivial", "<b>&", "control.fma"} <= set(texts(svg))
    assert any(text.startswith("1.031") for text in texts(svg))
    assert {"var(--slower)", "var(--equivalent)", "var(--incomparable)", "var(--band)", "currentColor"} <= colours(svg)
    assert 'data-value="1.031"' in svg


def test_the_wide_forest_gives_intervals_and_the_narrow_one_the_estimate_alone() -> None:
    wide, narrow = (charts.forest("docker", ROWS[:1], layout, "f", "t") for layout in (WIDE, NARROW))
    assert "1.031 [1.012, 1.050]" in texts(wide)
    assert "1.031" in texts(narrow)


def test_colours_come_from_the_page_and_nothing_is_fetched_or_styled_inline() -> None:
    svg = charts.forest("docker", ROWS, WIDE, "f", "t")
    assert all(
        colour in ("none", "currentColor", "transparent") or colour.startswith("var(") for colour in colours(svg)
    )
    assert not re.search(r"https?:|href|style=|<style|url\(|font-family", svg)


@pytest.mark.parametrize("text", ['\u27e6" onload="1|x\u27e7', "\u27e61|<script>\u27e7", "' + (1 + 1) + '", '"); x("'])
def test_text_from_a_bundle_stays_text_in_a_drawing(text: str) -> None:
    row = ForestRow(label=text, estimate=Estimate(1.0), mark=SLOWER, margin=0.01)
    for svg in (
        charts.forest(text, [row], WIDE, "f", text),
        charts_strip.strip([Arm(name=text, hue=GREY, medians=(1.0, 2.0))], text, "s", text, text),
    ):
        root = parsed(svg)
        assert {element.tag for element in root.iter()} <= {
            "svg",
            "title",
            "desc",
            "g",
            "path",
            "line",
            "text",
            "tspan",
        }
        assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
        assert any(text.translate(plot._PLAIN_BRACKETS) in shown for shown in texts(svg))


def test_a_drawing_names_itself_to_those_who_cannot_see_it() -> None:
    root = parsed(charts.forest("docker", ROWS, WIDE, "f", 'A "title" & more'))
    assert root.get("role") == "img"
    ids = {element.get("id") for element in root}
    assert set((root.get("aria-labelledby") or "").split()) <= ids
    assert root.findtext("title") == 'A "title" & more'
    assert "tf_cnn.trivial: slower." in (root.findtext("desc") or "")


def test_one_absurd_interval_does_not_squash_the_rest() -> None:
    low, high = charts._domain(ROWS)
    assert low > 0.3
    assert high < 6


def test_labels_of_one_drawing_keep_or_lose_their_family_together() -> None:
    assert plot.fitting(["storage.small_files · tmpfs", "tf_cnn.trivial"], 30)[1] == "tf_cnn.trivial"
    assert plot.fitting(["storage.small_files · tmpfs", "tf_cnn.trivial"], 24) == ["small_files · tmpfs", "trivial"]


@given(st.floats(1e-6, 0.99), st.floats(1.01, 1e6))
def test_the_axis_has_a_few_round_values_all_within_it(low: float, high: float) -> None:
    ticks = plot.ticks(low, high)
    assert 1 in ticks
    assert 3 <= len(ticks) <= 20
    assert all(low * 0.999999 <= tick <= high * 1.000001 for tick in ticks)


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=POINTS * 3))
def test_a_thinned_strip_keeps_both_extremes(medians: Sequence[float]) -> None:
    kept = charts_strip.thinned(medians)
    values = [value for _, _, value in kept]
    assert len(kept) <= POINTS
    assert (min(values), max(values)) == (min(medians), max(medians))
    assert all(0 <= place <= 1 for _, place, _ in kept)


def test_a_strip_has_a_dot_for_each_invocation_and_an_axis_in_a_fitting_unit() -> None:
    arms = [
        Arm(name="native", hue=GREY, medians=(0.0101, 0.0102, 0.0104)),
        Arm(name="docker", hue=GREY, medians=(0.0111, 0.0108)),
    ]
    svg = charts_strip.strip.__wrapped__(arms, "s", "strip-0", "t", "d")  # type: ignore[attr-defined]
    assert svg.count('fill="var(--p0)"') == 5
    assert {"native", "docker"} <= set(texts(svg))
    assert any(text.endswith("ms") for text in texts(svg))


def test_a_strip_of_equal_values_is_drawn() -> None:
    assert "native" in charts_strip.strip([Arm(name="native", hue=GREY, medians=(1.0, 1.0))], "s", "strip-0", "t", "d")


@settings(max_examples=5, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1, 50))
def test_any_ratio_can_be_drawn(value: float, factor: float) -> None:
    row = ForestRow(label="x", estimate=Estimate(value, value / factor, value * factor), mark=SLOWER, margin=factor)
    svg = charts.forest("p", [row], WIDE, "f", "t")
    assert "NaN" not in svg
    assert math.isfinite(float(parsed(svg).get("width", "nan")))


def test_labels_lose_their_family_only_where_none_needs_it() -> None:
    assert plot.fitting(["tf_cnn.trivial", "storage.small_files"], 14) == ["trivial", "small_files"]
    assert plot.fitting(["tf_cnn.trivial", "torch_cnn.trivial"], 14) == ["tf_cnn.trivial", "torch_cnn.tri…"]
