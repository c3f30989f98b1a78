"""Every picture with data in it, and what stands in its place without."""

from __future__ import annotations

import re
from statistics import median_low
from typing import Any, cast

import pytest

from harness.analysis.document import Document
from harness.report.build import assets, render
from harness.report.causes import waterfall
from harness.report.claims import PICTURES, claim_parts
from harness.report.contents import Page
from harness.report.format import Quantity
from harness.report.page import page
from harness.report.parts import Picture
from harness.report.picture import MOST_LINES, records
from harness.report.pictures_curves import copy_bandwidth, launch_curve, memory_latency
from harness.report.pictures_strips import loading, small_files, training
from harness.report.pictures_time import over_time, stalls, utilization
from harness.report.plot import decades
from harness.report.tails import no_tails, regressions
from tests.report.full import SLOWER, full

DRAWN = [each for pictures in PICTURES.values() for each in pictures]


@pytest.fixture
def made(document: Document) -> Document:
    return full(document)


@pytest.fixture(scope="module")
def whole(analysed: Document) -> Page:
    return page(full(analysed), assets())


def titles(picture: Picture) -> list[str]:
    return [panel.title for panel in picture.panels]


def texts(picture: Picture) -> str:
    return " ".join(panel.drawing for panel in picture.panels)


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: str(draw.__name__))
def test_every_picture_is_drawn_and_has_a_table_behind_it(draw: type[Picture], made: Document) -> None:
    picture: Picture = draw(made)  # type: ignore[call-arg, arg-type]
    assert picture.panels
    assert picture.behind is not None
    assert picture.behind.lines
    assert all(len(line.cells) == len(picture.behind.columns) - 1 for line in picture.behind.lines)
    assert "NaN" not in texts(picture)
    assert all("<title" in panel.drawing and 'role="img"' in panel.drawing for panel in picture.panels)


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: str(draw.__name__))
def test_without_data_a_picture_says_what_to_run(draw: type[Picture], document: Document) -> None:
    document["distributions"] = []
    picture: Picture = draw(document)  # type: ignore[call-arg, arg-type]
    assert (picture.panels, picture.behind) == ((), None)
    assert picture.otherwise.startswith("nox -s matrix")


def test_curves_have_a_line_a_platform_and_a_panel_for_each_way(made: Document) -> None:
    assert titles(launch_curve(made)) == ["as the driver likes", "handed over one by one"]
    assert titles(copy_bandwidth(made)) == ["h2d, pinned", "d2h, pinned", "h2d, pageable", "d2d, device"]
    assert titles(memory_latency(made)) == ["pages of 4\u202fKiB", "pages of 2\u202fMiB"]
    drawing = memory_latency(made).panels[0].drawing
    assert {f"var(--p{number})" for number in range(3)} <= set(re.findall(r"var\(--p\d\)", drawing))
    assert [key.name for key in memory_latency(made).keys] == list(SLOWER)


def test_a_table_behind_a_picture_holds_measured_values(made: Document) -> None:
    behind = launch_curve(made).behind
    assert behind is not None
    assert (len(behind.lines) > MOST_LINES, behind.left_out) == (True, 0)  # a line a point of all curves
    measured = {value for record in made["distributions"] for value in record["medians"]}
    shown = [cell for line in behind.lines for cell in line.cells if isinstance(cell, Quantity)]
    assert shown
    assert {cell.value for cell in shown} <= measured


def test_locations_are_rows_of_their_own_and_an_unsteady_process_is_hollow(made: Document) -> None:
    assert all(name in texts(small_files(made)) for name in ("native · host", "docker · overlay", "docker · tmpfs"))
    assert "docker-half · bind" in texts(loading(made))
    whole = texts(training(made)).count('stroke="var(--p')
    made["distributions"][-1]["unsteady"] = []
    assert texts(training(made)).count('stroke="var(--p') < whole


