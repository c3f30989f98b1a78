"""A synthetic bundle and its document; each test gets a copy to spoil."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.analysis.document import Document, UnmatchedRecord
from harness.analysis.report_json import report_json
from harness.results.bundle import read
from tests.synthetic import write_bundle


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "bundle"
    return write_bundle(folder, platforms={"docker": 1.03, "docker-half": 2.0}, blocks=6, samples=10)


@pytest.fixture(scope="session")
def analysed(bundle_folder: Path) -> Document:
    bundle = read(bundle_folder)
    return report_json(analyse(bundle), bundle)


@pytest.fixture
def document(analysed: Document) -> Document:
    return copy.deepcopy(analysed)


def lonely(platform: str, task: str, metric: str, reason: str) -> UnmatchedRecord:
    """Return the record of a quantity that one side alone has."""
    return UnmatchedRecord(
        platform=platform,
        baseline="native",
        task=task,
        metric=metric,
        stack="driver",
        device="cpu",
        quantities=1,
        platform_only={"threads": [4]},
        baseline_only={},
        reason=reason,
    )
