"""What an exit status says of a process that did not end by itself."""

from __future__ import annotations

FIRST_EXCEPTION = 0xC0000000  # NTSTATUS of severity "error": on Windows an exception that nobody handled
CONTROL_C = 0xC000013A  # STATUS_CONTROL_C_EXIT


def crash(status: int) -> str:
    """Return what ended the process, `signal 11` or `exception 0xc0000005`; empty if it has ended by itself."""
    if status < 0:
        return f"signal {-status}"
    return f"exception {status:#x}" if status >= FIRST_EXCEPTION else ""
