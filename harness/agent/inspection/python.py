"""The interpreter: which build of which version. Two builds of one version differ by more than many a platform."""

from __future__ import annotations

import platform
import re
import shlex
import sys
import sysconfig
from pathlib import Path

from harness.agent import versions
from harness.agent.inspection.facts import Fact, Files, fact

MAPS = "/proc/self/maps"
# Of the build's configuration and compiler flags, those that change speed; the rest holds paths of the builder.
SPEED_OPTIONS = re.compile(
    r"--(enable|disable|with|without)-(optimizations|lto|pydebug|gil|shared|pymalloc|computed-gotos|experimental-jit"
    r"|tail-call-interp)(=\w+)?"
)
SPEED_FLAGS = re.compile(
    r"-(O\w*|flto\S*|m(arch|tune|cpu)=\S+|fno-semantic-interposition|fno-plt|f(no-)?omit-frame-pointer|DNDEBUG)"
)


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts of the interpreter that runs this."""
    return {
        "version": fact("platform", platform.python_version),
        "implementation": fact("platform", platform.python_implementation),
        "build": fact("platform", lambda: " ".join(platform.python_build()).strip()),
        "compiler": fact("platform", platform.python_compiler),
        "options": fact("sysconfig CONFIG_ARGS", lambda: _options(str(sysconfig.get_config_var("CONFIG_ARGS") or ""))),
        "flags": fact("sysconfig CFLAGS", lambda: _flags(str(sysconfig.get_config_var("CFLAGS") or ""))),
        "executable_sha256": fact("sys.executable", lambda: versions.sha256(Path(sys.executable).resolve())),
        "library_sha256": fact(MAPS, lambda: _library(files)),
    }


def _options(arguments: str) -> list[str]:
    return sorted({word for word in shlex.split(arguments) if SPEED_OPTIONS.fullmatch(word)})


def _flags(flags: str) -> list[str]:
    """Return the flags in their order: of several -O the last one counts."""
    return [word for word in flags.split() if SPEED_FLAGS.fullmatch(word)]


def _library(files: Files) -> str | None:
    """Return the digest of the libpython that is loaded, None where the interpreter is linked statically."""
    found = re.search(r"/.*/libpython3[\w.]*\.so[\w.]*$", files.text(MAPS), re.MULTILINE)
    return versions.sha256(Path(found[0])) if found else None
