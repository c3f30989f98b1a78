from __future__ import annotations

from pathlib import Path

import pytest

from harness.agent.inspection import cgroup
from harness.agent.inspection.facts import Files
from tests.agent.trees import tree, values

TOP = "/sys/fs/cgroup"
UNIFIED = {f"{TOP}/cgroup.controllers": "cpu memory\n", f"{TOP}/cgroup.procs": "1\n"}
SEPARATE = {f"{TOP}/{name}/cgroup.procs": "1\n" for name in ("cpu", "cpuset", "memory")}


def limits(files: Files) -> dict[str, object]:
    found = values(cgroup.inspect(files))
    return {name: found[name] for name in ("version", "cpus", "memory_bytes", "cpuset")}


def test_a_container_of_version_2_sees_its_own_limits_at_the_top(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            **UNIFIED,
            "/proc/self/cgroup": "0::/\n",
            f"{TOP}/cpu.max": "50000 100000\n",
            f"{TOP}/memory.max": "1073741824\n",
            f"{TOP}/cpuset.cpus.effective": "0-1\n",
        },
    )

    assert limits(files) == {"version": 2, "cpus": 0.5, "memory_bytes": 2**30, "cpuset": "0-1"}


def test_the_tightest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            **UNIFIED,
            "/proc/self/cgroup": "0::/user.slice/session.scope\n",
            f"{TOP}/user.slice/session.scope/cpu.max": "max 100000\n",
            f"{TOP}/user.slice/cpu.max": "150000 100000\n",
            f"{TOP}/user.slice/session.scope/memory.max": "500\n",
            f"{TOP}/user.slice/memory.max": "max\n",
            f"{TOP}/user.slice/session.scope/cpuset.cpus.effective": "\n",
            f"{TOP}/user.slice/cpuset.cpus.effective": "0-3\n",
        },
    )

    assert limits(files) == {"version": 2, "cpus": 1.5, "memory_bytes": 500, "cpuset": "0-3"}


def test_no_limit_is_unlimited(tmp_path: Path) -> None:
    files = tree(tmp_path, {**UNIFIED, "/proc/self/cgroup": "0::/init.scope\n"})

    found = values(cgroup.inspect(files))
    assert (found["cpus"], found["memory_bytes"]) == ("unlimited", "unlimited")


def test_version_1_has_a_group_per_controller(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            **SEPARATE,
            "/proc/self/cgroup": "9:name=systemd:/\n4:memory:/job\n3:cpuset:/\n2:cpu,cpuacct:/job\n0::/\n",
            f"{TOP}/cpu/job/cpu.cfs_quota_us": "25000\n",
            f"{TOP}/cpu/job/cpu.cfs_period_us": "100000\n",
            f"{TOP}/cpu/cpu.cfs_quota_us": "-1\n",
            f"{TOP}/cpu/cpu.cfs_period_us": "100000\n",
            f"{TOP}/memory/job/memory.limit_in_bytes": "4096\n",
            f"{TOP}/memory/memory.limit_in_bytes": "9223372036854771712\n",
            f"{TOP}/cpuset/cpuset.effective_cpus": "0\n",
        },
    )

    assert limits(files) == {"version": 1, "cpus": 0.25, "memory_bytes": 4096, "cpuset": "0"}


def test_a_container_of_version_1_is_told_a_path_that_it_cannot_see(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            **SEPARATE,
            "/proc/self/cgroup": "4:memory:/docker/abc\n2:cpu:/docker/abc\n",
            f"{TOP}/cpu/cpu.cfs_quota_us": "50000\n",
            f"{TOP}/cpu/cpu.cfs_period_us": "100000\n",
            f"{TOP}/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    found = values(cgroup.inspect(files))

    assert (found["cpus"], found["memory_bytes"]) == (0.5, "unlimited")


@pytest.mark.parametrize("contents", [{}, {"/proc/self/cgroup": "0::/\n"}, {"/proc/self/cgroup": "nonsense\n"}])
def test_without_control_groups_every_limit_is_unknown_not_absent(tmp_path: Path, contents: dict[str, str]) -> None:
    facts = cgroup.inspect(tree(tmp_path, contents))

    for name in ("version", "cpus", "memory_bytes", "cpuset"):
        assert facts[name]["value"] is None
        assert facts[name]["error"]


def test_a_form_that_is_not_known_is_an_error_not_unlimited(tmp_path: Path) -> None:
    files = tree(tmp_path, {**UNIFIED, "/proc/self/cgroup": "0::/\n", f"{TOP}/cpu.max": "half\n"})

    assert cgroup.inspect(files)["cpus"]["value"] is None


def test_other_limits_of_version_2(tmp_path: Path) -> None:
    job = f"{TOP}/slice/job"
    files = tree(
        tmp_path,
        {
            **UNIFIED,
            "/proc/self/cgroup": "0::/slice/job\n",
            f"{job}/pids.max": "max\n",
            f"{TOP}/slice/pids.max": "500\n",
            f"{job}/memory.high": "1000\n",
            f"{job}/memory.swap.max": "0\n",
            f"{job}/cpu.weight": "50\n",
            f"{job}/io.max": "\n",
            f"{TOP}/slice/io.max": "8:0 rbps=1048576 wbps=max riops=max wiops=max\n",
        },
    )
    found = values(cgroup.inspect(files))

    assert (found["pids"], found["memory_high_bytes"], found["swap_bytes"]) == (500, 1000, 0)
    assert found["cpu_weight"] == "50"
    assert found["io_limits"] == ["io.max: 8:0 rbps=1048576 wbps=max riops=max wiops=max"]


def test_other_limits_of_version_1(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            f"{TOP}/pids/cgroup.procs": "1\n",
            f"{TOP}/blkio/cgroup.procs": "1\n",
            "/proc/self/cgroup": "8:pids:/\n7:blkio:/\n",
            f"{TOP}/pids/pids.max": "77\n",
            f"{TOP}/blkio/blkio.throttle.read_bps_device": "8:0 1048576\n",
            f"{TOP}/blkio/blkio.throttle.write_iops_device": "",
        },
    )
    found = values(cgroup.inspect(files))

    assert found["pids"] == 77
    assert found["io_limits"] == ["blkio.throttle.read_bps_device: 8:0 1048576"]


def test_limits_of_input_and_output_that_cannot_be_seen_are_not_none(tmp_path: Path) -> None:
    facts = cgroup.inspect(tree(tmp_path, {**UNIFIED, "/proc/self/cgroup": "0::/\n"}))

    assert facts["io_limits"]["value"] is None
    assert facts["io_limits"]["error"]
