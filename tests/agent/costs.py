"""What a planted cost may come out as."""

from __future__ import annotations

import pytest

# What a loop may add of its own to a call, in seconds; through ctypes, 13 µs were seen.
CALL = {"native": 1e-6, "python": 25e-6}


def costs(seconds: float, loop: str = "native", calls: int = 1) -> object:
    """Equal to the planted seconds, within 5% or what the loop's own calls add."""
    return pytest.approx(seconds, rel=0.05, abs=calls * CALL[loop])
