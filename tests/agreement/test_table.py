from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.agreement import __main__ as program
from tests.agreement.table import (
    Comparison,
    NotMeasuredError,
    Pair,
    Reason,
    Row,
    Values,
    alternated,
    line,
    measure,
    programs,
    selected,
)

NOISE = (1.001, 0.999, 1.0, 1.002, 0.998, 1.0)
TWICE = Reason(text="it does everything twice", low=1.8, high=2.2)


def _one(values: Iterator[float]) -> Callable[[], Values]:
    return lambda: {"x_seconds": next(values)}


def compared(*ratios: float, reason: Reason | None = None, missing: str = "") -> Comparison:
    """A fake probe and a fake tool whose values have these ratios."""
    return Comparison(
        probe="fake.probe",
        tool="fake tool",
        measured=alternated(_one(iter([3.0 * ratio for ratio in ratios])), _one(iter([3.0] * len(ratios)))),
        missing=lambda: missing,
        reasons={"x_seconds": reason} if reason else {},
        pairs=len(ratios),
    )


def rows(comparison: Comparison) -> list[Row]:
    return list(measure(comparison, comparison.pairs, random.Random(1)))


@pytest.mark.parametrize(
    ("center", "reason", "agreement"),
    [
        (1.0, None, "yes"),
        (1.03, None, "yes"),
        (1.05, None, "unclear"),  # the best are 0.999 times that
        (1.2, None, "no: UNEXPLAINED"),
        (0.8, None, "no: UNEXPLAINED"),
        (2.0, TWICE, "no"),
        (2.5, TWICE, "no: UNEXPLAINED"),
        (1.0, TWICE, "yes"),
        (1.2, TWICE, "no: UNEXPLAINED"),
    ],
)
def test_a_row_says_whether_it_agrees(center: float, reason: Reason | None, agreement: str) -> None:
    (row,) = rows(compared(*(center * each for each in NOISE), reason=reason))
    assert row.agreement == agreement
    assert row.estimate is not None
    assert row.estimate.ratio == pytest.approx(center, rel=1e-3)


@pytest.mark.parametrize(
    ("ratios", "reason", "agreement"),
    [
        ((0.97, 1.25, 1.0, 1.1, 1.2), None, "unclear"),
        ((0.8, 1.25, 1.0, 1.1, 0.9), None, "unclear: UNEXPLAINED"),
        ((0.8, 1.25, 1.0, 1.1, 0.9), TWICE, "unclear"),
    ],
)
def test_noise_is_no_agreement_and_no_excuse_for_the_best(
    ratios: tuple[float, ...], reason: Reason | None, agreement: str
) -> None:
    (row,) = rows(compared(*ratios, reason=reason))
    assert row.agreement == agreement


def test_the_interval_is_that_of_known_ratios() -> None:
    # By hand: t with 4 degrees of freedom is 2.776445, the logarithms' standard error 0.00707.
    (row,) = rows(compared(1.02, 0.98, 1.01, 0.99, 1.0))
    assert row.estimate is not None
    assert row.estimate.interval == pytest.approx((0.980458, 1.019727), abs=1e-5)


def test_the_best_are_the_lowest_times_and_the_highest_rates() -> None:
    ours, theirs = iter([2.0, 4.0]), iter([1.0, 8.0])

    def measured(pairs: int, order: random.Random) -> Iterator[Pair]:
        for one, other in zip(ours, theirs, strict=True):
            yield {"x_seconds": one, "x_rate": one}, {"x_seconds": other, "x_rate": other}

    comparison = Comparison(probe="p", tool="t", measured=measured, missing=str)
    assert {row.metric: row.best for row in rows(comparison)} == {"x_seconds": 2.0, "x_rate": 0.5}


def test_the_order_within_pairs_is_random_and_balanced() -> None:
    calls: list[str] = []

    def record(side: str) -> Values:
        calls.append(side)
        return {"x": 1.0}

    comparison = Comparison(
        probe="p",
        tool="t",
        measured=alternated(lambda: record("h"), lambda: record("t")),
        missing=lambda: "",
    )
    list(measure(comparison, 200, random.Random(1)))
    pairs = ["".join(calls[start : start + 2]) for start in range(0, 400, 2)]
    assert set(pairs) == {"ht", "th"}
    assert 60 < pairs.count("ht") < 140


