"""What was measured on one side alone: quantities for which there is no ratio, and in what they differ.

`harness.analysis.pairing` sets equal quantities against each other. One that only one side has (another number of
threads, a Python loop where the other side ran machine code, sizes that one side has no memory for) is in no
comparison; here it is counted and said why.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from harness.analysis.frame import dims_of
from harness.analysis.model import Unmatched
from harness.analysis.pairing import HOST_LOCATION, ONE_BOOT, Arms, Blocks, BootOf, Quantity, counterpart, others

MOST_VALUES = 6  # of a dim, in a reason
NO_BLOCK = "no block in which both sides measured it"
OTHER_COMBINATIONS = "the same values on both sides, in other combinations"

Values = Mapping[str, Sequence[Any]]  # dim → values, None for a quantity without that dim


class _Group(NamedTuple):
    task: str
    metric: str
    stack: str
    device: str

    @property
    def cell(self) -> tuple[str, str, str]:
        """What is measured by one cell on each platform."""
        return self.task, self.stack, self.device


def unmatched(
    table: Arms, baseline: str, ignored: frozenset[str] = frozenset(), boot_of: BootOf = ONE_BOOT
) -> Iterator[Unmatched]:
    """Yield one record for each platform, task and metric of which a part has no counterpart on the other side.

    Tasks that one side did not measure at all are left out: their cells say why. So are the metrics in `ignored`.
    """
    ours = _grouped(table.get(baseline, {}))
    for platform in others(table, baseline):
        theirs = _grouped(table[platform])
        tasks = {group.cell for group in ours} & {group.cell for group in theirs}
        for group in sorted({*ours, *theirs}):
            if group.cell in tasks and group.metric not in ignored:
                sides = ours.get(group, {}), theirs.get(group, {})
                yield from _one_sided(*sides, group, boot_of, platform=platform, baseline=baseline)


def _one_sided(
    ours: Mapping[Quantity, Blocks],
    theirs: Mapping[Quantity, Blocks],
    group: _Group,
    boot_of: BootOf,
    *,
    platform: str,
    baseline: str,
) -> Iterator[Unmatched]:
    partners = {quantity: counterpart(quantity, ours) for quantity in theirs}
    met = {one: other for one, other in partners.items() if _met(theirs[one], ours.get(other, {}), boot_of)}
    wanted = set(met.values())
    dims = _comparable_dims(partners, ours)
    lonely = [dims[one] for one in theirs if one not in met]
    waiting = [dims_of(other.dims) for other in ours if other not in wanted]
    if not lonely and not waiting:
        return
    extra = _apart(lonely, [dims_of(each.dims) for each in ours])
    missing = _apart(waiting, list(dims.values()))
    yield Unmatched(
        **group._asdict(),
        platform=platform,
        baseline=baseline,
        quantities=len(lonely) + len(waiting),
        platform_only=extra,
        baseline_only=missing,
        reason=_reason({platform: extra, baseline: missing})
        or _otherwise({platform: theirs, baseline: ours}, met=any(each in ours for each in partners.values())),
    )


def _met(values: Blocks, other: Blocks, boot_of: BootOf) -> bool:
    """Whether both sides are compared: in blocks that they share, or between boots of which they share none."""
    boots, others_boots = ({boot_of.get(block) for block in side} for side in (values, other))
    return bool(values.keys() & other.keys()) or (bool(other) and boots.isdisjoint(others_boots))


def _reason(sides: Mapping[str, Values]) -> str:
    """Return the values that only one side has; empty where there is none."""
    return "; ".join(
        f"{dim} {_listed(values)} on {side} alone" for side, dims in sides.items() for dim, values in dims.items()
    )


def _otherwise(sides: Mapping[str, Mapping[Quantity, Blocks]], *, met: bool) -> str:
    """Return why equal values did not pair; `met` is whether both sides have a quantity in common."""
    alone = [side for side, quantities in sides.items() if quantities]
    if len(alone) == 1:
        return f"measured on {alone[0]} alone"
    return NO_BLOCK if met else OTHER_COMBINATIONS


def _listed(values: Sequence[Any]) -> str:
    named = ", ".join("none" if value is None else str(value) for value in values[:MOST_VALUES])
    return f"{named} and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else named


def _apart(left_out: Sequence[Mapping[str, Any]], other_side: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return for each dim the values of what was left out that the other side has nowhere."""
    names = sorted({name for dims in (*left_out, *other_side) for name in dims}) if other_side else []
    found = {name: {each.get(name) for each in left_out} - {each.get(name) for each in other_side} for name in names}
    return {name: sorted(values, key=_order) for name, values in found.items() if values}


def _order(value: object) -> tuple[float, str]:
    """Numbers by their size, then texts."""
    number = float(value) if isinstance(value, (int, float)) else math.inf
    return (number, str(value))


def _comparable_dims(
    partners: Mapping[Quantity, Quantity], ours: Mapping[Quantity, Blocks]
) -> dict[Quantity, dict[str, Any]]:
    """Return a platform's dims with the location that each is compared with, where the baseline has that one."""
    has_host = any(dims_of(each.dims).get("location") == HOST_LOCATION for each in ours)
    return {one: dims_of(partner.dims if has_host else one.dims) for one, partner in partners.items()}


def _grouped(side: Mapping[Quantity, Blocks]) -> dict[_Group, dict[Quantity, Blocks]]:
    groups: dict[_Group, dict[Quantity, Blocks]] = defaultdict(dict)
    for quantity, blocks in side.items():
        groups[_Group(quantity.task, quantity.metric, quantity.stack, quantity.device)][quantity] = blocks
    return dict(groups)
