"""Microsoft's compiler and nmake: found as its own tools find them, by vswhere, and run in vcvars64.bat's environment.

A build from a terminal has this environment already; a measured process has not. nvcc compiles its host part by cl.exe
and needs the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.agent import children
from harness.agent.children import StepError
from harness.agent.task import Unavailable

VSWHERE = Path("Microsoft Visual Studio", "Installer", "vswhere.exe")  # below ProgramFiles(x86), always
VCVARS = Path("VC", "Auxiliary", "Build", "vcvars64.bat")
TOOLS = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
FUNCTION = "sum_of_squares"  # a library of Windows exports what it is told to
ENGLISH = {"VSLANG": "1033"}
REMEDY = (
    "install Visual Studio's Build Tools with the C++ workload: winget install Microsoft.VisualStudio.2022.BuildTools "
    '--override "--passive --add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"'
)
NO_NVCC = "no nvcc on the PATH: winget install Nvidia.CUDA"


@dataclass(frozen=True, kw_only=True)
class WindowsMake:
    """nmake.exe, in the compiler's environment."""

    path: str
    environ: Mapping[str, str]

    def version(self) -> str:
        """Return what the program calls itself. Raises StepError if it can't even say that."""
        said = children.output([self.path, "/?"], self.path, self.environ)
        named = [line.strip() for line in said.splitlines() if "Version" in line]
        return named[0] if named else "unknown"

    def command(self, makefile: str) -> list[str]:
        """Return the command that makes the first target of `makefile`."""
        return [self.path, "/nologo", "/f", makefile]

    @staticmethod
    def recipe(command: Sequence[str]) -> str:
        """Return the line of a makefile that runs a command."""
        return subprocess.list2cmdline(command).replace("$", "$$")


@dataclass(frozen=True, kw_only=True)
class WindowsCompiler:
    """cl.exe or nvcc, with the variables that they need."""

    path: str
    language: Literal["c++", "cuda"]
    environ: Mapping[str, str] = field(default_factory=dict)

    def version(self) -> str:
        """Return what the program calls itself. Raises StepError if it can't even say that."""
        cuda = self.language == "cuda"
        said = children.output([self.path, *(["--version"] if cuda else [])], self.path, self.environ)
        named = [line.strip() for line in said.splitlines() if ("release" if cuda else "Version") in line]
        return named[0] if named else "unknown"

    def compile(self, source: Path, target: Path) -> list[str]:
        """Return the command that compiles `source` to the object file `target`."""
        if self.language == "cuda":
            return [self.path, "-O2", "-c", str(source), "-o", str(target)]
        return [self.path, "/nologo", "/O2", "/EHsc", "/std:c++17", "/c", str(source), f"/Fo{target}"]

    def link(self, target: Path, library: Path) -> list[str]:
        """Return the command that links the object file `target` to the shared library `library`."""
        export = f"/EXPORT:{FUNCTION}"
        if self.language == "cuda":
            return [self.path, "-shared", str(target), "-o", str(library), "-Xlinker", export]
        return [self.path, "/nologo", "/LD", str(target), f"/Fe{library}", "/link", export]

    def make(self) -> WindowsMake:
        """Return nmake, which comes with the compiler. Raises Unavailable."""
        found = shutil.which("nmake.exe", path=self.environ.get("PATH"))
        if found is None:
            raise Unavailable(f"vcvars64.bat puts no nmake.exe on the PATH: {REMEDY}")
        return WindowsMake(path=found, environ=self.environ)


def find(language: Literal["c++", "cuda"], environ: Mapping[str, str] = os.environ) -> WindowsCompiler:
    """Return the compiler. Raises Unavailable with what installs it."""
    try:
        variables = _variables(_installation(environ))
    except StepError as error:
        raise Unavailable(f"Visual Studio's tools can't be asked: {error}: {REMEDY}") from error
    program = "nvcc" if language == "cuda" else "cl.exe"
    found = shutil.which(program, path=variables.get("PATH"))
    if found is None:
        raise Unavailable(NO_NVCC if language == "cuda" else f"vcvars64.bat puts no cl.exe on the PATH: {REMEDY}")
    return WindowsCompiler(path=found, language=language, environ={**variables, **ENGLISH})


def _installation(environ: Mapping[str, str]) -> Path:
    """Return the folder of the newest Visual Studio that has the compiler."""
    program = Path(environ.get("PROGRAMFILES(X86)", r"C:\Program Files (x86)")) / VSWHERE
    if not program.exists():
        raise Unavailable(f"no Visual Studio: {VSWHERE.name} is not there: {REMEDY}")
    query = ("-latest", "-products", "*", "-requires", TOOLS, "-property", "installationPath", "-utf8")
    lines = children.output([program, *query], VSWHERE.name).strip().splitlines()
    if not lines:
        raise Unavailable(f"Visual Studio is there without its C++ compiler: {REMEDY}")
    return Path(lines[0].strip())


def _variables(installation: Path) -> Mapping[str, str]:
    """Return the environment after vcvars64.bat, its names in capitals as Python has them on Windows."""
    command = ["cmd.exe", "/d", "/c", "chcp", "65001", ">nul", "&&", "call", str(installation / VCVARS), ">nul"]
    said = children.output([*command, "&&", "set"], VCVARS.name)
    pairs = (line.partition("=") for line in said.splitlines())
    return {name.upper(): value for name, equals, value in pairs if name and equals}
