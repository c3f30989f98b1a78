from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from harness import native as native_build
from harness.agent import capacity
from harness.agent.helper import NativeHelper
from harness.agent.inspection.facts import Files
from harness.agent.probes import memory_latency
from harness.agent.probes.memory_latency import HUGE, Walker, working_sets
from harness.agent.task import Unavailable
from tests.agent.planted import no_huge_pages
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree

MIB = capacity.MIB
# The order of the walk is the loop's own business: a library built around its source tells it.
ORDER = """
#include "chase.c"
#include "region.c"
#include <stdlib.h>
PROBE_EXPORT int32_t order(int64_t lines, uint64_t seed, int64_t *followers)
{
    ring_t ring = {malloc((size_t)(64 * lines)), lines, 64};
    link_lines(&ring, seed);
    for (int64_t i = 0; i < lines; i++)
        followers[i] = ((char *)*line(&ring, i) - ring.data) / 64;
    int32_t status = check(&ring);
    free(ring.data);
    return status;
}
"""


@pytest.fixture
def walker(native: NativeHelper) -> Walker:
    return Walker(helper=native, seed=1, line=64)


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], list[int]]:
    """The lines that follow lines 0, 1, 2…, by the number of lines and the seed."""
    folder = tmp_path_factory.mktemp("order")
    source = folder / "order.c"
    source.write_text(ORDER)
    target = native_build.host_target()
    if target is None:
        pytest.skip("no native helper for this machine")
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", native_build.TARGETS[target]]
    flags = [*native_build.FLAGS, *native_build.POSIX_FLAGS, f"-I{native_build.SOURCES}"]
    subprocess.run([*compiler, *flags, str(source), "-o", str(folder / "order.so")], check=True)
    library = ctypes.CDLL(str(folder / "order.so"))
    library.order.argtypes = (ctypes.c_int64, ctypes.c_uint64, ctypes.c_void_p)

    def order(lines: int, seed: int) -> list[int]:
        followers = (ctypes.c_int64 * lines)()
        assert library.order(lines, seed, ctypes.addressof(followers)) == 0
        return list(followers)

    return order


def test_working_sets_are_the_same_everywhere() -> None:
    assert working_sets(MIB) == [4096, 16384, 65536, 262144, 1048576]
    assert working_sets(2 * MIB) == working_sets(MIB)
    assert working_sets(1) == [4096]


@not_on_windows("no compiler of ours runs there")
@pytest.mark.parametrize("lines", [2, 3, 64, 1000])
def test_the_walk_visits_every_line_once(order: Callable[[int, int], list[int]], lines: int) -> None:
    followers = order(lines, 7)
    at, seen = 0, []
    for _ in range(lines):
        seen.append(at)
        at = followers[at]
    assert at == 0
    assert sorted(seen) == list(range(lines))


@not_on_windows("no compiler of ours runs there")
def test_the_seed_fixes_the_walk(order: Callable[[int, int], list[int]]) -> None:
    assert order(1000, 7) == order(1000, 7)
    assert order(1000, 7) != order(1000, 8)


@not_on_windows("no compiler of ours runs there")
def test_the_walk_is_random(order: Callable[[int, int], list[int]]) -> None:
    """Over many seeds every step from line 0 of 5 is about as frequent: of 400, 100 ± 8.7 each."""
    steps = [order(5, seed)[0] for seed in range(400)]
    assert all(60 < steps.count(line) < 140 for line in range(1, 5))
    assert 0 not in steps


def test_every_working_set_and_page_size_is_a_series(run_task: RunTask, native: NativeHelper) -> None:
    outcome = run_task("memory.latency", max_bytes=4 * MIB, samples=3, warmup=1, loads=1000)
    assert names(outcome) == {"load_seconds", *INSTRUMENT}
    for size in working_sets(4 * MIB):
        loads = metric(outcome, "load_seconds", working_set=size, page_bytes=capacity.page_size())
        assert (len(loads.samples), loads.warmup, loads.unit, loads.better) == (4, 1, "s", "lower")
    huge = capacity.huge_page_size(Files())
    sizes = {each.dims["working_set"] for each in outcome.metrics if each.dims.get("page_bytes", 0) == huge}
    assert sizes == ({4 * MIB} if huge else set()), outcome.warnings


