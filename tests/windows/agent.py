"""The agent that Windows packs: byte for byte the one that Linux packs of the same checkout and libraries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness import pack
from tests.windows.suite import Suite

PACK = "import sys; from pathlib import Path; from harness import pack; pack.agent_archive(cache=Path(sys.argv[1]))"
SECONDS = 120.0


def check(suite: Suite, folder: Path) -> Iterator[str]:
    """Pack under Wine and here; yield what differs."""
    theirs = suite.wine.drive / "packed"
    end = suite.wine.run(
        [suite.python.executable, "-c", PACK, theirs],
        timeout=SECONDS,
        log=folder / "pack.log",
        environ=suite.environment(),
    )
    ours = pack.agent_archive(cache=folder / "packed")
    packed = {path.name: path.read_bytes() for path in theirs.glob("*")}
    if packed != {ours.name: ours.read_bytes()}:
        yield f"{end}: Linux packs {ours.name}, Windows {', '.join(packed) or 'nothing'}"
