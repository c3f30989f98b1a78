"""Making a guest image. What making it for real gives is booted in test_vm.py."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.platforms import guest_recipe
from harness.platforms.guest_image import GuestImage
from harness.platforms.guest_recipe import Recipe, make
from harness.runner import process
from harness.runner.process import Completed
from tests.platforms.jobs import quiet
from tests.program import harness, one_line_error


def test_what_is_made_is_whole_and_private(guest_image: GuestImage) -> None:
    assert guest_image.missing() == ""
    assert guest_image.format() == "qcow2"
    assert stat.S_IMODE(guest_image.key.stat().st_mode) == 0o600
    assert guest_image.host_key.read_text(encoding="ascii").startswith("ssh-ed25519 ")
    record = json.loads(guest_image.record.read_text(encoding="utf-8"))
    assert {"python3", "openssh-server"} <= record["packages"].keys()
    assert all(record["packages"].values())
    assert record["seconds"] > 0
    assert sorted(each.name for each in guest_image.disk.parent.iterdir()) == [
        "guest.hostkey.pub", "guest.initrd", "guest.json", "guest.key", "guest.qcow2", "guest.vmlinuz"
    ]  # fmt: skip


def test_an_unchanged_recipe_makes_nothing_anew(guest_image: GuestImage) -> None:
    before = guest_image.identity()
    done = harness("vm", "image", "-o", str(guest_image.disk), "--size", "4g", cwd=guest_image.disk.parent)
    assert done.returncode == 0, done.stderr
    path, size, unit, seconds, _ = done.stdout.split()
    assert (path, unit, seconds) == (str(guest_image.disk), "MB", "0.0")
    assert int(size) == round(guest_image.disk.stat().st_size / 1e6)
    assert guest_image.identity() == before


def test_every_part_of_a_recipe_counts() -> None:
    recipe = Recipe()
    others = [
        replace(recipe, suite="trixie"),
        replace(recipe, include=("gcc",)),
        replace(recipe, mirror="http://mirror"),
        replace(recipe, size=1 << 30),
    ]
    assert len({each.digest() for each in (recipe, *others)}) == 5
    assert recipe.digest() == Recipe().digest()


def test_a_disk_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    disk = tmp_path / "guest.qcow2"
    disk.write_bytes(b"precious")
    with pytest.raises(PlatformError, match=r"was not made by `vm image`. Name another file with -o"):
        make(Recipe(), disk, quiet)
    assert disk.read_bytes() == b"precious"


def test_missing_programs_are_named_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_recipe, "_program", lambda name: None if name in ("mke2fs", "mmdebstrap") else name)
    with pytest.raises(PlatformError, match="apt-get install mmdebstrap e2fsprogs"):
        make(Recipe(), tmp_path / "guest.qcow2", quiet)


def test_making_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_recipe, "_program", lambda name: name)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PlatformError, match=r"needs root.*sudo"):
        make(Recipe(), tmp_path / "guest.qcow2", quiet)


def test_a_failed_tool_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_recipe, "_check_tools", lambda: None)
    failed = Completed(code=1, stdout="", stderr="I: whatever\nE: no such suite\n")
    monkeypatch.setattr(process, "capture", lambda *_, **__: failed)
    with pytest.raises(PlatformError, match=r"mmdebstrap ended with status 1: E: no such suite. Check the suite"):
        make(Recipe(suite="sid-and-nancy"), tmp_path / "guest.qcow2", quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_recipe, "_check_tools", lambda: None)
    with pytest.raises(PlatformError, match=r"can't be made: No such file or directory.*-o"):
        make(Recipe(), tmp_path / "nowhere" / "guest.qcow2", quiet)


def test_a_wrong_size_is_told(tmp_path: Path) -> None:
    done = harness("vm", "image", "--size", "much", cwd=tmp_path)
    assert done.returncode == 2
    assert "'much': a size in whole bytes is expected" in done.stderr


def test_the_command_tells_a_refusal_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "guest.qcow2").write_bytes(b"precious")
    done = harness("vm", "image", cwd=tmp_path)
    assert done.returncode == 1
    assert "was not made by `vm image`" in one_line_error(done)


def test_the_image_is_a_sound_file_system(guest_image: GuestImage, tmp_path: Path) -> None:
    raw = tmp_path / "guest.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(guest_image.disk), str(raw)], check=True)
    checker = guest_recipe._program("e2fsck")
    assert checker is not None
    done = subprocess.run([checker, "-f", "-n", str(raw)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
