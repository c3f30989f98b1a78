from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.agreement import memory, tools

# What perf 6.1 and stress-ng 0.15 printed, shortened.
PERF_STAT = """\
stress-ng: metrc: [20900] stressor       bogo ops real time  usr time  sys time   bogo ops/s     bogo ops/s
stress-ng: metrc: [20900] brk              100000      0.89      0.03      0.31    112013.53      298751.81
stress-ng: metrc: [20900] brk                 3162.67 nanosecs per sbrk page expand (geometic mean of 1 instances)

            78,944      minor-faults
"""


def test_what_perf_counts_of_stress_ng() -> None:
    assert memory.counted(PERF_STAT) == 78944
    assert tools.stress_ng_seconds(PERF_STAT, "brk") == pytest.approx(1 / 112013.53)
    with pytest.raises(ValueError, match="no minor-faults"):
        memory.counted("no permission")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc; `apt install gcc`")
def test_a_chase_by_hand_finds_the_caches(tmp_path: Path) -> None:
    program = tmp_path / "by_hand"
    tools.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, memory.SOURCE])
    near, far = (memory.by_hand(program, "chase", size) for size in (16 << 10, 64 << 20))
    assert 1e-10 < near < 1e-8
    assert 3 * near < far < 1e-6
    assert 1e-6 < memory.by_hand(program, "thread", 200) < 1e-2
