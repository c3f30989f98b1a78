"""What confines this process: security modules, capabilities, system call filters, user mapping, limits, shared memory.

Read in every process: a native one has these too, and the difference is what a container adds.
"""

from __future__ import annotations

import os
import re
import sys

from harness.agent.inspection.facts import Fact, Files, fact, fields

STATUS = "/proc/self/status"
MOUNTS = "/proc/self/mountinfo"
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - its size is read, nothing is written
UNLIMITED = "unlimited"
# The order of linux/capability.h: bit 0 first.
CAPABILITIES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
PROFILE = re.compile(r"(unconfined|[\w./-]+)(?: \((\w+)\))?")  # AppArmor: `docker-default (enforce)`
NOT_WINDOWS = "Windows has no such thing"
GPU_NODES = ("/dev/nvidiactl", "/dev/dxg")


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts; sizes are bytes."""
    return {
        "security_modules": files.fact("/sys/kernel/security/lsm"),
        "security_profile": fact("/proc/self/attr", lambda: _profile(files)),
        "capabilities": files.fact(STATUS, lambda text: capabilities(fields(text)["CapEff"])),
        "no_new_privileges": files.fact(STATUS, lambda text: fields(text)["NoNewPrivs"] == "1"),
        "system_call_filters": files.fact(STATUS, lambda text: int(fields(text)["Seccomp_filters"])),
        "user_mapping": files.fact("/proc/self/uid_map", user_mapping),
        "runs_as_root": fact("geteuid", _is_root),
        "locked_memory_bytes": fact("getrlimit", lambda: _limit("RLIMIT_MEMLOCK")),
        "open_files": fact("getrlimit", lambda: _limit("RLIMIT_NOFILE")),
        "processes": fact("getrlimit", lambda: _limit("RLIMIT_NPROC")),
        "stack_bytes": fact("getrlimit", lambda: _limit("RLIMIT_STACK")),
        "shared_memory_bytes": fact("statvfs /dev/shm", lambda: _capacity(files.path(SHARED_MEMORY))),
        "gpu_injection": fact("NVIDIA_VISIBLE_DEVICES, mounts", lambda: _gpu_injection(files)),
    }


def capabilities(mask: str) -> str:
    """Name the bits of `CapEff`: "all" of those that this kernel may know, "none", or their names."""
    bits = int(mask, 16)
    names = [name for bit, name in enumerate(CAPABILITIES) if bits >> bit & 1]
    if not names:
        return "none"
    missing = [name for name in CAPABILITIES if name not in names]
    if len(missing) > len(names):
        return " ".join(names)
    return "all" + (f" but {' '.join(missing)}" if missing else "")


def user_mapping(text: str) -> str:
    """Say from user_namespaces(7) whether root in here is root outside: "none", "identity of a part", "remapped"."""
    rows = [tuple(int(word) for word in line.split()) for line in text.splitlines()]
    if not rows or any(len(row) != 3 for row in rows):
        raise ValueError(text)
    if rows == [(0, 0, 0xFFFFFFFF)]:
        return "none"
    return "identity of a part" if all(inside == outside for inside, outside, _ in rows) else "remapped"


def _profile(files: Files) -> str:
    """Return AppArmor's profile with its mode, or the type of SELinux's label (user and levels stay out)."""
    for path in ("/proc/self/attr/apparmor/current", "/proc/self/attr/current"):
        if files.told(path):
            return profile(files.text(path).rstrip("\0"))
    raise FileNotFoundError(None, "No such file or directory")


def profile(label: str) -> str:
    """Read a label of either module; raise ValueError for one of another form."""
    parts = label.split(":")
    if len(parts) >= 4:
        return f"selinux {parts[2]}"
    found = PROFILE.fullmatch(label)
    if found is None or found[1].startswith("/"):  # a profile that is named by a path may name a home
        msg = "a label of another form"
        raise ValueError(msg)
    return label


def _is_root() -> bool:
    if sys.platform == "win32":
        raise LookupError(NOT_WINDOWS)
    return os.geteuid() == 0


def _limit(name: str) -> int | str:
    if sys.platform == "win32":
        raise LookupError(NOT_WINDOWS)
    import resource  # noqa: PLC0415 - POSIX only

    soft, _hard = resource.getrlimit(getattr(resource, name))
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def _capacity(path: os.PathLike[str]) -> int:
    if sys.platform == "win32":
        raise LookupError(NOT_WINDOWS)
    status = os.statvfs(path)
    return status.f_blocks * status.f_frsize


def _gpu_injection(files: Files) -> str:
    """Say how an NVIDIA GPU came into this file system: "cdi", "hook", "no GPU", "not told".

    With CDI the engine sets NVIDIA_VISIBLE_DEVICES to `void`; the older hook mounts a file system in memory over
    /proc/driver/nvidia (libnvidia-container, nvc_mount.c: mount_procfs). Images set the variable as well, so it alone
    proves nothing.
    """
    if not any(files.exists(node) for node in GPU_NODES):
        return "no GPU"
    if os.environ.get("NVIDIA_VISIBLE_DEVICES") == "void":
        return "cdi"
    hooked = re.search(r" /proc/driver/nvidia .* - tmpfs ", files.text(MOUNTS))
    return "hook" if hooked else "not told"
