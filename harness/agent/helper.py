"""Loads the native helper: the micro-probes' loops in machine code, the same on every platform.

The controller builds the library (`harness.native`) and sends it along, as a file of this package or of the zipapp.
Its functions are documented in native/overhead_probe.h.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import hashlib
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from harness.agent.loops import FileOperation, Loops, PythonLoops

ABI = 2  # PROBE_ABI of native/overhead_probe.h
LIBRARIES = {
    "linux-x86_64": "probe-linux-x86_64.so",
    "linux-aarch64": "probe-linux-aarch64.so",
    "win-amd64": "probe-windows-x86_64.dll",
}

_I32, _I64, _PATH = ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p
_U64, _ADDRESS = ctypes.c_uint64, ctypes.c_void_p
_SECONDS = ctypes.POINTER(ctypes.c_double)
_OFFSETS = ctypes.c_char_p
_FILES = (_PATH, _I64, _I64, _SECONDS)
_SIGNATURES: Mapping[str, tuple[type, ...]] = {
    "clock": (_I64, _I64, _SECONDS),
    "empty_call": (_I64, _I64, _SECONDS),
    "fma": (_I64, _I64, _SECONDS),
    "spin": (_I64, _I64, _SECONDS),
    "triad": (_I64, _I64, _I32, _I32, _SECONDS),
    "thread": (_I64, _SECONDS),
    "syscall": (_I64, _I64, _SECONDS),
    "fork": (_I64, _SECONDS),
    "vfork": (_I64, _SECONDS),
    "files_create": _FILES,
    "files_stat": _FILES,
    "files_read": _FILES,
    "files_read_unbuffered": _FILES,
    "files_unlink": _FILES,
    "files_list": (_PATH, _I64, _SECONDS),
    # CPU and memory
    "chase": (_I64, _I64, _I64, _I64, _U64, _I32, _I32, _I32, _ADDRESS, _SECONDS),
    "faults": (_I64, _I64, _I64, _I32, _I32, _ADDRESS, _SECONDS),
    "lateness": (_I64, _I64, _SECONDS),
    "shortest_sleep": (_I64, _SECONDS),
    "switch_condition": (_I64, _I64, _I32, _SECONDS),
    "switch_threads": (_I64, _I64, _I32, _SECONDS),
    "switch_processes": (_I64, _I64, _I32, _SECONDS),
    # blocks.c; offsets are int64 values as bytes
    "blocks_write": (_PATH, _I32, _I64, _I64, _SECONDS),
    "blocks_read": (_PATH, _I32, _I32, _OFFSETS, _I64, _I64, _I64, _SECONDS),
    "blocks_sync": (_PATH, _I32, _OFFSETS, _I64, _I64, _I64, _SECONDS),
    # cpuid.c
    "hypervisor": (_I64, _SECONDS),
    # cuda.c, called by cuda_loops
    "cuda_call": (_ADDRESS, _I64, _I64, _SECONDS),
    "cuda_enqueue": (_ADDRESS, _I64, _ADDRESS, _I64, _I64, _I32, _SECONDS),
    "cuda_each": (_ADDRESS, _I64, _ADDRESS, _I64, _I32, _SECONDS),
    "cuda_both": (_ADDRESS, _I64, _ADDRESS, _ADDRESS, _SECONDS),
    "cuda_allocate": (_ADDRESS, _I64, _I32, _U64, _ADDRESS, _ADDRESS, _SECONDS),
}


class NativeHelper:
    """The loaded library. Methods return seconds, one a sample, and raise OSError with the errno of what failed."""

    name = "native"
    warnings: tuple[str, ...] = ()

    def __init__(self, library: ctypes.CDLL, sha256: str) -> None:
        """Declare the functions' types. Raises AttributeError if the library is another."""
        self.sha256 = sha256
        self.versions = {"native_helper": sha256}
        self.abi = int(library.probe_abi())
        self.fused = bool(library.probe_fused())
        self._library = library
        for name, types in _SIGNATURES.items():
            if self.offers(name):
                getattr(library, f"probe_{name}").argtypes = types
                getattr(library, f"probe_{name}").restype = _I32

    def offers(self, name: str) -> bool:
        """Whether the library has this loop on this operating system."""
        return hasattr(self._library, f"probe_{name}")

    def clock(self, samples: int, calls: int) -> list[float]:
        """One read of the clock."""
        return self.call("clock", samples, samples, calls)

    def empty_call(self, samples: int, calls: int) -> list[float]:
        """One call of an empty function."""
        return self.call("empty_call", samples, samples, calls)

    def fma(self, samples: int, calls: int) -> list[float]:
        """A chain of `calls` multiply-adds, each waiting for the one before; the value is the whole chain's."""
        return self.call("fma", samples, samples, calls)

    def spin(self, samples: int, nanoseconds: int) -> list[float]:
        """What passed on the clock around a busy wait of `nanoseconds`."""
        return self.call("spin", samples, samples, nanoseconds)

    def triad(self, samples: int, size: int, threads: int, node: int = -1) -> list[float]:
        """One pass of a[i] = b[i] + 3 c[i] over three arrays of `size` bytes each, split over `threads`.

        The arrays are bound to the NUMA node `node`, unless that is -1.
        """
        return self.call("triad", samples, samples, size, threads, node)

    def syscall(self, samples: int, calls: int) -> list[float]:
        """One getppid, called without libc's help."""
        return self.call("syscall", samples, samples, calls)

    def thread(self, samples: int) -> list[float]:
        """One thread, from its creation until it is joined."""
        return self.call("thread", samples, samples)

    def fork(self, samples: int) -> list[float]:
        """One process that ends at once, from fork until it is waited for."""
        return self.call("fork", samples, samples)

    def vfork(self, samples: int) -> list[float]:
        """The same without a copy of this process's page tables."""
        return self.call("vfork", samples, samples)

    def files(self, operation: FileOperation, directory: str, files: int, size: int) -> list[float]:
        """Do `operation` to the files `0`…`files - 1` of `size` bytes in `directory`; one value a file."""
        return self.call(f"files_{operation}", files, os.fsencode(directory), files, size)

    def list_files(self, directory: str, files: int) -> float:
        """Read the whole directory once; EIO unless it holds `files` entries."""
        return self.call("files_list", 1, os.fsencode(directory), files)[0]

    def call(self, name: str, count: int, *arguments: int | bytes) -> list[float]:
        """Call `probe_<name>` with its arguments and room for `count` values; raise OSError with what it returns."""
        if count < 1:
            raise OSError(errno.EINVAL, f"{name}: {count} samples, at least one is needed")
        seconds = (ctypes.c_double * count)()
        status = getattr(self._library, f"probe_{name}")(*arguments, seconds)
        if status < 0:
            raise OSError(-status, os.strerror(-status), name)
        return list(seconds)


