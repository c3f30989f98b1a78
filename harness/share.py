"""The commands that hand results on, `export` and `publish`: parsed and printed here, for `harness.cli`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_export(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of `export`."""
    command.add_argument("bundle", type=Path, metavar="BUNDLE")
    command.add_argument("--format", choices=("csv", "parquet", "pyperf", "markdown"), required=True)
    command.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="of pyperf a folder; default: text goes to the terminal"
    )


def add_publish(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of `publish`."""
    command.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="a report's folder, with report.json")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the site's folder")
    command.add_argument("--url", default="", help="where the site will be served: absolute links in its feeds")
    command.add_argument(
        "--with-identifiers", action="store_true", help="publish GPU UUIDs, boot ids, paths, user and host names too"
    )


def run_export(arguments: argparse.Namespace) -> int:
    """Write a bundle in another tool's format."""
    from harness.export.export import export

    for line in export(arguments.bundle, arguments.format, arguments.output, sys.stdout):
        print(line)
    return 0


def run_publish(arguments: argparse.Namespace) -> int:
    """Write a site of reports."""
    from harness.publish.build import publish

    identifiers = arguments.with_identifiers
    print(f"site: {publish(arguments.reports, arguments.output, url=arguments.url, identifiers=identifiers)}")
    return 0
