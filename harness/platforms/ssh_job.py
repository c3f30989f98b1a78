"""One job on another host, as it is seen from here: what `keeper.py run` is asked, tells, and how the job ended."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from harness.agent.messages import to_json
from harness.errors import PlatformError
from harness.platforms.base import Ending, Job
from harness.platforms.ssh import SSH_FAILED, Connection, environment
from harness.platforms.ssh_errors import command_failure
from harness.runner import process
from harness.runner.output import Stream, Tee

LEASE = 60.0  # seconds that a job goes on without anyone who follows it, and that a host which is away is waited for
RETRY = 1.0  # seconds between two tries to reach it

ENDS = {
    "lease": (
        f"the host was out of reach for more than {LEASE:g} s, and ended the process",
        "Mend the connection, and run the cell again with --resume.",
    ),
    "output": ("the process printed so much that the host ended it", "See the log."),
    "stopped": ("another program ended the process", "Has another run with the same id been started?"),
}


class Frames:
    """Takes what the keeper tells, line by line, and knows from which offsets it must go on after a drop."""

    def __init__(self, job: Job) -> None:
        self.tee = Tee(job.log, job.on_line)
        self.log = job.folder / "connection.log"  # of ssh itself
        self.offsets: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self.ending: Mapping[str, Any] = {}
        self.has_result = False

    def take(self, line: str) -> None:
        """Take one line; half a line before a drop, and what a login script prints, tells nothing."""
        try:
            record = json.loads(line)
        except ValueError:
            return
        match record:
            case {"stream": "stdout" | "stderr" as stream, "offset": int(offset), "data": str(data)}:
                if offset == self.offsets[stream]:
                    content = base64.b64decode(data)
                    self.offsets[stream] += len(content)
                    self.tee.write(stream, content)
            case {"ending": dict(ending), "result": bool(result)}:
                self.ending, self.has_result = ending, result
            case _:
                pass  # a sign of life


def request(job: Job, argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Return what the keeper is asked to start."""
    asked = {"spec": to_json(job.spec), "argv": list(argv), "env": dict(env), "timeout": job.timeout, "lease": LEASE}
    return json.dumps(asked)


def follow(connection: Connection, argv: Sequence[str], frames: Frames, seconds: float) -> None:
    """Take what the job tells until its ending, or until the connection is lost: then `frames` has no ending.

    Raises PlatformError when the keeper itself fails.
    """
    offsets = (str(frames.offsets["stdout"]), str(frames.offsets["stderr"]))
    end = process.run(
        connection.command((*argv, *offsets)),
        timeout=max(1.0, seconds),
        on_line=frames.take,
        log=frames.log,
        env=environment(os.environ),
    )
    if end.timed_out:
        frames.ending = {"status": 0, "why": "timeout"}
    elif end.code not in (0, SSH_FAILED, None) and not frames.ending:
        said = [line for line in frames.log.read_text(encoding="utf-8").splitlines() if not line.startswith("{")]
        raise command_failure(connection.name, connection.target.host, "\n".join(said))


def ending(who: str, record: Mapping[str, Any], seconds: float) -> Ending:
    """Return how the job ended, from the keeper's record. Raises PlatformError where it says nothing about the job."""
    match record:
        case {"error": str(problem)}:
            raise PlatformError(f"{who}: {problem}", "Run the cell again with --resume.")
        case {"why": "timeout"}:
            return Ending(timed_out=True, seconds=seconds)
        case {"why": "ended", "oom": True}:
            return Ending(oom=True, seconds=seconds)
        case {"why": "ended", "status": int(status)}:
            return Ending(exit_code=status, seconds=seconds) if status >= 0 else Ending(signal=-status, seconds=seconds)
        case {"why": str(why)} if why in ENDS:
            problem, remedy = ENDS[why]
            raise PlatformError(f"{who}: {problem}", remedy)
    raise PlatformError(f"{who}: the keeper told an ending that this version does not know: {dict(record)}")
