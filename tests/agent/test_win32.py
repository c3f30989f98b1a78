from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.agent.inspection import storage, windows
from harness.agent.inspection.facts import Files
from harness.agent.messages import Location

if sys.platform == "win32":
    from harness.agent import win32

    def test_memory_is_some() -> None:
        found = win32.memory()
        assert 2**28 < found.available <= found.total < 2**50
        assert found.commit_limit > 0

    def test_caches_have_sizes_and_lines() -> None:
        assert all(size > 0 and line in {0, 32, 64, 128} for size, line in win32.caches())

    def test_nodes_hold_the_cpus_that_may_be_used() -> None:
        found: set[int] = set().union(*win32.nodes().values())
        assert not found or found >= set(win32.bits(win32.affinity()))  # Wine 8 says of no node what it holds

    def test_the_affinity_that_is_set_is_the_one_that_holds() -> None:
        before = win32.affinity()
        try:
            win32.set_affinity(1 << win32.bits(before)[-1])
            assert win32.bits(win32.affinity()) == win32.bits(before)[-1:]
        finally:
            win32.set_affinity(before)
        assert win32.affinity() == before

    def test_a_folder_lies_on_a_volume_with_a_file_system(tmp_path: Path) -> None:
        assert win32.volume(str(tmp_path)) == tmp_path.anchor
        assert win32.filesystem(str(tmp_path)).isalnum()
        assert win32.drive(str(tmp_path)) in {*win32.DRIVES.values(), "unknown"}
        facts = storage.inspect(Files(), [Location(name="here", path=str(tmp_path))])
        assert facts["here.filesystem"]["value"] == win32.filesystem(str(tmp_path))
        assert facts["here.total_bytes"]["value"] >= facts["here.free_bytes"]["value"] > 0
        with pytest.raises(OSError, match=r"."):
            win32.filesystem(r"Q:\nowhere")

    def test_processors_work_and_idle() -> None:
        before = win32.processor_times()
        end = time.perf_counter() + 0.5
        while time.perf_counter() < end:
            pass
        after = win32.processor_times()
        assert after[0] - before[0] > 0.2
        assert after[1] >= before[1]

    def test_a_process_is_known_by_its_start_until_it_ends() -> None:
        code = "import sys; print('up', flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "up\n"
            start = win32.process_start(child.pid)
            assert start is not None
            assert start == win32.process_start(child.pid)
            assert start >= (win32.process_start(os.getpid()) or 0)
            child.communicate()
            assert win32.process_start(child.pid) is None

    def test_this_process_has_an_age() -> None:
        first = win32.process_seconds()
        time.sleep(0.3)
        assert 0.2 < win32.process_seconds() - first < 3

    def test_a_stand_in_says_so_and_windows_does_not() -> None:
        wine = hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")
        assert bool(windows.stand_in()) == wine
        if wine:
            assert windows.stand_in()["stand_in"]["value"].startswith("Wine ")

    def test_the_inspection_has_what_windows_tells() -> None:
        facts = windows.inspect()
        assert facts["gpu_scheduling"]["value"] in {"default", "on", "off"}
        assert 0 < facts["timer_resolution_seconds"]["value"] <= 0.016
        assert windows.product()["value"]
        assert windows.processor()["value"]

else:

    @pytest.mark.skip(reason="needs Windows")
    def test_win32() -> None:
        """Everything above."""


def test_a_boot_is_told_by_installation_and_count() -> None:
    values = {"InstallDate": 0x4BE5019A, "BootId": 7}
    assert windows.boot_id(lambda _key, name: values[name])["value"] == "4be5019a-7"
    fact = windows.boot_id(lambda _key, name: {"InstallDate": 1}[name])
    assert (fact["value"], fact["error"]) == (None, "KeyError: 'BootId'")


def test_elsewhere_there_is_no_stand_in_for_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert windows.stand_in() == {}
