"""report.json: everything that a report shows, as plain JSON data.

`harness.analysis.report_json` is the only way from an analysis to a page: a page is rendered from this document alone,
so every number on it is here. All numbers are finite; where a number could not be had the value is null. Fields are
added, never renamed. For an example, `tests/synthetic.py` writes a bundle: `report_json(analyse(bundle), bundle)`.

An excerpt (ratios are platform / baseline in cost, above 1 the platform is worse; `noise_floor` and `mde` are
relative, 0.02 = 2%; `slowdown` and the values are estimates, `ci95` their interval)::

    {"schema": 1,
     "run": {"id": "synthetic", "created": "2026-01-01T00:00:00Z", "seed": 1, "profile": "quick",
             "tool_version": "0.1.0", "boot_id": "…", "fingerprint": "<sha256 of the journal>", "blocks": 8,
             "invocations": 120, "samples": 6000, "seconds": 913.2, "precision": 0.02, "looks": 4,
             "interval_level": 0.9702, "boots": [{"number": 1, "run_id": "synthetic", "system": "linux", …}],
             "host": {"system.name": "Linux", …}, "gpus": [{"uuid": …, "name": …}],
             "plan": {"blocks": {"min": 5, "max": 12}, "budget": 480.0, "matrix": "matrix.yaml", "platforms": null,
                      "tasks": ["storage.*"]}},
     "baseline": "native",
     "platforms": ["native", "docker"],
     "platform_records": {"docker": {"kind": "container", "available": true, "reason": ""}, …},
     "environments": {"native": {"system.name": "Linux", …}, "docker": {…}},
     "differences": {"python.version": {"native": "3.11.2", "docker": "3.11.9"}, …},
     "comparability": [{"platform": "docker", "baseline": "native", "key": "python.version", "rank": "relevant",
                        "baseline_value": "3.11.2", "platform_value": "3.11.9", "why": "another build of Python: …",
                        "tasks": ["*"], "devices": "*"}],
     "stacks": {"driver": {"lock_sha256": "…", …}},
     "headlines": [{"platform": "docker", "comparison": 17}],
     "comparisons": [{"task": "storage.small_files", "metric": "create_seconds",
                      "dims": {"location": "overlay", "baseline_location": "host"}, "unit": "s", "stack": "driver",
                      "device": "cpu", "baseline": "native", "platform": "docker", "slowdown": 1.031,
                      "ci95": [1.012, 1.05], "verdict": "slower", "blocks": 8, "paired": true,
                      "noise_floor": 0.004, "noise_ci95": [0.98, 1.012], "mde": 0.021, "comparable": true,
                      "confounders": ["python: 3.11.2 on native, 3.11.9 on docker"],
                      "baseline_value": 0.0101, "platform_value": 0.0104, "boots": [1, 1],
                      "p_value": 0.002, "p_holm": 0.03,
                      "percentiles": [{"percent": 95, "slowdown": 1.2, "ci95": [1.1, 1.31], "reason": ""}],
                      "freedom": 7.0}],
     "regressions": [17],
     "distributions": [{"task": …, "metric": …, "dims": {…}, "unit": "s", "stack": …, "device": "cpu",
                        "platform": "native@2", "blocks": [1, 2], "medians": [0.0101, 0.0102], "samples": 80,
                        "warmup": [5, 12], "unsteady": [], "unchecked": []}],
     "unmatched": [{"platform": "docker", "baseline": "native", "task": "memory.bandwidth",
                    "metric": "triad_bandwidth", "stack": "driver", "device": "cpu", "quantities": 1,
                    "platform_only": {}, "baseline_only": {"threads": [8]}, "reason": "threads 8 on native alone"}],
     "exclusions": [{"platform": "docker", "stack": …, "task": …, "device": "cuda:0", "block": 3, "attempt": 1,
                     "cause": "throttled: …"}],
     "stalls": [{"task": "torch_cnn.trivial[real_data=true]", "stack": "torch", "device": "cpu", "platform": "native",
                 "share": 0.82, "ci95": [0.8, 0.84], "synthetic_seconds": 0.031, "real_seconds": 0.172}],
     "claims": [{"id": "1-driver-model", "statement": "…", "verdict": "not measured", "rule": "…", "reason": "…",
                 "would_change": "…", "evidence": [], "comparisons": [], "decisive": null, "factor": null,
                 "largest_ci95": [null, null],
                 "parts": [{"name": "launch", "verdict": "not measured", "comparisons": [], "decisive": null,
                            "reason": "…"}]}],
     "attribution": [{"task": "torch_cnn.trivial", "stack": …, "device": "cuda:0", "baseline": "native",
                      "platform": "docker", "step_seconds": 0.012, "gap_seconds": 0.001, "gap_ci95": [0.0009, 0.0011],
                      "comparable": true, "remarks": [],
                      "causes": [{"cause": "launch", "seconds": 0.0008, "ci95": [0.0007, 0.0009], "count": 100.0,
                                  "cost_seconds": 8e-06, "probe": "driver.launch launch_slope_seconds",
                                  "bounds": [0.0, 0.0008], "reason": ""},
                                 {"cause": "clock", "seconds": null, "ci95": [null, null], "count": 0.009,
                                  "cost_seconds": null, "probe": "", "bounds": null, "reason": "control.fma_device …"},
                                 {"cause": "unexplained", "seconds": 0.0002, …}]}],
     "dose_response": [{"platform": "docker", "baseline": "native", "stack": "torch", "device": "cuda:0",
                        "slope_seconds": 8.1e-06, "ci95": [7.6e-06, 8.6e-06], "probe_seconds": 8e-06,
                        "probe_ci95": [7.8e-06, 8.2e-06], "agrees": true, "reason": "",
                        "points": [{"task": …, "launches": 100.0, "gap_seconds": 0.001}]}],
     "capabilities": [{"platform": "wsl", "what": "platform", "status": "unavailable", "value": null,
                       "reason": "…"}],
     "telemetry": [{"task": …, "stack": …, "device": "cuda:0", "platform": "docker", "block": 8,
                    "times": [0.0, 0.1], "columns": {"gpu.utilization_percent": [0.0, 93.0], …},
                    "medians": {"gpu.utilization_percent": [91.5, 92.0], …}}],
     "warnings": ["journal.jsonl: the last line is cut; it was left out"]}
"""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic, which checks what `publish` is given, wants this one before 3.12

