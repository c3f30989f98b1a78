"""How much memory can be pinned, searched by a child process: to reach the limit may spoil a context or end a process.

The child takes block after block by cuMemHostAlloc, keeps them all, and says after each how far it is, as a JSON line.
So what it reached is known however it ends. The system gets everything back when the process ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.agent.capacity import MIB
from harness.agent.cuda import open_driver
from harness.agent.cuda_errors import CudaError
from harness.agent.own_process import command
from harness.agent.task import Unavailable

FAILED = 1  # status of a Python that ends by an exception; whatever else it is, something else ended it
TIMEOUT = 60.0  # seconds, beside those of the bytes
SLOWEST = 256 * MIB  # bytes a second; pinning usually takes about a second for four GiB


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """Bytes that were pinned at once, of those that were asked for, and what kept it from more: empty if nothing."""

    reached: int
    asked: int
    ended_by: str = ""

    def reason(self) -> str:
        """Return the limit and what to do about it, empty if there is none below what was asked for."""
        if not self.ended_by:
            return ""
        return (
            f"pinned memory ends at {self.reached / MIB:g} MiB of {self.asked / MIB:g} MiB asked for "
            f"({self.ended_by}): give the platform more memory, or raise its limit of locked memory (ulimit -l)"
        )


def search(ordinal: int, block: int, most: int) -> Ceiling:
    """Pin blocks of `block` bytes on a GPU until `most` bytes are pinned, the platform refuses, or the process dies.

    Raises Unavailable if the search failed for another reason, or took so long that its end is not known.
    """
    limit = TIMEOUT + most / SLOWEST
    try:
        answer = subprocess.run(
            command("harness.agent.pinned_ceiling", *map(str, (ordinal, block, most))),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        said: bytes | str = expired.stdout or b""  # bytes whatever the encoding
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        reached = _read(text, most, "").reached / MIB
        raise Unavailable(f"no end within {limit:.0f} s, when {reached:g} MiB were pinned") from None
    if answer.returncode == FAILED and "ended_by" not in answer.stdout:
        last = (answer.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise Unavailable(f"the process that was to pin memory failed: {last}")
    return _read(answer.stdout, most, f"the process was ended: status {answer.returncode}")


def _read(said: str, most: int, otherwise: str) -> Ceiling:
    """Return the last that the child said; `otherwise` if it did not get to say why it ended."""
    reached, ended_by = 0, otherwise
    for line in said.splitlines():
        try:
            report = json.loads(line)
        except ValueError:  # cut off
            continue
        reached = report.get("pinned", reached)
        ended_by = report.get("ended_by", ended_by)
    return Ceiling(reached=reached, asked=most, ended_by=ended_by)


def main(arguments: Sequence[str]) -> int:
    """Be the child: pin, and say how far."""
    for report in _pin(*map(int, arguments)):
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
    return 0


def _pin(ordinal: int, block: int, most: int) -> Iterator[dict[str, object]]:
    driver = open_driver()
    with driver.device(ordinal).context():
        try:
            for pinned in range(block, most + 1, block):
                driver.handle("cuMemHostAlloc", block, 0)
                yield {"pinned": pinned}
        except CudaError as refusal:  # whatever its number: some drivers lose the context at the limit
            yield {"ended_by": f"{refusal.function}: {refusal.name}"}
        else:
            yield {"ended_by": ""}
