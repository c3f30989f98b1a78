"""Claims are decided by comparisons that bear on them, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.claims import claims
from harness.analysis.compare import compare
from harness.analysis.model import Claim, Comparison, Verdict
from harness.results.bundle import Manifest, read, read_manifest
from tests.synthetic import BANDWIDTH, write_bundle

IDS = ["1-driver-model", "2-pcie-dma", "3-memory-numa", "4-file-systems", "5-tools", "6-vm-passthrough", "headline"]
LINUX = {"system.platform": {"value": "linux", "source": "sys.platform"}}
WINDOWS = {"system.platform": {"value": "win32", "source": "sys.platform"}}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    plain = read_manifest(write_bundle(tmp_path_factory.mktemp("claims") / "run", tasks=(BANDWIDTH,), blocks=1))
    platforms = {
        "native": {"kind": "native", "available": True, "inspection": LINUX},
        "docker": {"kind": "container", "available": True},
        "wsl": {"kind": "wsl", "available": True},
        "windows": {"kind": "native", "available": True, "inspection": WINDOWS},
        "guest": {"kind": "vm", "available": True},
    }
    return Manifest.model_validate(plain.dump() | {"platforms": platforms})


def comparison(
    task: str = "driver.launch",
    platform: str = "wsl",
    *,
    verdict: Verdict = "slower",
    high: float = 1.4,
    device: str = "cuda:0",
    comparable: bool = True,
) -> Comparison:
    return Comparison(
        task=task,
        metric="launch_seconds",
        dims={},
        unit="s",
        stack="driver",
        device=device,
        baseline="native",
        platform=platform,
        slowdown=1.3,
        ci95=(1.2, high),
        verdict=verdict,
        blocks=8,
        paired=True,
        noise_floor=0.01,
        mde=0.02,
        comparable=comparable,
    )


def verdict_of(claim: str, manifest: Manifest, *comparisons: Comparison) -> str:
    return by_id(claims(manifest, comparisons), claim).verdict


def by_id(found: tuple[Claim, ...], claim: str) -> Claim:
    return next(each for each in found if each.id == claim)


def test_every_claim_is_there_and_not_measured(manifest: Manifest) -> None:
    found = claims(manifest, ())
    assert [claim.id for claim in found] == IDS
    assert {claim.verdict for claim in found} == {"not measured"}
    assert not any(claim.evidence for claim in found)


def test_a_run_of_containers_says_nothing_to_them(tmp_path: Path) -> None:
    bundle = read(write_bundle(tmp_path / "run", platforms={"docker": 1.5}))
    assert {claim.verdict for claim in claims(bundle.manifest, compare(bundle))} == {"not measured"}


@pytest.mark.parametrize(
    ("comparisons", "expected"),
    [
        ([comparison()], "supported"),
        ([comparison(platform="windows")], "supported"),
        ([comparison(verdict="equivalent")], "refuted"),
        ([comparison(verdict="faster")], "refuted"),
        ([comparison(), comparison(verdict="equivalent")], "depends"),
        ([comparison(verdict="inconclusive")], "not measured"),
        ([comparison(), comparison(verdict="inconclusive")], "supported"),
        ([comparison(comparable=False)], "not measured"),
        ([comparison(device="cpu")], "not measured"),
        ([comparison(platform="docker")], "not measured"),
        ([comparison(task="memory.bandwidth")], "not measured"),
    ],
)
def test_the_driver_model(manifest: Manifest, comparisons: list[Comparison], expected: str) -> None:
    assert verdict_of("1-driver-model", manifest, *comparisons) == expected


def test_a_claim_of_a_factor_needs_that_factor(manifest: Manifest) -> None:
    assert verdict_of("headline", manifest, comparison("tf_cnn.resnet50[batch_size=64]", high=1.4)) == "refuted"
    assert verdict_of("headline", manifest, comparison("tf_cnn.resnet50[batch_size=64]", high=2.1)) == "supported"


def test_other_claims_have_other_platforms(manifest: Manifest) -> None:
    assert verdict_of("6-vm-passthrough", manifest, comparison(platform="guest")) == "supported"
    assert verdict_of("5-tools", manifest, comparison("tooling.install", "docker")) == "supported"
    assert verdict_of("3-memory-numa", manifest, comparison("memory.faults", device="cpu")) == "supported"


def test_only_against_native_linux(manifest: Manifest) -> None:
    records = dict(manifest.platforms)
    records["native"] = records["native"].model_copy(update={"inspection": WINDOWS})
    windows = manifest.model_copy(update={"platforms": records})
    assert verdict_of("1-driver-model", windows, comparison()) == "not measured"


def test_evidence_is_a_sentence_with_its_interval(manifest: Manifest) -> None:
    (sentence,) = by_id(claims(manifest, [comparison()]), "1-driver-model").evidence
    assert sentence == ("driver.launch, launch_seconds on cuda:0: wsl costs 1.300 [1.200, 1.400] times native (slower)")
