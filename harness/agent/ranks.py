"""Processes that join one process group of torch.distributed, each a rank: started, watched and ended from one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from harness.agent import oom
from harness.agent.children import StepError, isolation, tail, text
from harness.agent.own_process import command


class Rank:
    """One process, `main([order])` of a module of the agent, and what it prints."""

    def __init__(self, number: int, module: str, order: Mapping[str, Any]) -> None:
        self._number = number
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            command(module, json.dumps(order), options=isolation()),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **meeting()},
        )

    def has_ended(self) -> bool:
        """Whether it ended well. Raises MemoryError if it lacked memory, StepError if it ended otherwise."""
        status = self._process.poll()
        if status:
            who = f"rank {self._number} of the process group"
            if lack := oom.told(text(self._log), status):
                raise MemoryError(f"{who}: {lack}")
            raise StepError(f"{who}: exit status {status}: {self.said()}")
        return status == 0

    def said(self) -> str:
        """Return the end of what it printed."""
        return tail(self._log)

    def end(self) -> None:
        """End it if it runs, and wait for that."""
        self._process.kill()
        self._process.wait()
        self._log.close()


def meeting() -> dict[str, str]:
    """Let gloo meet on the loopback interface: looking this host's name up fails where there is no network."""
    return {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" and "GLOO_SOCKET_IFNAME" not in os.environ else {}
