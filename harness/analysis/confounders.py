"""What else differs between two platforms of one run: environments side by side, software, the control's answer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.agent.inspection.facts import FAILED_INSPECTION
from harness.agent.messages import CellResult
from harness.analysis.estimate import Estimate
from harness.analysis.exclusions import MEASURED
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle, Manifest, StackRecord

CONTROL = "control.fma"
DEVICE_CONTROL = "control.fma_device"
CONTROL_METRICS = frozenset({"fma_seconds", "device_fma_seconds"})
CONTROL_TOLERANCE = 0.02  # clocks and processor shares that differ by more make a pair not comparable
LOCK_FILE = "lock file"
MAX_TEXT = 200  # of one value shown side by side

# Last parts of inspection keys that say nothing of a platform: they change from one moment to the next.
VOLATILE = frozenset({
    "boot_id", "free_bytes", "free_inodes",
    "graphics_clock_hz", "memory_clock_hz", "pcie_generation", "pcie_width",  # of an idle GPU, by NVML
    "current_link_speed", "current_link_width",  # the same link, by sysfs
})  # fmt: skip

Environments = Mapping[str, Mapping[str, str]]
Versions = Mapping[tuple[str, str, str], Mapping[str, str]]  # (platform, stack, task) → name → version


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return an inspection as dotted names and texts.

    A fact, `{"value": …, "source": …}`, is its value; what could not be read is left out.
    """
    found: dict[str, str] = {}
    for name, item in data.items():
        value = item.get("value") if isinstance(item, Mapping) and "source" in item else item
        if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            value = {str(number): each for number, each in enumerate(value)}
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            found[f"{prefix}{name}"] = _shown(value)
    return found


def environments(manifest: Manifest) -> dict[str, dict[str, str]]:
    """Return the flat inspection of every platform that is there."""
    return {name: environment(record.inspection) for name, record in manifest.platforms.items() if record.available}


def environment(inspection: Mapping[str, Any]) -> dict[str, str]:
    """Return a flat inspection; of a failed one what the platform told all the same, and that it failed."""
    told = flat(inspection)
    return {**told, FAILED_INSPECTION: "failed"} if FAILED_INSPECTION in inspection else told


def inspection_warnings(manifest: Manifest) -> Iterator[str]:
    """Say of which platforms it is not known what differs."""
    for name, record in manifest.platforms.items():
        if isinstance(failed := record.inspection.get(FAILED_INSPECTION), Mapping):
            yield f"{name} could not be inspected, so what differs from it is not known: {failed.get('error', '')}"


def differences(found: Environments) -> dict[str, dict[str, str]]:
    """Return key → platform → value for the keys whose value differs; "" where a platform reports none.

    A platform that could not be inspected is left out: what it does not tell is not known to differ.
    """
    inspected = {name: told for name, told in found.items() if told and FAILED_INSPECTION not in told}
    keys = sorted({key for told in inspected.values() for key in told})
    rows = {key: {name: told.get(key, "") for name, told in inspected.items()} for key in keys}
    return {key: row for key, row in rows.items() if len(set(row.values())) > 1 and not is_volatile(key)}


def versions(invocations: Iterable[CellResult]) -> Versions:
    """Return what the invocations of each platform, stack and task say of their software."""
    found: defaultdict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    for result in invocations:
        if result.status in MEASURED:
            platform = result.platform.removesuffix(SECOND_ARM)
            shown = {name: _shown(text) for name, text in result.versions.items()}
            found[platform, result.stack, result.task].update(shown)
    return found


