"""What the container engine runs at this moment, and where it runs it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from harness.agent.inspection.facts import Fact
from harness.errors import PlatformError
from harness.platforms.engine import ANSWER_SECONDS, address, connect, elsewhere
from harness.platforms.engine_errors import engine_errors


def inspect() -> dict[str, Fact]:
    """Return `containers`, the names of those that run, and `info` of the engine: its system, memory and processors."""
    source = "the container engine"
    try:
        with engine_errors("container engine"):
            source = address(None)
            if reason := elsewhere(source):
                return _silent(source, reason)
            with closing(connect(None, timeout=ANSWER_SECONDS)) as client:
                running = client.api.containers()
                info = client.info()
    except PlatformError as error:
        return _silent(source, error.problem)
    return {
        "containers": {"value": sorted(map(_name, running)), "source": source},
        "info": {"value": info, "source": source},
    }


def _silent(source: str, error: str) -> dict[str, Fact]:
    return {name: {"value": None, "source": source, "error": error} for name in ("containers", "info")}


def _name(container: Mapping[str, Any]) -> str:
    names = container.get("Names") or [str(container.get("Id", ""))[:12]]
    return str(names[0]).lstrip("/")
