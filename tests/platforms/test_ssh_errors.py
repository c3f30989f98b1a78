"""The tables of what ssh and commands say: every row has a text that it, and no earlier row, answers."""

from __future__ import annotations

import pytest

from harness.platforms.ssh_errors import (
    COMMAND,
    CONNECTION,
    ConnectionLostError,
    Row,
    command_failure,
    connection_failure,
    explain,
)

# Texts as OpenSSH 9.2 prints them.
SSH_SAID = [
    ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "has changed"),
    (
        "No ED25519 host key is known for lab and you have requested strict checking.\r\nHost key verification failed.",
        "is not known",
    ),
    ("@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nu@lab: Permission denied (publickey).", "others can read"),
    ("Received disconnect from 10.0.0.2 port 22:2: Too many authentication failures", "too many keys"),
    ("u@lab: Permission denied (publickey,password).", "it takes publickey,password"),
    ("ssh: Could not resolve hostname lab: Temporary failure in name resolution", "just now"),
    ("ssh: Could not resolve hostname lab: Name or service not known", "no host named lab"),
    ("ssh: connect to host lab port 22: Connection refused", "no ssh server listens"),
    ("ssh: connect to host lab port 22: Connection timed out", "does not answer"),
    ("Connection timed out during banner exchange", "does not answer"),
    ("ssh: connect to host lab port 22: No route to host", "no way to the host"),
    (
        "Unable to negotiate with 10.0.0.2 port 22: no matching host key type found. Their offer: ssh-rsa",
        "share no host key type",
    ),
    ("/home/u/.ssh/config: line 3: Bad configuration option: nonsense", "configuration is wrong"),
    ("Bad owner or permissions on /home/u/.ssh/config", "configuration is wrong"),
    (
        'unix_listener: path "/a/b" too long for Unix domain socket',
        "too long a path",
    ),
    (
        "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535",
        "jump host",
    ),
    ("This account is currently not available.", "may not log in"),
    ("client_loop: send disconnect: Broken pipe", "connection was lost"),
    ("Connection to lab closed by remote host.", "connection was lost"),
    ("kex_exchange_identification: read: Connection reset by peer", "connection was lost"),
    ("mux_client_request_session: read from master failed: Broken pipe", "connection was lost"),
    ("Timeout, server lab not responding.", "does not answer"),
]

COMMAND_SAID = [
    ("cat: write error: No space left on device", "disk is full"),
    ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
    ("mkdir: cannot create directory '/x': Read-only file system", "can't be written"),
    ("mkdir: cannot create directory '/x': Permission denied", "can't be written"),
    ("sh: 1: base64: not found", "no program base64"),
    ("bash: line 1: python3: command not found", "no program python3"),
]


@pytest.mark.parametrize(("text", "problem"), SSH_SAID)
def test_what_ssh_says_is_told_in_one_line_with_a_remedy(text: str, problem: str) -> None:
    error = connection_failure("lab", "u@lab", text)
    assert problem in str(error)
    assert "\n" not in str(error)
    assert error.remedy
    assert "{" not in str(error)


@pytest.mark.parametrize(("text", "problem"), COMMAND_SAID)
def test_what_a_command_says(text: str, problem: str) -> None:
    error = command_failure("lab", "u@lab", text)
    assert problem in str(error)
    assert error.remedy
    assert not isinstance(error, ConnectionLostError)


@pytest.mark.parametrize(("table", "said"), [(CONNECTION, SSH_SAID), (COMMAND, COMMAND_SAID)])
def test_every_row_answers_a_text(table: tuple[Row, ...], said: list[tuple[str, str]]) -> None:
    answering = [found[0] for text, _ in said if (found := explain(text, "lab", table))]
    assert set(answering) == set(table)


def test_what_no_row_knows_still_comes_out() -> None:
    assert "ssh to lab failed: mumble" in str(connection_failure("x", "lab", "mumble\n"))
    assert "gave no reason" in str(connection_failure("x", "lab", ""))
    assert "x: lab: mumble" in str(command_failure("x", "lab", "mumble\n"))
    assert len(str(command_failure("x", "lab", "m" * 5000))) < 300


def test_only_what_waiting_may_mend_is_waited_for() -> None:
    passing = {text for text, _ in SSH_SAID if isinstance(connection_failure("x", "lab", text), ConnectionLostError)}
    assert "ssh: connect to host lab port 22: Connection refused" in passing
    assert "u@lab: Permission denied (publickey,password)." not in passing
