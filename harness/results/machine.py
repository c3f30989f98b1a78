"""Whether two runs were on the same machine: its boots merge, different machines are only set side by side.

A GPU's UUID is the same under every operating system and names one card in the world, so equal UUIDs on an equal CPU
and board are one machine. Without a GPU nothing recorded tells two machines of one model apart (serial numbers are
not read): equality is then necessary and not sufficient, and the user must say that it is one machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.results.records import Origin

MEMORY_TOLERANCE = 0.05  # each system counts the memory without what its firmware and kernel have set aside
SYSTEMS = {"win32": "windows"}
DRIVER_MODELS = ("WDDM", "TCC", "MCDM")
UNKNOWN = "unknown"
UNPROVEN = "no GPU's UUID on both sides proves that it is one machine"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What identifies a machine; empty or 0 where it is not recorded. `memory` is in bytes."""

    gpus: frozenset[str]
    cpu: str
    board: str
    memory: int


def machine(origin: Origin) -> Machine:
    """Return the machine that a run was on, by the inspection of its host."""
    memory = _fact(origin.host, "system.memory_bytes")
    board = (_fact(origin.host, f"board.{name}") for name in ("vendor", "model"))
    return Machine(
        gpus=frozenset(str(gpu["uuid"]) for gpu in origin.gpus if gpu.get("uuid")),
        cpu=_words(_fact(origin.host, "cpu.model")),
        board=" ".join(filter(None, map(_words, board))),
        memory=memory if isinstance(memory, int) and memory > 0 else 0,
    )


def system(origin: Origin) -> str:
    """Return the operating system of a run's host: `linux`, `windows`, or `wsl` where the run was inside WSL."""
    if str(_fact(origin.host, "virtualization.wsl") or "").startswith("WSL"):
        return "wsl"
    name = str(_fact(origin.host, "system.platform") or UNKNOWN)
    return SYSTEMS.get(name, name)


def variants(origins: Sequence[Origin]) -> list[str]:
    """Return what of each run's Windows makes its platforms others: `vbs`, `tcc`, `mcdm`, several as `vbs-tcc-wddm`.

    Empty where virtualization-based security does not run and every GPU's driver model is WDDM, and on another system.
    What one run of a system does not tell sets none of them apart: the unknown one may be like any.
    """
    told = [(system(origin), (_security(origin), _models(origin))) for origin in origins]
    found = []
    for name, own in told:
        columns = zip(*(each for other, each in told if other == name), strict=True)
        found.append("-".join(one for one, column in zip(own, columns, strict=True) if one and None not in column))
    return found


def _security(origin: Origin) -> str | None:
    security = _fact(origin.host, "windows.virtualization_based_security")
    return None if security is None else "vbs" if security == "running" else ""


def _models(origin: Origin) -> str | None:
    gpus = _fact(origin.host, "gpu.devices")
    models = [gpu.get("driver_model") for gpu in gpus if isinstance(gpu, Mapping)] if isinstance(gpus, list) else []
    told = sorted(model.lower() for model in DRIVER_MODELS if model in models)
    return None if not told else "-".join(told) if told != ["wddm"] else ""


def difference(one: Machine, other: Machine, *, same: bool) -> str:
    """Say in a few words what makes these two machines, or what leaves that open; "" where they are one.

    `same` is the user's word that they are: it stands in for a GPU's UUID where one side has none, and for nothing
    that differs.
    """
    if one.gpus and other.gpus and one.gpus != other.gpus:
        return f"GPU {_listed(one.gpus)} here, {_listed(other.gpus)} there"
    known = bool(one.gpus and other.gpus)
    for what, mine, theirs in (("CPU", one.cpu, other.cpu), ("board", one.board, other.board)):
        if mine and theirs and mine.casefold() != theirs.casefold():
            return f"{what} {mine} here, {theirs} there"
    if known:
        return ""
    if not (one.cpu and other.cpu and one.memory and other.memory):
        return "neither a GPU on both sides nor the CPU's model and the memory's size are known"
    if abs(one.memory - other.memory) > MEMORY_TOLERANCE * max(one.memory, other.memory):
        return f"{one.memory / 2**30:.1f} GiB of memory here, {other.memory / 2**30:.1f} GiB there"
    return "" if same else UNPROVEN


def _fact(host: Mapping[str, Any], name: str) -> object:
    found = host.get(name)
    return found.get("value") if isinstance(found, Mapping) else found


def _words(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _listed(uuids: frozenset[str]) -> str:
    return ", ".join(sorted(uuids))
