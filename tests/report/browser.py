"""Opens a report in headless Chromium and says what is wrong with it; makes the README's picture.

python -m tests.report.browser REPORT/index.html [--screenshot FILE.png [--dark] [--width N] [--height N]]

Ends with 1 and the problems on stderr if there are any. Chromium is `$CHROMIUM`, else one on the PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

PHONE, DESK = 360, 1440  # CSS pixels
Screen = tuple[int, Literal["light", "dark"]]
SCREENS: tuple[Screen, ...] = ((DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark"))
ARGUMENTS = [
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DECIMAL = re.compile(r"\d+[.]\d+")

# Every text that is neither a marked figure nor an axis' scale.
OTHER_TEXT = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!parent.closest("data, [data-value], script, style, .role-axis")) texts.push(walker.currentNode.data);
  }
  return texts;
}"""
FIGURES = """() => [...document.querySelectorAll("data, [data-value]")].map(
  (element) => element.getAttribute("value") ?? element.getAttribute("data-value"))"""
WIDER_THAN_SCREEN = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def chromium() -> str | None:
    """Return the browser's program, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def check_page(index: Path, report_json: Path) -> list[str]:
    """Return what is wrong: console messages, requests, figures that report.json lacks, scrolling sideways."""
    problems: list[str] = []
    with launched() as browser:
        page = browser.new_page(viewport={"width": DESK, "height": 900})
        url = index.resolve().as_uri()
        page.on("console", lambda message: problems.append(f"console: {message.type}: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.on("request", lambda request: problems.extend(_foreign(request.url, url)))
        page.goto(url, wait_until="load")
        problems += _strangers(page, json.loads(report_json.read_text(encoding="utf-8")))
        for width in (DESK, PHONE):
            page.set_viewport_size({"width": width, "height": 800})
            if (excess := page.evaluate(WIDER_THAN_SCREEN)) > 0:
                problems.append(f"at {width} px the page is {excess} px too wide and scrolls sideways")
    return problems


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless browser. Raises FileNotFoundError where there is none."""
    program = chromium()
    if program is None:
        msg = "no Chromium: install it or name it in CHROMIUM"
        raise FileNotFoundError(msg)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def screenshot(index: Path, picture: Path, *, dark: bool = False, width: int = DESK, height: int | None = None) -> None:
    """Save a picture of the report: its first `height` pixels, without one the whole page."""
    with launched() as browser:
        page = browser.new_page(
            viewport={"width": width, "height": height or 900},
            color_scheme="dark" if dark else "light",
            device_scale_factor=2 if width <= DESK else 1,
        )
        page.goto(index.resolve().as_uri(), wait_until="load")
        page.screenshot(path=picture, full_page=height is None)


def inaccessible(page: Page, *rules: str) -> list[str]:
    """Return what axe-core finds wrong with an open page, by these rules, else by all: which, and the elements."""
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{each['id']}: {each['help']}: {node['html'][:160]}" for each in found for node in each["nodes"][:3]]


def unfit(page: Page, screens: Sequence[Screen] = SCREENS) -> list[str]:
    """Return what is wrong with an open page on these screens: width and accessibility."""
    problems = []
    for width, scheme in screens:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        where = f"{width} px, {scheme}"
        if (excess := page.evaluate(WIDER_THAN_SCREEN)) > 0:
            problems.append(f"{where}: {excess} px too wide")
        problems += [f"{where}: {problem}" for problem in inaccessible(page)]
    return problems


def _foreign(requested: str, page: str) -> list[str]:
    known = requested.partition("#")[0] == page or requested == "data:,"
    return [] if known else [f"request: {requested[:200]}"]


def _strangers(page: Page, document: object) -> Iterator[str]:
    """The figures that report.json does not hold, and decimals that are neither marked figures nor its text."""
    numbers, texts = set(_numbers(document)), "\n".join(_texts(document))
    for raw in dict.fromkeys(page.evaluate(FIGURES)):
        if float(raw) not in numbers and raw not in texts:
            yield f"figure {raw} is not in report.json"
    for text in dict.fromkeys(page.evaluate(OTHER_TEXT)):
        for decimal in DECIMAL.findall(text):
            if decimal not in texts:
                yield f"number {decimal} in {text.strip()[:80]!r} is no marked figure"


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield float(value)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--screenshot", type=Path, metavar="FILE.png")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=DESK)
    parser.add_argument("--height", type=int, help="default: the whole page")
    return parser.parse_args()


def main() -> int:
    """Check or picture a report; return the exit status."""
    given = _arguments()
    if given.screenshot:
        screenshot(given.index, given.screenshot, dark=given.dark, width=given.width, height=given.height)
        return 0
    problems = check_page(given.index, given.index.with_name("report.json"))
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
