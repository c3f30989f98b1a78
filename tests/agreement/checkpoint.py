"""Does `storage.checkpoint` take what fio takes to write a file in one piece and to force it to the disk?

What fio leaves out, the replacing, is a rename within one directory: microseconds of tens of milliseconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from harness.agent.messages import Location
from tests.agreement import storage, tools
from tests.agreement.cells import result, value
from tests.agreement.table import Comparison, Pair, Values, alternated, programs

MIB = 2**20
STATE = 256 * MIB  # long enough for fio's whole milliseconds
SAVES = 3
DISK = 4 * STATE


def _pairs(pairs: int, order: random.Random) -> Iterator[Pair]:
    with storage.ext4_image(DISK) as disk:
        yield from alternated(lambda: _saves(disk), lambda: _fio(disk))(pairs, order)


def _saves(disk: Path) -> Values:
    done = result(
        "storage.checkpoint", {"bytes": STATE, "saves": SAVES}, locations=[Location(name="disk", path=str(disk))]
    )
    return {"save_seconds": value(done, "save_seconds")}


def _fio(disk: Path) -> Values:
    return {"save_seconds": median(_one_fio(disk / "fio") for _ in range(SAVES))}


def _one_fio(file: Path) -> float:
    options = (
        "--ioengine=psync",
        "--rw=write",
        f"--bs={STATE}",
        f"--size={STATE}",
        "--end_fsync=1",
        "--fallocate=none",
    )
    command = ["fio", "--name=save", f"--filename={file}", "--output-format=json", *options]
    try:
        return STATE / storage.read_fio(tools.run(command), "written")
    finally:
        file.unlink(missing_ok=True)


COMPARISONS = (
    Comparison(probe="storage.checkpoint", tool="fio", measured=_pairs, missing=programs(fio="fio"), pairs=6),
)
