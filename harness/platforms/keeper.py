"""Runs on another host, sent there as it is: keeps a job running apart from the connection, and tidies.

    python keeper.py survey FOLDER             what this host is, and what earlier runs left in the work folder
    python keeper.py claim RUN OWNER           make a run's folders; OWNER (JSON) says whose it is
    python keeper.py run JOB REQUEST OUT ERR   start the job unless it runs, and tell its output from these offsets
    python keeper.py discard JOB               end the job if it runs, and remove its folder
    python keeper.py remove RUN…               the same for all jobs of these runs, and for the runs
    python keeper.py install REQUEST           make a virtual environment of this very Python

REQUEST and answers are JSON. Standard library only, Python 3.10+, POSIX.

`run` starts a second process of this file, in a session of its own, which starts the agent in another and watches
it; agent and watcher outlive the connection. Whoever follows the job renews its lease; without a follower for `lease`
seconds, after `timeout` seconds, or told to by `discard`, the watcher ends the agent's process group.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

if sys.platform == "win32":  # nothing of this works there, and type checkers need not look
    raise ImportError("keeper.py runs on POSIX hosts")

POLL = 0.25  # seconds between two looks at a job's output: 4 short wake-ups a second beside what is measured
BEAT = 2.0  # seconds between two signs of life to the other side; without a reader, the second of them fails
WATCH = 1.0  # seconds between two looks at lease and deadline
GRACES = ((signal.SIGINT, 1.0), (signal.SIGTERM, 0.5))  # as harness.runner.process ends what must end
CHUNK = 24 << 10  # bytes of output in one line
MOST_OUTPUT = 128 << 20  # bytes; a process that prints without end must not fill the disk
MEMORY = Path("/dev/shm")  # noqa: S108 - measured as what it is
PREFIX = "overhead-matrix-remote-"
USUAL_UMASK = 0o022  # of what is measured; the keeper's own files are private
STREAMS = ("stdout", "stderr")


def survey(root: Path) -> dict[str, Any]:
    """Say what this host is and what earlier runs left."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "boot_id": _text(Path("/proc/sys/kernel/random/boot_id")),
        "gpu": any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg")),
        "environ": dict(os.environ),
        "runs": {each.parent.name: _json(each) for each in root.glob("runs/*/owner.json")},
    }


def claim(run: Path, owner: str) -> dict[str, Any]:
    """Make the folders of a run; return those that storage probes measure, by name."""
    memory = {"tmpfs": memory_of(run)} if _is_writable_tmpfs(MEMORY) else {}
    places = {"host": run / "host", **memory}
    for place in (run / "jobs", *places.values()):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    (run / "owner.json").write_text(owner, encoding="utf-8")
    return {name: str(place) for name, place in places.items()}


def memory_of(run: Path) -> Path:
    """Return the run's folder in memory."""
    return MEMORY / f"{PREFIX}{run.name}"


def run(job: Path, request: Mapping[str, Any], offsets: Mapping[str, int]) -> None:
    """Start the job unless its folder is there, then follow it."""
    fresh = job.with_name(f"{job.name}.{secrets.token_hex(4)}")
    fresh.mkdir(mode=0o700)
    lock = _locked(fresh)
    _write(fresh / "spec.json", request["spec"])
    (fresh / "lease").touch()
    try:
        fresh.rename(job)  # fails where the job is: it has been started
    except OSError:
        shutil.rmtree(fresh)
    else:
        if os.fork() == 0:
            _detach()
            watch(job, request)
            os._exit(0)
    os.close(lock)
    follow(job, dict(offsets))


