"""A remote job as it is seen from here: what the keeper tells, and how that counts."""

from __future__ import annotations

import base64
import json

import pytest

from harness.errors import PlatformError
from harness.platforms.base import Ending
from harness.platforms.ssh_job import Frames, ending
from tests.platforms.jobs import Launching


def frame(offset: int, text: str) -> str:
    return json.dumps({"stream": "stdout", "offset": offset, "data": base64.b64encode(text.encode()).decode()})


def test_what_is_told_twice_or_by_halves_counts_once(launching: Launching) -> None:
    frames = Frames(launching.job())
    said = [frame(0, "one\ntw"), frame(0, "one\ntw"), frame(6, "o\n")[:-9], frame(6, "o\n"), frame(99, "lost"), "{}"]
    with frames.tee:
        for line in ["Welcome to the lab!", "[1]", '"x"', *said]:
            frames.take(line)
        frames.tee.finish()
    assert launching.lines == ["one", "two"]
    assert frames.offsets == {"stdout": 8, "stderr": 0}
    assert not frames.ending


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"status": 0, "why": "ended", "oom": False}, Ending(exit_code=0, seconds=2.0)),
        ({"status": 3, "why": "ended", "oom": False}, Ending(exit_code=3, seconds=2.0)),
        ({"status": -11, "why": "ended", "oom": False}, Ending(signal=11, seconds=2.0)),
        ({"status": -9, "why": "ended", "oom": True}, Ending(oom=True, seconds=2.0)),
        ({"status": -9, "why": "timeout", "oom": False}, Ending(timed_out=True, seconds=2.0)),
    ],
)
def test_endings(record: dict[str, object], expected: Ending) -> None:
    assert ending("lab: host", record, 2.0) == expected


@pytest.mark.parametrize("record", [{"why": why, "status": -9} for why in ("lease", "output", "stopped", "new")])
def test_endings_that_say_nothing_about_the_job(record: dict[str, object]) -> None:
    with pytest.raises(PlatformError, match=r"^lab: host: "):
        ending("lab: host", record, 2.0)
    with pytest.raises(PlatformError, match=r"^lab: host: killed\. Run"):
        ending("lab: host", {"error": "killed"}, 2.0)
