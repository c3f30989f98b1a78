"""The table of what engines say: every row has a text that it, and no earlier row, answers."""

from __future__ import annotations

import re
import sys
import types

import docker.errors
import pytest
import requests.exceptions
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PlatformError
from harness.platforms.engine_errors import TABLE, engine_errors, explain, failure

# Texts as engines, the toolkit and the SDK print them.
SAID = [
    ('could not select device driver "" with capabilities: [[gpu]]', "Container Toolkit is missing"),
    ('could not select device driver "cdi" with capabilities: []', "CDI is switched off"),
    ("CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=9", "the CDI device is not known"),
    ("Unknown runtime specified nvidia", "does not know the runtime nvidia"),
    ("unknown or invalid runtime name: nvidia", "does not know the runtime nvidia"),
    (
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: error running hook #0: "
            "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared "
            "object file: no such file or directory: unknown"
        ),
        "NVIDIA driver is missing",
    ),
    ("nvidia-container-cli: device error: GPU-1234: unknown device: unknown", "GPU that `gpus` names is not there"),
    ("Failed to initialize NVML: Unknown Error", "lost its GPU"),
    ("Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", "this host can give 0.01 to 2.00"),
    ("Requested CPUs are not available - requested 4000, available: 0-1", "this host has 0-1"),
    ("Minimum memory limit allowed is 6MB", "less than the engine allows"),
    ("NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler", "cannot apply a limit"),
    ("Your kernel does not support memory limit capabilities. Limitation discarded.", "cannot apply a limit"),
    ('invalid mount config for type "bind": bind source path does not exist: /no', "does not see the folder /no"),
    ("Mounts denied: The path /x is not shared from the host and is not known to Docker.", "does not share a folder"),
    ("Duplicate mount point: /overhead/work", "a mount is not possible"),
    ("network lab not found", "the network lab is not known"),
    ("invalid ulimit type: nofiles", "a limit in `ulimits`"),
    ("manifest for python:9.9-slim not found: manifest unknown: manifest unknown", "the registry has no such image"),
    ("pull access denied for nothing, repository does not exist or may require 'docker login'", "wants a login"),
    ("toomanyrequests: You have reached your pull rate limit", "refuses more pulls"),
    (
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.0.0.2:53: no such host',
        "the registry does not answer",
    ),
    ("Get https://registry.lab/v2/: x509: certificate signed by unknown authority", "the registry does not answer"),
    ("No such image: sha256:00", "the image sha256:00 is not there"),
    ("no matching manifest for linux/arm64/v8 in the manifest list entries", "another processor"),
    ('exec: "docker-init": executable file not found in $PATH', "lacks its init program"),
    (
        'OCI runtime create failed: exec: "python3": executable file not found in $PATH: unknown',
        "the image has no program python3",
    ),
    ("write /var/lib/docker/tmp/x: no space left on device", "the engine's disk is full"),
    (
        'Conflict. The container name "/overhead-matrix-1" is already in use by container "ab"',
        "overhead-matrix-1 exists",
    ),
    ("fork/exec /proc/self/exe: cannot allocate memory", "has not enough memory"),
    (
        "Error while fetching server API version: ('Connection aborted.', PermissionError(13, 'Permission denied'))",
        "no permission to talk to the engine",
    ),
    ("(5, 'CreateFile', 'Zugriff verweigert')", "no permission to talk to the engine"),
    ("(2, 'CreateFile', 'Das System kann die angegebene Datei nicht finden.')", "no container engine answers"),
    ("client version 1.24 is too old. Minimum supported API version is 1.44", "share no API version"),
    (
        "docker.sock: FileNotFoundError: No such file or directory",
        "no container engine answers",
    ),
    ("UnixHTTPConnectionPool(host='localhost', port=None): Read timed out. (read timeout=0.4)", "not answer in time"),
]


@pytest.mark.parametrize(("text", "problem"), SAID)
def test_each_text_is_explained(text: str, problem: str) -> None:
    error = failure("docker", text)
    assert problem in error.problem
    assert text in error.problem
    assert error.remedy
    assert "{" not in error.problem.replace(text, "")


def test_every_row_is_reached() -> None:
    reached = {
        next(row.pattern for row in TABLE if re.search(row.pattern, text, re.IGNORECASE | re.DOTALL))
        for text, _ in SAID
    }
    assert reached == {row.pattern for row in TABLE}


def test_what_no_row_knows_is_one_line_all_the_same() -> None:
    error = failure("docker", "the flux\ncapacitor is\tout of order")
    assert str(error) == ("docker: the engine said: the flux capacitor is out of order. `docker info` tells its state.")


@given(st.text())
def test_no_text_breaks_the_table(text: str) -> None:
    found = explain(text)
    assert found is None or all(found)


def test_exceptions_of_sdk_and_transport_become_errors_of_the_platform() -> None:
    raised: list[Exception] = [
        docker.errors.APIError("500 Server Error", explanation="no space left on device"),
        docker.errors.DockerException("Error while fetching server API version"),
        requests.exceptions.ReadTimeout("Read timed out."),
        urllib3.exceptions.ProtocolError("Connection aborted."),
    ]
    for error in raised:
        with pytest.raises(PlatformError, match=r"^docker: ") as caught, engine_errors("docker"):
            raise error
        assert caught.value.__cause__ is error


def test_an_error_of_a_named_pipe_becomes_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """pywin32's, as a Windows without Docker Desktop raises it; a fake of its module, which is Windows' alone."""
    fake = types.ModuleType("pywintypes")
    fake.error = type("error", (Exception,), {})  # type: ignore[attr-defined]  # as pywin32 has it
    monkeypatch.setitem(sys.modules, "pywintypes", fake)
    with pytest.raises(PlatformError, match="no container engine answers"), engine_errors("docker"):
        raise fake.error(2, "CreateFile", "The system cannot find the file specified.")


def test_an_error_of_ours_passes_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), engine_errors("docker"):
        raise ZeroDivisionError
