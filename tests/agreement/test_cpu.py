from __future__ import annotations

import pytest

from tests.agreement import cpu

PERF = """# Running 'syscall/basic' benchmark:
# Executed 1000000 getppid() calls
     Total time: 0.183 [sec]

       0.183096 usecs/op
         5461615 ops/sec
"""
CYCLICTEST = """# /dev/cpu_dma_latency set to 0us
# Histogram
000000 000000
000051 000003
000052 000004
000053 000001
# Total: 000000008
# Min Latencies: 00051
# Histogram Overflows: 00001
"""
STREAM = """Function    Best Rate MB/s  Avg time     Min time     Max time
Add:            16253.1     0.057445     0.048069     0.095184
Triad:          16753.1     0.057445     0.048069     0.095184
"""
LAT_MEM_RD = """"stride=64
0.00049 1.082
0.01562 1.091
0.25000 4.270

"""


def test_what_perf_prints() -> None:
    assert cpu.seconds_per_operation(PERF) == pytest.approx(183.096e-9)


def test_the_median_of_a_histogram_counts_what_lies_beyond_it() -> None:
    assert cpu.histogram_median(CYCLICTEST) == pytest.approx(52.5e-6)
    with pytest.raises(ValueError, match="beyond the histogram"):
        cpu.histogram_median(CYCLICTEST.replace("Overflows: 00001", "Overflows: 00100"))


def test_what_stream_prints() -> None:
    assert cpu.triad_rate(STREAM) == pytest.approx(16.7531e9)


def test_what_lmbench_prints() -> None:
    assert cpu.load_latency(LAT_MEM_RD, 16384) == pytest.approx(1.091e-9)
    assert cpu.load_latency(LAT_MEM_RD, 262144) == pytest.approx(4.27e-9)
    with pytest.raises(ValueError, match="no line for 8388608 bytes"):
        cpu.load_latency(LAT_MEM_RD, 8 * cpu.MIB)


@pytest.mark.parametrize("parse", [cpu.seconds_per_operation, cpu.triad_rate, cpu.histogram_median])
def test_output_of_another_kind_is_an_error(parse: object) -> None:
    with pytest.raises(ValueError, match="no "):
        parse("usage: …")  # type: ignore[operator]  # each of them takes the output


def test_commands() -> None:
    assert cpu.switch_argv(9, threads=True, cpu=1) == [
        "taskset",
        "-c",
        "1",
        "perf",
        "bench",
        "sched",
        "pipe",
        "-l",
        "9",
        "-T",
    ]
    assert cpu.switch_argv(9, threads=False, cpu=None) == ["perf", "bench", "sched", "pipe", "-l", "9"]
    assert cpu.syscall_argv(7) == ["perf", "bench", "syscall", "basic", "--loop", "7"]
    assert cpu.cyclictest_argv(5, 1000) == [
        "cyclictest",
        "--default-system",
        "-q",
        "-i",
        "1000",
        "-l",
        "5",
        "-h",
        "5000",
    ]
    assert cpu.lat_mem_rd_argv(4096) == ["lat_mem_rd", "-N", "3", "-t", "1", "64"]


def test_pairs_alternate_which_comes_first() -> None:
    order: list[str] = []

    class Fake(cpu.Probe):
        """A made-up probe that notes when it runs."""

        def value(self) -> float:
            order.append("harness")
            return 2.0

    def tool() -> float:
        order.append("tool")
        return 1.0

    probe = Fake(entry="x.y", metric="z", statistic=min)
    comparison = cpu.Comparison(name="fake", probe=probe, program="sh", tool=tool)
    assert list(comparison.pairs(3)) == [(2.0, 1.0)] * 3
    assert order == ["tool", "harness", "harness", "tool", "tool", "harness"]
    assert not comparison.missing
    assert cpu.Comparison(name="fake", probe=probe, program="no such program", tool=tool).missing
