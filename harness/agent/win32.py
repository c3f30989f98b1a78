"""Win32 through ctypes, where Python's standard library has nothing: affinity, NUMA, memory, caches, processes.

Everything here exists on Windows alone and raises OSError with what Windows says. CPUs are counted as 64 × processor
group + number in the group, which is how the native helper counts them; a process starts in one group.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from dataclasses import dataclass

if sys.platform == "win32":
    from ctypes import wintypes

    GROUP = 64  # CPUs of a processor group, at most
    QUERY_LIMITED = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION
    READ_MEMORY = 0x10  # PROCESS_VM_READ
    ALL_PROCESSES = 2  # TH32CS_SNAPPROCESS
    NO_HANDLE = ctypes.c_void_p(-1).value  # INVALID_HANDLE_VALUE
    STILL_ACTIVE = 259
    TICK = 1e-7  # seconds of a FILETIME's unit
    FILETIME_EPOCH = 11_644_473_600  # seconds from 1601, where a FILETIME begins, to 1970
    RELATION_CACHE = 2
    INSTRUCTION_CACHE = 1
    LONGEST_PATH = 32_768  # characters, with the final null
    DRIVES = {2: "removable", 3: "fixed", 4: "network", 5: "optical", 6: "memory"}  # GetDriveTypeW

    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel32.GetCurrentProcess.restype = wintypes.HANDLE
    kernel32.OpenProcess.restype = wintypes.HANDLE
    kernel32.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
    kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)
    kernel32.GetExitCodeProcess.argtypes = (wintypes.HANDLE, ctypes.c_void_p)
    kernel32.GetProcessTimes.argtypes = (wintypes.HANDLE, *[ctypes.c_void_p] * 4)
    kernel32.GetProcessAffinityMask.argtypes = (wintypes.HANDLE, ctypes.c_void_p, ctypes.c_void_p)
    kernel32.SetProcessAffinityMask.argtypes = (wintypes.HANDLE, ctypes.c_size_t)
    kernel32.GetNumaHighestNodeNumber.argtypes = (ctypes.c_void_p,)
    kernel32.GetNumaNodeProcessorMaskEx.argtypes = (ctypes.c_ushort, ctypes.c_void_p)
    kernel32.GetSystemTimes.argtypes = (ctypes.c_void_p,) * 3
    kernel32.GlobalMemoryStatusEx.argtypes = (ctypes.c_void_p,)
    kernel32.CreateToolhelp32Snapshot.restype = wintypes.HANDLE
    kernel32.CreateToolhelp32Snapshot.argtypes = (wintypes.DWORD, wintypes.DWORD)
    kernel32.Process32FirstW.argtypes = (wintypes.HANDLE, ctypes.c_void_p)
    kernel32.Process32NextW.argtypes = (wintypes.HANDLE, ctypes.c_void_p)
    kernel32.K32GetProcessMemoryInfo.argtypes = (wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD)
    kernel32.GetLogicalProcessorInformation.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    kernel32.GetVolumePathNameW.argtypes = (wintypes.LPCWSTR, wintypes.LPWSTR, wintypes.DWORD)
    kernel32.GetVolumeInformationW.argtypes = (
        wintypes.LPCWSTR, wintypes.LPWSTR, wintypes.DWORD, *[ctypes.c_void_p] * 3, wintypes.LPWSTR, wintypes.DWORD,
    )  # fmt: skip
    kernel32.GetDriveTypeW.argtypes = (wintypes.LPCWSTR,)

    class _MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX."""

        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total", ctypes.c_uint64),
            ("available", ctypes.c_uint64),
            ("total_commit", ctypes.c_uint64),
            ("available_commit", ctypes.c_uint64),
            *((name, ctypes.c_uint64) for name in ("total_virtual", "available_virtual", "extended_virtual")),
        )

    class _GroupAffinity(ctypes.Structure):
        """GROUP_AFFINITY."""

        _fields_ = (("mask", ctypes.c_size_t), ("group", ctypes.c_uint16), ("reserved", ctypes.c_uint16 * 3))

    class _CacheDescriptor(ctypes.Structure):
        """CACHE_DESCRIPTOR."""

        _fields_ = (
            ("level", ctypes.c_uint8),
            ("associativity", ctypes.c_uint8),
            ("line", ctypes.c_uint16),
            ("size", ctypes.c_uint32),
            ("kind", ctypes.c_uint32),
        )

    class _ProcessorInformation(ctypes.Structure):
        """SYSTEM_LOGICAL_PROCESSOR_INFORMATION, of whose union only the cache is read."""

        _fields_ = (
            ("mask", ctypes.c_size_t),
            ("relation", ctypes.c_uint32),
            ("cache", _CacheDescriptor),
            ("rest", ctypes.c_uint64),
        )

    class _MemoryCounters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS."""

        _fields_ = (
            ("length", ctypes.c_uint32),
            ("page_faults", ctypes.c_uint32),
            ("peak_working_set", ctypes.c_size_t),
            *((f"other_{number}", ctypes.c_size_t) for number in range(7)),
        )

    class _ProcessEntry(ctypes.Structure):
        """PROCESSENTRY32W."""

        _fields_ = (
            ("length", wintypes.DWORD),
            ("usage", wintypes.DWORD),
            ("pid", wintypes.DWORD),
            ("heap", ctypes.c_size_t),
            ("module", wintypes.DWORD),
            ("threads", wintypes.DWORD),
            ("parent", wintypes.DWORD),
            ("priority", wintypes.LONG),
            ("flags", wintypes.DWORD),
            ("program", wintypes.WCHAR * 260),
        )

    @dataclass(frozen=True, kw_only=True)
    class Memory:
        """Bytes of physical memory, and what processes may still commit."""

        total: int
        available: int
        commit_limit: int

    def memory() -> Memory:
        """Return the machine's memory."""
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        _check(kernel32.GlobalMemoryStatusEx(ctypes.byref(status)))
        return Memory(total=status.total, available=status.available, commit_limit=status.total_commit)

    def affinity() -> int:
        """Return the mask of CPUs that this process may use, of its processor group."""
        mask, system = ctypes.c_size_t(), ctypes.c_size_t()
        process = kernel32.GetCurrentProcess()
        _check(kernel32.GetProcessAffinityMask(process, ctypes.byref(mask), ctypes.byref(system)))
        return mask.value

    def set_affinity(mask: int) -> None:
        """Bind all threads of this process to the CPUs of a mask of its processor group."""
        _check(kernel32.SetProcessAffinityMask(kernel32.GetCurrentProcess(), mask))

    def nodes() -> dict[int, set[int]]:
        """Return NUMA node → its CPUs."""
        highest = wintypes.ULONG()
        _check(kernel32.GetNumaHighestNodeNumber(ctypes.byref(highest)))
        found = {}
        for node in range(highest.value + 1):
            cpus = _GroupAffinity()
            if kernel32.GetNumaNodeProcessorMaskEx(node, ctypes.byref(cpus)):
                found[node] = {GROUP * cpus.group + bit for bit in bits(cpus.mask)}
        return found

    def bits(mask: int) -> list[int]:
        """Return the numbers of the bits that are set."""
        return [bit for bit in range(GROUP) if mask >> bit & 1]

    def caches() -> list[tuple[int, int]]:
        """Return size and line size in bytes of every cache that holds data."""
        size = wintypes.DWORD()
        kernel32.GetLogicalProcessorInformation(None, ctypes.byref(size))  # fails, and says how much room it needs
        found = (_ProcessorInformation * (size.value // ctypes.sizeof(_ProcessorInformation)))()
        _check(kernel32.GetLogicalProcessorInformation(found, ctypes.byref(size)))
        return [
            (each.cache.size, each.cache.line)
            for each in found
            if each.relation == RELATION_CACHE and each.cache.kind != INSTRUCTION_CACHE
        ]

    def processor_times() -> tuple[float, float]:
        """Return the seconds that all processors together have worked and have idled since boot."""
        idle, kernel, user = wintypes.FILETIME(), wintypes.FILETIME(), wintypes.FILETIME()
        _check(kernel32.GetSystemTimes(ctypes.byref(idle), ctypes.byref(kernel), ctypes.byref(user)))
        idled = _seconds(idle)
        return _seconds(kernel) + _seconds(user) - idled, idled  # idling counts as kernel time too

    def volume(path: str) -> str:
        """Return where the volume that a path lies on is mounted, with a backslash at the end."""
        root = ctypes.create_unicode_buffer(LONGEST_PATH)
        _check(kernel32.GetVolumePathNameW(path, root, LONGEST_PATH))
        return root.value

    def filesystem(path: str) -> str:
        """Return the name of the file system that a path lies on, such as `NTFS` or `ReFS`."""
        name = ctypes.create_unicode_buffer(LONGEST_PATH)
        nothing = (None, 0, None, None, None)
        _check(kernel32.GetVolumeInformationW(volume(path), *nothing, name, LONGEST_PATH))
        return name.value

    def drive(path: str) -> str:
        """Return what a path lies on: one of DRIVES, or `unknown`."""
        return DRIVES.get(kernel32.GetDriveTypeW(volume(path)), "unknown")

    def process_start(pid: int) -> int | None:
        """Return when a process of this user was created, in ticks of 100 ns; None if it does not live."""
        process = kernel32.OpenProcess(QUERY_LIMITED, False, pid)
        if not process:
            return None
        try:
            code = wintypes.DWORD()
            created, *others = (wintypes.FILETIME() for _ in range(4))
            _check(kernel32.GetExitCodeProcess(process, ctypes.byref(code)))
            _check(kernel32.GetProcessTimes(process, ctypes.byref(created), *map(ctypes.byref, others)))
        finally:
            kernel32.CloseHandle(process)
        return _ticks(created) if code.value == STILL_ACTIVE else None

    def process_seconds() -> float:
        """Return how long ago this process was created."""
        created = process_start(os.getpid())
        if created is None:
            raise ProcessLookupError(os.getpid())
        return time.time() - (created * TICK - FILETIME_EPOCH)

    def parents() -> dict[int, int]:
        """Return each process's parent among those that were created since this one, its descendants with certainty.

        A parent's number may be that of a process that has ended, and be this one's by now.
        """
        entry = _ProcessEntry(length=ctypes.sizeof(_ProcessEntry))
        snapshot = kernel32.CreateToolhelp32Snapshot(ALL_PROCESSES, 0)
        _check(snapshot != NO_HANDLE)
        found = {}
        try:
            more = kernel32.Process32FirstW(snapshot, ctypes.byref(entry))
            while more:
                found[int(entry.pid)] = int(entry.parent)
                more = kernel32.Process32NextW(snapshot, ctypes.byref(entry))
        finally:
            kernel32.CloseHandle(snapshot)
        own = process_start(os.getpid()) or 0
        return {pid: parent for pid, parent in found.items() if (process_start(pid) or 0) >= own}

    def peak_working_set(pid: int) -> int:
        """Return the most bytes of memory that a process of this user has held."""
        process = kernel32.OpenProcess(QUERY_LIMITED | READ_MEMORY, False, pid)
        _check(bool(process))
        try:
            counters = _MemoryCounters(length=ctypes.sizeof(_MemoryCounters))
            _check(kernel32.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.length))
        finally:
            kernel32.CloseHandle(process)
        return int(counters.peak_working_set)

    def _check(succeeded: int) -> None:
        if not succeeded:
            raise ctypes.WinError(ctypes.get_last_error())

    def _ticks(moment: wintypes.FILETIME) -> int:
        return moment.dwHighDateTime << 32 | moment.dwLowDateTime

    def _seconds(moment: wintypes.FILETIME) -> float:
        return _ticks(moment) * TICK
