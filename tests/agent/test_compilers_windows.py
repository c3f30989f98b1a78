"""Finding cl.exe, with fakes of vswhere, cmd.exe and cl.exe that keep their manners; scripts, so not for Windows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.agent import compilers, compilers_windows
from harness.agent.probes import build
from harness.agent.task import Unavailable
from tests.agent.probes.conftest import RunTask, metric, names, run_task  # noqa: F401 - a fixture
from tests.agent.systems import not_on_windows

pytestmark = not_on_windows("the fakes are shell scripts")

INSTALLATION = "Visual Studio/2022/Build Tools"

# As vswhere: the path in one line if an installation has what is required.
FAKE_VSWHERE = """#!/bin/sh
case "$*" in *"-requires Microsoft.VisualStudio.Component.VC.Tools.x86.x64"*"-utf8"*) ;; *) exit 87;; esac
printf '%s\\r\\n' "{found}"
"""
# As cmd: runs the batch file, whose output is thrown away, and prints the variables.
FAKE_CMD = """#!/bin/sh
case "$*" in *"call {vcvars} >nul && set") ;; *) echo "not recognized: $*"; exit 1;; esac
printf 'Path={tools}:%s\\r\\nINCLUDE=C:\\\\sdk\\r\\nnonsense\\r\\n' "$PATH"
"""
# As cl: its banner without arguments, else compiles or links by the C++ compiler of this machine.
FAKE_CL = """#!/bin/sh
[ "$INCLUDE" ] && [ "$VSLANG" = 1033 ] || exit 2
[ $# = 0 ] && { echo 'Microsoft (R) C/C++ Optimizing Compiler Version 19.44.fake for x64' >&2; exit 0; }
for each; do case "$each" in
  /Fo*) object=${each#/Fo};; /Fe*) library=${each#/Fe};; *.cpp) source=$each;; *.o) input=$each;;
  /EXPORT:*) export=${each#/EXPORT:};;
esac; done
[ "$object" ] && exec c++ -std=c++17 -O2 -fPIC -c "$source" -o "$object"
[ "$export" = sum_of_squares ] && exec c++ -shared "$input" -o "$library"
exit 2
"""
# As nmake: its banner for /?, else the first target of a makefile, by the make of this machine.
FAKE_NMAKE = """#!/bin/sh
[ "$INCLUDE" ] && [ -z "$MAKEFLAGS" ] || exit 2
banner='Microsoft (R) Program Maintenance Utility Version 14.44.fake'
[ "$*" = /? ] && { printf '\\n%s\\nUsage:  NMAKE @commandfile\\n' "$banner"; exit 0; }
[ "$1 $2" = "/nologo /f" ] && exec make -f "$3"
exit 2
"""


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine with Build Tools in folders whose names hold spaces."""
    tools = tmp_path / "tools"
    vcvars = tmp_path / INSTALLATION / compilers_windows.VCVARS
    script(tmp_path / "Program Files" / compilers_windows.VSWHERE, FAKE_VSWHERE.format(found=tmp_path / INSTALLATION))
    script(tools / "cmd.exe", FAKE_CMD.format(vcvars=vcvars, tools=tools))
    script(tools / "cl.exe", FAKE_CL)
    script(tools / "nmake.exe", FAKE_NMAKE)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return {"PROGRAMFILES(X86)": str(tmp_path / "Program Files")}


def test_cl_is_found_with_its_environment(environ: dict[str, str], tmp_path: Path) -> None:
    found = compilers_windows.find("c++", environ)
    assert (found.path, found.language) == (str(tmp_path / "tools" / "cl.exe"), "c++")
    assert found.environ["INCLUDE"] == "C:\\sdk"
    assert "nonsense" not in found.environ
    assert found.version() == "Microsoft (R) C/C++ Optimizing Compiler Version 19.44.fake for x64"


def test_an_extension_is_built_by_it(
    environ: dict[str, str],
    run_task: RunTask,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compilers, "find", lambda language: compilers_windows.find(language, environ))
    outcome = run_task("tooling.build", rounds=1)
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert {"compile_seconds", "link_seconds", "load_seconds"} <= names(outcome)
    assert metric(outcome, "compile_seconds").samples[-1] > 0
    assert outcome.versions["compiler"].endswith("19.44.fake for x64")


def test_many_files_are_built_by_nmake(
    environ: dict[str, str],
    run_task: RunTask,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    monkeypatch.setattr(compilers, "find", lambda language: compilers_windows.find(language, environ))
    outcome = run_task("tooling.make", sources=2, rounds=1)
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert metric(outcome, "make_seconds").samples[-1] > metric(outcome, "remake_seconds").samples[-1] > 0
    assert outcome.versions["make"] == "Microsoft (R) Program Maintenance Utility Version 14.44.fake"


def test_nmake_that_is_not_there_is_unavailable(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tools" / "nmake.exe").unlink()
    with pytest.raises(Unavailable, match=r"vcvars64\.bat puts no nmake\.exe on the PATH: install"):
        compilers_windows.find("c++", environ).make()


def test_a_recipe_is_quoted_for_cmd() -> None:
    recipe = compilers_windows.WindowsMake.recipe(["C:\\Program Files\\cl.exe", "/c", "a$b.cpp"])
    assert recipe == '"C:\\Program Files\\cl.exe" /c a$$b.cpp'


def test_without_visual_studio_the_remedy_is_its_build_tools(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no Visual Studio: vswhere\.exe is not there: install .*winget"):
        compilers_windows.find("c++", {"PROGRAMFILES(X86)": str(tmp_path)})


def test_a_visual_studio_without_the_workload_is_told(environ: dict[str, str], tmp_path: Path) -> None:
    script(tmp_path / "Program Files" / compilers_windows.VSWHERE, "#!/bin/sh\nexit 0\n")
    with pytest.raises(Unavailable, match=r"without its C\+\+ compiler: install"):
        compilers_windows.find("c++", environ)


def test_a_batch_file_that_fails_is_told(environ: dict[str, str], tmp_path: Path) -> None:
    script(tmp_path / "tools" / "cmd.exe", "#!/bin/sh\necho 'The system cannot find the path specified.'\nexit 1\n")
    with pytest.raises(Unavailable, match=r"vcvars64\.bat: exit status 1: The system cannot find"):
        compilers_windows.find("c++", environ)


def test_nvcc_runs_in_the_same_environment(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no nvcc on the PATH"):
        compilers_windows.find("cuda", {**environ, "PATH": ""})
    script(tmp_path / "tools" / "nvcc", "#!/bin/sh\n[ \"$INCLUDE\" ] && echo 'Cuda tools, release 13.0, V13.0.fake'\n")
    found = compilers_windows.find("cuda", environ)
    assert found.version() == "Cuda tools, release 13.0, V13.0.fake"
    assert "/EXPORT:sum_of_squares" in found.link(Path("a.o"), Path("a.dll"))


def test_the_function_that_is_exported_is_the_one_that_is_called() -> None:
    for _, source in build.SOURCES.values():
        assert f"{compilers_windows.FUNCTION}(" in source