def test_a_set_that_no_near_cache_holds_costs_more(walker: Walker) -> None:
    near, _ = walker.walk(8192, 20, 50_000)
    far, _ = walker.walk(32 * MIB, 20, 50_000)
    assert min(far) > 5 * min(near)


def test_loads_depend_on_each_other(walker: Walker, native: NativeHelper) -> None:
    """No processor gives back a load in less than a nanosecond or so, but it can begin several at once."""
    seconds, _ = walker.walk(8192, 20, 50_000)
    assert min(seconds) > 5e-10


def test_a_load_costs_the_same_however_many_make_a_sample(walker: Walker) -> None:
    few = min(walker.walk(8192, 100, 20_000)[0])
    many = min(walker.walk(8192, 100, 80_000)[0])
    assert many == pytest.approx(few, rel=0.1)


@not_on_windows("large pages want a privilege there")
def test_pages_are_huge_only_where_they_are_asked_for(walker: Walker) -> None:
    assert walker.walk(4 * MIB, 1, 1)[1] == 0
    assert walker.walk(4 * MIB, 1, 1, pages=HUGE)[1] >= capacity.ALL_HUGE


@not_on_windows("large pages want a privilege there")
def test_huge_pages_that_were_not_got_are_missing_with_the_reason(run_task: RunTask, native: NativeHelper) -> None:
    with no_huge_pages():
        outcome = run_task("memory.latency", max_bytes=4 * MIB, samples=1, warmup=0, loads=1)
    assert {each.dims.get("page_bytes") for each in outcome.metrics} == {capacity.page_size(), None}
    assert any("no value for huge pages, which 0% of the memory got" in each for each in outcome.warnings)


def test_nodes_are_measured_in_pairs_and_one_that_is_refused_says_why(
    run_task: RunTask, native: NativeHelper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A made-up machine of two nodes; the real one has node 0 alone, so what is asked of node 1 is refused."""
    made_up = {
        "/sys/devices/system/node/online": "0-1",
        "/sys/devices/system/node/node0/cpulist": "0-1023",
        "/sys/devices/system/node/node1/cpulist": "1024",
        "/proc/self/status": "Mems_allowed_list:\t0-1\n",
    }
    files = tree(tmp_path, made_up)
    monkeypatch.setattr(memory_latency, "Files", lambda: files)
    outcome = run_task("memory.latency", max_bytes=4096, samples=2, warmup=0, loads=100)
    local = metric(outcome, "load_seconds", cpu_node=0, memory_node=0)
    assert local.dims["access"] == "local"
    assert median(local.samples) > 0
    (refused,) = outcome.warnings
    assert refused.startswith("memory.latency: CPUs of node 0 with memory of node 1: [Errno 22]")


@pytest.mark.parametrize(("size", "line", "node"), [(64, 64, -1), (8192, 4, -1), (8192, 64, 1023), (8192, 64, 5000)])
def test_what_cannot_be_done_is_refused(native: NativeHelper, size: int, line: int, node: int) -> None:
    with pytest.raises(OSError, match="Errno 22"):
        Walker(helper=native, seed=1, line=line).walk(size, 1, 1, node=node)


def test_more_memory_than_there_is_makes_it_unavailable(run_task: RunTask, native: NativeHelper) -> None:
    with pytest.raises(Unavailable, match=r"set max_bytes of memory\.latency in matrix\.yaml to \d+MiB or less"):
        run_task("memory.latency", max_bytes=2**50)


def test_without_the_helper_it_is_unavailable(run_task: RunTask, no_native: None) -> None:
    with pytest.raises(Unavailable, match="nox -s native"):
        run_task("memory.latency")
