"""The page in a real browser; and that the check of pages finds what it is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.analysis.document import Document
from harness.report.build import build, render
from tests.report.browser import (
    DESK,
    PHONE,
    WIDER_THAN_SCREEN,
    check_page,
    chromium,
    inaccessible,
    launched,
    screenshot,
    unfit,
)
from tests.report.full import full
from tests.report.hostile_bundle import spoil
from tests.report.test_build import hostile_pictures
from tests.synthetic import write_bundle

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: install it or name it in CHROMIUM"),
]


@pytest.fixture(scope="module")
def index(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build([bundle_folder], tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def everything(analysed: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every picture, of made-up data."""
    return written(full(analysed), tmp_path_factory.mktemp("everything"))


@pytest.fixture(scope="module")
def wild(analysed: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with hostile text everywhere."""
    return written(hostile_pictures(analysed), tmp_path_factory.mktemp("wild"))


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a bundle that a stranger sent, hostile text wherever the reader lets it pass."""
    folder = tmp_path_factory.mktemp("sent")
    return build([spoil(write_bundle(folder / "bundle", blocks=3, samples=3))], folder / "report")


def written(document: Document, folder: Path) -> Path:
    (folder / "report.json").write_text(json.dumps(document), encoding="utf-8")
    index = folder / "index.html"
    index.write_text(render(document), encoding="utf-8")
    return index


def test_the_page_keeps_to_itself_and_to_report_json(index: Path) -> None:
    assert check_page(index, index.with_name("report.json")) == []


def test_the_check_finds_what_is_wrong(index: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "index.html"
    body = (
        '<p>About 3.77 times.</p><data value="123456.5">much</data><div style="width:900px">wide</div>'
        '<img src="http://localhost:9/x.png">'
    )
    html = index.read_text(encoding="utf-8").replace("</main>", f"{body}<pre>{'wide ' * 400}</pre></main>")
    spoilt.write_text(html, encoding="utf-8")
    problems = "\n".join(check_page(spoilt, index.with_name("report.json")))
    assert "number 3.77 in 'About 3.77 times.'" in problems
    assert "figure 123456.5 is not in report.json" in problems
    assert "console: error" in problems
    assert "at 360 px the page is" in problems


def test_the_table_can_be_filtered_and_sorted(index: Path) -> None:
    with launched() as browser:
        page = browser.new_page()
        page.goto(index.resolve().as_uri())
        rows = page.locator(".comparisons tbody tr:visible")
        everything = rows.count()
        page.select_option("select[name=platform]", "docker-half")
        assert 0 < rows.count() < everything
        page.fill("input[name=text]", "bandwidth")
        assert rows.count() == 1
        page.fill("input[name=text]", "")
        page.get_by_role("button", name="Slowdown").click()
        shown = [float(value or "nan") for value in page.locator("tr:visible td.strong data").evaluate_all(VALUES)]
        assert shown == sorted(shown)
        assert page.locator("th[aria-sort=ascending]").count() == 1


def test_without_scripts_the_table_is_whole(index: Path) -> None:
    with launched() as browser:
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(index.resolve().as_uri())
        assert page.locator(".comparisons tbody tr:visible").count() > 10
        assert not page.locator(".filters").is_visible()


def test_a_picture_is_made(index: Path, tmp_path: Path) -> None:
    screenshot(index, tmp_path / "a.png", dark=True, width=640, height=400)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_with_everything_on_it_keeps_to_report_json(everything: Path) -> None:
    assert check_page(everything, everything.with_name("report.json")) == []


def test_it_fits_and_axe_finds_nothing_wrong_on_any_screen(everything: Path, index: Path) -> None:
    with launched() as browser:
        page = browser.new_page()
        page.goto(everything.as_uri())
        page.evaluate(OPEN_ALL)
        assert unfit(page, ((DESK, "light"), (PHONE, "dark"))) == []  # of so full a page axe takes seconds a screen
        page.goto(index.as_uri())
        page.evaluate(OPEN_ALL)
        assert unfit(page, ((DESK, "dark"), (PHONE, "light"))) == []


def test_axe_finds_what_is_wrong() -> None:
    with launched() as browser:
        page = browser.new_page()
        page.set_content(
            '<html lang="en"><title>t</title><main><h1>t</h1><p style="color: #bbb">pale</p><input></main>'
        )
        found = "\n".join(inaccessible(page))
    assert "color-contrast: " in found
    assert "label: " in found


@pytest.mark.parametrize("page_of", ["wild", "sent"])
def test_text_that_would_do_harm_does_nothing(page_of: str, request: pytest.FixtureRequest) -> None:
    wild: Path = request.getfixturevalue(page_of)
    assert "&lt;script&gt;alert(1)" in wild.read_text(encoding="utf-8"), "the text is there, and it is a text"
    said: list[str] = []
    with launched() as browser:
        for width in (PHONE, DESK):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.on("dialog", lambda dialog: said.append(dialog.message))
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on(
                "request", lambda request: said.extend([request.url] * (request.url.partition("#")[0] != wild.as_uri()))
            )
            page.goto(wild.as_uri(), wait_until="load")
            assert page.evaluate(WIDER_THAN_SCREEN) <= 0
            assert page.evaluate("document.scripts.length") == 1
            assert page.locator("img, iframe, object, embed").count() == 0
    assert set(said) <= {wild.as_uri(), "data:,"}


def test_a_view_of_the_table_can_be_linked_to(everything: Path) -> None:
    with launched() as browser:
        page = browser.new_page()
        page.goto(everything.as_uri())
        page.select_option("select[name=platform]", "docker-half")
        page.select_option("select[name=task]", "storage.small_files")
        page.locator("th button", has_text="Slowdown").click()
        page.locator("th button", has_text="Slowdown").click()
        other = browser.new_page()
        other.goto(page.url)
        shown = [view.locator(".comparisons tbody tr:visible").all_inner_texts() for view in (page, other)]
        assert shown[0] == shown[1] != []
        assert "-Slowdown" in other.url
        other.get_by_role("button", name="Clear").click()
        other.wait_for_url(lambda url: "platform" not in url)
        assert other.locator(".comparisons tbody tr:visible").count() > len(shown[0])


def test_a_link_to_a_claim_and_to_a_row_lead_there(everything: Path) -> None:
    with launched() as browser:
        page = browser.new_page()
        for name in ("claim-4-file-systems", "comparison-3", "picture-waterfall"):
            page.goto(f"{everything.as_uri()}#{name}")
            place = page.locator(f"#{name}").bounding_box()
            assert place is not None
            assert -5 <= place["y"] < 700


def test_everything_can_be_reached_with_the_keyboard(everything: Path) -> None:
    with launched() as browser:
        page = browser.new_page()
        page.goto(everything.as_uri())
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.focus("input[name=text]")
        for name in ("task", "platform", "stack", "verdict"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.name") == name
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.classList.contains('scroll')")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.locator("th[aria-sort=ascending]").count() == 1


def test_nothing_is_out_of_the_keyboards_reach(everything: Path) -> None:
    with launched() as browser:
        page = browser.new_page()
        page.goto(everything.as_uri())
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("details").first.evaluate("(details) => details.open")
        page.evaluate("document.activeElement.blur(); window.reached = new Set()")
        page.evaluate("document.addEventListener('focusin', (event) => window.reached.add(event.target))")
        wanted = page.evaluate(f"({FOCUSABLE})().length")
        for _ in range(wanted + 5):
            page.keyboard.press("Tab")
        missed = f"({FOCUSABLE})().filter((each) => !window.reached.has(each)).map((each) => each.outerHTML)"
        assert wanted > 100
        assert page.evaluate(missed) == []


def test_it_is_printed_on_a_few_pages(everything: Path) -> None:
    with launched() as browser:
        page = browser.new_page()
        page.goto(everything.as_uri())
        printed = page.pdf(format="A4", margin={"top": "12mm", "bottom": "12mm", "left": "12mm", "right": "12mm"})
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        assert page.locator(".card .wide svg").first.is_visible()
        page.set_viewport_size({"width": PAPER, "height": 1000})
        assert page.evaluate(CUT_OFF) == []
    assert printed.startswith(b"%PDF")
    assert 3 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") + printed.count(b"/Type /Page/") <= 30


PAPER = 703  # CSS pixels between the margins of an A4 page: 186 mm
VALUES = "elements => elements.map(element => element.value)"
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
FOCUSABLE = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex]")].filter(
  (each) => each.tabIndex >= 0 && each.checkVisibility({visibilityProperty: true}))"""
CUT_OFF = """() => [...document.querySelectorAll("main *")].filter((each) => each.getClientRects().length &&
  each.getBoundingClientRect().right > document.documentElement.clientWidth + 1
).map((each) => each.outerHTML.slice(0, 120))"""
