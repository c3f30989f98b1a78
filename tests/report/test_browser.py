"""The page in a real browser; and that the check of pages finds what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.report.build import build
from tests.report.browser import check_page, chromium, launched, screenshot

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: install it or name it in CHROMIUM"),
]


@pytest.fixture(scope="module")
def index(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build([bundle_folder], tmp_path_factory.mktemp("browser"))


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


VALUES = "elements => elements.map(element => element.value)"
