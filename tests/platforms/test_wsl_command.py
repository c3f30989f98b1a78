"""wsl.exe's output in its encodings, and its failures; the wsl.exe is a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.platforms import wsl_command
from harness.platforms.wsl_command import Distribution, WslCommand, decoded, parse_list, require
from harness.platforms.wsl_errors import TABLE, Row, explained
from tests.platforms.wsl_machine import Machine

NOT_INSTALLED = (
    "The Windows Subsystem for Linux is not installed. You can install by running 'wsl.exe --install'.\n"
    "For more information please visit https://aka.ms/wslinstall"
)
DISABLED = "Der Dienst kann nicht gestartet werden; er ist deaktiviert.\nFehlercode: Wsl/0x80070422"


def command(machine: Machine) -> WslCommand:
    found = WslCommand.find(machine.environ)
    assert found is not None
    return found


def failure(machine: Machine, name: str = "Debian") -> str:
    with pytest.raises(PlatformError) as caught:
        require(command(machine), name)
    return str(caught.value)


def test_where_there_is_no_wsl_exe_none_is_found(tmp_path: Path) -> None:
    assert WslCommand.find({"PATH": str(tmp_path)}) is None


@pytest.mark.parametrize("knows_utf8", [True, False])
def test_the_list_is_read_in_either_encoding(windows: Machine, knows_utf8: bool) -> None:
    windows.change(
        knows_utf8=knows_utf8,
        distributions={
            "Ubuntu-24.04": windows.distribution(),
            "Grüße": windows.distribution(version=1),
            "docker-desktop": windows.distribution(state="Converting"),
        },
    )
    assert command(windows).distributions() == (
        Distribution(name="Ubuntu-24.04", state="Stopped", version=2),
        Distribution(name="Grüße", state="Stopped", version=1),
        Distribution(name="docker-desktop", state="Converting", version=2),
    )


def test_text_of_both_kinds_at_once() -> None:
    message = "Error code: Wsl/Service/WSL_E_VM_CRASHED\r\n"
    assert decoded(b"") == ""
    assert decoded("Größe\r\n".encode("utf-16-le")) == "Größe\n"
    assert decoded("\ufeffa\r\n".encode("utf-16-le")) == "a\n"
    assert decoded("Größe\n".encode() * 40 + message.encode("utf-16-le")).endswith("Wsl/Service/WSL_E_VM_CRASHED\n")
    chinese = "没有具有所提供名称的分发。\n错误代码: Wsl/Service/WSL_E_DISTRO_NOT_FOUND\n"
    assert decoded(chinese.replace("\n", "\r\n").encode("utf-16-le")) == chinese
    assert decoded(chinese.encode()) == chinese
    assert decoded(b"\xff\xfe\xfa") == "\ufffd" * 3


def test_a_name_with_a_space_and_no_rows() -> None:
    text = "  NAME            STATE           VERSION\n* My Debian    Running         2\n"
    assert parse_list(text) == (Distribution(name="My Debian", state="Running", version=2),)
    assert parse_list("Usage: wsl.exe [Argument] 2") == ()


def test_the_command_starts_a_program_without_a_shell(windows: Machine) -> None:
    found = command(windows)
    assert found.inside("Debian", ("python3", "-c", "1")) == (
        *(found.program, "-d", "Debian", "--cd", "/", "--exec"),
        *("python3", "-c", "1"),
    )


def test_inside_wsl_the_choice_of_encoding_reaches_windows() -> None:
    plain = WslCommand(program="wsl.exe", environ={}).environment()
    shared = WslCommand(program="wsl.exe", environ={"WSLENV": "GOPATH/p"}).environment()
    assert plain == {"WSL_UTF8": "1", "WSLENV": "WSL_UTF8"}
    assert shared["WSLENV"] == "GOPATH/p:WSL_UTF8"


def test_versions(windows: Machine) -> None:
    found = command(windows).package()
    assert (found["version"], found["packaged_kernel"], found["windows"]) == (
        "2.6.1.0",
        "6.6.87.2-1",
        "10.0.26200.6584",
    )
    german = "WSL-Version: 2.6.1.0\nKernelversion: 6.6\nWSLg-Version: 1\nMSRDC-Version: 1\nDirect3D-Version: 1\n"
    windows.change(package=f"{german}DXCore-Version: 10\nWindows-Version: 10.0.26200.6584")
    assert command(windows).package()["packaged_kernel"] == "6.6"


def test_a_wsl_without_versions_says_so(windows: Machine) -> None:
    windows.change(package="")
    with pytest.raises(LookupError, match="--version gives no list"):
        command(windows).package()


def test_a_missing_distribution_is_told_with_those_that_are_there(windows: Machine) -> None:
    windows.change(distributions={"Ubuntu-24.04": windows.distribution(), "Arch": windows.distribution()})
    said = failure(windows)
    assert "there is no distribution Debian, there are: Ubuntu-24.04, Arch" in said
    assert "wsl --install -d Debian" in said
    assert require(command(windows), "ARCH").name == "Arch"


def test_a_distribution_of_version_1_is_refused(windows: Machine) -> None:
    windows.change(distributions={"Debian": windows.distribution(version=1)})
    assert "`wsl --set-version Debian 2`" in failure(windows)


def test_a_distribution_that_is_being_changed_is_refused(windows: Machine) -> None:
    windows.change(distributions={"Debian": windows.distribution(state="Installing")})
    assert "being changed (Installing)" in failure(windows)


def test_no_distribution_at_all(windows: Machine) -> None:
    windows.change(distributions={})
    assert failure(windows).startswith("WSL has no distribution")


@pytest.mark.parametrize("knows_utf8", [True, False])
@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        (NOT_INSTALLED, "WSL is not installed", "wsl --install"),
        ("x\nError code: Wsl/WSL_E_WSL_OPTIONAL_COMPONENT_REQUIRED", "optional component", "--no-distribution"),
        (DISABLED, "service of WSL is switched off", "Start-Service"),
        ("x\nError code: Wsl/RPC_E_DISCONNECTED", "service of WSL does not answer", "Restart-Service"),
        ("Katastrophal.\nFehlercode: Wsl/Service/E_NEW", "Katastrophal (Wsl/Service/E_NEW)", "wsl --status"),
        ("Aufruf: wsl.exe [Argument]\n    --install\n    --set-default-version", "too old", "wsl --update"),
        ("", "no message", "wsl --status"),
    ],
)
def test_a_wsl_that_fails(windows: Machine, text: str, problem: str, remedy: str, knows_utf8: bool) -> None:
    windows.change(fault=text or " ", knows_utf8=knows_utf8)
    said = failure(windows)
    assert problem in said
    assert remedy in said
    assert "\n" not in said


def test_a_service_that_hangs(windows: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsl_command, "ANSWER_SECONDS", 0.3)
    windows.change(delay=20)
    said = failure(windows)
    assert "wsl.exe did not answer within 0.3 s" in said
    assert "Restart-Service" in said


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.problem)
def test_every_row_reads_as_the_end_of_a_sentence_and_has_a_remedy(row: Row) -> None:
    assert row.problem[0].islower() or row.problem.startswith(("WSL", "Windows", "{name}"))
    assert not row.problem.endswith(".")
    assert len(row.remedy) > 10


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("Error code: Wsl/Service/CreateInstance/0x80040302", "there is no distribution Arch"),
        ("Error code: Wsl/Service/CreateInstance/CreateVm/HCS/HCS_E_HYPERV_NOT_INSTALLED", "virtualization is off"),
        ("Error code: Wsl/WSL_E_OS_NOT_SUPPORTED", "too old"),
        ("Error code: Wsl/Service/WSL_E_VM_CRASHED", "virtual machine of WSL crashed"),
        ("Error code: Wsl/Service/CreateInstance/WSL_E_DISK_CORRUPTED", "corrupted"),
        ("Error code: Wsl/Service/CreateInstance/MountDisk/HCS/ERROR_FILE_NOT_FOUND", "virtual disk of Arch is not"),
        ("Error code: Wsl/Service/CreateInstance/ERROR_DISK_FULL", "is full"),
        ("Error code: Wsl/Service/CreateInstance/CreateVm/HCS/0x800705aa", "not enough memory"),
        ("Error code: Wsl/Service/CreateInstance/E_ILLEGAL_STATE_CHANGE", "Arch is being installed"),
        ("Error code: Wsl/Service/CreateInstance/CreateVm/ParseConfig/E_INVALIDARG", ".wslconfig"),
        ("E\0r\0r\0 \0W\0s\0l\0/\0W\0S\0L\0_\0E\0_\0V\0M\0_\0C\0R\0A\0S\0H\0E\0D\0", "virtual machine of WSL crashed"),
    ],
)
def test_codes_mean_something(output: str, problem: str) -> None:
    assert problem in str(explained(output, "Arch"))