def test_metrics_of_one_side_only_are_no_rows_and_none_in_common_is_a_fault() -> None:
    both = Comparison(
        probe="p",
        tool="t",
        measured=alternated(lambda: {"a": 1.0, "b": 2.0}, lambda: {"b": 2.0, "c": 3.0}),
        missing=lambda: "",
    )
    assert [row.metric for row in measure(both, 2, random.Random(1))] == ["b"]
    none = Comparison(
        probe="p", tool="t", measured=alternated(lambda: {"a": 1.0}, lambda: {"c": 3.0}), missing=lambda: ""
    )
    with pytest.raises(ValueError, match="no metric of both"):
        list(measure(none, 2, random.Random(1)))


def _raising(error: Exception) -> Callable[[], Values]:
    def run() -> Values:
        raise error

    return run


def test_what_is_missing_is_a_row_and_nothing_is_run() -> None:
    comparison = Comparison(
        probe="p",
        tool="t",
        measured=alternated(_raising(AssertionError()), _raising(AssertionError())),
        missing=programs(no_such_program="its-package", another="its-package"),
    )
    (row,) = rows(comparison)
    assert (row.agreement, row.reason) == ("-", "missing: apt-get install its-package")
    assert programs(sh="dash")() == ""


@pytest.mark.parametrize(
    ("error", "agreement", "reason"),
    [
        (NotMeasuredError("no GPU"), "-", "no GPU"),
        (ValueError("x: failed: broken"), "FAILED", "ValueError: x: failed: broken"),
        (subprocess.CalledProcessError(2, "fio", stderr="no\nspace"), "FAILED", "exit status 2.: no space"),
    ],
)
def test_a_side_that_cannot_be_measured_is_a_row(error: Exception, agreement: str, reason: str) -> None:
    comparison = Comparison(probe="p", tool="t", measured=alternated(_raising(error), lambda: {"x": 1.0}), missing=str)
    (row,) = rows(comparison)
    assert row.agreement == agreement
    assert row.reason.endswith(reason)


def test_globs_select_by_probe_or_tool() -> None:
    one = compared(1.0)
    assert selected([one], []) == [one]
    assert selected([one], ["fake.*"]) == [one]
    assert selected([one], ["other.*", "* tool"]) == [one]
    assert selected([one], ["other.*"]) == []


@pytest.mark.parametrize(
    ("comparisons", "status", "summary"),
    [
        ([compared(*NOISE), compared(1.0, missing="missing: x")], 0, "2 rows: 1 agree, 1 not measured"),
        ([compared(*(2 * each for each in NOISE), reason=TWICE)], 0, "1 rows: 1 differ for a stated reason"),
        ([compared(*(2 * each for each in NOISE))], 1, "1 rows: 1 UNEXPLAINED"),
        ([compared(0.8, 1.2, 1.0)], 1, "1 rows: 1 unclear, their best values apart without a reason"),
    ],
)
def test_the_exit_status_is_that_of_the_worst_row(
    comparisons: list[Comparison],
    status: int,
    summary: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(program, "COMPARISONS", comparisons)
    assert program.main([]) == status
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == summary
    assert printed[0].startswith("probe ")


def test_a_reason_stands_beside_the_row_with_its_range() -> None:
    (row,) = rows(compared(*(2 * each for each in NOISE), reason=TWICE))
    assert line(row.cells()).endswith("| no                   | it does everything twice (expected: 1.8 to 2.2)")


def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["no.such.probe"], ["driver.syscall", "--pairs", "1"]):
        with pytest.raises(SystemExit) as ended:
            program.main(argv)
        assert ended.value.code == 2
    assert "an interval needs two or more" in capsys.readouterr().err


def test_every_comparison_says_whether_it_can_be_made() -> None:
    for comparison in program.COMPARISONS:
        assert isinstance(comparison.missing(), str)
        assert comparison.pairs >= 3
        assert all(reason.low < reason.high for reason in comparison.reasons.values())
