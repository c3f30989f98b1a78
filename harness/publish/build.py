"""`publish`: a static site of many reports, for any host of files, or none: it also works from the disk.

A report's page is not copied but rendered again from its report.json: whatever came with it, nothing but our own page
is published, and what was taken out of the data is nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import jinja2

from harness.analysis.document import Document
from harness.errors import ResultsError, UsageError
from harness.publish.feeds import ATOM_NAME, JSON_NAME, atom_feed, json_feed
from harness.publish.read import AGAIN, name_of, read_reports
from harness.publish.redact import redacted
from harness.publish.site import PAGES, Site, site, site_json
from harness.report.build import DOCUMENT, INDEX, environment, inlined, render
from harness.report.context import Assets
from harness.whole import replace

DATA = "site.json"
BESIDE = "beside.html"
Files = dict[str, str]  # path in the site → text


def publish(reports: Sequence[Path], out: Path, *, url: str = "", identifiers: bool = False) -> Path:
    """Write the site of these reports' folders into `out`; return its index.

    `url` is where it will be served, for absolute links in the feeds; `identifiers` publishes GPU UUIDs, boot ids,
    paths and names of users and hosts. Into a site that is there the new one is written; pages of reports that are no
    longer named stay where they are, unlisted, so that no link breaks. Raises UsageError for what is no report and a
    folder that is no site, ResultsError where nothing can be written.
    """
    base = _base(url)
    if out.exists() and not (out / DATA).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} is there and is no site of this tool", "Name an empty folder with -o")
    documents = read_reports(reports)
    files = _files(documents if identifiers else list(map(redacted, documents)), base)
    try:
        for name, text in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            replace(out / name, text)
    except OSError as error:
        problem = f"{out}: the site cannot be written: {error.strerror or error}"
        raise ResultsError(problem, "Free some space or name another folder with -o") from error
    return out / INDEX


def _base(url: str) -> str:
    """The URL of the site's folder, with its last slash."""
    parts = urlsplit(url)
    if url and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment):
        raise UsageError(f"--url {url}: not where a site can be served", "Write https://example.org/folder/")
    return url if not url or url.endswith("/") else f"{url}/"


def _files(documents: Sequence[Document], url: str) -> Files:
    """The whole site; pages before the index that leads to them."""
    files: Files = {}
    for document in documents:
        folder = f"{PAGES}/{name_of(document)}"
        files[f"{folder}/{INDEX}"] = _page(document)
        files[f"{folder}/{DOCUMENT}"] = _json(document)
    page = site(documents, assets())
    files |= {
        DATA: _json(site_json(page)),
        BESIDE: _rendered("beside.html.j2", page),
        JSON_NAME: json_feed(page, url),
        ATOM_NAME: atom_feed(page, url),
        INDEX: _rendered("site.html.j2", page),
    }
    return files


def _page(document: Document) -> str:
    try:
        return render(document)
    except (LookupError, ValueError, TypeError, ArithmeticError) as error:  # of the right types, and yet makes no sense
        raise UsageError(f"report {name_of(document)}: its report.json can't be shown: {error!r}", AGAIN) from error


def _rendered(template: str, page: Site) -> str:
    return _templates().get_template(template).render(page=page)


@cache
def _templates() -> jinja2.Environment:
    """The report's environment, with the site's own templates before its."""
    own = jinja2.PackageLoader("harness.publish")
    return environment().overlay(loader=jinja2.ChoiceLoader([own, jinja2.PackageLoader("harness.report")]))


@cache
def assets() -> Assets:
    """The report's style sheet and what the site adds to it."""
    ours, theirs = (resources.files(f"harness.{name}") / "templates" for name in ("publish", "report"))
    style = (theirs / "style.css").read_text(encoding="utf-8") + (ours / "site.css").read_text(encoding="utf-8")
    return inlined(style, (ours / "site.js").read_text(encoding="utf-8"))


def _json(data: object) -> str:
    return json.dumps(data, allow_nan=False)
