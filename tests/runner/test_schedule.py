from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harness.matrix.cells import Cell
from harness.runner.schedule import block_order, looks, task_of, without


def cells(tasks: int, platforms: int) -> list[Cell]:
    return [
        Cell(
            platform=f"p{p}", stack="driver", task=f"control.t{t}", entry="control.t", params={}, device="cpu", arm=arm
        )
        for t in range(tasks)
        for p in range(platforms)
        for arm in ((1, 2) if p == 0 else (1,))
    ]


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**31), st.integers(1, 20))
def test_a_block_runs_every_cell_once_and_keeps_a_task_together(
    tasks: int, platforms: int, seed: int, block: int
) -> None:
    order = block_order(cells(tasks, platforms), seed=seed, block=block)
    assert sorted(cell.id for cell in order) == sorted(cell.id for cell in cells(tasks, platforms))
    seen = [task_of(cell) for cell in order]
    changes = sum(before != after for before, after in pairwise(seen))
    assert changes == tasks - 1


@given(st.permutations(cells(3, 3)), st.integers(0, 2**31))
def test_the_order_depends_on_seed_and_block_alone(listed: list[Cell], seed: int) -> None:
    assert block_order(listed, seed=seed, block=2) == block_order(cells(3, 3), seed=seed, block=2)


def test_what_runs_once_comes_last_in_the_first_block() -> None:
    counting = replace(cells(1, 1)[0], task="counts.torch_cnn.trivial", entry="counts.torch_cnn.trivial")
    every = [counting, *cells(3, 2)]
    assert block_order(every, seed=1, block=1)[-1] == counting
    assert block_order(every, seed=1, block=1)[:-1] == block_order(cells(3, 2), seed=1, block=1)
    assert counting not in block_order(every, seed=1, block=2)


def test_blocks_and_seeds_differ() -> None:
    many = cells(6, 3)
    orders = {
        tuple(cell.id for cell in block_order(many, seed=seed, block=block))
        for seed in range(5)
        for block in range(1, 5)
    }
    assert len(orders) == 20


def test_every_position_is_taken_by_every_platform() -> None:
    firsts = {block_order(cells(1, 3), seed=1, block=block)[0].arm_name for block in range(1, 60)}
    assert firsts == {"p0", "p0@2", "p1", "p2"}


def test_looks_are_the_designs_within_the_blocks_and_the_last_block() -> None:
    assert looks(5, 12, 0.02) == (5, 8, 12)
    assert looks(5, 30, 0.02) == (5, 8, 12, 20, 30)
    assert looks(2, 2, 0.02) == (2,)
    assert looks(5, 12, None) == ()


def test_stopping_a_task_stops_it_on_all_platforms() -> None:
    left = without(cells(2, 2), ["driver/control.t0/cpu"])
    assert {cell.task for cell in left} == {"control.t1"}
    assert len(left) == 3