class SoftwareDifferences:
    """Says, for one pair of platforms, in which software they differ."""

    def __init__(self, bundle: Bundle) -> None:
        self._stacks = bundle.manifest.stacks
        self._versions = versions(bundle.invocations)

    def lines(self, stack: str, task: str, baseline: str, platform: str) -> tuple[str, ...]:
        """Return one line for each difference, `python: 3.11.2 on native, 3.11.9 on docker`."""
        found = self.values(stack, task, baseline, platform).items()
        return tuple(
            f"{key}: {ours} on {baseline}, {theirs} on {platform}" for key, (ours, theirs) in found if ours and theirs
        )

    def values(self, stack: str, task: str, baseline: str, platform: str) -> dict[str, tuple[str, str]]:
        """Return name → both sides' values where they differ, by name; "" for what a side does not tell."""
        ours, theirs = (self._facts(stack, task, name) for name in (baseline, platform))
        both = {key: (ours.get(key, ""), theirs.get(key, "")) for key in sorted(ours.keys() | theirs.keys())}
        return {key: (one, other) for key, (one, other) in both.items() if one != other}

    def _facts(self, stack: str, task: str, platform: str) -> dict[str, str]:
        return {**self._locked(stack, platform), **self._versions.get((platform, stack, task), {})}

    def _locked(self, stack: str, platform: str) -> dict[str, str]:
        """Return the digest of the lock file that the platform's stack was installed from, where it is known."""
        record = StackRecord.model_validate(self._stacks.get(stack, {}))
        digest = record.platforms.get(platform, {}).get("lock_sha256")
        return {LOCK_FILE: _shown(digest)} if digest else {}


@dataclass(frozen=True, kw_only=True)
class Control:
    """What the controls say about two sides: whether they compare at all, and what a reader must know."""

    comparable: bool
    remarks: tuple[str, ...] = ()


class Controls:
    """The controls between two sides: the CPU's, and where something ran on a GPU the GPU's too."""

    def __init__(self) -> None:
        self._measured: defaultdict[str, list[Estimate]] = defaultdict(list)

    def add(self, task: str, metric: str, estimate: Estimate) -> None:
        """Take in a ratio between the sides; one that is no control's is left."""
        if metric in CONTROL_METRICS:
            self._measured[task.partition("[")[0]].append(estimate)

    def judge(self, device: str) -> Control:
        """Judge what ran on a device: a GPU that is slower elsewhere says nothing of what ran on the CPUs alone."""
        controls = (CONTROL,) if device == "cpu" else (CONTROL, DEVICE_CONTROL)
        judged = [judge_control(self._measured[each], each) for each in controls]
        return Control(
            comparable=all(each.comparable for each in judged),
            remarks=tuple(remark for each in judged for remark in each.remarks),
        )


def judge_control(estimates: Sequence[Estimate], control: str = CONTROL) -> Control:
    """Judge two sides by the ratios of one control between them.

    Not comparable when an interval lies wholly outside ±2%. An interval that is neither inside nor outside cannot
    tell: the pair stays comparable, with a remark that says so.
    """
    if not estimates:
        return _unassured(f"{control} was not measured on both")
    doubtful = [each for each in estimates if not _inside(each)]
    if not doubtful:
        return Control(comparable=True)
    differing = [each for each in doubtful if _outside(each)]
    worst = max(differing or doubtful, key=lambda each: abs(each.log_ratio))
    if worst.low is None or worst.high is None:
        return _unassured(f"{control} has no interval ({worst.ratio:.3f})")
    text = f"{worst.ratio:.3f} [{worst.interval[0]:.3f}, {worst.interval[1]:.3f}]"
    if differing:
        remark = f"{control} differs: {text}; the two do not get the same clock or share of the processor"
        return Control(comparable=False, remarks=(remark,))
    return _unassured(f"{control} cannot tell within {CONTROL_TOLERANCE:.0%}: {text}")


def _outside(estimate: Estimate) -> bool:
    edge = math.log1p(CONTROL_TOLERANCE)
    return estimate.low is not None and estimate.high is not None and (estimate.low > edge or estimate.high < -edge)


def _inside(estimate: Estimate) -> bool:
    edge = math.log1p(CONTROL_TOLERANCE)
    return estimate.low is not None and estimate.high is not None and -edge <= estimate.low and estimate.high <= edge


def _unassured(finding: str) -> Control:
    return Control(comparable=True, remarks=(f"{finding}: an equal clock is not assured",))


def is_volatile(key: str) -> bool:
    """Whether a fact says nothing of a platform."""
    return key.rpartition(".")[2] in VOLATILE


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
