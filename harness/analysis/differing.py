"""What differs between a platform and the baseline, as the rules of comparability see it.

Beside the inspections' own keys there are `processors`, `stack.lock_sha256` and `versions.…` (what the results say of
their software). What is told of a storage location is set against the location that its files are compared with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.agent.inspection.facts import FAILED_INSPECTION
from harness.analysis.confounders import LOCK_FILE, SoftwareDifferences, is_volatile
from harness.analysis.model import Comparison
from harness.analysis.pairing import HOST_LOCATION

STORAGE = "storage."
PROCESSORS = "processors"
UNLIMITED = "unlimited"
LIMITS = ("cgroup.cpus", "cpu.affinity", "cpu.logical")

Facts = Mapping[str, str]
Cell = tuple[str, str]  # a stack and a task


@dataclass(frozen=True, kw_only=True)
class Differing:
    """A fact with two values, "" where a side does not tell; they are never the same."""

    key: str
    baseline_value: str
    platform_value: str
    location: str = ""  # the platform's storage location that it is about; "" for what is about no location
    cells: frozenset[Cell] | None = None  # what alone it is about; None for all

    @property
    def values(self) -> tuple[str, str]:
        """The baseline's, the platform's."""
        return self.baseline_value, self.platform_value

    def touches(self, each: Comparison) -> bool:
        """Whether it is about what was compared; the rules say whether that matters."""
        located = self.location in ("", each.dims.get("location"))
        return located and (self.cells is None or (each.stack, each.task) in self.cells)


def inspected(baseline: Facts, platform: Facts) -> Iterator[Differing]:
    """Yield what two flat inspections differ in; nothing where a side was not inspected.

    Where a side's inspection failed, of what the platform itself told all the same (that it is a stand-in).
    """
    if not baseline or not platform:
        return
    for failed in (each for each in (baseline, platform) if FAILED_INSPECTION in each):
        baseline, platform = (_of(each, failed.keys() - {FAILED_INSPECTION}) for each in (baseline, platform))
    yield from _differing(_plain(baseline), _plain(platform))
    ours, theirs = _by_location(baseline), _by_location(platform)
    for name, facts in sorted(theirs.items()):
        yield from _differing(ours.get(name, ours.get(HOST_LOCATION, {})), facts, location=name)


def _of(facts: Facts, keys: Collection[str]) -> Facts:
    return {key: value for key, value in facts.items() if key in keys}


def software(found: SoftwareDifferences, cells: Iterable[Cell], baseline: str, platform: str) -> Iterator[Differing]:
    """Yield what the software of these cells differs in, equal differences of several cells as one."""
    where: defaultdict[tuple[str, str, str], set[Cell]] = defaultdict(set)
    for cell in cells:
        for name, values in found.values(*cell, baseline, platform).items():
            key = "stack.lock_sha256" if name == LOCK_FILE else f"versions.{name}"
            where[key, *values].add(cell)
    for (key, ours, theirs), chosen in sorted(where.items()):
        yield Differing(key=key, baseline_value=ours, platform_value=theirs, cells=frozenset(chosen))


def processors(facts: Facts) -> dict[str, str]:
    """Return how many processors a task may use at once: the least of quota, affinity and count, as far as told."""
    told = [float(facts[key]) for key in LIMITS if facts.get(key, UNLIMITED) != UNLIMITED]
    return {PROCESSORS: f"{min(told):g}"} if told else {}


def _differing(ours: Facts, theirs: Facts, location: str = "") -> Iterator[Differing]:
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name, ""), theirs.get(name, "")
        if not is_volatile(name) and _same_words(one) != _same_words(other):
            key = f"{STORAGE}{location}.{name}" if location else name
            yield Differing(key=key, baseline_value=one, platform_value=other, location=location)


def _same_words(value: str) -> str:
    """Two systems write one name with other spaces and cases."""
    return " ".join(value.split()).casefold()


def _plain(facts: Facts) -> dict[str, str]:
    """Return what is about no storage location."""
    return {key: value for key, value in facts.items() if not key.startswith(STORAGE)} | processors(facts)


def _by_location(facts: Facts) -> dict[str, dict[str, str]]:
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for key, value in facts.items():
        if key.startswith(STORAGE):
            location, _, name = key.removeprefix(STORAGE).partition(".")
            found[location][name] = value
    return found
