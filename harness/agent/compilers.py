"""The platform's own compilers: which there are, how each makes a shared library, and how to get one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.agent import children, compilers_windows
from harness.agent.compilers_windows import WindowsCompiler
from harness.agent.task import Unavailable

Language = Literal["c++", "cuda"]

PROGRAMS: Mapping[Language, tuple[str, ...]] = {"c++": ("c++", "g++", "clang++"), "cuda": ("nvcc",)}
# The system's package manager, first found, and what has it install a compiler.
PACKAGES: Mapping[str, Mapping[Language, str]] = {
    "apt-get": {"c++": "apt-get install g++", "cuda": "apt-get install nvidia-cuda-toolkit"},
    "dnf": {"c++": "dnf install gcc-c++", "cuda": "dnf install cuda-toolkit (from NVIDIA's repository)"},
    "zypper": {"c++": "zypper install gcc-c++", "cuda": "zypper install cuda-toolkit (from NVIDIA's repository)"},
    "apk": {"c++": "apk add g++", "cuda": "choose a base image with glibc: there is no nvcc for musl"},
    "pacman": {"c++": "pacman -S gcc", "cuda": "pacman -S cuda"},
    "xcode-select": {"c++": "xcode-select --install", "cuda": "there is no CUDA for macOS"},
}
ELSEWHERE: Mapping[Language, str] = {"c++": "install GCC or Clang", "cuda": "install NVIDIA's CUDA toolkit"}


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

    @property
    def _position_independent(self) -> tuple[str, ...]:
        return ("-Xcompiler", "-fPIC") if self.language == "cuda" else ("-std=c++17", "-fPIC")


def find(language: Language) -> Compiler | WindowsCompiler:
    """Return the platform's compiler. Raises Unavailable with the command that installs one."""
    if sys.platform == "win32":
        return compilers_windows.find(language)
    return _on_path(language)


def _on_path(language: Language) -> Compiler:
    found = next((path for name in PROGRAMS[language] if (path := shutil.which(name))), None)
    if found is None:
        raise Unavailable(f"no {' or '.join(PROGRAMS[language])} on the PATH: {_remedy(language)}")
    return Compiler(path=found, language=language)


def _remedy(language: Language) -> str:
    manager = next((name for name in PACKAGES if shutil.which(name)), None)
    return PACKAGES[manager][language] if manager else ELSEWHERE[language]
