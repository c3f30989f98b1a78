"""The manifest of a merged bundle: what several runs' platforms are called together, and what speaks for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.matrix.cells import SECOND_ARM
from harness.results.machine import system, variants
from harness.results.records import BootRecord, CellRecord, Manifest, Origin, PlatformRecord

FIRST = "linux"  # keeps its names where two systems' platforms have the same: its native is the project's baseline


def combined(runs: Sequence[BootRecord], offsets: Sequence[int], run_id: str) -> Manifest:
    """Return the manifest of the runs, in this order, with their blocks moved by these offsets.

    Of what can be said only once (host, baseline, seed…), the first run of Linux speaks, else the first run.
    """
    boots = [
        run.model_copy(update={"offset": offset, "names": names})
        for run, offset, names in zip(runs, offsets, platform_names(runs), strict=True)
    ]
    leader = min(boots, key=lambda boot: system(boot) != FIRST)
    ids = {boot.boot_id for boot in boots}
    return Manifest(
        schema=1,
        run_id=run_id,
        created=boots[0].created,
        tool_version=leader.tool_version,
        seed=leader.seed,
        matrix=_matrix(boots, leader),
        host=leader.host,
        boot_id=leader.boot_id if len(ids) == 1 else "",
        gpus=next((boot.gpus for boot in boots if boot.gpus), []),
        platforms=_platforms(boots),
        stacks=_stacks(boots),
        boots=boots,
    )


def platform_names(runs: Sequence[Origin]) -> list[dict[str, str]]:
    """Return for each run its platforms that need another name: those of another system under a name that is taken.

    A name belongs to the systems where the platform was available. Of several, Linux keeps it; the others add their
    own, `native-windows`. Boots of one system that differ in what `variants` tells add that, `native-windows-vbs`; the
    plain variant adds nothing.
    """
    homes: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    places = list(zip(map(system, runs), variants(runs), strict=True))
    for run, (where, variant) in zip(runs, places, strict=True):
        for name, record in run.platforms.items():
            if record.available:
                homes[name][where].add(variant)
    taken = {name for run in runs for name in run.platforms}
    renamed: dict[tuple[str, str, str], str] = {}
    for name, systems in sorted(homes.items()):
        for wanted, place in _wanted(name, systems):
            if wanted != name:
                renamed[name, *place] = _free(wanted, taken)
                taken.add(renamed[name, *place])
    return [
        {name: renamed[name, *place] for name in run.platforms if (name, *place) in renamed}
        for run, place in zip(runs, places, strict=True)
    ]


def _wanted(name: str, systems: Mapping[str, set[str]]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield what a platform is to be called in each system and variant, and which these are."""
    for number, each in enumerate(sorted(systems, key=_rank)):
        base = f"{name}-{each}" if number else name
        for one in sorted(systems[each]):
            yield (f"{base}-{one}" if one and len(systems[each]) > 1 else base), (each, one)


def _rank(name: str) -> tuple[bool, str]:
    return name != FIRST, name


def _free(wanted: str, taken: set[str]) -> str:
    number = 2
    name = wanted
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name


def _platforms(boots: Sequence[BootRecord]) -> dict[str, PlatformRecord]:
    """Return each platform's record of the first boot that has it, available ones preferred."""
    found: dict[str, PlatformRecord] = {}
    for boot in boots:
        for name, record in boot.platforms.items():
            known = found.get(boot.named(name))
            if known is None or (record.available and not known.available):
                found[boot.named(name)] = record
    return found


def _stacks(boots: Sequence[BootRecord]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for boot in boots:
        for name, stack in boot.stacks.items():
            provenance = {boot.named(platform): each for platform, each in stack.get("platforms", {}).items()}
            known = found.setdefault(name, {**stack, "platforms": {}})
            known["platforms"] = provenance | known["platforms"]
    return found


def _matrix(boots: Sequence[BootRecord], leader: BootRecord) -> dict[str, Any]:
    """Return what the runs were to do together; the stopping rule is that of the run which could look most often."""
    plans = [boot.plan for boot in boots]
    ranges = [plan.blocks for plan in plans if plan.blocks]
    looking = max(plans, key=lambda plan: (plan.precision is not None, len(plan.looks)))
    cells = {cell["id"]: cell for boot in boots for cell in (_cell(boot, each) for each in boot.plan.cells)}
    return {
        "baseline": leader.named(leader.plan.baseline),
        "profile": " + ".join(dict.fromkeys(plan.profile for plan in plans)),
        "blocks": {"min": min(r.min for r in ranges), "max": max(r.max for r in ranges)} if ranges else None,
        "precision": looking.precision,
        "budget": None,
        "looks": looking.looks,
        "cells": list(cells.values()),
    }


def _cell(boot: BootRecord, cell: CellRecord) -> Mapping[str, Any]:
    name = boot.named(cell.platform)
    arm = name + (SECOND_ARM if cell.arm == 2 else "")
    return cell.dump() | {"platform": name, "id": f"{arm}/{cell.stack}/{cell.task}"}