def test_the_waterfall_ends_with_what_is_unexplained_and_the_whole(made: Document) -> None:
    drawing = waterfall(made).panels[0].drawing
    order = [drawing.index(f">{label}<") for label in ("kernel launches", "unexplained", "the whole gap")]
    assert order == sorted(order)
    assert "not known" in drawing
    assert 'data-value="0.00041"' in drawing


def test_behind_the_waterfall_stand_bounds_remarks_and_the_check_of_the_launches(made: Document) -> None:
    behind = waterfall(made).behind
    assert behind is not None
    assert behind.left_out == 0
    rows = [dict(zip(behind.columns, (line.head, *line.cells), strict=True)) for line in behind.lines]
    launch = next(row for row in rows if row["Cause"] == "kernel launches")
    assert (launch["At least"], launch["At most"]) == (Quantity(0.0, "s"), Quantity(2.1e-4, "s"))
    assert next(row for row in rows if row["Cause"] == "synchronizations")["At most"] is None
    told = [row for row in rows if row["Cause"] == "to be known"]
    assert {row["Remark"] for row in told} == {"launches are counted as if the device's work hid none of them"}
    agreeing, without = (row for row in rows if str(row["Cause"]).startswith("one launch"))
    assert agreeing["Cause"] == "one launch, by the gaps of 3 workloads"
    assert (agreeing["Adds"], agreeing["Dearer by"]) == (Quantity(1.31e-6, "s"), Quantity(1.3125e-6, "s"))
    assert str(agreeing["Remark"]).startswith("agrees with the probe")
    assert (without["Adds"], without["Remark"]) == (None, "all tasks have as many launches")
    records(made, "dose_response")[0]["agrees"] = False
    again = waterfall(made).behind
    assert again is not None
    assert any(str(line.cells[-1]).startswith("does not agree") for line in again.lines)


def test_the_check_of_the_launches_is_not_cut_by_many_parts(made: Document) -> None:
    records(made, "attribution").extend(records(made, "attribution") * 4)
    behind = waterfall(made).behind
    assert behind is not None
    assert (len(behind.lines), behind.lines[-1].head) == (MOST_LINES, "tensorflow · cpu")
    assert behind.left_out > 0


def test_what_has_no_room_is_counted_and_stands_in_the_table(made: Document) -> None:
    steps = [record for record in made["distributions"] if record["metric"] == "step_seconds" and record["medians"]]
    assert training(made).left_out == 0
    made["distributions"] += [{**record, "task": f"tf_cnn.model{n}"} for n in range(8) for record in steps[:2]]
    picture = training(made)
    assert picture.behind is not None
    panels = len(picture.panels)
    assert picture.left_out > 0
    assert len(picture.behind.lines) + picture.behind.left_out > picture.left_out + panels
    located = [record for record in made["distributions"] if record["metric"] == "open_read_seconds"]
    made["distributions"] += [
        {**record, "dims": {**record["dims"], "location": f"place {n}"}} for n in range(30) for record in located[:1]
    ]
    assert small_files(made).left_out > 0


def test_stalls_utilization_and_telemetry_are_drawn_by_platform(made: Document) -> None:
    assert 'data-value="0.28"' in texts(stalls(made))
    assert titles(utilization(made)) == ["tf_cnn.trivial: GPU busy"]
    assert titles(over_time(made)) == ["GPU busy", "GPU clock", "GPU power", "processors busy"]


def test_behind_one_process_over_time_stands_what_it_went_through(made: Document) -> None:
    record = records(made, "telemetry")[0]
    clock = [value for value in record["columns"]["gpu.sm_clock_hz"] if value is not None]
    behind = over_time(made).behind
    assert behind is not None
    found = next(line for line in behind.lines if line.head == "GPU clock" and line.cells[0] == record["platform"])
    seen = (clock[0], median_low(clock), min(clock), max(clock), clock[-1])
    assert found.cells[1:] == tuple(Quantity(value, "Hz") for value in seen)