from harness.analysis.telemetry import TelemetryRecord

SCHEMA = 1
Scalar = str | int | float | bool
Interval = list[float | None]  # [low, high], [null, null] where no interval can be given


class PercentileRecord(TypedDict):
    """A tail of a comparison; `slowdown` is null where `reason` says why there is none."""

    percent: int
    slowdown: float | None
    ci95: Interval
    reason: str


class ComparisonRecord(TypedDict):
    """One task's metric on two platforms (`harness.analysis.model.Comparison`)."""

    task: str
    metric: str
    dims: dict[str, Scalar]  # `baseline_location` is there where the baseline was measured on another location
    unit: str
    stack: str
    device: str
    baseline: str
    platform: str
    slowdown: float
    ci95: Interval
    verdict: str  # slower, faster, equivalent, inconclusive
    blocks: int
    paired: bool
    noise_floor: float | None  # |A/A ratio - 1|
    noise_ci95: Interval  # of the A/A ratio
    mde: float | None
    comparable: bool
    confounders: list[str]
    baseline_value: float  # geometric mean over blocks of per-invocation medians, in `unit`
    platform_value: float
    boots: list[int]  # of the baseline, of the platform; of several, the boot is the replicate
    p_value: float | None  # of a difference within the margin
    p_holm: float | None  # adjusted by Holm over all comparisons that are comparable
    percentiles: list[PercentileRecord]
    freedom: float | None  # degrees of freedom of the t behind `ci95`