@lru_cache(maxsize=1)
def load() -> NativeHelper | None:
    """Return the helper of this operating system and processor, None where it is absent or cannot be loaded."""
    name = LIBRARIES.get(sysconfig.get_platform())
    if name is None:
        return None
    resource = files("harness.agent") / "native" / "lib" / name
    try:
        content = resource.read_bytes()
    except OSError:
        return None
    if isinstance(resource, Path):
        return _open(resource, content)
    return _open_extracted(content, Path(name).suffix)


def loops(*needs: str) -> Loops:
    """Return the native loops where the helper has all of `needs`, else the Python ones."""
    helper = load()
    if helper is not None and all(helper.offers(name) for name in needs):
        return helper
    return PythonLoops()


def _open(path: str | Path, content: bytes) -> NativeHelper | None:
    try:
        helper = NativeHelper(ctypes.CDLL(str(path)), hashlib.sha256(content).hexdigest())
    except (OSError, AttributeError):  # another libc (musl), a folder that may not hold programs, another library
        return None
    return helper if helper.abi == ABI else None


def _open_extracted(content: bytes, suffix: str) -> NativeHelper | None:
    """Load from memory first: a container's /tmp may be read-only or `noexec`; else from a private file."""
    for extract in (_in_memory, _in_temporary_file):
        with suppress(OSError), extract(content, suffix) as path:
            helper = _open(path, content)
            if helper is not None:
                return helper
    return None


@contextmanager
def _in_memory(content: bytes, suffix: str) -> Iterator[str]:
    """Yield the path of a file in memory. It is never closed: the loader knows a library by its path, for good."""
    if not hasattr(os, "memfd_create"):
        raise OSError(errno.ENOSYS, "no files in memory here")
    descriptor = os.memfd_create(f"overhead-probe{suffix}")
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)
    yield f"/proc/self/fd/{descriptor}"


@contextmanager
def _in_temporary_file(content: bytes, suffix: str) -> Iterator[str]:
    descriptor, path = tempfile.mkstemp(prefix="overhead-probe-", suffix=suffix)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield path
    finally:
        try:
            os.unlink(path)  # noqa: PTH108 - a plain name from mkstemp
        except PermissionError:  # Windows keeps a loaded library from being removed
            atexit.register(_unload_and_remove, path)


def _unload_and_remove(path: str) -> None:
    """Remove a library of Windows at the end of the process; after it none of its functions may be called."""
    if sys.platform == "win32":
        kernel32 = ctypes.WinDLL("kernel32")
        kernel32.GetModuleHandleW.restype = ctypes.c_void_p
        kernel32.FreeLibrary.argtypes = (ctypes.c_void_p,)
        kernel32.FreeLibrary(kernel32.GetModuleHandleW(path))
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108 - a plain name from mkstemp
