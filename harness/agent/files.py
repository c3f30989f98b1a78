"""Moving a file to its place, where another program may have that place open."""

from __future__ import annotations

import os
import sys
import time

PATIENCE = 2.0  # seconds; a virus scanner or an indexer looks into a new file for a moment
PAUSE = 0.02


def replace(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Rename a file over another. Windows refuses while either is open: it is asked again for a short while.

    Raises OSError as the file system does.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            os.replace(source, target)  # noqa: PTH105 - the one place that does it
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE)
        else:
            return
