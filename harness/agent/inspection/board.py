"""The mainboard's make and model, the same under every system; its serial number is not read."""

from __future__ import annotations

import sys

from harness.agent.inspection.facts import Fact, Files, fact

DMI = "/sys/class/dmi/id"
BIOS = r"HARDWARE\DESCRIPTION\System\BIOS"


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts of the board."""
    if sys.platform == "win32":
        source = "HKEY_LOCAL_MACHINE"
        return {
            "vendor": fact(source, lambda: _value("BaseBoardManufacturer")),
            "model": fact(source, lambda: _value("BaseBoardProduct")),
        }
    return {"vendor": files.fact(f"{DMI}/board_vendor"), "model": files.fact(f"{DMI}/board_name")}


def _value(name: str) -> str:
    """Return one value that Windows copied from the firmware's tables when it started."""
    import winreg  # noqa: PLC0415 - Windows only

    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, BIOS) as opened:  # type: ignore[attr-defined,unused-ignore]
        return str(winreg.QueryValueEx(opened, name)[0]).strip()  # type: ignore[attr-defined,unused-ignore]
