"""A stand-in for wsl.exe on Linux: its manners, and a chroot in namespaces of its own in a distribution's place.

It proves that code which talks to wsl.exe works; it measures nothing about WSL. What it keeps (after wsl.exe's public
source): messages of its own on stdout, UTF-16LE with CRLF unless WSL_UTF8=1, exit status -1 (255 here); a child's
output passes as bytes; an ending by signal n is exit status n; a distribution that is stopped under a child gives 1
and no word; killing it does not end the child; a stopped distribution is started by the first use.

The folder in WSL_STAND_IN holds state.json: see `tests.platforms.wsl_machine`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, NoReturn

FOLDER = Path(os.environ["WSL_STAND_IN"])
FAILED = 255  # -1
INIT = """
import json, os, subprocess, sys, time
distribution, ready = json.loads(sys.argv[1]), sys.argv[2]
root = distribution["root"]
def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)
mount("-t", "proc", "proc", root + "/proc")
mount("--rbind", "/dev", root + "/dev")
mount("-t", "tmpfs", "tmpfs", root + "/dev/shm")
mount("--rbind", "/sys", root + "/sys")
if distribution["home_kib"]:
    mount("-t", "tmpfs", "-o", "size=%dk" % distribution["home_kib"], "tmpfs", root + "/root")
else:
    mount("--bind", distribution["home"], root + "/root")
if distribution["drive"]:
    os.makedirs(root + "/mnt/c", exist_ok=True)
    mount("--bind", distribution["drive"], root + "/mnt/c")
open(ready, "w").close()
end = time.monotonic() + 1800  # of a test that was killed
while time.monotonic() < end:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.2)
"""


def main(arguments: list[str]) -> int:
    state = json.loads((FOLDER / "state.json").read_text("utf-8"))
    with (FOLDER / "calls").open("a", encoding="utf-8") as calls:
        calls.write(f"{' '.join(arguments[:6])}\n")
    time.sleep(state["delay"])
    if state["fault"]:
        return say(state, state["fault"])
    match arguments:
        case ["--list" | "-l", "--verbose" | "-v"]:
            return show_list(state)
        case ["--version"] if state["package"]:
            return say(state, state["package"], 0)
        case ["--terminate", name]:
            terminate(name)
            return 0
        case ["-d", name, "--cd", folder, "--exec", *command]:
            return execute(state, name, folder, command)
        case _:
            return say(state, "Usage: wsl.exe [Argument]\n    --set-default-version <Version>")


def say(state: dict[str, Any], text: str, status: int = FAILED) -> int:
    utf8 = os.environ.get("WSL_UTF8") == "1" and state["knows_utf8"]
    sys.stdout.buffer.write(f"{text}\n".replace("\n", "\r\n").encode("utf-8" if utf8 else "utf-16-le"))
    return status


def show_list(state: dict[str, Any]) -> int:
    if not state["distributions"]:
        return say(
            state,
            "Windows Subsystem for Linux has no installed distributions.\n"
            "You can resolve this by installing a distribution with the instructions below:\n\n"
            "Use 'wsl.exe --list --online' to list available distributions\n"
            "and 'wsl.exe --install <Distro>' to install.",
        )
    width = max(4, *map(len, state["distributions"])) + 4
    lines = [f"  {'NAME':<{width}}{'STATE':<16}VERSION"]
    for number, (name, each) in enumerate(state["distributions"].items()):
        shown = each["state"] or ("Running" if running(name) else "Stopped")
        lines.append(f"{' ' if number else '*'} {name:<{width}}{shown:<16}{each['version']}")
    return say(state, "\n".join(lines), 0)


def execute(state: dict[str, Any], name: str, folder: str, command: list[str]) -> int:
    distribution = state["distributions"].get(name)
    if distribution is None:
        code = "Error code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND"
        return say(state, f"There is no distribution with the supplied name.\n{code}")
    if state["start_fault"]:
        return say(state, state["start_fault"])
    if command[:3] == ["wslpath", "-a", "-u"]:
        os.write(1, command[3].replace("C:", "/mnt/c").encode() + b"\n")
        return 0
    stop_if_idle(state, name)
    init = started(state, name, distribution)
    variables = ["HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8", "TERM=dumb"]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/mnt/c/Windows/System32"
    inside = ["env", "-i", f"--chdir={folder}", *variables, path, f"WSL_DISTRO_NAME={name}", *command]
    child = subprocess.Popen(
        ["nsenter", "-t", str(init), "-m", "-p", "chroot", distribution["root"], *inside],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
    )
    assert child.stdin
    assert child.stdout
    assert child.stderr
    threading.Thread(target=feed, args=(child.stdin,), daemon=True).start()
    outputs = [
        threading.Thread(target=relay, args=(pipe.fileno(), number))
        for number, pipe in ((1, child.stdout), (2, child.stderr))
    ]
    for each in outputs:
        each.start()
    status = child.wait()
    for each in outputs:
        each.join(2)
    (FOLDER / f"{name}.used").touch()
    if not running(name):
        return 1
    if status == 127:
        os.write(2, f"<3>WSL (9) ERROR: CreateProcessCommon:818: execvpe({command[0]}) failed: No such file\n".encode())
        return 1
    return -status if status < 0 else status


def relay(source: int, target: int) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(source, 1 << 16):
            while data:
                data = data[os.write(target, data) :]


def feed(pipe: IO[bytes]) -> None:
    relay(0, pipe.fileno())
    pipe.close()


def started(state: dict[str, Any], name: str, distribution: dict[str, Any]) -> int:
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = running(name)
        if found:
            return found
        time.sleep(state["start_seconds"])
        ready = FOLDER / f"{name}.ready"
        ready.unlink(missing_ok=True)
        host = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", sys.executable, "-I", "-c", INIT,
             json.dumps(distribution), str(ready)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while not ready.exists():
            assert host.poll() is None, "the stand-in's distribution can't be started"
            time.sleep(0.01)
        children = Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text("ascii").split()
        (FOLDER / f"{name}.pid").write_text(children[0], encoding="ascii")
        return int(children[0])


def stop_if_idle(state: dict[str, Any], name: str) -> None:
    """Stop it if it is time: late, when somebody looks. What was started by an earlier call is a child of its init."""
    pid, used = running(name), FOLDER / f"{name}.used"
    if pid and state["idle_seconds"] and used.exists():
        alone = not Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        if alone and time.time() - used.stat().st_mtime > state["idle_seconds"]:
            terminate(name)


def running(name: str) -> int:
    """Return the host's process id of the distribution's first process, 0 if it is stopped."""
    try:
        pid = int((FOLDER / f"{name}.pid").read_text(encoding="ascii"))
        return pid if Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z" else 0
    except OSError:
        return 0


def terminate(name: str) -> None:
    pid = running(name)
    if pid:
        os.kill(pid, signal.SIGKILL)
        while running(name):
            time.sleep(0.01)


def run() -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
