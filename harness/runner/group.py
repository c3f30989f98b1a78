"""A process and all that it starts, as one thing that can be asked to stop and ended.

On POSIX a session's process group; on Windows a job object, which the system ends when its last handle closes, so also
when this program is killed. Ctrl-Break is what a group can be sent there (Ctrl-C is switched off in a new one).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

if sys.platform == "win32":
    from ctypes import wintypes

    CREATE_SUSPENDED = 0x4
    EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
    KILL_ON_JOB_CLOSE = 0x2000
    KILLED = 1  # exit status of what a job's end has ended

    OPTIONS: Mapping[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | CREATE_SUSPENDED}

    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel32.CreateJobObjectW.restype = wintypes.HANDLE
    kernel32.SetInformationJobObject.argtypes = (wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD)
    kernel32.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
    kernel32.TerminateJobObject.argtypes = (wintypes.HANDLE, wintypes.UINT)
    kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)
    ntdll = ctypes.WinDLL("ntdll")
    ntdll.NtResumeProcess.argtypes = (wintypes.HANDLE,)

    class _Limits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

        _fields_ = (
            ("process_time", ctypes.c_int64),
            ("job_time", ctypes.c_int64),
            ("flags", wintypes.DWORD),
            ("sizes", ctypes.c_size_t * 2),
            ("active", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("classes", wintypes.DWORD * 2),
            ("io", ctypes.c_uint64 * 6),
            ("memory", ctypes.c_size_t * 4),
        )

    class Group:
        """The job of a process that was started suspended, so that it has started nothing before it was in the job."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            """Take the process in and let it run; raise OSError, the process ended, where Windows refuses."""
            self._process = process
            handle = int(process._handle)  # type: ignore[attr-defined]  # Popen's own, open until it is collected
            self._job = kernel32.CreateJobObjectW(None, None)
            limits = _Limits(flags=KILL_ON_JOB_CLOSE)
            size = ctypes.sizeof(limits)
            if not (
                self._job
                and kernel32.SetInformationJobObject(self._job, EXTENDED_LIMITS, ctypes.byref(limits), size)
                and kernel32.AssignProcessToJobObject(self._job, handle)
            ):
                error = ctypes.WinError(ctypes.get_last_error())
                process.kill()
                raise error
            ntdll.NtResumeProcess(handle)

        def await_end(self) -> None:
            """Wait until the process has ended; others of the group may go on."""
            self._process.wait()

        def interrupt(self) -> None:
            """Ask the group to stop by Ctrl-Break, where it has a console."""
            try:
                self._process.send_signal(signal.CTRL_BREAK_EVENT)
            except OSError:  # this program has no console that its child could share
                return

        def terminate(self) -> None:
            """There is no firmer request here: what comes next is the end."""

        def kill(self) -> None:
            """End whatever still runs of the group."""
            if self._job:
                kernel32.TerminateJobObject(self._job, KILLED)
                kernel32.CloseHandle(self._job)
                self._job = None

else:
    OPTIONS: Mapping[str, Any] = {"start_new_session": True}

    class Group:
        """The process group that a process leads."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            self._leader = process.pid

        def await_end(self) -> None:
            """Wait for the leader without reaping it: until the group has ended, nobody else may get its number."""
            os.waitid(os.P_PID, self._leader, os.WEXITED | os.WNOWAIT)

        def interrupt(self) -> None:
            """Ask the group to stop as Ctrl-C does."""
            os.killpg(self._leader, signal.SIGINT)

        def terminate(self) -> None:
            """Ask it more firmly."""
            os.killpg(self._leader, signal.SIGTERM)

        def kill(self) -> None:
            """End whatever still runs of the group."""
            os.killpg(self._leader, signal.SIGKILL)
