"""What the analysis finds: the typed content of report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["slower", "faster", "equivalent", "inconclusive"]
ClaimVerdict = Literal["supported", "refuted", "depends", "not measured"]
Rank = Literal["decisive", "relevant", "noted"]  # the gravest first


@dataclass(frozen=True, kw_only=True)
class Percentile:
    """A tail of a comparison: the slowdown of one percentile of the samples, or why there is none."""

    percent: int  # 95, 99: of the costs, so the bad end whatever the unit's direction
    slowdown: float | None = None
    ci95: tuple[float | None, float | None] = (None, None)
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One task's metric on two platforms.

    `slowdown` is cost over cost, platform / baseline: above 1 the platform is worse, whatever the unit's direction.
    `ci95` is None on a side where no interval can be given (fewer than two blocks). `noise_floor` and `mde` are
    relative (0.02 = 2%); None where they could not be estimated.
    """

    task: str
    metric: str
    dims: Mapping[str, Any]
    unit: str
    stack: str
    device: str
    baseline: str
    platform: str
    slowdown: float
    ci95: tuple[float | None, float | None]
    verdict: Verdict
    blocks: int
    paired: bool
    noise_floor: float | None
    mde: float | None
    comparable: bool
    confounders: tuple[str, ...] = ()
    baseline_value: float = 0.0  # geometric mean over blocks of the per-invocation medians, in `unit`
    platform_value: float = 0.0
    noise_ci95: tuple[float | None, float | None] = (None, None)  # the A/A ratio's interval
    boots: tuple[int, int] = (1, 1)  # of the baseline and of the platform; of several, the boot is the replicate
    p_value: float | None = None  # of a difference within the margin (`harness.analysis.estimate.p_value`)
    p_holm: float | None = None  # the same, adjusted for the whole matrix
    percentiles: tuple[Percentile, ...] = ()  # none where an invocation has too few samples for one
    freedom: float | None = None  # degrees of freedom of the t behind `ci95`; None without an interval


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A fact that differs between a platform and the baseline, ranked by `harness.analysis.comparability_rules`.

    `tasks` and `devices` are globs: what it bears on. "" is a value that a side does not report.
    """

    platform: str
    baseline: str
    key: str
    rank: Rank
    baseline_value: str
    platform_value: str
    why: str
    tasks: tuple[str, ...] = ("*",)
    devices: str = "*"


@dataclass(frozen=True, kw_only=True)
class ClaimPart:
    """One of the things that a claim says, with its own verdict; `decisive` as in `Claim`."""

    name: str
    verdict: ClaimVerdict
    comparisons: tuple[int, ...] = ()
    decisive: int | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement on trial. Comparisons are named by their place in `Analysis.comparisons`."""

    id: str
    statement: str
    verdict: ClaimVerdict
    rule: str  # by which the verdict was found
    reason: str  # why it is this one
    would_change: str
    evidence: tuple[str, ...] = ()  # one sentence a comparison
    comparisons: tuple[int, ...] = ()  # that bear on it
    decisive: int | None = None  # of those that speak the one of the largest slowdown
    factor: float | None = None  # how many times as slow the claim says
    largest_ci95: tuple[float | None, float | None] = (None, None)  # of the largest slowdown, whichever it is
    parts: tuple[ClaimPart, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Capability:
    """What a platform could or could not do: a cell that did not end `ok`, or a whole platform that is not there."""

    platform: str
    what: str
    status: str
    value: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Unmatched:
    """Quantities of one task's metric that one side alone has, so that there is no ratio of them.

    `platform_only` and `baseline_only` are the values, by dim, that only they have; None is a quantity without that
    dim. `quantities` counts those left out, on both sides.
    """

    platform: str
    baseline: str
    task: str
    metric: str
    stack: str
    device: str
    quantities: int
    platform_only: Mapping[str, Sequence[Any]]
    baseline_only: Mapping[str, Sequence[Any]]
    reason: str  # what only one side has, in words


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """An invocation that measured and is in no statistics, for the cause that is stated."""

    platform: str  # arm name, `native@2`
    stack: str
    task: str
    device: str
    block: int
    attempt: int
    cause: str


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Per-invocation medians of one metric on one platform arm, in block order, for the charts."""

    task: str
    metric: str
    dims: Mapping[str, Any]
    unit: str
    stack: str
    device: str
    platform: str  # arm name, `native@2`
    blocks: tuple[int, ...]
    medians: tuple[float, ...]
    samples: int  # behind the medians: warm-up is left out
    warmup: tuple[int, ...] = ()  # samples left out of each block's median, as the task says or as the steps tell
    unsteady: tuple[int, ...] = ()  # blocks whose steps reached no steady state: shown, and not left out
    unchecked: tuple[int, ...] = ()  # blocks with too few steps to tell whether they are steady


CauseName = Literal[
    "launch",  # of a kernel; on a CPU an operation of the framework
    "sync",
    "copy_latency",
    "copy_bandwidth",
    "allocation",
    "file",
    "file_bandwidth",
    "clock",
    "unexplained",
]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A part of the gap between two platforms' steps: a count, times what one costs more on the platform.

    `seconds` is of launches as if none were hidden behind work of the device; `bounds` is what it is if all are, and if
    none is. The bounds of the unexplained part follow. `seconds` is None where `reason` says why it could not be had.
    """

    cause: CauseName
    seconds: float | None = None
    ci95: tuple[float | None, float | None] = (None, None)
    count: float | None = None  # a step's; of bandwidths bytes, of the clock seconds of computing
    cost_seconds: float | None = None  # how much more one of them costs; of several kinds their mean
    probe: str = ""  # which task and metric say so
    bounds: tuple[float, float] | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """The gap between the steps of one workload on two platforms, taken apart (`harness.analysis.attribution`)."""

    task: str
    stack: str
    device: str
    baseline: str
    platform: str
    step_seconds: float  # the baseline's: mean over blocks of per-invocation medians
    gap_seconds: float  # platform - baseline, likewise
    gap_ci95: tuple[float | None, float | None]
    comparable: bool
    causes: tuple[Cause, ...]  # they sum up to the gap, but for rounding; the last is the unexplained part
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dose:
    """One task of a dose-response line."""

    task: str
    launches: float  # a step's
    gap_seconds: float


@dataclass(frozen=True, kw_only=True)
class DoseResponse:
    """The gaps of several tasks against their launches: the slope should be what one launch costs more by the probe."""

    platform: str
    baseline: str
    stack: str
    device: str
    slope_seconds: float | None  # a launch; None where `reason` says why
    ci95: tuple[float | None, float | None]
    probe_seconds: float
    probe_ci95: tuple[float | None, float | None]
    agrees: bool | None  # None where an interval is missing
    points: tuple[Dose, ...]
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Stall:
    """What part of a training step with real data waits for them (`harness.analysis.stalls`)."""

    task: str  # the one with real data
    stack: str
    device: str
    platform: str
    share: float
    ci95: tuple[float | None, float | None]
    synthetic_seconds: float  # geometric mean over blocks of the per-invocation medians of a step
    real_seconds: float


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Everything the report shows about one machine's measurements."""

    baseline: str
    platforms: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    claims: tuple[Claim, ...]
    capabilities: tuple[Capability, ...]
    distributions: tuple[Distribution, ...]
    unmatched: tuple[Unmatched, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    stalls: tuple[Stall, ...] = ()
    comparability: tuple[Difference, ...] = ()  # the gravest first
    attribution: tuple[Attribution, ...] = ()
    dose_response: tuple[DoseResponse, ...] = ()
    differences: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # inspection key → platform → value
    warnings: tuple[str, ...] = ()  # about the run as a whole