def watch(job: Path, request: Mapping[str, Any]) -> None:
    """Run the agent to its end and note how that was. Holds the lock, and is the only one that signals the agent."""
    _write(job / "watcher.json", {"pid": os.getpid()})
    wake, stopped = threading.Event(), threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopped.set()
        wake.set()

    signal.signal(signal.SIGTERM, stop)
    killed_before = _oom_kills()
    try:
        agent = _start(job, request)
    except OSError as error:
        _write(job / "ending.json", {"error": f"{request['argv'][0]} can't be started: {error.strerror}"})
        return
    _write(job / "agent.json", {"pid": agent.pid, "start": _start_time(agent.pid)})
    ended = threading.Event()
    threading.Thread(target=_await_end, args=(agent, ended, wake), daemon=True).start()
    why = _watch(job, request, wake, lambda: "ended" if ended.is_set() else "stopped" if stopped.is_set() else "")
    status = _shut_down(agent, ended)
    oom = status == -signal.SIGKILL and why == "ended" and _oom_kills() > killed_before
    with contextlib.suppress(OSError):
        _write(job / "ending.json", {"status": status, "why": why, "oom": oom})


def _watch(job: Path, request: Mapping[str, Any], wake: threading.Event, happened: Callable[[], str]) -> str:
    """Return why the watching is over: ended, stopped, timeout, lease or output."""
    deadline = time.monotonic() + request["timeout"]
    renewed, renewal = 0, time.monotonic()  # a lease is measured from its last change: clocks are set now and then
    while not (why := happened()):
        wake.wait(min(WATCH, max(0.0, deadline - time.monotonic())))
        now = time.monotonic()
        try:
            lease = (job / "lease").stat().st_mtime_ns
            printed = max((job / stream).stat().st_size for stream in STREAMS)
        except OSError:  # somebody removed the folder
            return happened() or "stopped"
        if lease != renewed:
            renewed, renewal = lease, now
        over = {"timeout": now >= deadline, "lease": now - renewal > request["lease"], "output": printed > MOST_OUTPUT}
        if any(over.values()):
            return happened() or next(name for name, is_over in over.items() if is_over)
    return why


def _start(job: Path, request: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    with (job / "stdout").open("wb") as stdout, (job / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            request["argv"],
            cwd=job,
            env=request["env"],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            umask=USUAL_UMASK,
        )


def _await_end(agent: subprocess.Popen[bytes], ended: threading.Event, wake: threading.Event) -> None:
    """Wait without reaping: until the group has been ended, its number must not be given to anyone else."""
    os.waitid(os.P_PID, agent.pid, os.WEXITED | os.WNOWAIT)
    ended.set()
    wake.set()


def _shut_down(agent: subprocess.Popen[bytes], ended: threading.Event) -> int:
    """End whatever still runs of the agent's group; return the agent's own status, negative for a signal."""
    for number, grace in GRACES:
        if ended.is_set():
            break
        os.killpg(agent.pid, number)
        ended.wait(grace)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(agent.pid, signal.SIGKILL)
    return agent.wait()


def _detach() -> None:
    """Leave the connection: its session, and the streams that would keep it open."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def follow(job: Path, offsets: dict[str, int]) -> None:
    """Tell the job's output as it comes, then its ending; renew the lease meanwhile."""
    spoken = time.monotonic()
    while True:
        alone = not _is_locked(job)  # asked before the ending is looked for: the watcher notes it and then lets go
        ending = _json(job / "ending.json")
        told = [_tell(job, stream, offsets) for stream in STREAMS]
        if any(told):
            spoken = time.monotonic()
            continue
        if ending or alone:
            _say({"ending": ending or {"error": "its watcher was killed there"}, "result": _has_result(job)})
            return
        os.utime(job / "lease")
        if time.monotonic() - spoken > BEAT:
            _say({})
            spoken = time.monotonic()
        time.sleep(POLL)


def _tell(job: Path, stream: str, offsets: dict[str, int]) -> bool:
    """Say what a stream has more than was told; return whether there was anything."""
    try:
        with (job / stream).open("rb") as file:
            file.seek(offsets[stream])
            data = file.read(CHUNK)
    except FileNotFoundError:  # not started yet
        return False
    if data:
        _say({"stream": stream, "offset": offsets[stream], "data": base64.b64encode(data).decode()})
        offsets[stream] += len(data)
    return bool(data)


def _has_result(job: Path) -> bool:
    return (job / "result.json").is_file()


def discard(job: Path) -> None:
    """End what runs of a job, and remove its folder."""
    watcher = _json(job / "watcher.json")
    if watcher and _is_locked(job):
        with contextlib.suppress(ProcessLookupError):
            os.kill(watcher["pid"], signal.SIGTERM)
        _wait_until(lambda: not _is_locked(job), 10.0)
    agent = _json(job / "agent.json")
    if agent and _start_time(agent["pid"]) == agent["start"]:  # its watcher was killed
        with contextlib.suppress(ProcessLookupError):
            os.killpg(agent["pid"], signal.SIGKILL)
    shutil.rmtree(job, ignore_errors=True)


def remove(runs: Sequence[Path]) -> None:
    """Remove whatever runs left."""
    for each in runs:
        for job in each.glob("jobs/*"):
            discard(job)
        shutil.rmtree(memory_of(each), ignore_errors=True)
        shutil.rmtree(each, ignore_errors=True)


def install(request: Mapping[str, Any]) -> dict[str, Any]:
    """Make the environment unless it is complete; return its interpreter and NVIDIA's libraries in it."""
    folder = Path(request["folder"])
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_name(f"{folder.name}.lock")):
        fresh = not ((folder / "complete").is_file() and python.is_file())
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-I", "-m", "venv", "--without-pip", str(folder)])
            _run([str(python), *request["pip"]])
            os.sync()  # a host that loses its power must not find it complete and hollow
            (folder / "complete").touch()
    libraries = sorted(map(str, folder.glob("lib/python3.*/site-packages/nvidia/*/lib")))
    return {"python": str(python), "libraries": libraries, "fresh": fresh}


