from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.inspection import storage
from harness.agent.inspection.facts import Files
from harness.agent.messages import Location
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree, values

pytestmark = not_on_windows("it has no mountinfo")

MOUNTINFO = "/proc/self/mountinfo"
ROOT = "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,errors=remount-ro"


def mounts(folder: Path, *lines: str) -> Files:
    return tree(folder, {MOUNTINFO: "\n".join(lines) + "\n"})


def test_a_location_is_what_the_innermost_mount_says(tmp_path: Path) -> None:
    data = tmp_path / "data set"
    data.mkdir()
    escaped = str(data).replace(" ", "\\040")
    files = mounts(
        tmp_path,
        f"40 22 0:50 / {escaped} rw,noatime - xfs /dev/nvme0n1p3 rw,attr2",
        ROOT,
        f"41 22 0:51 / {tmp_path}/data rw - tmpfs tmpfs rw",  # a name that only begins alike
    )
    found = values(storage.inspect(files, [Location(name="scratch", path=str(data))]))

    assert found["scratch.filesystem"] == "xfs"
    assert found["scratch.options"] == ["rw", "noatime", "attr2"]
    assert found["scratch.device"] == "/dev/nvme0n1p3"
    assert isinstance(found["scratch.free_bytes"], int)


def test_of_two_mounts_on_one_point_the_last_one_counts(tmp_path: Path) -> None:
    files = mounts(
        tmp_path,
        ROOT,
        f"40 22 0:50 / {tmp_path} rw - ext4 /dev/sdb1 rw",
        f"41 40 0:51 / {tmp_path} rw - tmpfs tmpfs rw,size=1g",
    )
    found = values(storage.inspect(files, [Location(name="x", path=str(tmp_path))]))

    assert (found["x.filesystem"], found["x.device"], found["x.options"]) == ("tmpfs", "tmpfs", ["rw", "size=1g"])


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files = mounts(tmp_path, ROOT, f"40 22 0:50 / {tmp_path}/real rw - btrfs /dev/vdb rw,compress=zstd:3")

    found = values(storage.inspect(files, [Location(name="x", path=str(tmp_path / "link"))]))
    assert found["x.filesystem"] == "btrfs"


def test_a_directory_that_is_not_there_says_so(tmp_path: Path) -> None:
    facts = storage.inspect(mounts(tmp_path, ROOT), [Location(name="x", path=str(tmp_path / "gone"))])

    assert {each["error"] for each in facts.values()} == {"FileNotFoundError: No such file or directory"}


@pytest.mark.parametrize(
    ("device", "kept"),
    [
        ("/dev/sda2", "/dev/sda2"),
        ("/dev/nvme0n1p3", "/dev/nvme0n1p3"),
        ("/dev/loop0", "/dev/loop0"),
        ("overlay", "overlay"),
        ("none", "none"),
        ("/dev/mapper/alices--laptop--vg-root", "device mapper"),
        ("fileserver.example.org:/export/home/alice", "network"),
        ("//fileserver/alice", "network"),
        ("alice@host:/home/alice", "network"),
        ("rpool/USERDATA/alice_1a2b", "other"),
        ("/dev/disk/by-label/alice", "other"),
        ("C:\\134", "network"),
    ],
)
def test_only_names_that_a_kernel_gave_are_kept(device: str, kept: str) -> None:
    assert storage.parse(f"40 22 0:50 / /data rw - ext4 {device} rw").device == kept


def test_options_that_name_hosts_users_and_paths_are_left_out() -> None:
    line = (
        "40 22 0:50 / /data rw,nosuid shared:1 master:2 - overlay overlay "
        "rw,lowerdir=/var/lib/alice,user_id=1000,addr=10.0.0.1,username=alice,vers=4.2,rsize=1048576,rw"
    )

    assert storage.parse(line).options == ("rw", "nosuid", "vers=4.2", "rsize=1048576")


@given(st.text(max_size=80))
def test_a_line_of_another_form_is_a_value_error_at_worst(line: str) -> None:
    with suppress(ValueError):
        assert storage.parse(line).device


@pytest.mark.skipif(not Path(MOUNTINFO).exists(), reason="needs Linux")
def test_this_machine_has_a_file_system(tmp_path: Path) -> None:
    found = values(storage.inspect(Files(), [Location(name="here", path=str(tmp_path))]))

    assert found["here.filesystem"]
    assert found["here.device"]


@pytest.mark.parametrize(("number", "device", "found"), [("8:2", "/dev/sda2", "8:2"), ("0:31", "overlay", "0:31")])
def test_a_mount_has_the_number_of_its_device(number: str, device: str, found: str) -> None:
    mount = storage.parse(f"40 22 {number} / /data rw - ext4 {device} rw")

    assert storage._number(mount) == found


def test_a_file_system_that_hides_its_device_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Btrfs mounts have numbers of their own."""
    monkeypatch.setattr(os, "stat", lambda _path: SimpleNamespace(st_rdev=os.makedev(259, 3)))

    assert storage._number(storage.parse("40 22 0:31 / /data rw - btrfs /dev/nvme0n1p3 rw")) == "259:3"


@pytest.mark.skipif(not Path("/sys/dev/block").exists(), reason="needs Linux")
def test_the_disk_below_this_machines_root_is_found(tmp_path: Path) -> None:
    facts = storage.inspect(Files(), [Location(name="here", path="/")])
    if facts["here.filesystem"]["value"] not in {"ext4", "xfs", "btrfs"}:
        pytest.skip("the root is on no disk")

    assert facts["here.disks"]["value"]
    assert facts["here.queue_depth"]["value"] > 0
