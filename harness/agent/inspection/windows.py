"""Windows: what sets its speed beside the hardware, from the registry, the kernel and one PowerShell call.

Under Wine the same calls answer with what Wine makes up: `stand_in` says so, and then nothing here describes a Windows.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from harness.agent.inspection.facts import Fact, fact, why

SHELL = "PowerShell"
SECONDS = 30.0  # PowerShell's start and Defender's answer take seconds on a cold system
# How it fails as a whole: what every fact's error then says, and what tells `doctor` from a question not answered.
NOT_STARTED, NO_ANSWER, NOTHING = f"{SHELL} can't be started", f"{SHELL} did not answer", f"{SHELL}'s answer is no JSON"
GRAPHICS = r"SYSTEM\CurrentControlSet\Control\GraphicsDrivers"
FILE_SYSTEM = r"SYSTEM\CurrentControlSet\Control\FileSystem"
POWER = r"SYSTEM\CurrentControlSet\Control\Power\User\PowerSchemes"
PREFETCH = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"
PROCESSOR = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
VERSION = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
SCHEMES = {
    "381b4222-f694-41f0-9685-ff5bb260df2e": "balanced",
    "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c": "high performance",
    "a1841308-3541-4fab-bc81-f71556f20b4a": "power saver",
    "e9a42b02-d5df-448d-aa00-03f14749eb61": "ultimate performance",
}
SCHEDULING = {1: "off", 2: "on"}  # HwSchMode
VBS = {0: "off", 1: "configured", 2: "running"}  # Win32_DeviceGuard
MEMORY_INTEGRITY = 2  # of SecurityServicesRunning
TICK = 1e-7  # seconds; the kernel counts in 100 ns
# One answer for all questions: starting PowerShell costs more than they do. Only counts leave Defender's list of paths.
SCRIPT = r"""
$ErrorActionPreference = 'SilentlyContinue'
$guard = Get-CimInstance -Namespace root\Microsoft\Windows\DeviceGuard -ClassName Win32_DeviceGuard
$defender = Get-MpComputerStatus
$excluded = @((Get-MpPreference).ExclusionPath | Where-Object { $_ })
$volumes = @(Get-Volume | Where-Object DriveLetter | ForEach-Object {
    @{ letter = [string]$_.DriveLetter; filesystem = $_.FileSystemType.ToString();
       devdrive = [string](fsutil devdrv query "$($_.DriveLetter):" | Select-Object -First 1) } })
@{ vbs = $guard.VirtualizationBasedSecurityStatus; services = @($guard.SecurityServicesRunning);
   hypervisor = (Get-CimInstance Win32_ComputerSystem).HypervisorPresent;
   realtime = $defender.RealTimeProtectionEnabled; defender = [string]$defender.AMRunningMode;
   exclusions = $(if ($excluded -like 'N/A*') { $null } else { $excluded.Count });
   volumes = $volumes } | ConvertTo-Json -Compress -Depth 4
"""

T = TypeVar("T")
Registry = Callable[[str, str], object]  # key below HKEY_LOCAL_MACHINE, name → value; raises FileNotFoundError
Answer = Mapping[str, Any]


def inspect() -> dict[str, Fact]:
    """Return the facts of this Windows, none on another system."""
    if sys.platform != "win32":
        return {}
    return {**from_registry(_registry), **from_powershell(_powershell), **_from_kernel(), **stand_in()}


def boot_id(read: Registry | None = None) -> Fact:
    """Return what tells this boot from others of this machine: the installation, and its count of boots."""
    read = read or _registry
    source = "HKEY_LOCAL_MACHINE BootId, InstallDate"
    return fact(source, lambda: f"{read(VERSION, 'InstallDate'):x}-{read(PREFETCH, 'BootId')}")


def product() -> Fact:
    """Return the product's name and build: "Windows 10 Pro" is Windows 11 from build 22000 on."""
    return fact(
        "HKEY_LOCAL_MACHINE", lambda: f"{_registry(VERSION, 'ProductName')} {_registry(VERSION, 'CurrentBuild')}"
    )


def processor() -> Fact:
    """Return the processor's model."""
    return fact("HKEY_LOCAL_MACHINE", lambda: str(_registry(PROCESSOR, "ProcessorNameString")).strip())


def from_registry(read: Registry) -> dict[str, Fact]:
    """Return what the registry says. A value that was never set stands for the default and not for "off"."""
    source = "HKEY_LOCAL_MACHINE"
    return {
        "build": fact(source, lambda: read(VERSION, "CurrentBuild")),
        "build_revision": fact(source, lambda: read(VERSION, "UBR")),
        "release": fact(source, lambda: read(VERSION, "DisplayVersion")),
        "edition": fact(source, lambda: read(VERSION, "EditionID")),
        "gpu_scheduling": fact(source, lambda: scheduling(_set(read, GRAPHICS, "HwSchMode"))),
        "gpu_timeout_seconds": fact(source, lambda: _set(read, GRAPHICS, "TdrDelay")),
        "gpu_timeout_level": fact(source, lambda: _set(read, GRAPHICS, "TdrLevel")),
        "power_scheme": fact(source, lambda: scheme(str(read(POWER, "ActivePowerScheme")))),
        "power_mode": fact(source, lambda: _set(read, POWER, "ActiveOverlayAcPowerScheme")),
        "last_access": fact(source, lambda: _set(read, FILE_SYSTEM, "NtfsDisableLastAccessUpdate")),
        "long_paths": fact(source, lambda: _set(read, FILE_SYSTEM, "LongPathsEnabled")),
        "short_names": fact(source, lambda: _set(read, FILE_SYSTEM, "NtfsDisable8dot3NameCreation")),
    }


