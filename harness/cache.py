"""Where wheels, environments, checkouts and the packed agent are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from harness.errors import ResultsError


def cache_dir() -> Path:
    """Return the cache folder, made if need be: `OVERHEAD_MATRIX_CACHE`, else the user's cache directory.

    Raises ResultsError where it can't be made.
    """
    named = os.environ.get("OVERHEAD_MATRIX_CACHE")
    try:
        folder = Path(named).expanduser().resolve() if named else user_cache_path("overhead-matrix", appauthor=False)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: `~` of somebody who has no home
        problem = f"the cache folder {named or 'of this user'} can't be made: {error}"
        raise ResultsError(problem, "Name a folder that you can write to in OVERHEAD_MATRIX_CACHE") from error
    return folder


def without_home(text: str) -> str:
    """Return the text with `~` for the home folder, whose name is a person's: for whatever is published."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return text.replace(home, "~") if len(home) > 1 and home != "~" else text
