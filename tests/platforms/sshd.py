"""A real sshd on loopback: its own port, keys and configuration, for the user that runs the tests.

What goes through it stays on this machine: a stand-in for another host, which proves that the code works and measures
nothing about a network.

    python -m tests.platforms.sshd FOLDER    make FOLDER and serve until ended; the client's file is FOLDER/ssh_config,
                                             its host `loopback`
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from harness.platforms.ssh import Target

SSHD = shutil.which("sshd", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
UP_SECONDS = 20.0


class LoopbackSshd:
    """Starts, stops and spoils a server. `config` is the client's: `Host loopback`, with its key and known_hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.identity = folder / "user_key"
        self.known_hosts = folder / "known_hosts"
        self.config = folder / "ssh_config"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o700)
        keygen(self.identity)
        keygen(folder / "host_key")
        shutil.copy(self.identity.with_suffix(".pub"), folder / "authorized_keys")
        self.know_host()
        self._write_configs()

    @property
    def target(self) -> Target:
        """Everything named explicitly, no configuration of this machine's user."""
        return Target(
            host=f"{getpass.getuser()}@127.0.0.1",
            port=self.port,
            identity=self.identity,
            known_hosts=self.known_hosts,
            config=Path(os.devnull),
        )

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own wish
        assert SSHD is not None
        log = self.folder / "sshd.log"
        self._process = subprocess.Popen([SSHD, "-D", "-E", log, "-f", self.folder / "sshd_config"])
        deadline = time.monotonic() + UP_SECONDS
        while not self._answers():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "sshd does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and every session that it has."""
        if self._process is not None:
            self.drop()
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def drop(self) -> None:
        """Kill all sessions in the middle; the server goes on to listen."""
        assert self._process is not None
        for session in _children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):  # it may just have ended
                os.kill(session, signal.SIGKILL)

    def restart(self) -> None:
        """Be away for a moment."""
        self.stop()
        time.sleep(1.0)
        self.start()

    def know_host(self) -> None:
        """Write the host's present key into known_hosts."""
        kind, key, *_ = (self.folder / "host_key.pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def new_host_key(self) -> None:
        """Set the host up anew, as it were: another key, which nobody knows."""
        (self.folder / "host_key").unlink()
        keygen(self.folder / "host_key")
        self.stop()
        self.start()

    def _write_configs(self) -> None:
        (self.folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host_key\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nPasswordAuthentication no\nPidFile none\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        )
        self.config.write_text(
            f"Host loopback\n  HostName 127.0.0.1\n  Port {self.port}\n  IdentityFile {self.identity}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile none\n"
        )

    def _answers(self) -> bool:
        """Whether it listens: a socket whose own port happens to be that one connects to itself where nobody does."""
        with socket.socket() as knocking:
            reached = knocking.connect_ex(("127.0.0.1", self.port)) == 0
            return reached and knocking.getsockname() != knocking.getpeername()


def keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(each) for each in text.split()]


def main(folder: str) -> None:
    server = LoopbackSshd(Path(folder).resolve())
    server.start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signal.pause()
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main(sys.argv[1])
