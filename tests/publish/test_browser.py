"""The site in a real browser, from the disk: silent, on its own, right on a phone; its search and its two columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.document import Document
from harness.publish.build import publish
from tests.publish.conftest import write_report
from tests.report.browser import DESK, PHONE, WIDER_THAN_SCREEN, check_page, chromium, launched, unfit
from tests.report.test_build import hostile

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: install it or name it in CHROMIUM"),
]


@pytest.fixture
def site(reports: list[Path], tmp_path: Path) -> Path:
    return publish(reports, tmp_path / "site").parent


def test_the_pages_keep_to_themselves_and_to_their_data(site: Path) -> None:
    for name in ("index.html", "beside.html"):
        assert check_page(site / name, site / "site.json") == []
    for page in (site / "reports").glob("*/index.html"):
        assert check_page(page, page.with_name("report.json")) == []


def test_they_fit_and_axe_finds_nothing_wrong_on_any_screen(site: Path) -> None:
    with launched() as browser:
        page = browser.new_page()
        for name in ("index.html", "beside.html"):
            page.goto((site / name).as_uri())
            assert unfit(page) == [], name


def test_reports_are_found_by_words_hardware_and_platform(site: Path, documents: tuple[Document, Document]) -> None:
    with launched() as browser:
        page = browser.new_page()
        page.goto((site / "index.html").as_uri())
        shown = page.locator(".report:visible")
        assert shown.count() == 2
        page.fill("input[name=text]", "gpu synthetic TRIVIAL")
        assert shown.count() == 2, "no GPU is a word too"
        page.select_option("select[name=machine]", "Synthetic CPU + Synthetic GPU")
        assert shown.count() == 1
        assert page.locator("output").inner_text() == "1 of 2"
        page.select_option("select[name=platform]", "docker-half")
        assert shown.count() == 0
        page.select_option("select[name=machine]", "")
        assert shown.get_attribute("id") == documents[0]["run"]["fingerprint"][:16]
        page.locator(".report:visible h2 a").click()
        assert page.locator("h1").inner_text() == "Synthetic CPU"


def test_two_reports_are_read_side_by_side(site: Path, documents: tuple[Document, Document]) -> None:
    older, newer = (each["run"]["fingerprint"][:16] for each in documents)
    with launched() as browser:
        page = browser.new_page()
        page.goto(f"{(site / 'beside.html').as_uri()}#{older}+{newer}")
        assert page.input_value("select[name=left]") == older
        assert page.input_value("select[name=right]") == newer
        assert page.locator("thead th:visible").count() == 3
        rows = page.locator("tbody tr:visible")
        everything = rows.count()
        page.select_option("select[name=left]", newer)
        assert page.url.endswith(f"#{newer}+{newer}")
        assert page.locator("thead th:visible").count() == 2
        assert 0 < rows.count() < everything, "rows that neither has are hidden"
        assert "not compared" in page.locator(".banner").first.inner_text()


def test_without_scripts_everything_is_there(site: Path) -> None:
    with launched() as browser:
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto((site / "index.html").as_uri())
        assert page.locator(".report:visible").count() == 2
        assert not page.locator(".filters").is_visible()
        page.goto((site / "beside.html").as_uri())
        assert page.locator("thead th:visible").count() == 3


def test_hostile_reports_do_nothing_and_fit_the_screen(documents: tuple[Document, Document], tmp_path: Path) -> None:
    wild = hostile(documents[0])
    wild["run"]["fingerprint"], wild["run"]["created"] = "ab" * 32, "2026-01-01T00:00:00+00:00"
    folders = [write_report(tmp_path / name, each) for name, each in (("a", wild), ("b", documents[1]))]
    site = publish(folders, tmp_path / "site").parent
    heard: list[str] = []
    with launched() as browser:
        page = browser.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: heard.append(dialog.message))
        page.on("request", lambda request: heard.extend([] if request.url.startswith(site.as_uri()) else [request.url]))
        for name in ("index.html", "beside.html"):
            page.goto((site / name).as_uri())
            for width in (DESK, PHONE):
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate(WIDER_THAN_SCREEN) <= 0, (name, width)
    assert [each for each in heard if each != "data:,"] == []