class DistributionRecord(TypedDict):
    """Per-invocation medians of one metric on one arm; `platform` is an arm's name, `native@2`."""

    task: str
    metric: str
    dims: dict[str, Scalar]
    unit: str
    stack: str
    device: str
    platform: str
    blocks: list[int]
    medians: list[float]
    samples: int  # behind the medians: warm-up is left out
    warmup: list[int]  # samples of each block that are left out, as the task says or as the steps tell
    unsteady: list[int]  # blocks whose steps reached no steady state: they are used all the same
    unchecked: NotRequired[list[int]]  # blocks with too few steps to tell whether they are steady; earlier: none told


class UnmatchedRecord(TypedDict):
    """Quantities of one task's metric that one side alone has (`harness.analysis.model.Unmatched`)."""

    platform: str
    baseline: str
    task: str
    metric: str
    stack: str
    device: str
    quantities: int  # left out, on both sides
    platform_only: dict[str, list[Scalar | None]]  # dim → values that the platform alone has; null is without the dim
    baseline_only: dict[str, list[Scalar | None]]
    reason: str


class ExclusionRecord(TypedDict):
    """An invocation that is in no statistics, and why (`harness.analysis.exclusions`)."""

    platform: str  # arm's name
    stack: str
    task: str
    device: str
    block: int
    attempt: int
    cause: str


class StallRecord(TypedDict):
    """The data-stall share of a step on one platform (`harness.analysis.stalls`)."""

    task: str  # the one with real data
    stack: str
    device: str
    platform: str
    share: float  # 1 - synthetic / real
    ci95: Interval
    synthetic_seconds: float
    real_seconds: float


class DifferenceRecord(TypedDict):
    """A fact that differs between two platforms, and what that does to their ratios (`analysis.comparability`)."""

    platform: str
    baseline: str
    key: str  # of `environments`; or `processors`, `stack.lock_sha256`, `versions.…`
    rank: str  # decisive (it made comparisons not comparable), relevant, noted
    baseline_value: str  # "" where a side does not report it
    platform_value: str
    why: str
    tasks: list[str]  # globs: what it bears on
    devices: str  # glob


class ClaimPartRecord(TypedDict):
    """One of the things that a claim says."""

    name: str
    verdict: str
    comparisons: list[int]
    decisive: int | None
    reason: str


class CauseRecord(TypedDict):
    """A part of a gap (`harness.analysis.model.Cause`); `seconds` is null where `reason` says why."""

    cause: str
    seconds: float | None
    ci95: Interval
    count: float | None
    cost_seconds: float | None
    probe: str
    bounds: list[float] | None
    reason: str


class AttributionRecord(TypedDict):
    """The gap between one workload's steps on two platforms, taken apart (`harness.analysis.model.Attribution`)."""

    task: str
    stack: str
    device: str
    baseline: str
    platform: str
    step_seconds: float
    gap_seconds: float
    gap_ci95: Interval
    comparable: bool
    causes: list[CauseRecord]
    remarks: list[str]


class DoseRecord(TypedDict):
    """One task of a dose-response line."""

    task: str
    launches: float
    gap_seconds: float


class DoseResponseRecord(TypedDict):
    """The gaps of several tasks against their launches (`harness.analysis.model.DoseResponse`)."""

    platform: str
    baseline: str
    stack: str
    device: str
    slope_seconds: float | None
    ci95: Interval
    probe_seconds: float
    probe_ci95: Interval
    agrees: bool | None
    points: list[DoseRecord]
    reason: str


class ClaimRecord(TypedDict):
    """A statement on trial. Comparisons are indices into `comparisons`."""

    id: str
    statement: str
    verdict: str  # supported, refuted, depends, not measured
    rule: str
    reason: str
    would_change: str
    evidence: list[str]
    comparisons: list[int]  # that bear on it
    decisive: int | None  # of those that speak the one of the largest slowdown
    factor: float | None  # how many times as slow the claim says; of the headline alone
    largest_ci95: Interval  # of the largest slowdown, whichever it is: all intervals hold together with 95%
    parts: list[ClaimPartRecord]


