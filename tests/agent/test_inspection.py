from __future__ import annotations

import getpass
import json
import platform
import re
from pathlib import Path

import pytest

from harness.agent import inspection
from harness.agent.messages import Location

SECTIONS = {
    "system", "kernel", "memory", "board", "cpu", "iommu", "pci", "cgroup", "virtualization", "container", "python",
    "gpu", "storage",
}  # fmt: skip
OF_ONE_SYSTEM = {"wsl", "windows"}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    return inspection.inspect([Location(name="scratch", path=str(tmp_path_factory.mktemp("scratch")))])


def test_every_section_is_there_and_every_value_has_a_source(record: dict[str, dict[str, object]]) -> None:
    assert {name.partition(".")[0] for name in record} - OF_ONE_SYSTEM == SECTIONS
    for name, fact in record.items():
        assert {"value", "source"} <= set(fact) <= {"value", "source", "error"}, name
        assert fact["source"], name
        if "error" in fact:
            assert fact["value"] in (None, []), name
            assert str(fact["error"]), name


def test_it_is_plain_data(record: dict[str, dict[str, object]]) -> None:
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_it_names_neither_the_host_nor_the_user(record: dict[str, dict[str, object]]) -> None:
    text = json.dumps([fact["value"] for fact in record.values()])

    assert str(Path.home()) + "/" not in text
    assert f'"{platform.node()}"' not in text
    assert f'"{getpass.getuser()}"' not in text


def test_names_are_flat_and_no_value_is_long(record: dict[str, dict[str, object]]) -> None:
    for name, fact in record.items():
        assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+){1,2}", name), name
        assert len(json.dumps(fact)) < 4096, name


def test_locations_are_named(record: dict[str, dict[str, object]]) -> None:
    assert record["storage.scratch.total_bytes"]["value"]


def test_a_tree_that_shows_nothing_gives_errors_only(tmp_path: Path) -> None:
    record = inspection.inspect(root=tmp_path)

    assert record["cpu.model"]["value"] is None
    assert inspection.boot_id(root=tmp_path) == ""


@pytest.mark.skipif(not Path("/proc/sys/kernel/random/boot_id").exists(), reason="needs Linux")
def test_a_boot_has_an_identity() -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}|[0-9a-f]+-[0-9]+", inspection.boot_id())  # on Windows installation and count
    assert inspection.boot_id() == inspection.boot_id()
