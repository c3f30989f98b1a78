from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.agent.probes.storage_random import BLOCK
from tests.agreement.storage import CASES, FILE, Case, Comparison, fio_command, read_fio

# From what fio 3.33 printed for two of the cases, a direct random read and a write with fdatasync.
READ: dict[str, Any] = {
    "io_bytes": 134217728,
    "total_ios": 32768,
    "runtime": 1591,
    "clat_ns": {"mean": 48165.215302, "percentile": {"50.000000": 12224}},
}
WRITE: dict[str, Any] = {
    "io_bytes": 1638400,
    "total_ios": 400,
    "runtime": 729,
    "clat_ns": {"mean": 24551.5225, "percentile": {"50.000000": 20608}},
}
SYNC = {"lat_ns": {"mean": 1798359.719298, "percentile": {"50.000000": 577536}}}
NONE: dict[str, Any] = {"io_bytes": 0, "total_ios": 0, "runtime": 0, "clat_ns": {"mean": 0.0}}


def printed(*, read: dict[str, Any] = NONE, write: dict[str, Any] = NONE, error: int = 0) -> str:
    return "note: a line before\n" + json.dumps(
        {"jobs": [{"error": error, "read": read, "write": write, "sync": SYNC}]}
    )


def case(name: str) -> Case:
    (found,) = (each for each in CASES if each.name == name)
    return found


def test_names_are_unique() -> None:
    assert len({each.name for each in CASES}) == len(CASES)


def test_a_command_says_all_that_matters() -> None:
    command = fio_command(case("random read, direct, 4 in flight"), Path("/disk/fio"))
    assert command[:3] == ["fio", "--name=agreement", "--filename=/disk/fio"]
    part = FILE // 4
    wanted = {"--rw=randread", f"--bs={BLOCK}", "--direct=1", "--numjobs=4", f"--size={part}", "--ioengine=psync"}
    assert wanted <= set(command)


def test_each_case_has_one_engine_and_one_size() -> None:
    for each in CASES:
        command = fio_command(each, Path("/disk/fio"))
        for option in ("--ioengine=", "--size=", "--rw=", "--bs="):
            assert sum(word.startswith(option) for word in command) == 1, (each.name, option)


def test_the_figures_of_a_known_output() -> None:
    # fio's own iops and bw_bytes for these: 20595.851666 and 84360608 for the read, 2247462 for the write
    assert read_fio(printed(read=READ), "iops") == pytest.approx(20595.851666)
    assert read_fio(printed(write=WRITE), "written") == pytest.approx(2247462, abs=1)
    assert read_fio(printed(read=READ), "bandwidth") == pytest.approx(84360608, rel=0.01)  # here without fio's own time
    assert read_fio(printed(read=READ), "latency") == pytest.approx(12.224e-6)
    assert read_fio(printed(write=WRITE), "write_and_sync") == pytest.approx(598.144e-6)


def test_a_failed_job_is_no_figure() -> None:
    with pytest.raises(ValueError, match="fio: error 5"):
        read_fio(printed(read=READ, error=5), "iops")


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        ([(1.02, 1.0), (0.99, 1.0), (1.0, 1.0), (1.01, 1.0)], "agrees"),
        ([(1.2, 1.0), (1.21, 1.0), (1.19, 1.0), (1.2, 1.0)], "DIFFERS"),
        ([(1.5, 1.0), (0.7, 1.0), (1.4, 1.0), (0.6, 1.0)], "too noisy to tell"),
    ],
)
def test_noise_is_neither_agreement_nor_difference(pairs: list[tuple[float, float]], verdict: str) -> None:
    assert Comparison.of(CASES[0], pairs).verdict == verdict


def test_the_best_of_a_bandwidth_is_the_highest_and_of_a_latency_the_lowest() -> None:
    pairs = [(2.0, 4.0), (3.0, 1.0)]
    assert Comparison.of(case("sequential read, cold"), pairs).best == pytest.approx(3 / 4)
    assert Comparison.of(case("read_seconds, cold"), pairs).best == pytest.approx(2 / 1)
