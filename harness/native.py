"""Builds the native helper for every platform with one compiler, ziglang (a wheel): `python -m harness.native`.

A run sends the agent to other systems (WSL, a guest, a remote host), and boots of Linux and Windows are measured by one
agent: so `--all` is what `nox -s matrix` builds.

The libraries lie in harness/agent/native/lib (not in git) beside manifest.json, which names the digest of what they
were built from, the compiler and each file's digest. The same sources and compiler give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.agent.files import replace
from harness.agent.helper import LIBRARIES
from harness.errors import HarnessError, StackError

SOURCES = Path(__file__).parent / "agent" / "native"
LIB = SOURCES / "lib"
MANIFEST = "manifest.json"

# Target as the agent names its machine (`sysconfig.get_platform`) → the compiler's name for it. glibc 2.17 is what
# manylinux2014 asks for: every distribution since 2014 has it.
TARGETS = {
    "linux-x86_64": "x86_64-linux-gnu.2.17",
    "linux-aarch64": "aarch64-linux-gnu.2.17",
    "win-amd64": "x86_64-windows-gnu",
}
FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fvisibility=hidden", "-s")
POSIX_FLAGS = ("-fPIC", "-lpthread")
REMEDY = "Build the native helper with `nox -s native`"
SECONDS = 600  # a first build for another operating system compiles that system's libraries too: a minute or two


def host_target() -> str | None:
    """Return the target of this machine, None where there is none: its probes run as Python loops."""
    name = sysconfig.get_platform()
    return name if name in TARGETS else None


def build(targets: Sequence[str] | None = None, out: Path = LIB) -> list[Path]:
    """Build the helper for `targets` (default: this machine's) into `out`; return the libraries' paths.

    Libraries of other sources or another compiler are removed. Raises StackError for an unknown target, a missing
    compiler or a failed compilation.
    """
    chosen = list(targets) if targets is not None else [name for name in [host_target()] if name]
    for unknown in set(chosen) - TARGETS.keys():
        raise StackError(f"native helper: no target {unknown!r}", f"There are {', '.join(TARGETS)}")
    try:
        return _build(chosen, out)
    except OSError as error:
        raise StackError(
            f"native helper: {error.filename or out}: {error.strerror}", "Make the folder writable"
        ) from error


def is_current(target: str | None = None, out: Path = LIB) -> bool:
    """Whether the library of `target` (default: this machine's) is there and was built from the present sources.

    True where this machine has no target: there is nothing to build.
    """
    target = target or host_target()
    if target is None:
        return True
    manifest = _read_manifest(out)
    library = out / LIBRARIES[target]
    recorded = manifest["files"].get(library.name)
    return manifest.get("source_sha256") == source_sha256() and library.is_file() and recorded == _digest(library)


def source_sha256() -> str:
    """Return the digest of everything the libraries depend on but the compiler: sources and flags."""
    digest = hashlib.sha256(repr((FLAGS, POSIX_FLAGS, sorted(TARGETS.items()))).encode())
    for path in sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.h")]):
        content = path.read_bytes()
        digest.update(f"{path.name}:{len(content)}:".encode() + content)
    return digest.hexdigest()


def compiler() -> str:
    """Return the compiler's name and version. Raises StackError if it is not installed."""
    if find_spec("ziglang") is None:
        raise StackError("native helper: its compiler, the package ziglang, is not installed", REMEDY)
    return f"ziglang {_run([sys.executable, '-m', 'ziglang', 'version']).strip()}"


def _build(targets: list[str], out: Path) -> list[Path]:
    origin = {"source_sha256": source_sha256(), "compiler": compiler()}
    out.mkdir(parents=True, exist_ok=True)
    manifest = _read_manifest(out)
    kept = manifest["files"] if {key: manifest.get(key) for key in origin} == origin else {}
    built = [_compile(target, out) for target in targets]
    digests = kept | {path.name: _digest(path) for path in built}
    for stale in (path for path in out.glob("probe-*") if path.name not in digests):
        stale.unlink(missing_ok=True)
    _replace(out / MANIFEST, json.dumps({**origin, "files": dict(sorted(digests.items()))}, indent=2) + "\n")
    return built


def _compile(target: str, out: Path) -> Path:
    """Compile in the folder of the sources, so that no path of this machine can get into the library."""
    library = out / LIBRARIES[target]
    flags = (*FLAGS, *(() if target.startswith("win") else POSIX_FLAGS))
    sources = sorted(path.name for path in SOURCES.glob("*.c"))
    with tempfile.TemporaryDirectory(dir=out) as folder:
        fresh = Path(folder) / library.name
        _run([sys.executable, "-m", "ziglang", "cc", "-target", TARGETS[target], *flags, *sources, "-o", str(fresh)])
        replace(fresh, library)
    return library


def _run(argv: list[str]) -> str:
    try:
        done = subprocess.run(
            argv, cwd=SOURCES, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=SECONDS
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"exit status {error.returncode}"
        raise StackError(f"native helper: the compiler failed: {said[-2000:]}", REMEDY) from error
    except subprocess.TimeoutExpired as error:
        raise StackError(f"native helper: the compiler took more than {SECONDS} s", REMEDY) from error
    return done.stdout


def _read_manifest(out: Path) -> dict[str, Any]:
    """Return the manifest; an empty one where there is none or it is no manifest."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"files": {}}
    usable = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict)
    return manifest if usable else {"files": {}}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    replace(partial, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Build what is stale, this machine's first: it stays if another target fails. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m harness.native", description="Build the native helper.")
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--target", action="append", choices=sorted(TARGETS), help="default: this machine's")
    wanted.add_argument("--all", action="store_true", help="every target")
    parser.add_argument("--check", action="store_true", help="build nothing; exit status 1 if something is stale")
    options = parser.parse_args(argv)
    targets = list(TARGETS) if options.all else options.target or [name for name in [host_target()] if name]
    stale = sorted((target for target in targets if not is_current(target)), key=lambda target: target != host_target())
    if options.check:
        sys.stdout.write("".join(f"stale: {target}\n" for target in stale))
        return 1 if stale else 0
    try:
        for target in stale:
            sys.stdout.write(f"built {build([target])[0]}\n")
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
