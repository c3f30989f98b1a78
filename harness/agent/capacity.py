"""How much memory may be taken, how large caches and pages are: what decides the sizes that memory probes use."""

from __future__ import annotations

import mmap
import sys

from harness.agent.inspection import cgroup
from harness.agent.inspection.facts import Files, fact, fields
from harness.agent.task import Unavailable

MIB = 2**20
USABLE = 0.8  # of the memory that is available: the rest is left to the system
CACHES = 4  # STREAM asks for arrays of at least four times the last-level cache
CACHE = "/sys/devices/system/cpu/cpu0/cache"
HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage"
ALL_HUGE = 0.99  # a larger share of huge pages is all of them
LINE = 64  # bytes of a cache line where the system does not say


def available_memory(files: Files) -> int | None:
    """Return the bytes that may be taken: the system's available memory or the cgroups' limit, None if unknown."""
    if sys.platform == "win32" and files.of_this_machine:
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        return win32.memory().available
    system = fact("MemAvailable", lambda: _kilobytes(fields(files.text("/proc/meminfo"))["MemAvailable"]))
    limits = (system["value"], cgroup.inspect(files)["memory_bytes"]["value"])
    return min((int(limit) for limit in limits if isinstance(limit, (int, float))), default=None)


def check_room(files: Files, task: str, param: str, size: int, *, copies: int = 1) -> None:
    """Raise Unavailable rather than be killed for memory; other sizes on other platforms could not be compared.

    The task takes `copies` times the `size` that its parameter `param` sets.
    """
    available = available_memory(files)
    if available is not None and copies * size > USABLE * available:
        raise Unavailable(
            f"{task} needs {copies} × {size // MIB} MiB and {available // MIB} MiB are available: "
            f"{setting(task, param)} to {int(USABLE * available / copies) // MIB}MiB or less"
        )


def cache_warning(files: Files, task: str, param: str, size: int) -> tuple[str, ...]:
    """Say so where memory of `size` bytes, set by `param`, is partly served by the last-level cache."""
    cache = last_cache(files)
    if size >= CACHES * cache:
        return ()
    warning = (
        f"{size // MIB} MiB are less than {CACHES} times the last-level cache ({cache // MIB} MiB), which serves part "
        f"of the reads: {setting(task, param)} to {CACHES * cache // MIB}MiB for the memory's own speed"
    )
    return (warning,)


def setting(task: str, param: str) -> str:
    """Return the remedy for a size that does not suit this machine."""
    return f"set {param} of {task} in matrix.yaml"


def last_cache(files: Files) -> int:
    """Return the size in bytes of the first CPU's largest cache, 0 if unknown."""
    if sys.platform == "win32" and files.of_this_machine:
        return max((size for size, _ in _windows_caches()), default=0)
    try:
        return max(_kilobytes(files.text(path)) for path in files.matching(f"{CACHE}/index*/size"))
    except (OSError, ValueError):
        return 0


def cache_line(files: Files) -> int:
    """Return the size in bytes of the largest line of the first CPU's caches."""
    if sys.platform == "win32" and files.of_this_machine:
        return max((line for _, line in _windows_caches() if line), default=LINE)
    try:
        return max(int(files.text(path)) for path in files.matching(f"{CACHE}/index*/coherency_line_size"))
    except (OSError, ValueError):
        return LINE


def _windows_caches() -> list[tuple[int, int]]:
    """Return size and line size of each cache; none where Windows does not tell."""
    if sys.platform != "win32":
        return []
    from harness.agent import win32  # noqa: PLC0415 - Windows only

    try:
        return win32.caches()
    except OSError:
        return []


def page_size() -> int:
    """Return the size in bytes of a page that nobody asked to be huge."""
    return mmap.PAGESIZE


def huge_page_size(files: Files) -> int | None:
    """Return the size in bytes of a transparent huge page, None on a system without them."""
    try:
        return int(files.text(f"{HUGE_PAGES}/hpage_pmd_size"))
    except (OSError, ValueError):
        return None


def no_huge_pages(files: Files, task: str, share: float) -> str:
    """Return why a value for huge pages is missing: they were asked for, and `share` of the memory got them."""
    setting = fact("enabled", lambda: files.text(f"{HUGE_PAGES}/enabled"))["value"]
    got = f"{share:.0%} of the memory" if share >= 0 else "an unknown share of the memory"
    return (
        f"{task}: no value for huge pages, which {got} got; {HUGE_PAGES}/enabled says {setting!r}: "
        "`madvise` or `always` grants them, where enough memory is in one piece"
    )


def _kilobytes(text: str) -> int:
    """Read `4096 kB` or `512K`, as the kernel writes them, as bytes."""
    return int(text.rstrip(" kKB")) * 1024
