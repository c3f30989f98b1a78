"""The native helper as the tests need it: built from the present sources, or skipped with the reason."""

from __future__ import annotations

import pytest

from harness import native
from harness.agent import helper
from harness.errors import StackError


def built() -> helper.NativeHelper:
    """Return the loaded helper; build it if it is stale, skip the test where that cannot be done."""
    if not native.is_current():
        try:
            native.build()
        except StackError as error:
            pytest.skip(str(error))
        helper.load.cache_clear()
    loaded = helper.load()
    if loaded is None:
        pytest.skip(f"no native helper for this machine: there is one for {', '.join(native.TARGETS)}")
    return loaded
