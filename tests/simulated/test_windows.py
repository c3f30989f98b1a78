"""The libraries for Windows come from the same sources."""

from __future__ import annotations

import pytest

from tests.simulated.build import windows_libraries


@pytest.mark.answers
@pytest.mark.slow
def test_the_libraries_for_windows_build() -> None:
    folder = windows_libraries()
    for name, function in (("nvcuda.dll", b"cuLaunchKernel\0"), ("nvml.dll", b"nvmlDeviceGetHandleByIndex_v2\0")):
        content = (folder / name).read_bytes()
        assert content.startswith(b"MZ")
        assert function in content
        assert b"simulated_configure\0" in content
