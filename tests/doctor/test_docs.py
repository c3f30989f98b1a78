"""docs/doctor.md names what there is, and no more."""

from __future__ import annotations

import re
from pathlib import Path

from harness.doctor import gpu
from harness.doctor.examine import EVERYWHERE, LINUX, WINDOWS
from harness.doctor.finding import ORDER
from harness.doctor.fix import WANTED

TEXT = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
CHECKS = (*LINUX, *WINDOWS, *EVERYWHERE, *gpu.CHECKS)


def rows(heading: str) -> dict[str, list[str]]:
    """Return finding → the row's other cells of the table below the heading."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {name: [cell.strip() for cell in cells] for first, *cells in table for name in re.findall(r"`(.+?)`", first)}


def test_every_check_with_what_it_matters() -> None:
    assert {name: cells[-1] for name, cells in rows("What it checks").items()} == {
        check.id: check.matter for check in CHECKS
    }


def test_every_check_with_the_system_that_has_it() -> None:
    on = {check.id: "Linux" for check in LINUX} | {check.id: "Windows" for check in WINDOWS}
    assert {name: cells[-2] for name, cells in rows("What it checks").items()} == {
        check.id: on.get(check.id, "both") for check in CHECKS
    }


def test_everything_that_fix_changes() -> None:
    assert rows("What `--fix` does").keys() == WANTED.keys()


def test_the_degrees_in_their_order() -> None:
    assert re.findall(r"^\| (\w+) \|", TEXT, re.MULTILINE)[: len(ORDER)] == list(ORDER)
