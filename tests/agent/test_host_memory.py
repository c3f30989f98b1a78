from __future__ import annotations

import ctypes
import mmap

import pytest

from harness.agent import host_memory
from tests.agent.systems import not_on_windows


def test_what_is_available_is_some_of_the_memory() -> None:
    assert 2**20 < host_memory.available() < 2**50


@not_on_windows("there the system does say")
def test_a_system_that_does_not_say_has_a_cautious_gibibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "available_memory", lambda files: None)
    assert host_memory.available() == host_memory.UNKNOWN == 2**30


def test_pageable_memory_is_whole_pages_and_writable() -> None:
    with host_memory.pageable(3 * mmap.PAGESIZE) as address:
        assert address % mmap.PAGESIZE == 0
        assert ctypes.string_at(address, 3 * mmap.PAGESIZE) == bytes([1]) * 3 * mmap.PAGESIZE
        ctypes.memset(address, 7, 3 * mmap.PAGESIZE)
        assert ctypes.string_at(address, 1) == b"\7"
