"""Quantities as matrix.yaml writes them: `4KiB` is 4096 (bytes), `2%` is 0.02, `10min` is 600.0 (seconds).

Every parser takes whatever YAML holds and raises ValueError with a sentence on what is expected. The patterns are
those of the JSON Schema too, so they keep to what Python's `re`, pydantic and ECMAScript understand alike.
"""

from __future__ import annotations

import re
from decimal import Decimal

FRACTION = r"^[0-9]{1,6}(\.[0-9]{1,6})? ?%$"
DURATION = r"^[0-9]{1,9}(\.[0-9]{1,6})? ?(s|min|h)$"
SIZE = r"^[0-9]{1,19}(\.[0-9]{1,6})? ?([KkMmGgTt]([Ii]?[Bb])?|[Bb])$"

_SECONDS = {"s": 1, "min": 60, "h": 3600}
_POWERS = "bkmgt"


def fraction(value: object) -> float:
    """Return a share: `2%` and 0.02 are the same."""
    if isinstance(value, str) and re.fullmatch(FRACTION, value):
        return float(Decimal(value.rstrip("% ")) / 100)
    return _number(value, "a percentage is expected, such as 2%")


def duration(value: object) -> float:
    """Return seconds: `90s`, `10min`, `1.5h`; a bare number is seconds."""
    if isinstance(value, str) and re.fullmatch(DURATION, value):
        unit = value.lstrip("0123456789. ")
        return float(Decimal(value.removesuffix(unit).rstrip()) * _SECONDS[unit])
    return _number(value, "a duration is expected, such as 30s, 10min or 1.5h")


def size(value: object) -> int:
    """Return bytes: `4KiB`, `4k` and 4096 are the same. Units are powers of 1024, as Docker reads them."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(SIZE, value):
        unit = value.lstrip("0123456789. ").lower()
        amount = Decimal(value[: len(value) - len(unit)].rstrip()) * 1024 ** _POWERS.index(unit[0])
        if amount == amount.to_integral_value():
            return int(amount)
    raise ValueError("a size in whole bytes is expected, such as 4096, 4KiB, 1MiB or 8g")


def docker_size(value: object) -> str:
    """Return a size in the notation that Docker's clients read, b, k, m or g: `2GiB` is `2g`.

    Raises ValueError for what is no size, for 0 and for more than 8 PiB, above which Docker rounds.
    """
    amount = size(value)
    if not 0 < amount <= 2**53:
        raise ValueError("a size above 0 and up to 8 PiB is expected, such as 2g")
    power = 0
    while power < _POWERS.index("g") and amount % 1024 == 0:
        amount //= 1024
        power += 1
    return f"{amount}{_POWERS[power]}"


def _number(value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(expected)  # noqa: TRY004 - pydantic tells ValueErrors, a TypeError would pass through it
    try:
        return float(value)
    except OverflowError:
        raise ValueError(expected) from None
