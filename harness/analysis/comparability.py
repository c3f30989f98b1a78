"""Whether a platform and the baseline compare, by every difference between them (`comparability_rules`).

The control probes have their own word (`harness.analysis.confounders`): they find what no inspection tells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from harness.analysis.comparability_rules import ANY, RANKS, RULES, Rule
from harness.analysis.confounders import Environments, SoftwareDifferences, environments
from harness.analysis.differing import Cell, Differing, inspected, software
from harness.analysis.kinds import Kind, kind
from harness.analysis.links import with_loaded_links
from harness.analysis.model import Comparison, Difference
from harness.results.bundle import Bundle


class Comparability:
    """Ranks what differs between platforms, by their flat inspections, kinds and, where it is given, software."""

    def __init__(
        self, found: Environments, kinds: Mapping[str, Kind], software_of: SoftwareDifferences | None = None
    ) -> None:
        self._environments, self._kinds, self._software = found, kinds, software_of
        self._inspected, self._fitting = cache(self._inspect), cache(self._fits)

    @classmethod
    def of(cls, bundle: Bundle) -> Comparability:
        """Return that of a bundle's platforms."""
        kinds = {name: kind(bundle.manifest, name) for name in bundle.manifest.platforms}
        found = with_loaded_links(environments(bundle.manifest), bundle.invocations)
        return cls(found, kinds, SoftwareDifferences(bundle))

    def differences(self, found: Sequence[Comparison]) -> tuple[Difference, ...]:
        """Return all differences between the two sides of these comparisons, the gravest first.

        One that is decisive has made at least one of them not comparable.
        """
        pairs = dict.fromkeys((each.baseline, each.platform) for each in found)
        ranked = [one for pair in pairs for one in self._of_pair(*pair, found)]
        return tuple(sorted(ranked, key=lambda one: (RANKS.index(one.rank), one.platform, one.key)))

    def judged(self, found: Iterable[Comparison]) -> list[Comparison]:
        """Return the comparisons; those on which something decisive bears are not comparable, for that reason."""
        return [self._judged(each) for each in found]

    def _judged(self, each: Comparison) -> Comparison:
        differing = self._differing(each.baseline, each.platform, [(each.stack, each.task)])
        ranked = ((one, self._rule(one, each)) for one in differing if one.touches(each))
        reasons = [_line(one, each, rule.why) for one, rule in ranked if rule.rank == "decisive"]
        return replace(each, comparable=False, confounders=(*reasons, *each.confounders)) if reasons else each

    def _of_pair(self, baseline: str, platform: str, found: Iterable[Comparison]) -> Iterator[Difference]:
        own = [each for each in found if (each.baseline, each.platform) == (baseline, platform)]
        for one in self._differing(baseline, platform, {(each.stack, each.task) for each in own}):
            rules = dict.fromkeys(self._rule(one, each) for each in own if one.touches(each))
            for rule in _gravest(rules or [self._unmeasured(one, baseline, platform)]):
                yield Difference(
                    platform=platform,
                    baseline=baseline,
                    key=one.key,
                    rank=rule.rank,
                    baseline_value=one.baseline_value,
                    platform_value=one.platform_value,
                    why=rule.why,
                    tasks=rule.tasks,
                    devices=rule.devices,
                )

    def _differing(self, baseline: str, platform: str, cells: Iterable[Cell]) -> Iterator[Differing]:
        yield from self._inspected(baseline, platform)
        if self._software is not None:
            yield from software(self._software, cells, baseline, platform)

    def _inspect(self, baseline: str, platform: str) -> tuple[Differing, ...]:
        ours, theirs = (self._environments.get(name, {}) for name in (baseline, platform))
        return tuple(inspected(ours, theirs))

    def _rule(self, one: Differing, each: Comparison) -> Rule:
        task = each.task.partition("[")[0]
        return next(
            rule for rule in self._fitting(one, each.baseline, each.platform) if rule.bears_on(task, each.device)
        )

    def _unmeasured(self, one: Differing, baseline: str, platform: str) -> Rule:
        """Return the rule for what bears on nothing that was measured: so it decides nothing."""
        fitting = self._fitting(one, baseline, platform)
        return next(rule for rule in fitting if rule.tasks == ANY and rule.devices == "*" and rule.rank != "decisive")

    def _fits(self, one: Differing, *platforms: str) -> Sequence[Rule]:
        return fitting(one, frozenset(self._kinds.get(name, "unknown") for name in platforms))


@cache
def _about(key: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if rule.names(key))


def fitting(one: Differing, kinds: Collection[Kind]) -> list[Rule]:
    """Return the rules that fit a difference, in their order; the first that bears on a task ranks it there."""
    return [rule for rule in _about(one.key) if rule.fits(one.values, kinds)]


def _gravest(rules: Iterable[Rule]) -> Iterator[Rule]:
    """Leave out, beside a rule that says what a difference matters for, those that say that it does not elsewhere."""
    chosen = list(rules)
    serious = [rule for rule in chosen if rule.rank != "noted"]
    return iter(serious or chosen[:1])


def _line(one: Differing, each: Comparison, why: str) -> str:
    ours, theirs = (value or "not told" for value in one.values)
    return f"{one.key}: {ours} on {each.baseline}, {theirs} on {each.platform}: {why}"
