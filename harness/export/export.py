"""`export`: a bundle in a format that other tools read. Nothing that is there is overwritten."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TextIO, get_args
from urllib.parse import quote

import pandas as pd

from harness.analysis.analyse import analyse
from harness.errors import UsageError
from harness.export.pyperf import suites
from harness.export.samples import samples
from harness.report.terminal import show
from harness.report.words import clean
from harness.results.bundle import Bundle, read
from harness.whole import new

Format = Literal["csv", "parquet", "pyperf", "markdown"]
FORMATS: tuple[Format, ...] = get_args(Format)

Told = tuple[str, ...]  # lines for the user


def export(path: Path, form: Format, out: Path | None, stream: TextIO) -> Told:
    """Write a bundle's samples (csv, parquet, pyperf) or comparisons (markdown); return what is to be said about it.

    `out` is a file, of pyperf a folder that gets a file for each platform; None writes text to `stream`. Raises
    BundleError for what is no bundle, UsageError for a name that is taken and a format that needs one, ResultsError
    where nothing can be written.
    """
    if out is None and form in {"parquet", "pyperf"}:
        raise UsageError(f"export: {form} does not go to the terminal", "Name a file with -o" + _or_folder(form))
    if form == "parquet":
        _need_parquet()
    bundle = read(path)
    if out is None:
        _TEXTS[form](bundle, stream)
        return ()
    with new(out) as place:
        return (f"{form}: {out}", *_WRITERS[form](bundle, place))


def markdown(bundle: Bundle) -> str:
    """Return the comparisons for a pull request, a table for each platform."""
    analysis = analyse(bundle)
    parts = []
    for name in analysis.platforms:
        found = [each for each in analysis.comparisons if each.platform == name]
        if found:
            parts.append(f"### {_plain(name)} against {_plain(found[0].baseline)}\n\n{show(found, 'markdown')}\n")
    return "\n".join(parts) or f"{show((), 'markdown')}\n"


def _plain(name: str) -> str:
    """A name without the signs that mean something in Markdown."""
    return "".join(f"\\{char}" if char in r"\`*_{}[]<>()#+!|&~" else char for char in clean(name, 60))


def _or_folder(form: Format) -> str:
    return ": a folder, with a file for each platform" if form == "pyperf" else ""


def _csv(table: pd.DataFrame, target: TextIO) -> None:
    table.to_csv(target, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")


def _need_parquet() -> None:
    """Look for the optional library before anything is read."""
    if find_spec("pyarrow") is None:
        raise UsageError("export: parquet needs pyarrow", "Install it: pip install 'overhead-matrix[parquet]'")


def _write_csv(bundle: Bundle, place: Path) -> Told:
    with place.open("w", encoding="utf-8", newline="") as file:
        _csv(samples(bundle), file)
    return ()


def _write_parquet(bundle: Bundle, place: Path) -> Told:
    samples(bundle).to_parquet(place, index=False, engine="pyarrow")
    return ()


def _write_markdown(bundle: Bundle, place: Path) -> Told:
    place.write_text(markdown(bundle), encoding="utf-8", newline="\n")
    return ()


def _write_pyperf(bundle: Bundle, place: Path) -> Told:
    found = suites(bundle)
    if not found.suites:
        raise UsageError("export: pyperf takes metrics in seconds, above 0, and this bundle has none", "Export csv")
    place.mkdir()
    for arm, suite in found.suites.items():
        (place / f"{quote(arm, safe='@')}.json").write_text(json.dumps(suite), encoding="utf-8")
    return tuple(f"left out, since pyperf takes no value of 0 or less: {name}" for name in found.left_out)


_TEXTS: Mapping[Format, Callable[[Bundle, TextIO], object]] = {
    "csv": lambda bundle, stream: _csv(samples(bundle), stream),
    "markdown": lambda bundle, stream: stream.write(markdown(bundle)),
}
_WRITERS: Mapping[Format, Callable[[Bundle, Path], Told]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "pyperf": _write_pyperf,
    "markdown": _write_markdown,
}
