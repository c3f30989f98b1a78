"""What the controller alone knows of a WSL2 distribution: versions, limits, its state before, what a start costs."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

from harness.agent.inspection.facts import Fact, fact
from harness.errors import PlatformError
from harness.platforms.wsl_command import PACKAGE, PROGRAM, Distribution, WslCommand

CONFIG = ".wslconfig"
# Of its settings (WslCoreConfig.h) those that change processors, memory, files, the GPU and the kernel, and hold no
# path or name.
TELLING = {
    "wsl2": (
        "memory", "processors", "swap", "gpusupport", "nestedvirtualization", "networkingmode", "hostfilesystemaccess",
        "kernelcommandline", "virtio", "virtiofs", "virtio9p", "vmidletimeout", "hardwareperformancecounters",
        "guiapplications", "safemode", "isolatedistrocgroup", "pagereporting",
    ),
    "general": ("instanceidletimeout",),
    "experimental": ("automemoryreclaim", "sparsevhd", "swiotlb", "networkingmode", "virtiofsaggregateshares"),
}  # fmt: skip
CUSTOM = ("kernel", "kernelmodules", "systemdistro")  # paths: only that there is one
MICROSOFT = "microsoft"  # in the release of every kernel of WSL


def package_facts(command: WslCommand) -> dict[str, Fact]:
    """Return the versions of WSL and Windows, `wsl.version` and so on."""
    source = f"{PROGRAM} --version"
    try:
        found = command.package()
    except (LookupError, PlatformError) as error:
        return {"wsl.version": {"value": None, "source": source, "error": str(error)}}
    return {f"wsl.{name}": {"value": found[name], "source": source} for name in PACKAGE}


def distribution_facts(before: Distribution) -> dict[str, Fact]:
    """Return what the list said of the distribution before this run started it."""
    source = f"{PROGRAM} --list --verbose"
    return {
        "wsl.distribution": {"value": before.name, "source": source},
        "wsl.distribution_state": {"value": before.state, "source": f"{source}, before the run"},
        "wsl.distribution_version": {"value": before.version, "source": source},
    }


def locations_fact(locations: Mapping[str, str], notes: Mapping[str, str]) -> Fact:
    """Return the names of the locations that are there; the error says why others are not."""
    found: Fact = {"value": sorted(locations), "source": "/proc/self/mountinfo"}
    return {**found, "error": "; ".join(f"{name}: {why}" for name, why in notes.items())} if notes else found


def settings_fact(environ: Mapping[str, str]) -> Fact:
    """Return what .wslconfig sets, `wsl2.memory` → `16GB`; empty if there is none: WSL's defaults hold."""
    return fact(CONFIG, lambda: settings(_config(environ)))


def settings(text: str) -> dict[str, str]:
    """Return the settings that tell. Raises ValueError for a file of another form."""
    parser = configparser.ConfigParser(
        interpolation=None, strict=False, allow_no_value=True, inline_comment_prefixes=("#",)
    )
    try:
        parser.read_string(text.removeprefix("\ufeff"))
    except configparser.Error as error:
        raise ValueError(f"not a {CONFIG}") from error
    sections = {section.lower(): parser[section] for section in parser.sections()}
    found = {
        f"{section}.{name}": (sections[section][name] or "").strip("\"'")
        for section, names in TELLING.items()
        for name in names
        if section in sections and name in sections[section]
    }
    custom = {f"wsl2.{name}": "custom" for name in CUSTOM if name in sections.get("wsl2", {})}
    return found | custom


def stand_in_fact(release: str) -> Fact:
    """Return why this is no WSL, empty if it is: the release of the kernel inside says."""
    real = MICROSOFT in release.lower()
    return {"value": "" if real else "the kernel inside is not WSL's", "source": "/proc/sys/kernel/osrelease"}


def _config(environ: Mapping[str, str]) -> str:
    """Return the text of .wslconfig, empty if there is none. Raises LookupError where the user's folder is unknown."""
    profile = environ.get("USERPROFILE")
    if not profile or not os.path.isdir(profile):  # noqa: PTH112 - a path of Windows
        raise LookupError("the folder of the Windows user is not known here (USERPROFILE)")
    path = Path(profile, CONFIG)
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
