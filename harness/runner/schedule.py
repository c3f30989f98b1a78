"""The order of invocations: random blocks from a stored seed, the same on every call."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from random import Random

from harness.matrix.cells import Cell

LOOKS = (5, 8, 12, 20)  # blocks after which precision is examined: fixed, so that the level accounts for them


def block_order(cells: Sequence[Cell], *, seed: int, block: int) -> tuple[Cell, ...]:
    """Return all cells in the order in which this block runs them.

    Tasks come in random order; the platforms of one task follow one another in random order, so that a comparison's
    two sides lie minutes apart at most. What runs once comes last, in the first block. The order depends on seed and
    block alone (Random seeds a text by SHA-512).
    """
    random = Random(f"{seed}:{block}")  # noqa: S311 - an order, not a secret
    repeated = sorted((cell for cell in cells if not cell.once), key=_key)
    tasks = [list(group) for _, group in groupby(repeated, key=task_of)]
    random.shuffle(tasks)
    for arms in tasks:
        random.shuffle(arms)
    once = sorted((cell for cell in cells if cell.once and block == 1), key=_key)
    return (*(cell for arms in tasks for cell in arms), *once)


def looks(smallest: int, largest: int, precision: float | None) -> tuple[int, ...]:
    """Return the blocks after which precision may stop a task; empty when no precision is asked for."""
    if precision is None:
        return ()
    return tuple(sorted({look for look in LOOKS if smallest <= look < largest} | {largest}))


def task_of(cell: Cell) -> str:
    """Return what stops together: a task on one stack and device, over all platforms."""
    return f"{cell.stack}/{cell.task}/{cell.device}"


def without(cells: Collection[Cell], stopped: Collection[str]) -> tuple[Cell, ...]:
    """Return the cells whose task is not among `stopped`."""
    return tuple(cell for cell in cells if task_of(cell) not in stopped)


def _key(cell: Cell) -> tuple[str, str]:
    return task_of(cell), cell.id
