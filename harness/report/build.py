"""A bundle's report: report.json and one page beside it that needs nothing else, neither files nor a network."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.agent.messages import write_json
from harness.analysis.analyse import analyse
from harness.analysis.document import Document, report_json
from harness.errors import ResultsError, UsageError
from harness.report.context import Assets
from harness.report.format import FILTERS
from harness.report.page import page
from harness.results.bundle import read

INDEX = "index.html"
DOCUMENT = "report.json"


def build(bundles: Sequence[Path], out: Path) -> Path:
    """Analyse a bundle and write its report into the folder `out`; return the page's path.

    Raises BundleError for what is no bundle, UsageError for several (merging comes later), and ResultsError where the
    report cannot be written. A page that was there is replaced whole or stays as it was.
    """
    if len(bundles) != 1:
        raise UsageError(
            f"a report is made of one bundle, not of {len(bundles)}", "Make one report for each; merging comes later."
        )
    bundle = read(bundles[0])
    document = report_json(analyse(bundle), bundle)
    html = render(document)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / DOCUMENT, document)
        _replace(out / INDEX, html)
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
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "table.js"))
    return Assets(
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_source=_source(style),
        script_source=_source(script),
    )


def _source(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _replace(path: Path, text: str) -> None:
    """Write so that a reader sees the old page or the new one."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
