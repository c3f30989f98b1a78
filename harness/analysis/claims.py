"""The seven claims that the project exists to test, and what a run's comparisons say to each.

All but one are about Windows, WSL2 or a virtual machine against native Linux, so a run on one Linux host with
containers leaves them "not measured". A comparison bears on a claim when

- its task is one of the claim's tasks, its device of the claim's kind, and it is `comparable`;
- its baseline is native Linux;
- its platform is of a kind that the claim is about (`windows` is a native platform that runs Windows).

Such a comparison speaks for the claim when it is `slower` and its interval reaches the claim's factor, against it
when it is `faster`, `equivalent`, or `slower` by less than the factor for certain; `inconclusive` says nothing. All
for: "supported". All against: "refuted". Both: "depends". None: "not measured".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.analysis.confounders import flat
from harness.analysis.model import Claim, ClaimVerdict, Comparison
from harness.results.bundle import Manifest

WINDOWS = frozenset({"windows", "wsl"})
WORKLOADS = ("tf_cnn.*", "torch_cnn.*", "keras_cnn.*")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A claim and which comparisons bear on it. `factor` is how much slower it says the platform is at least."""

    id: str
    statement: str
    tasks: tuple[str, ...]
    kinds: frozenset[str] = WINDOWS
    cuda: bool = False
    factor: float = 1.0


RULES = (
    Rule(
        id="1-driver-model",
        statement="The Windows driver model makes kernel launches, synchronization and timers slower than under Linux",
        tasks=("driver.*",),
        cuda=True,
    ),
    Rule(
        id="2-pcie-dma",
        statement="Copies over PCIe, peer to peer transfers and pinned memory are slower under Windows and WSL2",
        tasks=("copies.*",),
        cuda=True,
    ),
    Rule(
        id="3-memory-numa",
        statement="Memory bandwidth, first touch and thread affinity are worse under Windows and WSL2",
        tasks=("memory.*",),
    ),
    Rule(
        id="4-file-systems",
        statement="Small files, prefetch and concurrent I/O are slower under Windows and WSL2",
        tasks=("storage.*",),
    ),
    Rule(
        id="5-tools",
        statement="Installing, building native code and Docker with a GPU cost more than under native Linux",
        tasks=("tooling.*", *WORKLOADS),
        kinds=WINDOWS | {"container"},
        cuda=True,
    ),
    Rule(
        id="6-vm-passthrough",
        statement="A virtual machine with PCIe passthrough is slower than native Linux",
        tasks=("*",),
        kinds=frozenset({"vm"}),
        cuda=True,
    ),
    Rule(
        id="headline",
        statement="Training, data loading and GPU utilization are up to twice as slow (tensorflow/benchmarks)",
        tasks=("tf_cnn.*", "storage.loader"),
        cuda=True,
        factor=2.0,
    ),
)


def claims(manifest: Manifest, comparisons: Sequence[Comparison]) -> tuple[Claim, ...]:
    """Judge every claim by the comparisons of one run, as the module's docstring says."""
    kinds = {name: _kind(manifest, name) for name in manifest.platforms}
    native_linux = kinds.get(manifest.plan.baseline) == "native" and _runs(manifest, manifest.plan.baseline, "linux")
    return tuple(
        _judged(rule, [each for each in comparisons if native_linux and _bears(rule, kinds, each)]) for rule in RULES
    )


def _judged(rule: Rule, bearing: Sequence[Comparison]) -> Claim:
    return Claim(
        id=rule.id,
        statement=rule.statement,
        verdict=_verdict({_speaks_for(rule, each) for each in bearing}),
        evidence=tuple(_sentence(each) for each in bearing),
    )


def _bears(rule: Rule, kinds: dict[str, str], comparison: Comparison) -> bool:
    name = comparison.task.partition("[")[0]
    return (
        comparison.comparable
        and kinds.get(comparison.platform) in rule.kinds
        and (comparison.device.startswith("cuda") or not rule.cuda)
        and any(fnmatchcase(name, glob) for glob in rule.tasks)
    )


def _speaks_for(rule: Rule, comparison: Comparison) -> bool | None:
    if comparison.verdict == "inconclusive":
        return None
    high = comparison.ci95[1]
    return comparison.verdict == "slower" and high is not None and high >= rule.factor


def _verdict(answers: set[bool | None]) -> ClaimVerdict:
    said = answers - {None}
    if not said:
        return "not measured"
    if len(said) > 1:
        return "depends"
    return "supported" if True in said else "refuted"


def _sentence(comparison: Comparison) -> str:
    low, high = comparison.ci95
    interval = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    what = f"{comparison.task}, {comparison.metric} on {comparison.device}"
    ratio = f"{comparison.slowdown:.3f}{interval} times {comparison.baseline}"
    return f"{what}: {comparison.platform} costs {ratio} ({comparison.verdict})"


def _kind(manifest: Manifest, platform: str) -> str:
    kind = manifest.platforms[platform].kind
    return "windows" if kind == "native" and _runs(manifest, platform, "win32") else kind


def _runs(manifest: Manifest, platform: str, system: str) -> bool:
    """Whether the platform's own inspection names this operating system."""
    return flat(manifest.platforms[platform].inspection).get("system.platform") == system
