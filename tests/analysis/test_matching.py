"""Under which terms something was measured, and on which of them two sides disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.matching import Matching, disagreements, terms
from harness.results.bundle import read
from harness.results.merge import merge
from tests.boots import LOCK, STACK, TASK, linux, manifest, results, write_boot


def test_the_terms_of_a_task_are_its_parameters_and_its_lock_file() -> None:
    boot = linux(1)
    found = terms(results(boot), manifest(boot))
    assert found == {(TASK, STACK): {"batch_size": "32", f"lock file of stack {STACK}": LOCK[:12]}}


def test_sides_that_agree_leave_no_line() -> None:
    assert disagreements({"before": {"files": "500"}, "after": {"files": "500"}}) == ()
    assert disagreements({"alone": {"files": "500"}}) == ()
    assert disagreements({}) == ()


def test_each_disagreement_is_a_line_with_equal_sides_together() -> None:
    sides = {"in boot 1": {"a": "1", "b": "x"}, "in boot 2": {"a": "2", "b": "x"}, "in boot 3": {"a": "1", "b": "x"}}
    assert disagreements(sides) == ("a: 1 in boot 1 and in boot 3, 2 in boot 2",)


def test_what_a_side_does_not_set_is_its_default() -> None:
    assert disagreements({"before": {}, "after": {"size": "4096"}}) == ("size: default before, 4096 after",)
    assert disagreements({"before": {"lock": ""}, "after": {"lock": "ab"}}) == ("lock: none before, ab after",)


HOSTED = {"kind": "remote", "host": "ann@lab-1.example", "folder": "~/work", "python": "python3.11"}


def lines_of(*definitions: tuple[dict[str, Any], dict[str, str], str], folder: Path) -> tuple[str, ...]:
    """Say what makes boots another measurement, whose `docker` has these entries, marks and key of the marks."""
    boots = []
    for number, (entry, marks, key) in enumerate(definitions, start=1):
        path = write_boot(folder / str(number), linux(number))
        record = json.loads((path / "run.json").read_text("utf-8"))
        record["matrix"]["definition"] = {"platforms": {"docker": entry}}
        record["matrix"]["hidden"] = {"key": key, "values": {f"platforms.docker.{p}": m for p, m in marks.items()}}
        (path / "run.json").write_text(json.dumps(record), encoding="utf-8")
        boots.append(path)
    return Matching(read(merge(boots, folder / "merged"))).lines((TASK, STACK), "docker")


def test_a_bundle_that_hides_a_value_and_one_that_does_not_agree(tmp_path: Path) -> None:
    image = {"kind": "container", "image": "ghcr.io/of-whom-this-is-not-known/pt:1", "mounts": ["/data/x:/data"]}
    kept = {"kind": "container", "image": "…", "mounts": ["…:/data"]}
    assert lines_of((image, {}, ""), (kept, {"image": "1"}, "k"), folder=tmp_path) == ()
    inside = {**kept, "mounts": ["…:/other"]}
    (line,) = lines_of((image, {}, ""), (inside, {}, ""), folder=tmp_path / "other")
    assert "…:/other" in line
    assert "/data/x" not in line


def test_two_hosts_are_two_platforms_and_neither_is_named(tmp_path: Path) -> None:
    other = {**HOSTED, "host": "ann@lab-2.example"}
    lines = lines_of((HOSTED, {}, ""), (other, {}, ""), (HOSTED, {}, ""), folder=tmp_path)
    assert lines == ("docker, host, which is hidden: value 1 in boot 1 and in boot 3, value 2 in boot 2",)


@pytest.mark.parametrize(
    ("mark", "key", "count"),
    [("1", "k", 0), ("2", "k", 1), ("2", "of another machine", 0)],
)
def test_marks_under_one_key_tell_hidden_values_apart(mark: str, key: str, count: int, tmp_path: Path) -> None:
    kept = {**HOSTED, "host": "…", "folder": "…"}
    assert len(lines_of((kept, {"host": "1"}, "k"), (kept, {"host": mark}, key), folder=tmp_path)) == count
