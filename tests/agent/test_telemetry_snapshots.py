from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.agent.telemetry.snapshots import Snapshot, change, snapshot
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree

PSI = "some avg10=0.00 avg60=0.10 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"


@not_on_windows("it has no /proc")
def test_counters_are_read_in_seconds_and_hertz(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    files = tree(
        tmp_path,
        {
            "proc/stat": f"cpu  {2 * ticks} 0 {ticks} 500 {3 * ticks} 0 0 {4 * ticks} 0 0\ncpu0 1 1\n",
            "proc/pressure/cpu": PSI.format(2_500_000),
            "sys/fs/cgroup/cpu.stat": "usage_usec 9\nnr_periods 4\nnr_throttled 3\nthrottled_usec 1500000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "3000000\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1000000\n",
        },
    )
    taken = snapshot(files.root)

    assert taken.cpu["user"] == 2
    assert taken.cpu["iowait"] == 3
    assert taken.cpu["steal"] == 4
    assert taken.pressure == pytest.approx({"cpu.some": 2.5, "cpu.full": 7e-6})
    assert taken.throttled == pytest.approx(1.5)
    assert taken.quota == {"all": 4, "used_up": 3}
    assert taken.frequency == 2e9


def test_an_older_group_and_a_guest_without_cpufreq_are_read_too(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "sys/fs/cgroup/cpu/cpu.stat": "nr_periods 1\nnr_throttled 1\nthrottled_time 250000000\n",
            "proc/cpuinfo": "processor\t: 0\ncpu MHz\t\t: 2000.000\n\nprocessor\t: 1\ncpu MHz\t\t: 3000.000\n",
        },
    )
    taken = snapshot(files.root)

    assert taken.throttled == pytest.approx(0.25)
    assert taken.quota == {"all": 1, "used_up": 1}
    assert taken.frequency == 2.5e9


@not_on_windows("it has no /proc")
@pytest.mark.parametrize("content", ["", "nonsense", "cpu x y"])
def test_what_cannot_be_read_is_missing_not_zero(tmp_path: Path, content: str) -> None:
    empty = snapshot(tmp_path)
    broken = snapshot(tree(tmp_path, {"proc/stat": content, "proc/pressure/io": content, "proc/cpuinfo": content}).root)

    for taken in (empty, broken):
        record = change(taken, taken)
        missing = {"cpu_seconds", "pressure_seconds", "cpu_frequency_hz", "throttled_seconds", "quota_periods"}
        assert missing.isdisjoint(record)


def test_a_change_is_the_difference_of_counters_and_both_values_of_levels() -> None:
    before = Snapshot(
        clock=10.0,
        load=[1.0],
        cpu={"steal": 1.0, "user": 2.0},
        pressure={"io.some": 1.0},
        throttled=1.0,
        quota={"all": 10, "used_up": 1},
        frequency=2e9,
        switches={"voluntary": 10},
        peak_rss=100,
    )
    after = Snapshot(
        clock=12.5,
        load=[2.0],
        cpu={"steal": 1.25, "irq": 9.0},
        pressure={"io.some": 4.0},
        throttled=1.5,
        quota={"all": 30, "used_up": 6},
        frequency=3e9,
        switches={"voluntary": 17},
        peak_rss=200,
    )

    assert change(before, after) == {
        "seconds": 2.5,
        "load": {"before": [1.0], "after": [2.0]},
        "cpu_frequency_hz": {"before": 2e9, "after": 3e9},
        "cpu_seconds": {"steal": 0.25},
        "pressure_seconds": {"io.some": 3.0},
        "context_switches": {"voluntary": 7},
        "throttled_seconds": 0.5,
        "quota_periods": {"all": 20, "used_up": 5},
        "peak_rss_bytes": 200,
    }


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux")
def test_this_machine_has_counters() -> None:
    before = snapshot()
    ballast = bytearray(32 << 20)
    time.sleep(0.01)
    record = change(before, snapshot())

    assert record["seconds"] >= 0.01
    assert record["context_switches"]["voluntary"] >= 1
    assert record["peak_rss_bytes"] > len(ballast)
    assert record["cpu_seconds"]["steal"] >= 0
