"""A report on disk: whole, self-contained, and inert whatever the bundle says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest

from harness.analysis.document import Document
from harness.errors import BundleError, ResultsError
from harness.report.build import build, render
from tests.report.full import full

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\x00{{ 7*7 }}</style>" + "A" * 10_000
MEGABYTE = 1e6


class Reader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def of(self, *names: str) -> set[tuple[str, str]]:
        return {(tag, value) for tag, name, value in self.attributes if name in names}


def spoiled(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Every text of a document with something hostile behind it; keys and what the analysis itself chooses stay."""
    if isinstance(value, dict):
        return {key: spoiled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [spoiled(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value


def hostile(document: Document) -> Document:
    wild: Document = spoiled(document)
    wild["platform_records"] = {name + HOSTILE: item for name, item in wild["platform_records"].items()}
    wild["environments"] = {
        name + HOSTILE: {key + HOSTILE: text for key, text in found.items()}
        for name, found in wild["environments"].items()
    }
    for record in wild["distributions"]:
        record["platform"] = record["platform"].replace("@2", "")
        record["metric"] = "step_seconds"
    return wild


def hostile_pictures(document: Document) -> Document:
    """As `hostile`, with the names by which pictures are found, so that each is drawn of hostile text."""
    whole = full(document)
    wild = hostile(whole)
    for own, record in zip(whole["distributions"], wild["distributions"], strict=True):
        record["task"], record["metric"] = own["task"], own["metric"]
        record["dims"] |= {"cache": own["dims"]["cache"]} if "cache" in own["dims"] else {}
    kinds = (record["kind"] for record in whole["platform_records"].values())
    for kind, platform in zip(kinds, wild["platform_records"].values(), strict=True):
        platform["kind"] = kind
    for own_claim, claim in zip(whole["claims"], wild["claims"], strict=True):
        claim["id"] = own_claim["id"]
    return wild


def test_a_report_is_a_page_and_its_numbers(bundle_folder: Path, analysed: Document, tmp_path: Path) -> None:
    index = build([bundle_folder], tmp_path / "new" / "report")
    assert index == tmp_path / "new" / "report" / "index.html"
    assert json.loads((index.parent / "report.json").read_text(encoding="utf-8")) == analysed
    assert {path.name for path in index.parent.iterdir()} == {"index.html", "report.json"}
    text = index.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "driver.spawn" in text


def test_the_page_needs_nothing_beside_itself(document: Document) -> None:
    page = Reader(render(document))
    assert page.of("src", "srcset", "poster", "action", "style") == set()
    assert all(value == "data:," or value.startswith("#") for _, value in page.of("href"))
    assert not {"iframe", "object", "embed", "base"} & set(page.tags)
    assert "@import" not in render(document)


def test_the_policy_lets_nothing_through_but_what_is_inlined(document: Document) -> None:
    (policy,) = (value for tag, value in Reader(render(document)).of("content") if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/=]{44}'", policy)) == 2


def test_links_lead_somewhere(document: Document) -> None:
    page = Reader(render(document))
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for _, value in page.of("href") if value.startswith("#")}
    assert targets <= set(ids)
    assert {each for _, value in page.of("aria-labelledby") for each in value.split()} <= set(ids)


def test_hostile_text_is_shown_and_does_nothing(document: Document) -> None:
    plain, wild = Reader(render(document)), Reader(render(hostile(document)))
    assert "img" not in wild.tags
    assert wild.tags.count("script") == plain.tags.count("script") == 1
    assert wild.tags.count("style") == 1
    assert not [name for _, name, _ in wild.attributes if name.startswith("on")]
    text = render(hostile(document))
    assert "\u202e" not in text
    assert "\x00" not in text
    assert "&lt;script&gt;" in text
    assert len(text) < 3 * MEGABYTE


def test_every_picture_of_hostile_text_is_inert(analysed: Document) -> None:
    text = render(hostile_pictures(analysed))
    wild = Reader(text)
    assert text.count('<p class="absent">') == 0
    assert "img" not in wild.tags
    assert (wild.tags.count("script"), wild.tags.count("style")) == (1, 1)
    assert not [name for _, name, _ in wild.attributes if name.startswith("on") or name == "style"]
    assert not {"\u202e", "\x00"} & set(text)
    assert len(text.encode()) < 3 * MEGABYTE


def test_a_page_full_of_pictures_stays_small_whatever_the_bundle(analysed: Document) -> None:
    document = full(analysed)
    wide = cast("dict[str, Any]", document)
    document["distributions"] *= 30
    for name in ("attribution", "stalls", "comparability", "telemetry", "exclusions", "regressions"):
        wide[name] *= 100
    for number, record in enumerate(document["distributions"]):
        document["distributions"][number] = {**record, "task": f"{record['task']}[n={number}]"}
    assert len(render(document).encode()) < 3 * MEGABYTE


def test_the_page_stays_small_whatever_the_bundle(document: Document) -> None:
    document["comparisons"] *= 200
    document["distributions"] *= 200
    document["capabilities"] *= 500
    document["warnings"] = [str(number) + "x" * 1000 for number in range(10_000)]
    for name in document["environments"]:
        document["environments"][name] |= {f"key{number}": "v" * 500 for number in range(5000)}
    for number, record in enumerate(document["comparisons"]):
        document["comparisons"][number] = {**record, "confounders": [f"{number} {'n' * 1000}"]}
    assert len(render(document).encode()) < 3 * MEGABYTE


def test_values_of_every_kind_can_be_shown(document: Document) -> None:
    for number, record in enumerate(document["comparisons"]):
        document["comparisons"][number] = {
            **record,
            "ci95": [None, None],
            "noise_ci95": [None, None],
            "noise_floor": None,
            "mde": None,
            "paired": False,
        }
    document["run"]["precision"] = 0.02
    text = render(document)
    assert "no interval" in text
    assert "unpaired" in text
    assert "narrower than" in text


def test_an_old_page_is_replaced_whole_or_kept(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index.html").write_text("old", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(ResultsError, match=r"No space left on device\. Free some space"):
            build([bundle_folder], tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "old"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".") or path.name.endswith(".partial")]
    build([bundle_folder], tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") != "old"


def test_what_is_no_bundle_leaves_no_report(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        build([tmp_path / "nothing"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
