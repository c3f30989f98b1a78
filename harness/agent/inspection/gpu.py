"""The GPUs, as NVML knows them. The library has crashed on some platforms, so a child process asks it."""

from __future__ import annotations

import json
import subprocess

from harness.agent.exit_status import crash
from harness.agent.inspection.facts import Fact
from harness.agent.own_process import command

TIMEOUT = 30.0  # seconds; the driver of an idle GPU without persistence mode may need several to wake up
SOURCE = "NVML"


def inspect() -> dict[str, Fact]:
    """Return `devices` (a list, empty without a driver) and the versions of driver and NVML."""
    try:
        answer = subprocess.run(
            command("harness.agent.inspection.nvml"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _absent(f"NVML did not answer within {TIMEOUT:.0f} s")
    except OSError as error:
        return _absent(f"no child process could be started: {error.strerror}")
    return _read(answer)


def _read(answer: subprocess.CompletedProcess[str]) -> dict[str, Fact]:
    if cause := crash(answer.returncode):
        return _absent(f"NVML crashed ({cause})")
    try:
        facts: dict[str, Fact] = json.loads(answer.stdout)
    except ValueError:
        last = (answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"])[-1]
        return _absent(f"NVML could not be asked: {last}")
    return facts


def _absent(error: str) -> dict[str, Fact]:
    return {"devices": {"value": [], "source": SOURCE, "error": error}}
