"""Whether two measurements are of the same thing: the same parameters, lock file and platform; if not, what differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from harness.agent.messages import CellResult
from harness.analysis.confounders import flat
from harness.analysis.exclusions import MEASURED
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle, Origin

Task = tuple[str, str]  # its full name, its stack
Terms = Mapping[str, str]  # `files` → `500`, `lock file of stack torch` → `1f0c…`

DEFAULT = "default"
# Last parts of inspection keys that make a platform of one name another platform: no replicate of the first.
CONDITIONS = frozenset({"driver_model", "virtualization_based_security", "stand_in"})


def terms(invocations: Iterable[CellResult], origin: Origin) -> dict[Task, Terms]:
    """Return under which terms one run measured each task on each stack."""
    found: dict[Task, Terms] = {}
    for result in invocations:
        lock = str(origin.stacks.get(result.stack, {}).get("lock_sha256", ""))[:12]
        params = {name: str(value) for name, value in result.params.items()}
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

    def lines(self, task: Task, *platforms: str) -> tuple[str, ...]:
        """Return one line for each difference; none where all boots measured the same thing."""
        boots = sorted(set().union(*(self._boots[platform, task] for platform in platforms)))
        found = disagreements({_side(boot): self._tasks[boot][task] for boot in boots})
        for platform in platforms:
            own = {_side(boot): self._platforms[boot].get(platform, {}) for boot in sorted(self._boots[platform, task])}
            found += tuple(f"{platform}, {line}" for line in disagreements(own))
        return found


def _side(boot: int) -> str:
    return f"in boot {boot}"


def _platforms(origin: Origin) -> dict[str, Terms]:
    """Return platform, as the merged bundle calls it → what it is: its entry in matrix.yaml, and its conditions."""
    defined = origin.matrix.get("definition", {}).get("platforms", {})
    found: dict[str, Terms] = {}
    for name, record in origin.platforms.items():
        facts = flat(record.inspection).items()
        conditions = {key: value for key, value in facts if key.rpartition(".")[2] in CONDITIONS}
        found[origin.named(name)] = {"its entry in matrix.yaml": str(defined.get(name, record.kind)), **conditions}
    return found
