"""Whether this is bare metal, a virtual machine, a container, WSL: by several witnesses, none of them decisive."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from harness.agent.helper import load
from harness.agent.inspection.facts import Fact, Files, fact, fields

DETECTION_TIMEOUT = 5.0  # seconds; systemd-detect-virt answers in milliseconds or something is wrong
CONTAINER_MARKERS = {
    "/.dockerenv": "docker",
    "/run/.containerenv": "podman",
    "/run/systemd/container": "systemd",
}
CONTAINER_GROUPS = re.compile(
    r"/(docker|containerd|kubepods|libpod|lxc)(?:\.slice|-[0-9a-f]{12,}\.scope)?(?=/|$)", re.MULTILINE
)
DMI = "/sys/class/dmi/id"
WSL_INTEROP = "/proc/sys/fs/binfmt_misc/WSLInterop"
WSL_CUDA = "/usr/lib/wsl/lib/libcuda.so.1"


def inspect(files: Files) -> dict[str, Fact]:
    """Return what each witness says."""
    return {
        "hypervisor_flag": files.fact("/proc/cpuinfo", lambda text: "hypervisor" in fields(text)["flags"].split()),
        "hypervisor": files.fact("/sys/hypervisor/type"),
        "hypervisor_signature": fact("CPUID leaf 0x40000000", _signature),
        "machine": fact("systemd-detect-virt --vm", lambda: _detect("--vm")),
        "container": fact("systemd-detect-virt --container", lambda: _detect("--container")),
        "container_markers": fact("markers and /proc/self/cgroup", lambda: _container_markers(files)),
        "vendor": files.fact(f"{DMI}/sys_vendor"),
        "product": files.fact(f"{DMI}/product_name"),
        "wsl": fact("/proc/sys/kernel/osrelease", lambda: _wsl(files)),
        "wsl_markers": fact("markers", lambda: [each for each in (WSL_INTEROP, "/run/WSL") if files.exists(each)]),
        "wsl_cuda": fact(WSL_CUDA, lambda: files.exists(WSL_CUDA)),
    }


def _signature() -> str:
    """Return the twelve characters in which a hypervisor names itself, `KVMKVMKVM`, `Microsoft Hv`; "none" of none."""
    helper = load()
    if helper is None:
        msg = "the native helper is not there for this machine"
        raise LookupError(msg)
    registers = helper.call("hypervisor", 3, 3)
    name = b"".join(int(value).to_bytes(4, "little") for value in registers)
    return name.rstrip(b"\0").decode("ascii", "backslashreplace") or "none"


def _detect(what: str) -> str:
    """Ask systemd, which says `none` and exits with 1 where there is nothing."""
    program = shutil.which("systemd-detect-virt")
    if program is None:
        msg = "systemd-detect-virt is not installed"
        raise LookupError(msg)
    try:
        answer = subprocess.run(
            [program, what],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DETECTION_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(None, f"no answer within {DETECTION_TIMEOUT} s") from error
    return answer.stdout.strip() or _silent(answer.returncode)


def _silent(status: int) -> str:
    msg = f"no answer, exit status {status}"
    raise ValueError(msg)


def _container_markers(files: Files) -> list[str]:
    """Return which kinds of container left a mark; empty outside of them, and inside of some."""
    found = {kind for path, kind in CONTAINER_MARKERS.items() if files.exists(path)}
    if os.environ.get("container"):  # noqa: SIM112 - systemd's convention is lower case
        found.add("environment")
    if files.exists("/proc/self/cgroup"):
        found.update(CONTAINER_GROUPS.findall(files.text("/proc/self/cgroup")))
    return sorted(found)


def _wsl(files: Files) -> str:
    """Tell WSL by the kernel's name. A container in Docker Desktop runs on the same kernel and says the same."""
    release = files.text("/proc/sys/kernel/osrelease")
    if "microsoft-standard-WSL2" in release:
        return "WSL2"
    return "WSL1" if release.endswith("-Microsoft") else "no"
