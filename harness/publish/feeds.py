"""The site's feeds: JSON Feed 1.1 (jsonfeed.org/version/1.1) and Atom (RFC 4287), one entry a report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as ET

from harness.publish.site import ReportEntry, Site
from harness.report.format import change

ATOM = "http://www.w3.org/2005/Atom"
JSON_FEED = "https://jsonfeed.org/version/1.1"
JSON_NAME, ATOM_NAME = "feed.json", "feed.xml"
AUTHOR = "Overhead Matrix"
NAMESPACE = uuid5(NAMESPACE_URL, "overhead-matrix")


def json_feed(page: Site, url: str) -> str:
    """Return the JSON Feed. Its links are absolute or not there: the format has no relative ones."""
    feed: dict[str, Any] = {"version": JSON_FEED, "title": page.title}
    if url:
        feed |= {"home_page_url": url, "feed_url": urljoin(url, JSON_NAME)}
    items = [_item(report) | ({"url": urljoin(url, report.url)} if url else {}) for report in page.reports]
    return json.dumps(feed | {"items": items}, indent=1, ensure_ascii=False) + "\n"


def atom_feed(page: Site, url: str) -> str:
    """Return the Atom feed; without the site's URL its links are relative to the feed's own place."""
    feed = ET.Element("feed", xmlns=ATOM)
    _add(feed, "title", page.title)
    _add(feed, "id", _identity(url or f"feed of {page.reports[-1].fingerprint}"))
    _add(feed, "updated", page.reports[0].created)
    _add(ET.SubElement(feed, "author"), "name", AUTHOR)
    ET.SubElement(feed, "link", rel="self", href=urljoin(url, ATOM_NAME))
    ET.SubElement(feed, "link", rel="alternate", type="text/html", href=urljoin(url, "index.html"))
    for report in page.reports:
        entry = ET.SubElement(feed, "entry")
        _add(entry, "title", title(report))
        _add(entry, "id", _identity(report.fingerprint))
        _add(entry, "updated", report.created)
        _add(entry, "published", report.created)
        ET.SubElement(entry, "link", rel="alternate", type="text/html", href=urljoin(url, report.url))
        _add(entry, "summary", summary(report))
    ET.indent(feed, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(feed, encoding="unicode") + "\n"


def title(report: ReportEntry) -> str:
    """The machine and the platforms."""
    names = ", ".join(entry.name for entry in report.platforms)
    return f"{report.machine}: {names} against {report.baseline}" if names else report.machine


def summary(report: ReportEntry) -> str:
    """The headline of every platform in words, after what nobody may miss."""
    return " ".join((*(f"{banner.title}." for banner in report.banners), *_sentences(report))) or "Nothing to compare."


def _sentences(report: ReportEntry) -> Iterator[str]:
    for entry in report.platforms:
        if entry.finding:
            found = entry.finding
            unlike = "" if found.comparable else ", not comparable"
            yield f"{entry.name}: {found.what} {change(found.estimate)} ({found.mark.word}{unlike})."


def _item(report: ReportEntry) -> dict[str, Any]:
    return {
        "id": _identity(report.fingerprint),
        "title": title(report),
        "content_text": summary(report),
        "date_published": report.created,
    }


def _identity(name: str) -> str:
    """A name of its own for ever, wherever the site moves."""
    return f"urn:uuid:{uuid5(NAMESPACE, name)}"


def _add(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text
