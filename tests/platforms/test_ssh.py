"""The transport, against a real sshd on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.platforms import ssh
from harness.platforms.ssh import Connection, Target, resolved
from harness.platforms.ssh_errors import ConnectionLostError
from tests.platforms.sshd import LoopbackSshd, keygen


@pytest.fixture
def connection(sshd: LoopbackSshd) -> Iterator[Connection]:
    made = Connection("lab", sshd.target)
    yield made
    made.close()


def test_arguments_arrive_as_they_are(connection: Connection) -> None:
    strange = ["a b", "", "it's", '"q"', "$HOME", "*", "a\nb", "-n", "ä", "\\", ";", "!x"]
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    done = connection.run((sys.executable, "-c", code, *strange))
    assert done.code == 0, done.stderr
    assert eval(done.stdout) == strange  # noqa: S307 - our own JSON list of texts


def test_a_programs_own_failure_is_an_answer(connection: Connection) -> None:
    done = connection.run(("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (done.code, done.stdout, done.stderr) == (3, "out\n", "err\n")
    with pytest.raises(PlatformError, match="status 3"):
        connection.check(("sh", "-c", "exit 3"))


def test_commands_share_one_connection(connection: Connection, sshd: LoopbackSshd) -> None:
    for _ in range(3):
        connection.check(("true",))
    log = (sshd.folder / "sshd.log").read_text()
    assert log.count("Accepted publickey") == 1
    folder = connection._folder
    assert folder.stat().st_mode & 0o777 == 0o700
    connection.close()
    assert not folder.exists()
    connection.check(("true",))
    assert (sshd.folder / "sshd.log").read_text().count("Accepted publickey") == 2


def test_the_locale_of_this_side_is_not_sent(
    sshd: LoopbackSshd, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    with (sshd.folder / "sshd_config").open("a") as config:
        config.write("AcceptEnv LC_*\n")
    sshd.stop()
    sshd.start()
    sending = Connection("lab", replace(sshd.target, options=("SendEnv=LC_*",)))
    assert "LC_ALL" not in sending.check(("env",))
    sending.close()


def test_files_go_there_and_back(connection: Connection, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    there = tmp_path / "a folder" / "it's there"
    connection.send(tmp_path / "file", str(there))
    assert there.read_bytes() == content
    assert [path.name for path in there.parent.iterdir()] == [there.name]
    connection.fetch(str(there), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    with pytest.raises(PlatformError, match="nowhere"):
        connection.fetch(str(tmp_path / "nowhere"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_a_folder_goes_there_as_it_is(connection: Connection, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "program").write_text("#!/bin/sh\n")
    (source / "deep" / "program").chmod(0o755)
    (source / "link").symlink_to("deep/program")
    there = tmp_path / "there"
    for _ in range(2):
        connection.send_folder(source, str(there))
        assert sorted(path.name for path in there.iterdir()) == ["deep", "link"]
        assert os.access(there / "deep" / "program", os.X_OK)
        assert os.readlink(there / "link") == "deep/program"  # noqa: PTH115
        (there / "old").write_text("")
    assert not list(tmp_path.glob("there.*"))


def test_half_a_file_never_gets_its_name(connection: Connection, tmp_path: Path) -> None:
    """What a drop does to `cat`: an end of its input, too early."""
    (tmp_path / "half").write_bytes(b"half")
    argv = ("sh", "-c", ssh.RECEIVE, "sh", str(tmp_path / "there"), "0" * 64, "x")
    assert connection.run(argv, stdin=tmp_path / "half").code == ssh.CUT_OFF
    assert not list(tmp_path.glob("there*"))


def test_a_full_disk_there_is_told(connection: Connection, tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(64)
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    with pytest.raises(PlatformError, match=r"disk is full there .*`folder`"):
        connection.send(tmp_path / "large", str(disk / "large"))
    assert list(disk.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlatformError, match="lab: "):
        connection.send(tmp_path / "file", "/proc/nothing")


def test_a_dropped_connection_is_told_and_opened_again(connection: Connection, sshd: LoopbackSshd) -> None:
    connection.check(("true",))
    with subprocess.Popen(
        connection.command(("sleep", "30")), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as asleep:
        time.sleep(0.5)
        sshd.drop()
        assert asleep.wait(timeout=10) == ssh.SSH_FAILED
    assert connection.check(("echo", "again")) == "again\n"


def test_a_killed_master_is_replaced(connection: Connection) -> None:
    connection.check(("true",))
    assert (connection._folder / "socket").is_socket()
    master = subprocess.run(
        [*connection.command(("true",))[:1], *connection._sharing(), "-O", "check", connection.target.host],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    os.kill(int(master.partition("pid=")[2].partition(")")[0]), 9)
    assert connection.check(("echo", "again")) == "again\n"


def refused(target: Target) -> PlatformError:
    connection = Connection("lab", target)
    try:
        with pytest.raises(PlatformError) as caught:
            connection.check(("true",))
    finally:
        connection.close()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("lab: ")
    assert caught.value.remedy
    return caught.value


def test_an_unknown_host_key_is_refused(sshd: LoopbackSshd) -> None:
    sshd.known_hosts.write_text("")
    for options in ((), ("StrictHostKeyChecking=no",), ("StrictHostKeyChecking=accept-new",)):
        assert "host key is not known" in str(refused(replace(sshd.target, options=options)))
    assert sshd.known_hosts.read_text() == ""


def test_a_changed_host_key_is_refused(sshd: LoopbackSshd) -> None:
    sshd.new_host_key()
    assert "host key has changed" in str(refused(sshd.target))


def test_a_wrong_user_key_is_refused(sshd: LoopbackSshd, tmp_path: Path) -> None:
    keygen(tmp_path / "other")
    error = refused(replace(sshd.target, identity=tmp_path / "other"))
    assert "refuses the login; it takes publickey" in str(error)
    assert not isinstance(error, ConnectionLostError)


def test_a_key_that_others_can_read_is_told(sshd: LoopbackSshd) -> None:
    sshd.identity.chmod(0o644)
    assert "chmod 600" in str(refused(sshd.target))


def test_a_server_that_is_down_may_come_back(sshd: LoopbackSshd) -> None:
    sshd.stop()
    error = refused(sshd.target)
    assert "no ssh server listens there" in str(error)
    assert isinstance(error, ConnectionLostError)


def test_a_name_that_is_none(sshd: LoopbackSshd) -> None:
    error = refused(replace(sshd.target, host="no-such-host.invalid"))
    assert "no-such-host.invalid" in str(error)
    assert "host" in error.remedy


def test_a_server_that_never_speaks_is_given_up(sshd: LoopbackSshd, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket  # noqa: PLC0415

    monkeypatch.setattr(ssh, "ALWAYS", tuple(each.replace("Timeout=15", "Timeout=1") for each in ssh.ALWAYS))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = refused(replace(sshd.target, port=silent.getsockname()[1]))
    assert "does not answer" in str(error)
    assert isinstance(error, ConnectionLostError)


def test_the_users_configuration_counts(sshd: LoopbackSshd) -> None:
    target = Target(host="loopback", config=sshd.config)
    assert resolved("lab", target)["port"] == str(sshd.port)
    connection = Connection("lab", target)
    assert connection.check(("echo", "there")) == "there\n"
    connection.close()


@pytest.mark.parametrize("is_known", [True, False])
def test_a_jump_host_is_used_and_its_key_is_not_accepted_silently(sshd: LoopbackSshd, *, is_known: bool) -> None:
    known = sshd.known_hosts if is_known else os.devnull
    jump = sshd.config.read_text().replace("Host loopback", "Host jump").replace(str(sshd.known_hosts), str(known))
    sshd.config.write_text(f"{sshd.config.read_text()}  ProxyJump jump\n{jump}")
    connection = Connection("lab", Target(host="loopback", config=sshd.config))
    if is_known:
        assert connection.check(("echo", "there")) == "there\n"
        assert (sshd.folder / "sshd.log").read_text().count("Accepted publickey") == 2
    else:
        with pytest.raises(PlatformError, match=r"jump host .* can't be reached, or refuses"):
            connection.check(("echo", "there"))
        assert "Accepted" not in (sshd.folder / "sshd.log").read_text()
    connection.close()


def test_what_a_configuration_does_at_a_login_is_left_out(sshd: LoopbackSshd) -> None:
    with sshd.config.open("a") as config:
        config.write("  RemoteCommand /bin/false\n  RequestTTY force\n  LocalForward 1 127.0.0.1:1\n")
    connection = Connection("lab", Target(host="loopback", config=sshd.config))
    assert connection.check(("echo", "there")) == "there\n"
    connection.close()


def test_a_wrong_configuration_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Nonsense yes\n")
    target = Target(host="lab", config=tmp_path / "config")
    with pytest.raises(PlatformError, match=r"configuration is wrong .*ssh -G lab"):
        resolved("lab", target)


def test_without_an_ssh_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PlatformError, match="openssh-client"):
        resolved("lab", Target(host="lab"))


def test_a_connection_that_nobody_uses_has_nothing_to_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    Connection("lab", Target(host="lab")).close()