def from_powershell(ask: Callable[[], str]) -> dict[str, Fact]:
    """Return what one JSON answer says; where there is none, every fact says why."""
    try:
        answer = parsed(ask())
    except (OSError, ValueError) as error:
        return {name: {"value": None, "source": SHELL, "error": why(error)} for name in QUESTIONS}
    return {name: fact(SHELL, partial(read, answer)) for name, read in QUESTIONS.items()}


def parsed(text: str) -> Answer:
    """Read PowerShell's answer. Raises ValueError if it is no JSON object."""
    try:
        answer = json.loads(text.lstrip("\ufeff"))
    except ValueError as error:
        msg = NOTHING + ("" if text.strip() else ", it said nothing")
        raise ValueError(msg) from error
    if not isinstance(answer, dict):
        msg = "PowerShell's answer is no object"
        raise ValueError(msg)  # noqa: TRY004 - a value from outside
    return answer


def scheduling(mode: object) -> str:
    """Name hardware-accelerated GPU scheduling's mode; other numbers are shown as they are."""
    return str(mode) if not isinstance(mode, int) else SCHEDULING.get(mode, f"mode {mode}")


def scheme(guid: str) -> str:
    """Name a power scheme; one that a user made is "custom", since its GUID says nothing to others."""
    return SCHEMES.get(guid.lower().strip("{}"), "custom")


def volume(told: object) -> dict[str, object]:
    """Return a volume's letter, file system, and whether it is a Dev Drive: None where Windows does not tell."""
    line = told.get("devdrive") if isinstance(told, dict) else None
    return {
        "letter": _said(told, "letter", str),
        "filesystem": _said(told, "filesystem", str),
        "dev_drive": dev_drive(str(line)),
    }


def dev_drive(line: str) -> str | None:
    """Read the first line of `fsutil devdrv query`, in English: other languages and older builds are not told."""
    text = line.lower()
    if "developer volume" not in text:
        return None
    if "not a developer volume" in text:
        return "no"
    return "untrusted" if "untrusted" in text or "not trusted" in text else "trusted"


def _said(told: object, name: str, kind: type[T]) -> T:
    """Return a value; raise LookupError for what PowerShell could not get (it gives nothing), ValueError for others."""
    value = told.get(name) if isinstance(told, dict) else None
    if value in (None, ""):
        msg = "PowerShell was told nothing: not there, or for administrators"
        raise LookupError(msg)
    if not isinstance(value, kind):
        msg = f"{type(value).__name__} instead of {kind.__name__}"
        raise ValueError(msg)  # noqa: TRY004 - a value from outside
    return value


QUESTIONS: Mapping[str, Callable[[Answer], object]] = {
    "virtualization_based_security": lambda told: VBS[_said(told, "vbs", int)],
    "memory_integrity": lambda told: MEMORY_INTEGRITY in _said(told, "services", list),
    "hypervisor_present": lambda told: _said(told, "hypervisor", bool),
    "defender_realtime": lambda told: _said(told, "realtime", bool),
    "defender_mode": lambda told: _said(told, "defender", str),
    "defender_excluded_paths": lambda told: _said(told, "exclusions", int),
    "volumes": lambda told: [volume(each) for each in _said(told, "volumes", list)],
}


def _set(read: Registry, key: str, name: str) -> object:
    try:
        return read(key, name)
    except FileNotFoundError:
        return "default"


def _registry(key: str, name: str) -> object:
    import winreg  # noqa: PLC0415 - Windows only

    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:  # type: ignore[attr-defined,unused-ignore]
        return winreg.QueryValueEx(opened, name)[0]  # type: ignore[attr-defined,unused-ignore]


def _powershell(program: Sequence[str] = ("powershell.exe",), seconds: float = SECONDS) -> str:
    """Ask Windows PowerShell. Raises OSError if it can't be started or takes too long."""
    try:
        answer = subprocess.run(
            [*program, "-NoProfile", "-NonInteractive", "-Command", SCRIPT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{NO_ANSWER} within {seconds:g} s"
        raise TimeoutError(msg) from error
    except OSError as error:  # not there, or forbidden
        msg = f"{NOT_STARTED}: {error.strerror or error}"
        raise OSError(msg) from error
    return answer.stdout


def _from_kernel() -> dict[str, Fact]:
    return {
        "timer_resolution_seconds": fact("NtQueryTimerResolution", _timer_resolution),
    }


def stand_in() -> dict[str, Fact]:
    """Return the fact that this is Wine and no Windows; none on a real one."""
    source = "ntdll.wine_get_version"
    version = _wine()
    return {"stand_in": {"value": f"Wine {version}", "source": source}} if version else {}


def _timer_resolution() -> float:
    """Return how finely this process's waits end: 15.6 ms unless something asked for better."""
    import ctypes  # noqa: PLC0415 - WinDLL is Windows only

    coarsest, finest, current = (ctypes.c_ulong() for _ in range(3))
    ntdll = ctypes.WinDLL("ntdll")  # type: ignore[attr-defined,unused-ignore]
    status = ntdll.NtQueryTimerResolution(ctypes.byref(coarsest), ctypes.byref(finest), ctypes.byref(current))
    if status != 0:
        msg = f"status {status:#x}"
        raise ValueError(msg)
    return current.value * TICK


def _wine() -> str:
    """Return Wine's version, nothing on a real Windows."""
    if sys.platform != "win32":
        return ""
    import ctypes  # noqa: PLC0415 - WinDLL is Windows only

    ntdll = ctypes.WinDLL("ntdll")  # type: ignore[attr-defined,unused-ignore]
    try:
        version = ntdll.wine_get_version
    except AttributeError:
        return ""
    version.restype = ctypes.c_char_p
    return bytes(version()).decode("ascii", "replace")
