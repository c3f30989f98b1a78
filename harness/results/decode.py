"""JSON from a file that is not trusted: finite numbers, bounded depth, text that can be written again."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 32


def decode(raw: bytes) -> Any:  # noqa: ANN401 - JSON of unknown shape
    """Return the data of a JSON text; raise ValueError, in one short line, for anything that is not sound.

    Stricter than the format: no NaN, no number beyond a double, no unpaired surrogate (no file could hold it), and
    nesting of 32 levels at most, so that later code may walk the data freely.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from error
    try:
        data = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg}, line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from error
    _check_depth(data)
    if "\\u" in text:
        _check_text(data)
    return data


def _no_constant(name: str) -> float:
    raise ValueError(f"not JSON ({name} is not a number)")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"a number is too large ({text[:20]})")
    return value


def _check_depth(data: object) -> None:
    level = [data]
    for _ in range(MAX_DEPTH):
        children = (
            item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)
        )
        level = [child for each in children for child in each if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _check_text(data: object) -> None:
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text holds half a character (an unpaired surrogate)") from error
