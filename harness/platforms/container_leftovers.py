"""Labels that say whose a container or volume is, and the removal of those whose owner has been killed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.platforms.owner import Owner

if TYPE_CHECKING:
    from docker import APIClient

LABEL = "org.overhead-matrix"
RUN_LABEL = f"{LABEL}.run"


def labels(run_id: str) -> dict[str, str]:
    """Return the labels of what this process makes: the run and who this process is (`….pid`, `….boot` and so on)."""
    owner = Owner.of(os.getpid()).record()
    return {RUN_LABEL: run_id} | {f"{LABEL}.{name}": value for name, value in owner.items()}


def reap(api: APIClient) -> None:
    """Remove the containers and volumes of runs whose process is gone; those of a living run stay."""
    from docker.errors import APIError  # noqa: PLC0415 - the SDK is imported where it is used

    chosen = {"label": [RUN_LABEL]}
    for container in api.containers(all=True, filters=chosen):
        if _is_orphan(container.get("Labels")):
            with suppress(APIError):  # another run may be removing it just now
                api.remove_container(container["Id"], force=True, v=True)
    for volume in api.volumes(filters=chosen).get("Volumes") or ():
        if _is_orphan(volume.get("Labels")):
            with suppress(APIError):
                api.remove_volume(volume["Name"], force=True)


def _is_orphan(found: Mapping[str, str] | None) -> bool:
    prefix = f"{LABEL}."
    record = {name.removeprefix(prefix): value for name, value in (found or {}).items() if name.startswith(prefix)}
    owner = Owner.from_record(record)
    return owner is not None and owner.is_gone()
