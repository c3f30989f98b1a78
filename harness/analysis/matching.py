"""Whether two measurements are of the same thing: the same parameters, lock file and platform; if not, what differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

from harness.agent.messages import CellResult
from harness.agent.privacy import without_person
from harness.analysis.confounders import flat
from harness.analysis.exclusions import MEASURED
from harness.matrix import hidden
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle, Origin

Task = tuple[str, str]  # its full name, its stack
Terms = Mapping[str, str]  # `files` → `500`, `lock file of stack torch` → `1f0c…`
Identity = tuple[str, str]  # the name of a key, a mark under it; without a key the value itself

DEFAULT = "default"
ENTRY = "its entry in matrix.yaml"
# Last parts of inspection keys that make a platform of one name another platform: no replicate of the first.
CONDITIONS = frozenset({"driver_model", "virtualization_based_security", "stand_in"})


def terms(invocations: Iterable[CellResult], origin: Origin) -> dict[Task, Terms]:
    """Return under which terms one run measured each task on each stack."""
    found: dict[Task, Terms] = {}
    for result in invocations:
        lock = str(origin.stacks.get(result.stack, {}).get("lock_sha256", ""))[:12]
        params = {name: without_person(str(value)) for name, value in result.params.items()}
        found.setdefault((result.task, result.stack), params | {f"lock file of stack {result.stack}": lock})
    return found


def disagreements(by_side: Mapping[str, Terms]) -> tuple[str, ...]:
    """Return one line for each term on which the sides disagree, `files: 500 before, 2000 after`.

    The keys are how a side is named behind its value. A term that a side lacks is its default.
    """
    lines = []
    for name in sorted({name for terms in by_side.values() for name in terms}):
        said: defaultdict[str, list[str]] = defaultdict(list)
        for side, terms in by_side.items():
            said[terms.get(name, DEFAULT) or "none"].append(side)
        if len(said) > 1:
            lines.append(f"{name}: " + ", ".join(f"{value} {' and '.join(sides)}" for value, sides in said.items()))
    return tuple(lines)


class Matching:
    """Says, for a comparison over several boots, what makes some of them another measurement than the others."""

    def __init__(self, bundle: Bundle) -> None:
        self._boots: defaultdict[tuple[str, Task], set[int]] = defaultdict(set)
        results: defaultdict[int, list[CellResult]] = defaultdict(list)
        numbers = bundle.boots()
        for result in bundle.invocations:
            if result.status in MEASURED:
                platform = result.platform.removesuffix(SECOND_ARM)
                self._boots[platform, (result.task, result.stack)].add(numbers[result.block])
                results[numbers[result.block]].append(result)
        origins = dict(enumerate(bundle.manifest.origins, start=1))
        self._tasks = {number: terms(results[number], origin) for number, origin in origins.items()}
        self._platforms = {number: _platforms(origin) for number, origin in origins.items()}
        self._entries = {number: _entries(origin) for number, origin in origins.items()}
        self._hidden = {number: _hidden(origin) for number, origin in origins.items()}

    def lines(self, task: Task, *platforms: str) -> tuple[str, ...]:
        """Return one line for each difference; none where all boots measured the same thing."""
        boots = sorted(set().union(*(self._boots[platform, task] for platform in platforms)))
        found = disagreements({_side(boot): self._tasks[boot][task] for boot in boots})
        for platform in platforms:
            measured = sorted(self._boots[platform, task])
            entries = _alike({boot: self._entries[boot].get(platform) for boot in measured})
            own = {
                _side(boot): {ENTRY: str(entries[boot]), **self._platforms[boot].get(platform, {})} for boot in measured
            }
            told = {boot: self._hidden[boot].get(platform, {}) for boot in measured}
            found += tuple(f"{platform}, {line}" for line in (*disagreements(own), *_unequal(told)))
        return found


def _side(boot: int) -> str:
    return f"in boot {boot}"


def _platforms(origin: Origin) -> dict[str, Terms]:
    """Return platform, as the merged bundle calls it → its conditions."""
    found: dict[str, Terms] = {}
    for name, record in origin.platforms.items():
        facts = flat(record.inspection).items()
        found[origin.named(name)] = {key: value for key, value in facts if key.rpartition(".")[2] in CONDITIONS}
    return found


def _defined(origin: Origin) -> dict[str, Any]:
    """Return platform, as its run calls it → its entry in matrix.yaml, or its kind where the bundle keeps none."""
    definition = origin.matrix.get("definition")
    entries = definition.get("platforms") if isinstance(definition, Mapping) else None
    entries = entries if isinstance(entries, Mapping) else {}
    return {name: entries.get(name, record.kind) for name, record in origin.platforms.items()}


def _entries(origin: Origin) -> dict[str, Any]:
    """Return platform, as the merged bundle calls it → its entry as a bundle may show it."""
    return {origin.named(name): hidden.public(entry) for name, entry in _defined(origin).items()}


def _hidden(origin: Origin) -> dict[str, Mapping[str, Identity]]:
    """Return platform, as the merged bundle calls it → place in its entry → what tells the hidden value from another.

    A bundle that keeps the value itself, by an earlier version, is known by that.
    """
    marks = origin.plan.hidden
    found: dict[str, Mapping[str, Identity]] = {}
    for name, entry in _defined(origin).items():
        before = f"platforms.{name}."
        clear = {place: ("", text) for place, text in hidden.hidden(entry, hidden.public(entry)).items()}
        marked = {p.removeprefix(before): (marks.key, mark) for p, mark in marks.values.items() if p.startswith(before)}
        found[origin.named(name)] = {**clear, **marked}
    return found


def _alike(entries: Mapping[int, object]) -> dict[int, object]:
    """Return boot → entry, with that hidden everywhere which one boot hides and which may be the same."""
    return {boot: reduce(hidden.veiled, entries.values(), entry) for boot, entry in entries.items()}


def _unequal(told: Mapping[int, Mapping[str, Identity]]) -> Iterator[str]:
    """Yield a line for each hidden value that is not the same in all boots, so far as that is known."""
    sides: defaultdict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for boot, places in told.items():
        for place, (key, mark) in places.items():
            sides[place, key][boot] = mark
    for (place, _key), marks in sorted(sides.items()):
        numbers = {mark: f"value {number}" for number, mark in enumerate(dict.fromkeys(marks.values()), start=1)}
        yield from disagreements({_side(boot): {f"{place}, which is hidden": numbers[m]} for boot, m in marks.items()})
