from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.agent import compilers
from harness.agent.compilers import Compiler
from harness.agent.task import Unavailable
from tests.agent.systems import not_on_windows

SOURCE, TARGET, LIBRARY = Path("a.cpp"), Path("a.o"), Path("a.so")
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that puts programs onto a PATH of their own."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(*names: str, says: str = "") -> Path:
        for name in names:
            (tmp_path / name).write_text(f"#!/bin/sh\necho '{says}'\n")
            (tmp_path / name).chmod(0o755)
        return tmp_path

    return install


@not_on_windows("its compiler is found by vswhere, not on the PATH")
def test_the_systems_own_name_comes_first(install: Install) -> None:
    folder = install("clang++", "g++", "nvcc")
    assert compilers.find("c++").path == str(folder / "g++")
    install("c++")
    assert compilers.find("c++").path == str(folder / "c++")
    assert compilers.find("cuda").path == str(folder / "nvcc")


@not_on_windows("its compiler is found by vswhere, not on the PATH")
@pytest.mark.parametrize(
    ("manager", "remedy"),
    [("apt-get", "apt-get install g[+][+]"), ("apk", "apk add g[+][+]"), (None, "install GCC or Clang")],
)
def test_without_one_the_remedy_is_the_systems(install: Install, manager: str | None, remedy: str) -> None:
    install(*([manager] if manager else []))
    with pytest.raises(Unavailable, match=rf"no c[+][+] or g[+][+] or clang[+][+] on the PATH: {remedy}$"):
        compilers.find("c++")
    with pytest.raises(Unavailable, match="no nvcc on the PATH"):
        compilers.find("cuda")
    with pytest.raises(Unavailable, match=r"no make on the PATH: .*make"):
        Compiler(path="c++", language="c++").make()


def test_on_windows_it_is_visual_studios(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("c++")
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(Unavailable, match="no Visual Studio"):
        compilers.find("c++")


def test_the_commands() -> None:
    cpp, cuda = Compiler(path="c++", language="c++"), Compiler(path="nvcc", language="cuda")
    assert " ".join(cpp.compile(SOURCE, TARGET)) == "c++ -O2 -std=c++17 -fPIC -c a.cpp -o a.o"
    assert " ".join(cuda.compile(SOURCE, TARGET)) == "nvcc -O2 -Xcompiler -fPIC -c a.cpp -o a.o"
    assert " ".join(cuda.link(TARGET, LIBRARY)) == "nvcc -shared a.o -o a.so"


# The first lines of what Debian 12's g++ and NVIDIA's nvcc 13.0 print.
GCC = "c++ (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software Foundation, Inc."
NVCC = (
    "nvcc: NVIDIA (R) Cuda compiler driver\nCopyright (c) 2005-2025 NVIDIA Corporation\n"
    "Built on Wed_Aug_20_01:58:59_PM_PDT_2025\nCuda compilation tools, release 13.0, V13.0.88\n"
    "Build cuda_13.0.r13.0/compiler.36424714_0"
)


@not_on_windows("its compiler is found by vswhere, not on the PATH")
def test_the_version_is_the_line_that_tells(install: Install) -> None:
    folder = install("c++", says=GCC)
    install("nvcc", says=NVCC)
    assert Compiler(path=str(folder / "c++"), language="c++").version() == "c++ (Debian 12.2.0-14+deb12u1) 12.2.0"
    assert Compiler(path=str(folder / "nvcc"), language="cuda").version().endswith("release 13.0, V13.0.88")
