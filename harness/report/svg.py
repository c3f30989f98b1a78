"""From an altair chart to an SVG that lives inside the page, in the page's fonts and colours.

Colours in specifications are CSS (`var(--slower)`, `currentColor`), so light, dark and print need no second drawing.
"""

from __future__ import annotations

import re

import altair as alt
import vl_convert
from markupsafe import Markup, escape

FIGURE = "\u27e6{raw!r}|{text}\u27e7"  # a number inside a chart's text; becomes <tspan data-value=RAW>TEXT</tspan>

_FIGURE = re.compile("\u27e6([-+.e\\d]+)\\|([^\u27e6\u27e7|<>]*)\u27e7", re.ASCII)
_ROOT = re.compile(r"<svg [^>]*>")
_NUMBER_OF_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
_HELPER_PATHS = re.compile(r'<path class="(?:background|foreground)"[^>]*/>')
_NOISE = re.compile(r' (?:aria-[a-z]+|role|font-family|pointer-events|opacity|stroke-miterlimit)="(?:[^"]*)"')
_EMPTY_GROUP = re.compile(r"<g[^>]*></g>")
_KEPT_OPACITY = re.compile(r' opacity="(0[.]\d+)"')
_CONFIG = {
    "background": "transparent",
    "autosize": "none",
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "labelFontSize": 12,
        "labelPadding": 6,
        "domain": False,
        "tickColor": "var(--line)",
        "gridColor": "var(--line)",
        "titleColor": "currentColor",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 4,
    },
}


def inline(chart: alt.LayerChart, name: str, title: str, description: str) -> Markup:
    """Render the chart; `name` makes its ids unique on the page. No network, no external reference."""
    drawing = vl_convert.vegalite_to_svg({**chart.to_dict(validate=False), "config": _CONFIG})
    return Markup(_tidied(drawing, _root(drawing, name, title, description)))  # noqa: S704 - drawn by ourselves


def _root(drawing: str, name: str, title: str, description: str) -> str:
    found = _NUMBER_OF_SIZE.search(drawing)
    width, height = found.groups() if found else ("0", "0")
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )


def _tidied(drawing: str, root: str) -> str:
    body = _ROOT.sub("", drawing, count=1)
    body = _HELPER_PATHS.sub("", body)
    body = _KEPT_OPACITY.sub(r' fill-opacity="\1" stroke-opacity="\1"', body)
    body = _NOISE.sub("", body)
    shorter = _EMPTY_GROUP.sub("", body)
    while shorter != body:
        body, shorter = shorter, _EMPTY_GROUP.sub("", shorter)
    return root + _FIGURE.sub(r'<tspan data-value="\1">\2</tspan>', body)
