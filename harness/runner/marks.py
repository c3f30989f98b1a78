"""Marks of the values that a bundle hides: they tell whether two are the same, and nothing else.

A mark is an HMAC under a key that is drawn once a cache folder and never leaves it, so nobody who has the bundle alone
can try out guesses. Marks under two keys say nothing of one another.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from harness.agent.files import replace
from harness.errors import UsageError
from harness.results.records import HiddenRecord

KEY = "marks.key"
KEY_BYTES = 32


def marks(values: Mapping[str, str], cache: Path) -> HiddenRecord:
    """Return the marks of the values by their places."""
    key = _key(cache)
    return HiddenRecord(key=_digest(key, b"key"), values={place: _mark(key, place, values[place]) for place in values})


def check(run_id: str, recorded: HiddenRecord, today: Mapping[str, str], cache: Path) -> tuple[str, ...]:
    """Return the places whose values can't be checked; raise UsageError for one that is not what it was."""
    now = marks(today, cache)
    known = recorded.values if recorded.key == now.key else {}
    changed = [place for place, mark in now.values.items() if known.get(place, mark) != mark]
    if changed:
        problem = f"--resume {run_id}: {changed[0]} is not what it was when the run began"
        raise UsageError(problem, "Put it back in the matrix file, or start a new run")
    return tuple(place for place in today if place not in known)


def _mark(key: bytes, place: str, value: str) -> str:
    return _digest(key, f"{place}\0{value}".encode("utf-8", "surrogatepass"))


def _digest(key: bytes, data: bytes) -> str:
    return hmac.new(key, data, hashlib.sha256).hexdigest()[:16]


def _key(cache: Path) -> bytes:
    """Return this cache folder's key, drawn if it has none that is whole."""
    path = cache / KEY
    try:
        known = path.read_bytes()
    except FileNotFoundError:
        known = b""
    if len(known) == KEY_BYTES:
        return known
    drawn, part = secrets.token_bytes(KEY_BYTES), cache / f"{KEY}.{os.getpid()}"
    part.touch(mode=0o600)
    part.write_bytes(drawn)
    replace(part, path)
    return drawn
