"""Where wheels, environments, checkouts and the packed agent are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_dir() -> Path:
    """Return the cache folder, made if need be: `OVERHEAD_MATRIX_CACHE`, else the user's cache directory."""
    named = os.environ.get("OVERHEAD_MATRIX_CACHE")
    folder = Path(named).expanduser().resolve() if named else user_cache_path("overhead-matrix", appauthor=False)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
