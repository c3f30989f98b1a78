from __future__ import annotations

from typing import Any

import yaml

from tests.program import ROOT
from tests.truth.alike import CONTAINERS, LIGHTER, matrix, row, share


def document(*verdicts: str) -> dict[str, Any]:
    return {
        "run": {"seed": 3, "blocks": 5},
        "comparisons": [{"verdict": verdict} for verdict in verdicts],
        "regressions": [0],
    }


def test_the_platforms_are_two_containers_that_are_alike() -> None:
    made = yaml.safe_load(matrix("probes", 5))
    assert made["baseline"] == CONTAINERS[0]
    assert list(made["platforms"]) == list(CONTAINERS)
    assert made["platforms"]["container-a"] == made["platforms"]["container-b"]
    assert made["profiles"]["probes"]["tasks"]
    assert made["profiles"]["probes"]["blocks"] == 5
    assert LIGHTER.keys() <= yaml.safe_load((ROOT / "matrix.yaml").read_text("utf-8"))["tasks"].keys()


def test_both_directions_are_false_alarms() -> None:
    counted = row(document("slower", "faster", "equivalent", "inconclusive", "inconclusive"))
    assert counted == {
        "seed": 3,
        "blocks": 5,
        "comparisons": 5,
        "slower": 1,
        "faster": 1,
        "equivalent": 1,
        "inconclusive": 2,
        "called": 2,
        "after Holm": 1,
    }
    assert share([counted, row(document("equivalent", *["inconclusive"] * 4))]) == 0.2