def test_workloads_without_room_are_counted(made: Document) -> None:
    wide = cast("dict[str, Any]", made)
    for name in ("stalls", "telemetry"):
        wide[name] = [{**each, "task": f"tf_cnn.model{n}"} for n in range(8) for each in wide[name]]
    assert stalls(made).left_out == len(wide["stalls"]) * 2 // 8
    assert utilization(made).left_out == len(wide["telemetry"]) * 2 // 8
    assert over_time(made).left_out == len(wide["telemetry"]) * 7 // 8


def test_a_claim_has_its_rule_its_decision_and_what_bears_on_it(whole: Page) -> None:
    first = whole.claims[0]
    assert first.anchor == "claim-headline"
    assert first.decisive is not None
    assert first.bearing is not None
    assert first.rule
    assert first.would_change
    assert [(point.name, point.verdict) for point in first.points] == [("small files", "supported")]


def test_a_claim_of_an_older_document_has_what_it_had(document: Document) -> None:
    for claim in document["claims"]:
        claim["id"] = 'x" onload="'
        for name in set(claim) - {"id", "statement", "verdict", "evidence"}:
            del claim[name]  # type: ignore[misc]
    first = claim_parts(document)[0]
    assert (first.anchor, first.rule, first.decisive, first.pictures) == ("claim-number-0", "", None, ())


def test_indices_that_lead_nowhere_are_left(made: Document) -> None:
    made["regressions"] = [0, 10**6, -1]
    for claim in made["claims"]:
        claim["comparisons"], claim["decisive"] = [10**6, True, "x"], -3  # type: ignore[list-item]
    assert len(regressions(made)[0]) == 1
    made["claims"] = made["claims"][1:2]
    assert not any(claim.decisive for claim in claim_parts(made))


def test_the_first_screen_names_the_largest_causes(whole: Page) -> None:
    causes = whole.headlines[0].causes
    assert causes is not None
    assert [cause.what for cause in causes.causes] == ["kernel launches", "copies' bandwidth", "unexplained"]


@pytest.mark.parametrize("verdict", ["inconclusive", "equivalent"])
def test_a_gap_that_may_be_none_has_no_causes_on_the_first_screen(made: Document, verdict: str) -> None:
    made["comparisons"][made["headlines"][0]["comparison"] or 0]["verdict"] = verdict
    assert page(made, assets()).headlines[0].causes is None


def test_a_cause_that_adds_nothing_is_not_among_the_largest(made: Document) -> None:
    for cause in made["attribution"][0]["causes"][1:]:
        cause["seconds"] = 0.0
    found = page(made, assets()).headlines[0].causes
    assert found is not None
    assert len(found.causes) == 1


def test_what_is_beside_the_means_is_listed(whole: Page) -> None:
    found = whole
    assert {(row.tails[1].estimate, row.tails[1].reason[:13]) for row in found.tails} == {(None, "7 invocations")}
    assert [each.rank for each in found.ranked] == ["decisive", "relevant", "noted"]
    assert [each.blocks for each in found.excluded] == [(2, 3)]
    assert {each.anchor for each in found.regressions} <= {row.anchor for row in found.table.rows}
    assert found.no_tails == ()
    assert found.grid is not None
    crashed = next(row for row in found.grid.rows if row.what == "driver/driver.spawn")
    assert dict(zip(found.grid.platforms, (cell.word for cell in crashed.cells), strict=True))["docker"] == "crashed"


def test_tails_that_could_not_be_estimated_say_why(made: Document) -> None:
    why = "several boots: tails are estimated within one"
    for record in made["comparisons"]:
        for each in record["percentiles"]:
            each["slowdown"], each["reason"] = None, why
    assert no_tails(made) == (why,)
    assert f"Not estimated: <bdi>{why}</bdi>." in render(made)


@pytest.mark.parametrize(
    ("low", "high"), [(2.1, 9.6), (3.0, 11.0), (81, 117), (1e-9, 3e-7), (1.0, 4.0), (5e-4, 2e10), (0.3, 3e3)]
)
def test_a_logarithmic_axis_has_a_few_round_values(low: float, high: float) -> None:
    found = decades(low, high, 6)
    assert 2 <= len(found) <= 6
    assert all(low <= value <= high for value in found)
