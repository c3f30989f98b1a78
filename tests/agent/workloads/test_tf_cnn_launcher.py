from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from harness.agent.workloads.tf_cnn_launcher import (
    SCRIPTS,
    UPSTREAM_COMMIT,
    LaunchError,
    checkout_commit,
    launch,
    total_images_per_second,
)
from tests.agent.workloads.fake_upstream import fake_upstream

pytestmark = pytest.mark.usefixtures("forget_modules")


def test_every_step_is_taken_down_warm_up_first(tmp_path: Path) -> None:
    steps: list[tuple[float, float]] = []
    checkout = fake_upstream(tmp_path, losses=[1.0, 2.0, 3.0, 4.0], warmup=1)
    launch(checkout, [], lambda seconds, loss: steps.append((seconds, loss)))
    assert steps == [(0.25, 1.0), (0.25, 2.0), (0.25, 3.0), (0.25, 4.0)]


def test_the_total_is_the_one_that_upstream_prints(tmp_path: Path) -> None:
    checkout = fake_upstream(tmp_path, last_line="total images/sec: 98.76")
    assert launch(checkout, [], lambda _seconds, _loss: None) == 98.76


def test_upstream_gets_the_flags_and_its_output_stays_visible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch(fake_upstream(tmp_path), ["--model=trivial", "--device=cpu"], lambda _seconds, _loss: None)
    printed = capsys.readouterr().out
    assert "argv --model=trivial --device=cpu\n" in printed
    assert "total images/sec: 612.10\n" in printed


@pytest.mark.parametrize("status", [None, 0])
def test_a_clean_exit_is_no_failure(tmp_path: Path, status: int | None) -> None:
    assert launch(fake_upstream(tmp_path, status=status), [], lambda _seconds, _loss: None) == 612.1


@pytest.mark.parametrize(("status", "named"), [(3, "status 3"), ("flags are wrong", "status 1")])
def test_another_exit_status_fails(tmp_path: Path, status: object, named: str) -> None:
    with pytest.raises(LaunchError, match=named):
        launch(fake_upstream(tmp_path, status=status), [], lambda _seconds, _loss: None)


def test_a_missing_total_fails(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="total images/sec"):
        launch(fake_upstream(tmp_path, last_line="bye"), [], lambda _seconds, _loss: None)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = sys.path[:], sys.argv, sys.stdout, sys.dont_write_bytecode
    with pytest.raises(LaunchError):
        launch(fake_upstream(tmp_path, status=1), [], lambda _seconds, _loss: None)
    assert (sys.path, sys.argv, sys.stdout, sys.dont_write_bytecode) == before
    assert sorted(path.name for path in (tmp_path / SCRIPTS).iterdir()) == ["benchmark_cnn.py", "tf_cnn_benchmarks.py"]


@pytest.mark.parametrize(
    ("output", "total"),
    [
        ("total images/sec: 612.10\n", 612.1),
        ("10\timages/sec: 5.0 +/- 0.1\nx\ntotal images/sec: 7\n---\n", 7.0),
        ("total images/sec: 1.00\ntotal images/sec: 2.00", 2.0),
    ],
)
def test_total_images_per_second(output: str, total: float) -> None:
    assert total_images_per_second(output) == total


@pytest.mark.parametrize("output", ["", "images/sec: 5.0", "total images/sec: nan", "subtotal images/sec: 5"])
def test_what_is_no_total(output: str) -> None:
    with pytest.raises(LaunchError):
        total_images_per_second(output)


def test_the_loss_may_be_anything_that_float_takes(tmp_path: Path) -> None:
    losses: list[float] = []
    launch(fake_upstream(tmp_path, losses=[math.nan], warmup=0), [], lambda _seconds, loss: losses.append(loss))
    assert math.isnan(losses[0])


def test_checkout_commit_of_a_detached_head(tmp_path: Path) -> None:
    assert checkout_commit(fake_upstream(tmp_path)) == UPSTREAM_COMMIT


def test_checkout_commit_of_a_branch(tmp_path: Path) -> None:
    head = fake_upstream(tmp_path) / ".git" / "HEAD"
    head.write_text("ref: refs/heads/main\n", encoding="utf-8")
    branch = head.parent / "refs" / "heads" / "main"
    branch.parent.mkdir(parents=True)
    branch.write_text("ab" * 20 + "\n", encoding="utf-8")
    assert checkout_commit(tmp_path) == "ab" * 20


def test_checkout_commit_of_something_else(tmp_path: Path) -> None:
    assert checkout_commit(tmp_path) == ""