class CapabilityRecord(TypedDict):
    """Something that did not run, or not wholly."""

    platform: str
    what: str  # `platform`, or `stack/task`
    status: str
    value: float | None
    reason: str


class HeadlineRecord(TypedDict):
    """The comparison that says most about a platform: an index into `comparisons`, null where there is none."""

    platform: str
    comparison: int | None


class PlatformSummary(TypedDict):
    """What run.json says of a platform, without its inspection (see `environments`)."""

    kind: str
    available: bool
    reason: str


class BlocksRecord(TypedDict):
    """How many blocks a run was to make."""

    min: int
    max: int


class PlanRecord(TypedDict):
    """What the run was to do, as decided before its start; of merged runs each had its own `budget` and selection."""

    blocks: BlocksRecord | None
    budget: float | None  # seconds after which no block begins, but for the least number of them
    matrix: str  # the file as it was named; "" where that is not known
    platforms: list[str] | None  # asked for by name; null: all
    tasks: list[str] | None  # globs; null: all


class BootSummary(TypedDict):
    """One run of those behind a merged bundle; `differs` holds what it alone says of a platform's environment."""

    number: int  # as the journal counts them, from 1
    run_id: str
    boot_id: str
    created: str  # RFC 3339
    system: str  # linux, windows, …
    seed: int
    tool_version: str
    blocks: int
    platforms: list[str]  # those available, as this document calls them
    differs: dict[str, dict[str, str]]  # platform → key → value, where it is not that of `environments`
    gpus: list[dict[str, Any]]
    profile: NotRequired[str]  # documents of earlier versions have neither this
    plan: NotRequired[PlanRecord]  # nor this


class RunRecord(TypedDict):
    """Where the numbers come from."""

    id: str
    created: str  # RFC 3339
    seed: int
    profile: str
    tool_version: str
    boot_id: str
    fingerprint: str  # sha256 of the journal as it was read
    blocks: int  # the most blocks that any cell has
    invocations: int
    samples: int  # in the invocations used, warm-up included
    seconds: float  # sum over all attempts
    precision: float | None
    looks: int  # how often the sequential design may look; 1 = not sequential
    interval_level: float  # of each `ci95`, so that it covers with 95% when a look stopped the task
    boots: list[BootSummary]  # one for each run of a merged bundle; one alone for a run's own
    host: dict[str, str]  # flat inspection of the host
    gpus: list[dict[str, Any]]
    plan: NotRequired[PlanRecord]  # documents of earlier versions have none


class Document(TypedDict):
    """The whole of report.json."""

    schema: int
    run: RunRecord
    baseline: str
    platforms: list[str]  # every platform of run.json, baseline first
    platform_records: dict[str, PlatformSummary]
    environments: dict[str, dict[str, str]]  # available platform → flat inspection
    differences: dict[str, dict[str, str]]  # key → platform → value, "" where it reports none
    comparability: list[DifferenceRecord]  # pair by pair and ranked: the gravest first
    stacks: dict[str, dict[str, Any]]
    headlines: list[HeadlineRecord]
    comparisons: list[ComparisonRecord]
    regressions: list[int]  # into `comparisons`: slower, with p_holm of 0.05 at most
    distributions: list[DistributionRecord]
    unmatched: list[UnmatchedRecord]
    exclusions: list[ExclusionRecord]
    stalls: list[StallRecord]
    attribution: list[AttributionRecord]
    dose_response: list[DoseResponseRecord]
    claims: list[ClaimRecord]
    capabilities: list[CapabilityRecord]
    telemetry: NotRequired[list[TelemetryRecord]]  # of workloads; documents of earlier versions have none
    warnings: list[str]
