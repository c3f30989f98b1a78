"""The data-stall share: what part of a training step waits for its data.

A workload with real data beside the same one with synthetic data, on the same platform: 1 - synthetic / real of the
step's time. Both are measured in the same blocks, so the interval is that of the paired ratio of their medians
(`harness.analysis.estimate`), turned into a share. A share below 0 says that no stall could be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from harness.agent.datasets.images import TRAINING_PARAMS
from harness.agent.messages import CellResult
from harness.analysis.boots import boots
from harness.analysis.compare import interval_level
from harness.analysis.estimate import Values, geometric_mean, paired
from harness.analysis.model import Stall
from harness.analysis.pairing import Blocks, arms, shared
from harness.analysis.primary import STEP
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle

MADE, GIVEN = "real_data", "data_dir"  # parameters: the cell makes a data set, or this folder holds one
OF_LOADING = frozenset({MADE, GIVEN, "workers", *TRAINING_PARAMS})  # in which the two may differ


class Measured(NamedTuple):
    """What is measured by one cell on each platform."""

    task: str
    stack: str
    device: str


def stalls(bundle: Bundle, table: pd.DataFrame) -> tuple[Stall, ...]:
    """Return the share of each workload and platform measured with both kinds of data in some block.

    `table` holds the bundle's medians (`harness.analysis.frame.medians`).
    """
    level, boot_of = interval_level(bundle.manifest), boots(bundle)
    found = []
    for platform, steps in _steps(table).items():
        for real, synthetic in _couples(bundle.invocations):
            without, with_data = shared(steps.get(synthetic, {}), steps.get(real, {}), boot_of)
            if len(with_data):
                found.append(_stall(real, platform, without, with_data, level))
    return tuple(found)


def _stall(real: Measured, platform: str, without: Values, with_data: Values, level: float) -> Stall:
    estimate = paired(without, with_data, level=level)
    low, high = estimate.interval
    return Stall(
        **real._asdict(),
        platform=platform,
        share=_share(estimate.ratio),
        ci95=(None if low is None else _share(low), None if high is None else _share(high)),
        synthetic_seconds=geometric_mean(without),
        real_seconds=geometric_mean(with_data),
    )


def _share(ratio: float) -> float:
    """Return which part of a step is more than the synthetic one, from real / synthetic."""
    return 1 - 1 / ratio


def _steps(table: pd.DataFrame) -> dict[str, Mapping[Measured, Blocks]]:
    """Return the medians of a step on each platform, the baseline's first arm for itself."""
    return {
        platform: {Measured(each.task, each.stack, each.device): blocks for each, blocks in side.items()}
        for platform, side in sorted(arms(table[table["metric"] == STEP]).items())
        if not platform.endswith(SECOND_ARM)
    }


def _couples(invocations: Iterable[CellResult]) -> Iterator[tuple[Measured, Measured]]:
    """Yield what has real data, and what has none and is the same in everything else."""
    params = {Measured(each.task, each.stack, each.device): each.params for each in invocations}
    synthetic = {_kind(each, told): each for each, told in reversed(params.items()) if not _is_real(told)}
    for each, told in params.items():
        if _is_real(told) and (partner := synthetic.get(_kind(each, told))):
            yield each, partner


def _is_real(params: Mapping[str, object]) -> bool:
    return bool(params.get(MADE) or params.get(GIVEN))


def _kind(measured: Measured, params: Mapping[str, object]) -> tuple[Measured, tuple[tuple[str, str], ...]]:
    """Return what a workload is but for its data."""
    kept = sorted((name, str(value)) for name, value in params.items() if name not in OF_LOADING)
    return measured._replace(task=measured.task.partition("[")[0]), tuple(kept)
