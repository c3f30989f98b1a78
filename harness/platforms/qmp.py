"""QEMU's monitor protocol over its socket: one command, one answer."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.errors import PlatformError

SOCKET = "qmp.sock"
ANSWER_SECONDS = 10.0


def ask(folder: Path, command: str) -> Any:  # noqa: ANN401 - whatever JSON the command answers with
    """Return what QEMU, whose socket lies in `folder`, answers. Raises PlatformError where it does not."""
    try:
        with _connected(folder) as stream:
            json.loads(stream.readline())  # the greeting
            _execute(stream, "qmp_capabilities")
            return _execute(stream, command)
    except (OSError, ValueError) as error:
        raise PlatformError(f"QEMU's monitor does not answer {command}: {type(error).__name__}") from error


@contextmanager
def _connected(folder: Path) -> Iterator[IO[str]]:
    """Connect by way of the folder's descriptor: a socket's own path may have 107 bytes, and no more."""
    if sys.platform == "win32":
        raise OSError("guests are started from Linux")
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET}")
            with connection.makefile("rw", encoding="utf-8") as stream:
                yield stream
    finally:
        os.close(directory)


def _execute(stream: IO[str], command: str) -> Any:  # noqa: ANN401 - as `ask`
    stream.write(json.dumps({"execute": command}) + "\n")
    stream.flush()
    while line := stream.readline():
        answer = json.loads(line)
        if "return" in answer:
            return answer["return"]
        if "error" in answer:
            raise PlatformError(f"QEMU refuses {command}: {answer['error'].get('desc', 'no reason given')}")
    raise ConnectionResetError  # events may come before an answer, the end may not
