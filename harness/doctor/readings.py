"""Gathers what the checks judge: the inspection, and beside it what is of this moment."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from harness.agent.inspection import inspect
from harness.agent.inspection.facts import Files
from harness.agent.messages import Location
from harness.doctor import engine_state, gpu_state, sensors
from harness.doctor.finding import Facts
from harness.doctor.processes import Watch
from harness.doctor.wsl import SETTINGS
from harness.platforms.wsl_command import PROGRAM as WSL
from harness.platforms.wsl_facts import settings_fact

CACHE = "cache"  # the location: where native cells work, environments are installed and wheels are kept


def gather(root: Path, cache: Path) -> Facts:
    """Return the facts below `root` (what is not of the file system is this machine's). Takes about a second."""
    files = Files(root)
    watch = Watch(files)  # watches while the rest is read
    moment = sensors.inspect(files)  # first, since what follows is load too
    facts = {
        **moment,
        **inspect([Location(name=CACHE, path=str(cache))], root=root),
        **{f"engine.{name}": each for name, each in engine_state.inspect().items()},
    }
    if sys.platform == "win32" and shutil.which(WSL):
        facts[SETTINGS] = settings_fact(os.environ)
    if facts["gpu.devices"]["value"]:
        facts["gpu.state"] = gpu_state.inspect()
    return {**facts, "load.processes": watch.fact()}
