"""Folders of reports, of synthetic bundles on made-up machines: nothing in them was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.analysis.document import Document
from harness.analysis.report_json import report_json
from harness.results.bundle import read
from tests.synthetic import write_bundle

UUID = "GPU-6f3b2c1a-1111-2222-3333-444455556666"
CARD = "Synthetic GPU"


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two documents as JSON: a machine without a GPU and another with one, their platforms partly the same."""
    folder = tmp_path_factory.mktemp("publish")
    made = []
    for seed, platforms in ((1, {"docker": 1.03, "docker-half": 2.0}), (2, {"docker": 1.2})):
        bundle = read(write_bundle(folder / str(seed), platforms=platforms, blocks=5, samples=6, seed=seed))
        made.append(report_json(analyse(bundle), bundle))
    made[1]["run"]["gpus"] = [{"uuid": UUID, "name": CARD}]
    made[1]["run"]["created"] = "2026-02-03T10:00:00+02:00"
    return json.dumps(made[0]), json.dumps(made[1])


@pytest.fixture
def documents(texts: tuple[str, str]) -> tuple[Document, Document]:
    one, other = map(json.loads, texts)
    return one, other


@pytest.fixture
def reports(documents: tuple[Document, Document], tmp_path: Path) -> list[Path]:
    return [write_report(tmp_path / f"report-{number}", each) for number, each in enumerate(documents)]


def write_report(folder: Path, document: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "index.html").write_text("<script>whatever came with it</script>", encoding="utf-8")
    return folder
