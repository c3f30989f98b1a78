"""`merge` and `plan --boots` as a user meets them, and the schedule of boots."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from harness.boots import alternating, known_boots, propose
from harness.results.merge import merge, merged
from tests.boots import linux, windows, write_boot
from tests.program import MATRIX, bundle_of, harness, journal_of, one_line_error, project

PARTS = {"linux": ("native", "docker"), "windows": ("native", "wsl")}
TWO_SYSTEMS = MATRIX.replace("  docker: {kind: container}", "  windows: {kind: native, os: windows}")


@pytest.mark.parametrize("seed", range(5))
def test_systems_take_turns(seed: int) -> None:
    order = alternating({"linux": 3, "windows": 3}, "", Random(seed))
    assert Counter(order) == {"linux": 3, "windows": 3}
    assert all(one != other for one, other in pairwise(order))


def test_either_may_begin_but_not_the_one_that_was_last() -> None:
    assert {alternating({"linux": 1, "windows": 1}, "", Random(seed))[0] for seed in range(20)} == {"linux", "windows"}
    assert {alternating({"linux": 1, "windows": 1}, "linux", Random(seed))[0] for seed in range(20)} == {"windows"}


def test_what_is_done_is_not_asked_for_again() -> None:
    assert alternating({"linux": 0, "windows": 2}, "linux", Random(1)) == ("windows", "windows")
    assert alternating({"linux": 0, "windows": 0}, "linux", Random(1)) == ()


def test_without_bundles_the_variance_is_to_be_estimated_first() -> None:
    proposal = propose(PARTS, None, 0.02, Random(1))
    assert proposal.boots == 3
    assert Counter(proposal.schedule) == {"linux": 3, "windows": 3}
    assert any("at least 3 boots a side to estimate it" in line for line in proposal.lines())


def test_the_schedule_fills_up_to_what_the_precision_takes(tmp_path: Path) -> None:
    shifts = (0.006, -0.006, -0.006, 0.006)
    drawn = [(linux, windows)[number % 2](number + 1, effects={"": shift}) for number, shift in enumerate(shifts)]
    with merged([write_boot(tmp_path / boot.id, boot) for boot in drawn]) as bundle:
        proposal = propose(PARTS, bundle, 0.015, Random(1))
        loose = propose(PARTS, bundle, 0.2, Random(1))
        strict = propose(PARTS, bundle, 0.0001, Random(1))
    assert proposal.done == {"linux": 2, "windows": 2}
    assert proposal.boots > 3
    assert Counter(proposal.schedule) == {"linux": proposal.boots - 2, "windows": proposal.boots - 2}
    assert proposal.schedule[0] == "linux", "the last boot was of Windows"
    assert any(f"for ±1.5%: {proposal.boots} boots a side" in line for line in proposal.lines())
    assert loose.boots == 3
    assert any("not planned for, since more than 12" in line for line in strict.lines())


def test_runs_of_one_boot_count_once(tmp_path: Path) -> None:
    drawn = [linux(1), replace(linux(2), boot_id="boot-1")]
    with merged([write_boot(tmp_path / boot.id, boot) for boot in drawn]) as bundle:
        assert propose(PARTS, bundle, 0.02, Random(1)).done == {"linux": 1}


def test_results_of_this_machine_are_taken_and_no_others(tmp_path: Path) -> None:
    results = tmp_path / "results"
    drawn = [linux(1), linux(2, gpu="GPU-other"), windows(3)]
    paths = [write_boot(results / boot.id, boot) for boot in drawn]
    merge([paths[0], paths[2]], results / "merged")
    with known_boots([], results, same=False) as bundle:
        assert bundle is not None
        assert [boot.run_id for boot in bundle.manifest.boots] == ["run-1", "run-3"]
    with known_boots([], tmp_path / "nothing", same=False) as bundle:
        assert bundle is None


def test_plan_says_what_this_boot_measures_and_what_the_others_are_for(tmp_path: Path) -> None:
    project(tmp_path, TWO_SYSTEMS)
    done = harness("plan", "--profile", "both", cwd=tmp_path)
    assert "this boot, of linux, is for: native" in done.stdout
    assert "a boot of windows, is for: native, windows" in done.stdout
    plan = json.loads(harness("plan", "--profile", "both", "--json", cwd=tmp_path).stdout)
    assert plan["boots"] == {"linux": ["native"], "windows": ["native", "windows"]}


def test_run_measures_its_part_and_leaves_the_other_systems(tmp_path: Path) -> None:
    project(tmp_path, TWO_SYSTEMS)
    done = harness("run", "--profile", "both", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "this boot, of linux, is for: native\n" in done.stdout
    assert "a boot of windows, is for: native, windows\n" in done.stdout
    lines = journal_of(tmp_path)
    assert {line["status"] for line in lines if line["cell"].startswith("native")} == {"ok"}
    (reason,) = {line["reason"] for line in lines if line["cell"].startswith("windows/")}
    assert {line["status"] for line in lines if line["cell"].startswith("windows/")} == {"unavailable"}
    assert "boot Windows" in reason
    told = json.loads((bundle_of(tmp_path) / "run.json").read_text("utf-8"))["platforms"]["windows"]
    assert (told["available"], told["reason"]) == (False, reason)


def test_plan_boots_proposes_a_schedule(tmp_path: Path) -> None:
    project(tmp_path, TWO_SYSTEMS)
    done = harness("plan", "--profile", "both", "--boots", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "at least 3 boots a side" in done.stdout
    paths = [str(write_boot(tmp_path / boot.id, boot)) for boot in (linux(1), windows(2), linux(3), windows(4))]
    done = harness("plan", "--profile", "both", "--json", "--precision", "3%", "--boots", *paths, cwd=tmp_path)
    proposal = json.loads(done.stdout)
    assert proposal["done"] == {"linux": 2, "windows": 2}
    assert proposal["precision"] == 0.03
    assert {need["platform"] for need in proposal["needs"]} == {"native-windows", "wsl"}
    alone = harness("plan", "--profile", "tiny", "--boots", cwd=tmp_path)
    assert alone.returncode == 2
    assert "There is nothing to boot" in one_line_error(alone)


def test_boots_are_merged_and_reported_from_the_command_line(tmp_path: Path) -> None:
    paths = [str(write_boot(tmp_path / boot.id, boot)) for boot in (linux(1), windows(2), linux(3), windows(4))]
    done = harness("merge", *paths, "-o", "all.zip", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "bundle: all.zip\n"
    reported = harness("report", *paths, cwd=tmp_path)
    assert reported.returncode == 0, reported.stderr
    (document,) = (tmp_path / "reports").glob("merged-*/report.json")
    assert len(json.loads(document.read_text("utf-8"))["run"]["boots"]) == 4
    compared = harness("compare", "native-windows", "wsl", "--bundle", "all.zip", "--format", "json", cwd=tmp_path)
    assert all(row["paired"] and row["boots"] == [2, 2] for row in json.loads(compared.stdout))


def test_a_merged_bundle_is_no_run_to_resume(tmp_path: Path) -> None:
    project(tmp_path)
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (linux(1), linux(2))]
    with merged(paths) as bundle:
        name = bundle.manifest.run_id
    merge(paths, tmp_path / "results" / name)
    done = harness("run", "--resume", name, cwd=tmp_path)
    assert done.returncode == 2
    assert "was merged of several runs" in one_line_error(done)


def test_what_cannot_be_merged_is_one_line_and_status_2(tmp_path: Path) -> None:
    one = write_boot(tmp_path / "one", linux(1))
    other = write_boot(tmp_path / "other", linux(2, gpu="GPU-other"))
    for paths, words in (((one, other), "GPU-other"), ((one, one), "twice"), ((one, tmp_path / "nothing"), "nothing")):
        done = harness("merge", *map(str, paths), "-o", "all", cwd=tmp_path)
        assert done.returncode == 2
        assert words in one_line_error(done)
        assert not (tmp_path / "all").exists()


def test_boots_without_a_gpu_are_merged_on_the_users_word(tmp_path: Path) -> None:
    paths = [str(write_boot(tmp_path / boot.id, boot)) for boot in (linux(1, gpu=""), linux(2, gpu=""))]
    refused = harness("merge", *paths, "-o", "all", cwd=tmp_path)
    assert "--same-machine" in one_line_error(refused)
    assert harness("merge", *paths, "-o", "all", "--same-machine", cwd=tmp_path).returncode == 0
