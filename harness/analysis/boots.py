"""Several boots of one machine: the boot is the replicate.

What differs from boot to boot (memory layout, frequencies, what else was started) is shared by all blocks of a boot, so
blocks of one boot are no independent witnesses of it. Therefore each boot gives one value: the mean over its blocks of
the log medians, or, where one boot reached both platforms, of their log differences. Those values are the sample:

- both platforms in the same boots: t on the boots' mean differences, two boots or more. A t test on the estimates of q
  clusters with q - 1 degrees of freedom keeps its level for any q from 2 on, also when the clusters' variances differ
  (Ibragimov and Müller, "t-Statistic Based Correlation and Heterogeneity Robust Inference", Journal of Business &
  Economic Statistics 28, 2010). With one boot its blocks are the replicates, and the interval speaks for that boot.
- in different boots: Welch's t on the two sides' boots (Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time",
  ISMM 2013: replicate at the highest level that varies). One boot a side has no variance to estimate: no interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from harness.agent.inspection.facts import FAILED_INSPECTION
from harness.analysis.confounders import VOLATILE, environment
from harness.analysis.pairing import Arms, BootOf, Pair, by_boot, counterpart, pair_dims, shared
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle, Manifest, Origin
from harness.results.machine import system

NO_VARIANCE = "one boot a side: between-boot variance not estimated, so there is no interval"
AGENT = "agent_sha256"  # a field of run.json
UNTOLD = "a boot that does not tell which"


def boots(bundle: Bundle) -> dict[int, str]:
    """Return block → boot. Runs of one boot share it; so do all runs of a system that can't tell its boots apart."""
    names = [origin.boot_id or f"{UNTOLD} ({system(origin)})" for origin in bundle.manifest.origins]
    return {block: names[number - 1] for block, number in bundle.boots().items()}


def apart(table: Arms, baseline: str, boot_of: BootOf) -> Iterator[Pair]:
    """Yield every quantity of every platform that was measured in other boots than the baseline, never in one with it.

    Each side has one value a boot, and the two have nothing in common but the machine: they are not paired.
    """
    first, second = table.get(baseline, {}), table.get(baseline + SECOND_ARM, {})
    others = {name for name in table if not name.endswith(SECOND_ARM)} - {baseline}
    for platform in sorted(others):
        for quantity, values in sorted(table[platform].items()):
            other = counterpart(quantity, first)
            ours, theirs = by_boot(first.get(other, {}), boot_of), by_boot(values, boot_of)
            if ours and not ours.keys() & theirs.keys():
                first_arm, second_arm = shared(first[other], second.get(other, {}), boot_of)
                yield Pair(
                    platform=platform,
                    quantity=quantity,
                    dims=pair_dims(quantity, other),
                    baseline=np.array(list(ours.values())),
                    values=np.array(list(theirs.values())),
                    first_arm=first_arm,
                    second_arm=second_arm,
                    blocks=min(len(first[other]), len(values)),
                    boots=(len(ours), len(theirs)),
                    paired=False,
                )


def elsewhere(manifest: Manifest) -> frozenset[tuple[int, str]]:
    """Return (boot, platform) where a boot lacked what another system's boot has: no gap, but that system's part."""
    homes: dict[str, set[str]] = {}
    for origin in manifest.origins:
        for name in boot_environments(origin):
            homes.setdefault(name, set()).add(system(origin))
    return frozenset(
        (number, origin.named(name))
        for number, origin in enumerate(manifest.origins, start=1)
        for name, record in origin.platforms.items()
        if not record.available and homes.get(origin.named(name), set()) - {system(origin)}
    )


def boot_environments(origin: Origin) -> dict[str, dict[str, str]]:
    """Return the flat inspection of every platform that one boot had, under the names of the bundle it lies in."""
    found = {origin.named(name): record for name, record in origin.platforms.items()}
    return {name: environment(record.inspection) for name, record in found.items() if record.available}


def deviations(own: Mapping[str, str], shown: Mapping[str, str]) -> dict[str, str]:
    """Return what a boot's inspection says otherwise than another's; "" for what it does not say.

    Where one of them failed, of what both say.
    """
    failed = FAILED_INSPECTION in own or FAILED_INSPECTION in shown
    keys = sorted(own.keys() & shown.keys() if failed else {*own, *shown})
    telling = [key for key in keys if key.rpartition(".")[2] not in VOLATILE]
    return {key: own.get(key, "") for key in telling if own.get(key, "") != shown.get(key, "")}


def boot_warnings(manifest: Manifest) -> Iterator[str]:
    """Say what the boots differ in, and which of them can't be told from one another."""
    shown: dict[str, dict[str, str]] = {}
    keys: dict[str, dict[str, None]] = {}
    for origin in manifest.origins:
        for name, own in boot_environments(origin).items():
            changed = deviations(own, shown.setdefault(name, own))
            keys.setdefault(name, {}).update(dict.fromkeys(changed))
    for name, found in keys.items():
        if found:
            yield f"{name}: its boots differ in {', '.join(sorted(found))}"
    untold = [origin.run_id for origin in manifest.origins if not origin.boot_id]
    if len(untold) > 1:
        yield f"{', '.join(untold)} do not tell which boot they were in: they count as one boot of each system"
    versions = {(origin.tool_version, getattr(origin, AGENT, "")): None for origin in manifest.origins}
    if len(versions) > 1:
        told = ", ".join(f"{version} (agent {str(agent)[:12] or 'unknown'})" for version, agent in versions)
        yield f"the boots were measured by different versions of this tool: {told}"
