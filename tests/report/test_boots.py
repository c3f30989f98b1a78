"""From the boots of a machine to one report, and from several machines to reports side by side."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BundleError
from harness.report.build import build, name_of
from harness.results.merge import merge
from tests.boots import linux, windows, write_boot
from tests.report.browser import check_page, chromium

BOOT_SIGMA = 0.004


@pytest.fixture(scope="module")
def boots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three boots of Linux and three of Windows, in turn; each shifts its machine a little."""
    folder = tmp_path_factory.mktemp("boots")
    shifts = (0.5, -1.0, 1.0, 0.2, -0.4, 0.6)
    drawn = [
        (linux, windows)[number % 2](number + 1, effects={"": BOOT_SIGMA * shift}, blocks=5)
        for number, shift in enumerate(shifts)
    ]
    return [write_boot(folder / boot.id, boot) for boot in drawn]


def document_of(index: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads((index.parent / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def index(boots: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(boots, tmp_path_factory.mktemp("report"))


def steps(document: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {row["platform"]: row for row in document["comparisons"] if row["metric"] == "step_seconds"}


def test_boots_of_one_machine_are_one_report_with_boots_as_replicates(index: Path) -> None:
    document = document_of(index)
    assert document["baseline"] == "native"
    assert set(document["platforms"]) == {"native", "docker", "native-windows", "wsl"}
    found = steps(document)
    assert {name: (row["paired"], row["boots"]) for name, row in found.items()} == {
        "docker": (True, [3, 3]),
        "native-windows": (False, [3, 3]),
        "wsl": (False, [3, 3]),
    }
    for name, truth in (("docker", 1.03), ("native-windows", 1.1), ("wsl", 1.2)):
        low, high = found[name]["ci95"]
        assert low < truth < high
        assert found[name]["verdict"] == "slower"
        assert found[name]["comparable"]
    widths = {name: math.log(row["ci95"][1] / row["ci95"][0]) for name, row in found.items()}
    assert widths["docker"] < widths["wsl"] / 2, "a pair in one boot shares what the boot does to both"
    assert found["wsl"]["noise_floor"] is not None


def test_the_page_names_the_boots_and_the_stand_in(index: Path) -> None:
    document, text = document_of(index), index.read_text(encoding="utf-8")
    assert [(boot["number"], boot["system"], boot["blocks"]) for boot in document["run"]["boots"]] == [
        (number, ("linux", "windows")[(number + 1) % 2], 5) for number in range(1, 7)
    ]
    for boot in document["run"]["boots"]:
        assert boot["run_id"] in text
        assert f"nox -s matrix -- --profile {boot['profile']} --seed {boot['seed']}</code>" in text
    assert "A stand-in, not real hardware" in text
    assert "boots" in text
    assert "nox -s report -- results/run-1 results/run-2" in text


def test_what_one_system_lacks_and_another_has_is_no_gap(index: Path) -> None:
    assert document_of(index)["capabilities"] == []


def test_the_report_is_that_of_the_merged_bundle(index: Path, boots: list[Path], tmp_path: Path) -> None:
    whole = merge(boots, tmp_path / "merged.zip")
    assert document_of(build([whole], tmp_path / "report")) == document_of(index)
    steps = merge([merge(boots[:2], tmp_path / "two"), *boots[2:]], tmp_path / "steps")
    assert document_of(build([steps], tmp_path / "again")) == document_of(index)
    assert name_of([whole]) == name_of(boots)


def test_one_boot_a_side_has_no_interval_and_says_why(boots: list[Path], tmp_path: Path) -> None:
    index = build(boots[:2], tmp_path)
    found = steps(document_of(index))
    assert found["wsl"]["ci95"] == [None, None]
    assert found["wsl"]["verdict"] == "inconclusive"
    assert any("between-boot variance not estimated" in note for note in found["wsl"]["confounders"])
    assert found["wsl"]["slowdown"] == pytest.approx(1.2, rel=0.05)
    assert found["docker"]["ci95"][0] > 1, "within its one boot the container has an interval"
    assert "between-boot variance not estimated, no interval" in index.read_text(encoding="utf-8")


def test_a_run_that_is_there_twice_is_refused(boots: list[Path], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="run run-1 is in"):
        build([boots[0], boots[1], boots[0]], tmp_path)


def test_machines_are_set_side_by_side(boots: list[Path], tmp_path: Path) -> None:
    other = linux(9, gpu="GPU-other", docker=1.5, host={"cpu.model": "Other CPU"})
    index = build([*boots[:2], write_boot(tmp_path / "other", other)], tmp_path / "report")
    document = document_of(index)
    assert [machine["cpu"] for machine in document["machines"]] == ["Synthetic CPU", "Other CPU"]
    assert [machine["boots"] for machine in document["machines"]] == [2, 1]
    for machine in document["machines"]:
        page = tmp_path / "report" / machine["folder"] / "index.html"
        assert f'href="{machine["folder"]}/index.html"' in index.read_text(encoding="utf-8")
        full = document_of(page)
        assert all(record in full["comparisons"] for record in machine["headlines"])
        assert {record["baseline"] for record in machine["headlines"]} == {"native"}
    assert index.read_text(encoding="utf-8").count("A stand-in, not real hardware") == 2, "each machine's own"
    assert "Some of these may be one machine" not in index.read_text(encoding="utf-8")
    assert "Nothing here compares one machine with another" in index.read_text(encoding="utf-8")


def test_without_a_gpu_one_machine_is_the_users_word(tmp_path: Path) -> None:
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (linux(1, gpu=""), windows(2, gpu=""))]
    apart = build(paths, tmp_path / "apart")
    assert len(document_of(apart)["machines"]) == 2
    assert "Some of these may be one machine" in apart.read_text(encoding="utf-8")
    with pytest.raises(BundleError, match="run run-1 is in"):
        build([paths[0], paths[0]], tmp_path / "twice")
    assert len(document_of(build(paths, tmp_path / "one", same=True))["run"]["boots"]) == 2


@pytest.mark.browser
@pytest.mark.skipif(chromium() is None, reason="no Chromium: install it or name it in CHROMIUM")
def test_the_pages_keep_to_themselves_and_to_report_json(index: Path, boots: list[Path], tmp_path: Path) -> None:
    assert check_page(index, index.with_name("report.json")) == []
    other = write_boot(tmp_path / "other", linux(9, gpu="GPU-other"))
    machines = build([boots[0], other], tmp_path / "report")
    assert check_page(machines, machines.with_name("report.json")) == []
