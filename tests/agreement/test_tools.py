"""The parsers, on what the tools printed (Debian 12's, but for STREAM 5.10), shortened where nothing is read."""

from __future__ import annotations

import json

import pytest

from tests.agreement import tools

HYPERFINE = """
{"results": [{"command": "true", "mean": 0.001742496, "stddev": 0.001402213053551421, "median": 0.00088619,
  "user": 0.0006647999999999999, "system": 0.0, "min": 0.0007166680000000001, "max": 0.003975102,
  "times": [0.003975102, 0.000848484, 0.0007166680000000001, 0.002286036, 0.00088619], "exit_codes": [0, 0, 0, 0, 0]}]}
"""
STRESS_NG = """\
stress-ng: info:  [28188] defaulting to a 86400 second (1 day, 0.00 secs) run per stressor
stress-ng: info:  [28188] dispatching hogs: 1 vfork
stress-ng: metrc: [28188] stressor       bogo ops real time  usr time  sys time   bogo ops/s     bogo ops/s
stress-ng: metrc: [28188]                           (secs)    (secs)    (secs)   (real time) (usr+sys time)
stress-ng: metrc: [28188] vfork              2000      0.23      0.03      0.04      8856.92       28306.16
stress-ng: info:  [28188] successful run completed in 0.24s
"""
MBW = """\
0\tMethod: DUMB\tElapsed: 0.04720\tMiB: 256.00000\tCopy: 5424.188 MiB/s
1\tMethod: DUMB\tElapsed: 0.04686\tMiB: 256.00000\tCopy: 5463.664 MiB/s
AVG\tMethod: DUMB\tElapsed: 0.04615\tMiB: 256.00000\tCopy: 5547.289 MiB/s
"""
STREAM = """\
Function    Best Rate MB/s  Avg time     Min time     Max time
Copy:           19185.0     0.030302     0.027984     0.033547
Scale:          12616.0     0.050397     0.042555     0.058254
Add:            13597.4     0.072129     0.059225     0.083531
Triad:          12069.2     0.076228     0.066724     0.084070
-------------------------------------------------------------
Solution Validates: avg error less than 1.000000e-13 on all three arrays
"""
FIO = """
{"fio version": "fio-3.33", "jobs": [{"jobname": "x", "error": 0, "read": {"total_ios": 2000, "runtime": 139,
  "clat_ns": {"min": 1321, "max": 34112, "mean": 2084.153, "N": 2000, "percentile": {"1.000000": 1432,
  "50.000000": 1976, "99.000000": 4512}}, "lat_ns": {"mean": 0.0, "N": 0}}}]}
"""
# Written after nvbandwidth's json_output.cpp (66746a3), which stores a rate as text; no machine printed it.
NVBANDWIDTH = """
{"nvbandwidth": {"CUDA Runtime Version": 13000, "testcases": [
  {"name": "host_to_device_memcpy_ce", "status": "Passed", "bandwidth_matrix": [["55.3"]], "sum": 55.3},
  {"name": "device_to_host_memcpy_ce", "status": "Waived"}]}}
"""


def test_hyperfine() -> None:
    assert tools.hyperfine_median(HYPERFINE) == 0.00088619


def test_stress_ng_counts_real_time() -> None:
    assert tools.stress_ng_seconds(STRESS_NG, "vfork") == pytest.approx(1 / 8856.92)
    with pytest.raises(ValueError, match="fork"):
        tools.stress_ng_seconds(STRESS_NG, "fork")


def test_mbw_is_the_average() -> None:
    assert tools.mbw_bandwidth(MBW) == pytest.approx(5547.289 * 2**20)


def test_stream_is_the_triad() -> None:
    assert tools.stream_triad_bandwidth(STREAM) == pytest.approx(12069.2e6 * 0.066724 / 0.076228)


def test_fio_is_the_median() -> None:
    assert tools.fio_median(FIO) == pytest.approx(1.976e-6)


def test_nvbandwidth_is_the_first_gpus_and_must_have_passed() -> None:
    assert tools.nvbandwidth_rate(NVBANDWIDTH, "host_to_device_memcpy_ce") == pytest.approx(55.3e9)
    with pytest.raises(ValueError, match="device_to_host_memcpy_ce: Waived"):
        tools.nvbandwidth_rate(NVBANDWIDTH, "device_to_host_memcpy_ce")
    with pytest.raises(ValueError, match="device_local_copy: not run"):
        tools.nvbandwidth_rate(NVBANDWIDTH, "device_local_copy")


def test_what_cannot_be_read_is_shown() -> None:
    with pytest.raises(ValueError, match="Permission denied"):
        tools.mbw_bandwidth("mbw: Permission denied")
    with pytest.raises(json.JSONDecodeError):
        tools.hyperfine_median("")
