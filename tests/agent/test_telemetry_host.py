from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.agent.telemetry import host
from harness.agent.telemetry.sources import Source
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree

pytestmark = not_on_windows("it has no /proc")

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PSI = "some avg10=0.00 avg60=0.10 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
POLICIES = "sys/devices/system/cpu/cpufreq"


def machine(*, busy: int, steal: int, waited: int) -> dict[str, str]:
    return {
        "proc/stat": f"cpu  {busy * TICKS} 0 0 900 800 0 0 {steal * TICKS} 5 0\ncpu0 1 2 3 4\n",
        "proc/pressure/cpu": PSI.format(waited),
        f"{POLICIES}/policy0/scaling_cur_freq": "3000000\n",
        f"{POLICIES}/policy1/scaling_cur_freq": "1000000\n",
    }


def by_name(root: Path) -> dict[str, Source]:
    return {source.names[0]: source for source in host.sources(str(root))}


def test_counters_count_from_the_first_reading_on_and_files_stay_open(tmp_path: Path) -> None:
    tree(tmp_path, machine(busy=100, steal=10, waited=5_000_000))
    sources = by_name(tmp_path)
    for source in sources.values():
        source.refusal()
    tree(tmp_path, machine(busy=103, steal=12, waited=5_250_000))

    assert sources["cpu_busy_seconds"].values(1) == (3.0, 2.0)
    assert sources["pressure_cpu_some_seconds"].values(1) == (0.25,)
    assert sources["cpu_frequency_hz"].values(1) == (2e9,)


def test_what_is_not_there_or_in_another_form_is_refused_with_a_reason(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/stat": "nonsense\n", f"{POLICIES}/boost": "1\n"})
    refusals = {name: source.refusal() for name, source in by_name(tmp_path).items()}

    assert refusals["pressure_io_some_seconds"] == "FileNotFoundError: No such file or directory"
    assert refusals["cpu_busy_seconds"].startswith("ValueError")
    assert refusals["cpu_frequency_hz"] == f"LookupError: {host.NO_POLICY}"


def test_a_reading_that_fails_later_is_missing_not_zero(tmp_path: Path) -> None:
    tree(tmp_path, machine(busy=1, steal=1, waited=1))
    source = by_name(tmp_path)["cpu_busy_seconds"]
    assert source.refusal() == ""
    (tmp_path / "proc/stat").write_text("")

    assert source.values(0) == (None, None)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
def test_few_processors_are_asked_for_their_frequency(tmp_path: Path) -> None:
    tree(tmp_path, {f"{POLICIES}/policy{number}/scaling_cur_freq": "2000000\n" for number in range(200)})
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert by_name(tmp_path)["cpu_frequency_hz"].values(0) == (2e9,)

    assert len(list(Path("/proc/self/fd").iterdir())) - before == host.MOST_POLICIES


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux")
def test_this_machine_has_counters() -> None:
    sources = by_name(Path("/"))

    assert sources["cpu_busy_seconds"].refusal() == ""
    assert sources["cpu_busy_seconds"].values(1)[0] is not None