def _run(argv: Sequence[str]) -> None:
    """Run a program that tells its errors on stderr; end with its status if it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise SystemExit(1)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _locked(job: Path) -> int:
    """Lock a job's folder; the watcher inherits the descriptor and so the lock."""
    descriptor = os.open(job / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _is_locked(job: Path) -> bool:
    """Whether the job's watcher lives."""
    try:
        descriptor = os.open(job / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _wait_until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)


def _say(record: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def _write(path: Path, record: object) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(record), encoding="utf-8")
    partial.replace(path)


def _json(path: Path) -> Any:  # noqa: ANN401 - JSON of unknown shape
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """Return a process's start in ticks since boot, empty if it is not there or only a zombie."""
    state, *rest = _text(Path("/proc", str(pid), "stat")).rpartition(")")[2].split() or ["X"]
    return "" if state in {"Z", "X"} else rest[18]


def _oom_kills() -> int:
    """Return how many processes the kernel has ended for memory since boot; 0 if unknown."""
    found = [line.split()[1] for line in _text(Path("/proc/vmstat")).splitlines() if line.startswith("oom_kill ")]
    return int(found[0]) if found else 0


def _is_writable_tmpfs(folder: Path) -> bool:
    kinds = {fields[1]: fields[2] for fields in map(str.split, _text(Path("/proc/self/mounts")).splitlines())}
    return kinds.get(str(folder)) == "tmpfs" and os.access(folder, os.W_OK | os.X_OK)


def main(argv: Sequence[str]) -> None:
    """Do what the command line asks for; `OSError`s are told on stderr, for the other side's table."""
    os.umask(0o077)
    match argv:
        case ["survey", folder]:
            _say(survey(Path(folder)))
        case ["claim", folder, owner]:
            _say(claim(Path(folder), owner))
        case ["run", job, request, stdout, stderr]:
            run(Path(job), json.loads(request), {"stdout": int(stdout), "stderr": int(stderr)})
        case ["discard", job]:
            discard(Path(job))
        case ["remove", *runs]:
            remove([Path(each) for each in runs])
        case ["install", request]:
            _say(install(json.loads(request)))
        case _:
            raise SystemExit(f"keeper.py does not know {argv[:1]}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BrokenPipeError:  # nobody listens any more: a dropped connection
        os._exit(0)
    except OSError as error:
        raise SystemExit(f"{error.filename or 'keeper.py'}: {error.strerror or error}") from None
