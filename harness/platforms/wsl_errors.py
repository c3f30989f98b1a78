"""What wsl.exe says when something fails, and what that means for the user: one table.

Its texts are translated; its error codes, `Wsl/Service/CreateInstance/…`, are not, so they are what is looked for.
The numbers are those of the same errors in versions that print no name. Names and numbers: github.com/microsoft/WSL,
wslutil.cpp and wslservice.idl; HRESULTs of Windows by Microsoft's [MS-ERREF].
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import PlatformError


@dataclass(frozen=True, kw_only=True)
class Row:
    """A pattern of the output, what it means, and what to do. `{name}` is the distribution's."""

    pattern: str
    problem: str
    remedy: str


RESTART = "Restart the service as administrator (`Restart-Service WSLService`), or restart Windows."
LOOK = "`wsl --status` says more; https://learn.microsoft.com/windows/wsl/troubleshooting lists the codes."

TABLE = (
    Row(
        pattern=r"--set-default-version",  # in its usage, which it prints for arguments that it does not know
        problem="this wsl.exe is too old: it came with Windows and does not know `--cd`",
        remedy="Update it: `wsl --update`.",
    ),
    Row(
        pattern=r"WSL_E_DISTRO_NOT_FOUND|0x80040302",
        problem="there is no distribution {name}",
        remedy="`wsl -l -v` lists them; correct `distribution` in matrix.yaml, or run `wsl --install -d {name}`.",
    ),
    Row(
        pattern=r"WSL_E_DEFAULT_DISTRO_NOT_FOUND|0x80040301|--list --online",
        problem="WSL has no distribution",
        remedy="Install one: `wsl --install -d Ubuntu-24.04`.",
    ),
    Row(
        pattern=r"WSL_E_WSL_OPTIONAL_COMPONENT_REQUIRED|WSL_E_VIRTUAL_MACHINE_PLATFORM_REQUIRED|0x8004032[1d]|0x8007019e",
        problem="an optional component of Windows that WSL needs is missing",
        remedy="Run `wsl --install --no-distribution` as administrator and restart Windows.",
    ),
    Row(
        pattern=r"HCS_E_HYPERV_NOT_INSTALLED|0x80370102",
        problem="virtualization is off, which WSL2 needs",
        remedy="Switch it on in the firmware, and run `wsl --install --no-distribution` as administrator.",
    ),
    Row(
        pattern=r"WSL_E_OS_NOT_SUPPORTED|0x80040327",
        problem="this Windows is too old for this WSL",
        remedy="Install the updates of Windows.",
    ),
    Row(
        pattern=r"wsl(\.exe)? --install(?! -)",
        problem="WSL is not installed",
        remedy="Run `wsl --install -d Ubuntu-24.04` as administrator and restart Windows.",
    ),
    Row(
        pattern=r"ERROR_SERVICE_DISABLED|0x80070422",
        problem="the service of WSL is switched off",
        remedy="As administrator: `Set-Service WSLService -StartupType Automatic; Start-Service WSLService`.",
    ),
    Row(
        pattern=r"ERROR_SERVICE_\w+|RPC_E_\w+|CO_E_SERVER_EXEC_FAILURE|HCS_E_SERVICE_NOT_AVAILABLE|REGDB_E_CLASSNOTREG"
        r"|0x8007042[5-9]|0x800706b[aef]|0x80080005|0x80370109",
        problem="the service of WSL does not answer",
        remedy=RESTART,
    ),
    Row(
        pattern=r"WSL_E_VM_CRASHED|HCS_E_TERMINATED|HCS_E_SYSTEM_ALREADY_STOPPED|HCS_E_CONNECTION_(CLOSED|TIMEOUT)",
        problem="the virtual machine of WSL crashed or does not answer",
        remedy="Look at `wsl -d {name} --exec dmesg`; `memory` in .wslconfig may be too large for this machine.",
    ),
    Row(
        pattern=r"WSL_E_DISK_CORRUPTED",
        problem="the virtual disk of {name} is corrupted",
        remedy="See https://aka.ms/wsldiskmountrecovery.",
    ),
    Row(
        pattern=r"MountDisk/HCS/ERROR_(FILE|PATH)_NOT_FOUND",
        problem="the virtual disk of {name} is not where it was",
        remedy="Put its .vhdx back, or install the distribution anew.",
    ),
    Row(
        pattern=r"ERROR_DISK_FULL|0x80070070",
        problem="the disk of Windows that holds the virtual disk of {name} is full",
        remedy="Make room on it.",
    ),
    Row(
        pattern=r"E_OUTOFMEMORY|ERROR_NOT_ENOUGH_MEMORY|ERROR_NO_SYSTEM_RESOURCES|0x8007000e|0x800705aa",
        problem="Windows has not enough memory for the virtual machine of WSL",
        remedy="Close programs, or lower `memory` in .wslconfig.",
    ),
    Row(
        pattern=r"E_ILLEGAL_STATE_CHANGE|0x8000000d",
        problem="{name} is being installed, converted or removed",
        remedy="Wait until that is done; `wsl -l -v` says.",
    ),
    Row(
        pattern=r"ParseConfig|WSL_E_CUSTOM_KERNEL_NOT_FOUND|WSL_E_CUSTOM_SYSTEM_DISTRO_ERROR",
        problem="WSL can't start with what .wslconfig says",
        remedy="Correct .wslconfig in the folder of the Windows user.",
    ),
)


def explained(output: str, name: str) -> PlatformError:
    """Return the error that output of wsl.exe means; `name` is the distribution that it was about."""
    text = output.replace("\0", "")
    for row in TABLE:
        if re.search(row.pattern, text, flags=re.IGNORECASE):
            return PlatformError(row.problem.format(name=name), row.remedy.format(name=name))
    code = re.search(r"Wsl/[\w/?()]+", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = next((line for line in lines if not (code and code[0] in line)), "no message")[:200].rstrip(".")
    return PlatformError(f"wsl.exe failed: {said}{f' ({code[0]})' if code else ''}", LOOK)
