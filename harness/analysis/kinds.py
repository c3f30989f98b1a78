"""What sort of platform a name in a bundle stands for, by its own inspection as well as by its entry in matrix.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from harness.analysis.confounders import flat
from harness.results.bundle import Manifest

Kind = Literal["linux", "windows", "wsl", "container", "vm", "remote", "unknown"]

NATIVE = "native"
NOT_TRUE = frozenset({"", "0", "false", "no", "none"})
STAND_IN = frozenset({"stand_in", "simulated"})  # last parts of the facts that mark one
GENERAL = ""  # of `stand_ins`: the machine itself, and with it every platform


def kind(manifest: Manifest, platform: str) -> Kind:
    """Return the kind. A native platform is Linux, Windows, or WSL2 where the run took place inside a distribution."""
    record = manifest.platforms[platform]
    if record.kind != NATIVE:
        return _KINDS.get(record.kind, "unknown")
    facts = flat(record.inspection)
    if facts.get("virtualization.wsl", "").startswith("WSL"):
        return "wsl"
    return _SYSTEMS.get(facts.get("system.platform", ""), "unknown")


def stand_ins(manifest: Manifest) -> dict[str, str]:
    """Return platform → what was a stand-in there and no real one; under `GENERAL` what took part everywhere.

    A simulated GPU or a host that is none (Wine) takes part in everything; an emulated guest only in itself.
    """
    everywhere = [*_marks(manifest.host), *(_of_gpu(gpu) for gpu in manifest.gpus if _marked(gpu))]
    found = {GENERAL: everywhere} | {name: list(_marks(each.inspection)) for name, each in manifest.platforms.items()}
    return {name: "; ".join(dict.fromkeys(told)) for name, told in found.items() if told}


_KINDS: Mapping[str, Kind] = {"wsl": "wsl", "container": "container", "vm": "vm", "remote": "remote"}
_SYSTEMS: Mapping[str, Kind] = {"linux": "linux", "win32": "windows"}


def _marks(inspection: Mapping[str, Any]) -> Iterator[str]:
    return (value for key, value in flat(inspection).items() if marks_stand_in(key, value))


def marks_stand_in(key: str, value: str) -> bool:
    """Whether a fact says that something is a stand-in."""
    return key.rpartition(".")[2] in STAND_IN and value.lower() not in NOT_TRUE


def _marked(gpu: Mapping[str, Any]) -> bool:
    return any(marks_stand_in(key, str(value)) for key, value in gpu.items())


def _of_gpu(gpu: Mapping[str, Any]) -> str:
    return str(gpu.get("name", "a GPU"))
