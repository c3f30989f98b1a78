"""The platform's own compilers and make: which there are, how each makes a library, and how to get one."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.agent import children, compilers_windows
from harness.agent.compilers_windows import WindowsCompiler
from harness.agent.task import Unavailable

Language = Literal["c++", "cuda"]
Tool = Literal["c++", "cuda", "make"]

PROGRAMS: Mapping[Tool, tuple[str, ...]] = {"c++": ("c++", "g++", "clang++"), "cuda": ("nvcc",), "make": ("make",)}
# The system's package manager, first found, and what has it install a tool.
PACKAGES: Mapping[str, Mapping[Tool, str]] = {
    "apt-get": {
        "c++": "apt-get install g++",
        "cuda": "apt-get install nvidia-cuda-toolkit",
        "make": "apt-get install make",
    },
    "dnf": {
        "c++": "dnf install gcc-c++",
        "cuda": "dnf install cuda-toolkit (from NVIDIA's repository)",
        "make": "dnf install make",
    },
    "zypper": {
        "c++": "zypper install gcc-c++",
        "cuda": "zypper install cuda-toolkit (from NVIDIA's repository)",
        "make": "zypper install make",
    },
    "apk": {
        "c++": "apk add g++",
        "cuda": "choose a base image with glibc: there is no nvcc for musl",
        "make": "apk add make",
    },
    "pacman": {"c++": "pacman -S gcc", "cuda": "pacman -S cuda", "make": "pacman -S make"},
    "xcode-select": {
        "c++": "xcode-select --install",
        "cuda": "there is no CUDA for macOS",
        "make": "xcode-select --install",
    },
}
ELSEWHERE: Mapping[Tool, str] = {
    "c++": "install GCC or Clang",
    "cuda": "install NVIDIA's CUDA toolkit",
    "make": "install make",
}


@dataclass(frozen=True, kw_only=True)
class Make:
    """A make of POSIX."""

    path: str

    def version(self) -> str:
        """Return what the program calls itself. Raises StepError if it can't even say that."""
        said = children.output([self.path, "--version"], f"{self.path} --version").splitlines()
        return said[0].strip() if said else "unknown"

    def command(self, makefile: str) -> list[str]:
        """Return the command that makes the first target of `makefile`."""
        return [self.path, "-f", makefile]

    @staticmethod
    def recipe(command: Sequence[str]) -> str:
        """Return the line of a makefile that runs a command."""
        return shlex.join(command).replace("$", "$$")


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """A program that compiles one source to an object file and links that to a shared library, optimized."""

    path: str
    language: Language

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables that it needs: its messages in English."""
        return {"LC_ALL": "C"}

    def version(self) -> str:
        """Return what the program calls itself. Raises StepError if it can't even say that."""
        lines = children.output([self.path, "--version"], f"{self.path} --version").splitlines()
        named = [line.strip() for line in lines if self.language == "c++" or "release" in line]
        return named[0] if named else "unknown"

    def compile(self, source: Path, target: Path) -> list[str]:
        """Return the command that compiles `source` to the object file `target`."""
        return [self.path, "-O2", *self._position_independent, "-c", str(source), "-o", str(target)]

    def link(self, target: Path, library: Path) -> list[str]:
        """Return the command that links the object file `target` to the shared library `library`."""
        return [self.path, "-shared", str(target), "-o", str(library)]

    def make(self) -> Make:
        """Return the platform's make. Raises Unavailable with the command that installs it."""
        return Make(path=_on_path("make"))

    @property
    def _position_independent(self) -> tuple[str, ...]:
        return ("-Xcompiler", "-fPIC") if self.language == "cuda" else ("-std=c++17", "-fPIC")


def find(language: Language) -> Compiler | WindowsCompiler:
    """Return the platform's compiler. Raises Unavailable with the command that installs one."""
    if sys.platform == "win32":
        return compilers_windows.find(language)
    return Compiler(path=_on_path(language), language=language)


def _on_path(tool: Tool) -> str:
    found = next((path for name in PROGRAMS[tool] if (path := shutil.which(name))), None)
    if found is None:
        raise Unavailable(f"no {' or '.join(PROGRAMS[tool])} on the PATH: {_remedy(tool)}")
    return found


def _remedy(tool: Tool) -> str:
    manager = next((name for name in PACKAGES if shutil.which(name)), None)
    return PACKAGES[manager][tool] if manager else ELSEWHERE[tool]
