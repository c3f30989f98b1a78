"""Platforms as the drawings tell them apart: a colour, a shape and a way to draw a line, never a colour alone.

Colours are variables of the style sheet (after Paul Tol's muted scheme, told apart with every kind of colour vision),
with a value of their own in the dark. The baseline is grey and a circle, its second arm the same but hollow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.matrix.cells import SECOND_ARM

MOST = 7  # platforms beside the baseline with a hue of their own; further ones begin again
_SHAPES = (
    ("●", "circle"),
    ("■", "square"),
    ("▲", "triangle-up"),
    ("◆", "diamond"),
    ("▼", "triangle-down"),
    ("✚", "cross"),
    ("▶", "triangle-right"),
    ("◀", "triangle-left"),
)
_DASHES = ((1, 0), (1, 0), (6, 3), (2, 2), (8, 2, 2, 2), (10, 4), (4, 2), (1, 3))


@dataclass(frozen=True, kw_only=True)
class Hue:
    """How a platform is drawn. `style` is the CSS class and the colour's variable, `glyph` the shape as text."""

    style: str
    glyph: str
    shape: str  # the same in vega's words
    dash: tuple[int, ...]


def hue(arm: str, platforms: Sequence[str]) -> Hue:
    """The hue of a platform or an arm; `platforms` has the baseline first. An unknown name has the baseline's."""
    name = arm.removesuffix(SECOND_ARM)
    place = platforms.index(name) if name in platforms else 0
    number = 0 if place == 0 else (place - 1) % MOST + 1
    glyph, shape = _SHAPES[number]
    return Hue(style=f"p{number}", glyph=glyph, shape=shape, dash=_DASHES[number])
