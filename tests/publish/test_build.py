"""A published site: whole, valid, at stable places, inert whatever the reports say."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest

from harness.analysis.document import Document
from harness.cli import main
from harness.errors import ResultsError, UsageError
from harness.publish.build import _files, publish
from harness.publish.feeds import ATOM
from harness.report.build import build
from tests.publish.conftest import CARD, write_report
from tests.report.test_build import HOSTILE, Reader, hostile
from tests.synthetic import write_bundle

OWN = {"index.html", "beside.html", "site.json", "feed.json", "feed.xml"}
COMMITTED = Path(__file__).parents[2] / "reports"
URL = "https://bench.example.org/overhead/"


def content(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def names(documents: tuple[Document, Document]) -> list[str]:
    return [document["run"]["fingerprint"][:16] for document in documents]


def test_a_site_is_its_own_pages_and_a_folder_for_each_report(
    reports: list[Path], documents: tuple[Document, Document], tmp_path: Path
) -> None:
    index = publish(reports, tmp_path / "site")
    pages = {f"reports/{name}/{file}" for name in names(documents) for file in ("index.html", "report.json")}
    assert set(content(index.parent)) == OWN | pages
    text = index.read_text(encoding="utf-8")
    assert CARD in text
    assert text.index(names(documents)[1]) < text.index(names(documents)[0]), "the newest first"
    assert b"whatever came with it" not in b"".join(content(index.parent).values())


@pytest.mark.parametrize(
    "report", sorted(path.parent for path in COMMITTED.glob("*/report.json")), ids=lambda p: p.name
)
def test_a_committed_report_of_an_earlier_version_is_published(report: Path, tmp_path: Path) -> None:
    fingerprint = json.loads((report / "report.json").read_text("utf-8"))["run"]["fingerprint"]
    site = publish([report], tmp_path / "site").parent
    assert "<h1" in (site / "reports" / fingerprint[:16] / "index.html").read_text("utf-8")


def test_the_same_reports_make_the_same_site_in_whatever_order(reports: list[Path], tmp_path: Path) -> None:
    one = publish(reports, tmp_path / "a").parent
    other = publish(reports[::-1], tmp_path / "b").parent
    assert content(one) == content(other)


def test_what_was_published_keeps_its_place(
    reports: list[Path], documents: tuple[Document, Document], tmp_path: Path
) -> None:
    site = publish(reports[:1], tmp_path / "site").parent
    (site / "CNAME").write_text("mine", encoding="utf-8")
    publish(reports[1:], site)
    assert {path.name for path in (site / "reports").iterdir()} == set(names(documents))
    assert (site / "CNAME").read_text(encoding="utf-8") == "mine"
    listed = json.loads((site / "site.json").read_text(encoding="utf-8"))["reports"]
    assert [each["fingerprint"][:16] for each in listed] == names(documents)[1:]


def test_every_link_leads_to_a_file_or_a_place_on_the_page(reports: list[Path], tmp_path: Path) -> None:
    site = publish(reports, tmp_path / "site").parent
    for page in site.rglob("*.html"):
        found = Reader(page.read_text(encoding="utf-8"))
        ids = {value for _, name, value in found.attributes if name == "id"}
        for _, value in found.of("href"):
            if value != "data:,":
                file, _, place = value.partition("#")
                assert not file or (page.parent / file).is_file(), value
                assert not place or place in ids, value
        assert found.of("src", "srcset", "style", "action") == set()


def test_the_policy_lets_nothing_through_but_what_is_inlined(reports: list[Path], tmp_path: Path) -> None:
    site = publish(reports, tmp_path / "site").parent
    for page in site.rglob("*.html"):
        (policy,) = (
            value for _, value in Reader(page.read_text(encoding="utf-8")).of("content") if "default-src" in value
        )
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert len(re.findall(r"'sha256-[A-Za-z0-9+/=]{44}'", policy)) == 2


def test_the_json_feed_is_one(reports: list[Path], tmp_path: Path) -> None:
    feed = json.loads((publish(reports, tmp_path / "site", url=URL[:-1]).parent / "feed.json").read_text("utf-8"))
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["title"]
    assert (feed["home_page_url"], feed["feed_url"]) == (URL, f"{URL}feed.json")
    assert len({item["id"] for item in feed["items"]}) == len(feed["items"]) == 2
    for item in feed["items"]:
        assert item["content_text"]
        assert datetime.fromisoformat(item["date_published"]).tzinfo is not None
        assert (tmp_path / "site" / item["url"].removeprefix(URL)).is_file()
    assert [item["date_published"] for item in feed["items"]] == ["2026-02-03T08:00:00Z", "2026-01-01T00:00:00Z"]


def test_without_a_url_the_json_feed_has_no_links(reports: list[Path], tmp_path: Path) -> None:
    feed = json.loads((publish(reports, tmp_path / "site").parent / "feed.json").read_text("utf-8"))
    assert not {"home_page_url", "feed_url"} & set(feed)
    assert not [item for item in feed["items"] if "url" in item]


@pytest.mark.parametrize("url", ["", URL])
def test_the_atom_feed_is_one(reports: list[Path], tmp_path: Path, url: str) -> None:
    root = ET.parse(publish(reports, tmp_path / "site", url=url).parent / "feed.xml").getroot()  # noqa: S314 - our own
    name = f"{{{ATOM}}}".__add__
    assert root.tag == name("feed")
    entries = root.findall(name("entry"))
    assert len(entries) == 2
    assert root.findtext(f"{name('author')}/{name('name')}")
    for element in (root, *entries):
        for child in ("title", "id", "updated"):  # each exactly once: RFC 4287, 4.1.1 and 4.1.2
            assert len(element.findall(name(child))) == 1
        assert datetime.fromisoformat(element.findtext(name("updated"), "")).tzinfo is not None
        assert urlsplit(element.findtext(name("id"), "")).scheme == "urn"
    (own,) = (link for link in root.findall(name("link")) if link.get("rel") == "self")
    assert own.get("href") == f"{url}feed.xml"
    for entry in entries:
        (link,) = entry.findall(name("link"))
        assert (tmp_path / "site" / str(link.get("href")).removeprefix(url)).is_file()
        assert entry.findtext(name("summary"))
    ids = [element.findtext(name("id")) for element in (root, *entries)]
    assert len(set(ids)) == len(ids)


def test_hostile_text_is_shown_and_does_nothing(documents: tuple[Document, Document]) -> None:
    wild = hostile(documents[0])
    wild["run"]["fingerprint"], wild["run"]["created"] = "ab" * 32, "2026-01-01T00:00:00+00:00"
    files = _files([wild, documents[1]], "")
    plain = _files(documents, "")
    for name in ("index.html", "beside.html", f"reports/{'ab' * 8}/index.html"):
        page = Reader(files[name])
        assert "img" not in page.tags
        assert page.tags.count("script") == page.tags.count("style") == 1
        assert not [attribute for _, attribute, _ in page.attributes if attribute.startswith("on")]
        assert "\u202e" not in files[name]
        assert "\x00" not in files[name]
        assert "&lt;script&gt;" in files[name]
    assert len(files["index.html"]) < len(plain["index.html"]) + 100_000
    for text in ET.fromstring(files["feed.xml"]).itertext():  # noqa: S314 - our own
        assert "\x00" not in text
        assert "\u202e" not in text
    assert HOSTILE not in json.dumps(json.loads(files["feed.json"]))


def test_a_stand_in_says_so_on_every_page(documents: tuple[Document, Document]) -> None:
    documents[0]["run"]["host"]["gpu.stand_in.value"] = "yes"
    files = _files(documents, "")
    for name in ("index.html", "beside.html", "feed.xml", "feed.json"):
        assert files[name].count("A stand-in, not real hardware") == 1


def test_a_page_of_machines_is_published_machine_by_machine(
    reports: list[Path], documents: tuple[Document, Document], tmp_path: Path
) -> None:
    both = write_report(tmp_path / "both", {"schema": 1, "machines": [{"folder": "one"}, {"folder": "other"}]})
    for folder, document in zip(("one", "other"), documents, strict=True):
        write_report(both / folder, document)
    assert content(publish([both], tmp_path / "a").parent) == content(publish(reports, tmp_path / "b").parent)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda d: d.pop("comparisons"), "comparisons: Field required"),
        (lambda d: d.update(schema=2), "schema 2, this version reads 1"),
        (lambda d: d["run"].update(fingerprint="../../etc"), "run.fingerprint: not the sha256"),
        (lambda d: d["run"].update(created="yesterday"), "run.created: not a time"),
        (lambda d: d["comparisons"][0].update(slowdown=-1.0), "a slowdown that is not above 0"),
        (lambda d: d["comparisons"][0].update(ci95=[1.0]), "boots that are not two"),
        (lambda d: d["headlines"][0].update(comparison=10**6), "a comparison that is not there"),
        (lambda d: d["claims"][0].update(decisive=10**6), "claims: a comparison that is not there"),
        (lambda d: d["claims"][0]["parts"][0].update(comparisons=[-1]), "claims: a comparison that is not there"),
        (lambda d: d["claims"][6].update(largest_ci95=[1.0]), "claims: an interval that is not two"),
        (lambda d: d["comparisons"][0].update(slowdown="1"), "comparisons.0.slowdown"),
        (lambda d: d.clear(), "schema None"),
    ],
)
def test_what_is_no_report_is_told_in_one_line(
    documents: tuple[Document, Document],
    spoil: Any,  # noqa: ANN401 - changes a document
    problem: str,
    tmp_path: Path,
) -> None:
    spoil(documents[0])
    folder = write_report(tmp_path / "spoilt", documents[0])
    with pytest.raises(UsageError) as caught:
        publish([folder], tmp_path / "site")
    assert problem in str(caught.value)
    assert str(folder) in str(caught.value)
    assert not (tmp_path / "site").exists()


def test_a_document_that_makes_no_sense_is_told_in_one_line(
    documents: tuple[Document, Document], tmp_path: Path
) -> None:
    del documents[0]["platform_records"]["docker"]
    with pytest.raises(UsageError, match=r"can't be shown: KeyError\('docker'\)\. Make it again"):
        publish([write_report(tmp_path / "spoilt", documents[0])], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_the_same_data_twice_are_refused(reports: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are of the same data"):
        publish([reports[0], reports[0]], tmp_path / "site")


def test_a_folder_that_is_no_site_is_left_alone(reports: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no site of this tool"):
        publish(reports, reports[0])
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="is no site of this tool"):
        publish(reports, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert publish(reports, tmp_path / "empty").is_file()


def test_a_full_disk_is_told_in_one_line(reports: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResultsError, match=r"No space left on device\. Free some space"):
        publish(reports, tmp_path / "site")


@pytest.mark.parametrize("url", ["bench.example.org", "javascript:alert(1)", "https://", "https://x.org/?a"])
def test_a_url_must_be_one(reports: list[Path], url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not where a site can be served"):
        publish(reports, tmp_path / "site", url=url)


def test_the_command_line_publishes_what_report_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build([write_bundle(tmp_path / "bundle", blocks=3, samples=4)], tmp_path / "report")
    assert main(["publish", str(tmp_path / "report"), "-o", str(tmp_path / "site"), "--url", URL]) == 0
    assert capsys.readouterr().out == f"site: {tmp_path / 'site' / 'index.html'}\n"
    assert main(["publish", str(tmp_path / "bundle"), "-o", str(tmp_path / "other")]) == 2
    assert "Name the folder that `report` wrote" in capsys.readouterr().err
