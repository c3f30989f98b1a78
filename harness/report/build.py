"""A report: report.json and one page beside it that needs nothing else, neither files nor a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness.agent.messages import write_json
from harness.analysis.analyse import analyse
from harness.analysis.document import Document
from harness.analysis.report_json import report_json
from harness.errors import ResultsError
from harness.report.context import Assets
from harness.report.format import FILTERS
from harness.report.page import page
from harness.report.side_by_side import machines_json, side_by_side
from harness.results.bundle import read_manifest
from harness.results.merge import by_machine, is_proven, merged, merged_id
from harness.whole import replace

INDEX = "index.html"
DOCUMENT = "report.json"


def build(bundles: Sequence[Path], out: Path, *, same: bool = False) -> Path:
    """Analyse bundles and write their report into the folder `out`; return the page's path.

    Boots of one machine are merged and reported as one. Different machines are set side by side: a report each, in a
    folder of its own below `out`, and a page that leads to them. `same` is the user's word that bundles without a GPU
    are of one machine. Raises BundleError for what is no bundle or there twice, and ResultsError where the report
    cannot be written. A page that was there is replaced whole or stays as it was.
    """
    groups = by_machine(bundles, same=same)
    if len(groups) == 1:
        return _write(out, *_analysed(groups[0], same=same))
    documents = {name_of(group): _analysed(group, same=same) for group in groups}
    for name, (document, html) in documents.items():
        _write(out / name, document, html)
    machines = side_by_side(
        {name: document for name, (document, _) in documents.items()},
        proven=is_proven([group[0] for group in groups]),
        assets=assets(),
    )
    html = environment().get_template("machines.html.j2").render(page=machines)
    return _write(out, machines_json(machines), html)


def name_of(bundles: Sequence[Path]) -> str:
    """Return what the report of these bundles is called: by the run, or by all of them."""
    found = [read_manifest(path) for path in bundles]
    return found[0].run_id if len(found) == 1 else merged_id([origin for each in found for origin in each.origins])


def _analysed(bundles: Sequence[Path], *, same: bool) -> tuple[Document, str]:
    with merged(bundles, same=same) as bundle:
        document = report_json(analyse(bundle), bundle)
    return document, render(document)


def _write(out: Path, document: Mapping[str, Any], html: str) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / DOCUMENT, document)
        replace(out / INDEX, html)
    except OSError as error:
        problem = f"{out}: the report cannot be written: {error.strerror or error}"
        raise ResultsError(problem, "Free some space or name another folder with -o.") from error
    return out / INDEX


def render(document: Document) -> str:
    """Return the page of report.json's document: one HTML file with everything in it."""
    return environment().get_template("index.html.j2").render(page=page(document, assets()))


@cache
def environment() -> jinja2.Environment:
    """The templates' environment: everything is escaped, and a name that is not in the context is an error."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(FILTERS)
    return found


@cache
def assets() -> Assets:
    """The style sheet and the script with the hashes that the content security policy names."""
    folder = resources.files("harness.report") / "templates"
    return inlined(*((folder / name).read_text(encoding="utf-8") for name in ("style.css", "table.js")))


def inlined(style: str, script: str) -> Assets:
    """A style sheet and a script of our own, never a bundle's text, with their hashes."""
    return Assets(
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_source=_source(style),
        script_source=_source(script),
    )


def _source(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
