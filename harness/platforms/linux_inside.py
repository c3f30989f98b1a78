"""The program that serves the controller inside a Linux that it reaches only by starting something there (wsl.exe).

Its text is sent with every request, so that nothing has to be installed first:

    python3 -I -c "import sys;exec(sys.stdin.buffer.read(N))"       N: the length of this file in bytes

On standard input follow one line of JSON, `{"verb": …, "mark": …, …}`, and a payload. The answer is one line of JSON
on stdout behind the mark: whatever else is printed there (by the way in, by a login script) is not ours. `launch`
answers only if it can't start: its stdout is that of the program it starts.

Standard library only, Python 3.10+, imports nothing of harness. Everything lies below the user's cache folder and in a
folder of /dev/shm: files that many runs share (the agent, wheels, environments) and one folder a run and platform.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

assert sys.platform != "win32"  # noqa: S101 - tells type checkers too where this runs

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
PREFIX = "overhead-matrix-"
GRACE = 1.0  # seconds between asking a task to end and killing it
CHUNK = 1 << 20
SHM = Path("/dev/shm")  # noqa: S108 - measured as what it is
CLAIM, PROCESS, ENDING, STOP, HOLDER = "claim.json", "process.json", "ending.json", "stop", "holder.json"
LIBRARIES = "LD_LIBRARY_PATH"
HOLD_CHECK, HOLD_MOST = 30, 7200  # seconds

Request = Mapping[str, Any]
Answer = dict[str, Any]


def cache() -> Path:
    """Return the folder that everything lies in."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "overhead-matrix"


def greet(_request: Request, _payload: BinaryIO) -> Answer:
    """Say what is here, and which runs have left something: their claims are the controller's to judge."""
    cache().mkdir(parents=True, exist_ok=True)
    return {
        "python": VERSION,
        "release": Path("/proc/sys/kernel/osrelease").read_text(encoding="utf-8").strip(),
        "cache": str(cache()),
        "home": str(Path.home()),
        "claims": [_read(path) for path in sorted(_scratch().glob(f"*/*/{CLAIM}"))],
    }


def claim(request: Request, _payload: BinaryIO) -> Answer:
    """Make the folders of a run's platform; return the path of each location.

    `outside` names, in order of preference, folders on the host's file system to make one in: location → folders.
    """
    work = _work(request)
    _remove(work)
    locations = {"ext4": work / "ext4", **_memory(request)}
    notes = {}
    for name, folders in request["outside"].items():
        found = next((Path(each) for each in folders if _can_hold(Path(each))), None)
        if found:
            locations[name] = found / _own_name(request)
        else:
            notes[name] = f"none of {', '.join(folders) or 'the folders'} is mounted and can be written"
    work.mkdir(parents=True, exist_ok=True)
    kept = {name: request[name] for name in ("run", "platform", "owner")}
    _write(work / CLAIM, {**kept, "folders": [str(path) for path in locations.values()]})
    for path in locations.values():
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    _hold(work)
    return {"locations": {name: str(path) for name, path in locations.items()}, "notes": notes}


def release(request: Request, _payload: BinaryIO) -> Answer:
    """End what still runs of a run's platform and remove all that it has here."""
    _remove(_work(request))
    return {}


def missing(request: Request, _payload: BinaryIO) -> Answer:
    """Return which files, path below the cache → size, are not there yet; a folder has the size None."""
    return {"missing": [name for name, size in request["files"].items() if not _has(cache() / name, size)]}


def put(request: Request, payload: BinaryIO) -> Answer:
    """Store the payload as a file below the cache, under its name only when its digest is right."""
    target = cache() / request["path"]
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(target)
    digest = hashlib.sha256()
    try:
        with partial.open("wb") as file:
            while data := payload.read(CHUNK):
                digest.update(data)
                file.write(data)
        if digest.hexdigest() != request["sha256"]:
            return {"error": "what arrived is not what was sent"}
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return {}


def unpack(request: Request, _payload: BinaryIO) -> Answer:
    """Unpack a tar that was put here into the folder `to` below the cache; remove the tar."""
    target = cache() / request["to"]
    partial = _partial(target)
    with tarfile.open(cache() / request["path"]) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(partial)  # noqa: S202 - packed by the controller
    if not target.exists():
        partial.rename(target)
    shutil.rmtree(partial, ignore_errors=True)
    (cache() / request["path"]).unlink(missing_ok=True)
    return {}


def interpreter(request: Request, _payload: BinaryIO) -> Answer:
    """Return a Python of the version that is wanted, None if there is none, and the one that runs this."""
    return {"found": _python(request["python"]), "own": sys.executable}


def install(request: Request, _payload: BinaryIO) -> Answer:
    """Install a lock's wheels, which lie in the folder `wheels`, into an environment, unless it is complete.

    As on the other platforms: offline, by hash, bytecode compiled, and no pip left in it.
    """
    folder = cache() / request["environment"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _read(folder / "complete.json") != {"wheels": request["digest"]} or not (folder / "bin/python").exists():
            failure = _install(request, folder)
            if failure:
                return failure
            _write(folder / "complete.json", {"wheels": request["digest"]})
    libraries = sorted(map(str, folder.glob("lib/python3.*/site-packages/nvidia/*/lib")))
    return {"interpreter": str(folder / "bin/python"), "libraries": libraries}


def launch(request: Request, _payload: BinaryIO) -> None:
    """Run a program in a new folder and a session of its own; write down how it ended, for `collect`."""
    folder = _job(request)
    folder.mkdir(parents=True)
    for place in (_read(_work(request) / CLAIM) or {}).get("folders", ()):  # a restart empties /dev/shm
        Path(place).mkdir(exist_ok=True, mode=0o700)
    _hold(_work(request))
    (folder / "spec.json").write_text(request["spec"], encoding="utf-8")
    before, began = _oom_kills(), time.monotonic()
    child = subprocess.Popen(
        request["argv"], cwd=folder, env=_environment(request), stdin=subprocess.DEVNULL, start_new_session=True
    )
    _write(folder / PROCESS, {"instance": _instance(), "group": _identity(child.pid), "keeper": _identity(os.getpid())})
    if (folder / STOP).exists():  # it was stopped before it could be known
        _kill(child.pid, signal.SIGKILL)
    status = child.wait()
    seconds = time.monotonic() - began
    _kill(child.pid, signal.SIGKILL)  # what it has started and left
    killed = status == -signal.SIGKILL and _oom_kills() > before
    _write(folder / ENDING, {"status": status, "oom": killed, "seconds": seconds})


def collect(request: Request, _payload: BinaryIO) -> Answer:
    """Return how a launch ended and what result it left, then remove its folder.

    Without an ending: `absent` (it never began), `stopped` (this Linux was stopped meanwhile) or `running` (it may be).
    """
    folder = _job(request)
    ending = _read(folder / ENDING)
    if ending is None:
        started = _read(folder / PROCESS)
        if started is None:
            return {"state": "absent"}
        return {"state": "running" if started["instance"] == _instance() else "stopped"}
    answer: Answer = {"state": "ended", **ending}
    try:
        content = (folder / "result.json").read_bytes()
    except FileNotFoundError:
        answer["result"] = None
    else:
        answer.update(result=content.decode("utf-8", "replace"), sha256=hashlib.sha256(content).hexdigest())
    shutil.rmtree(folder, ignore_errors=True)
    return answer


def end(request: Request, _payload: BinaryIO) -> Answer:
    """End a launch and everything in its process group; remove its folder."""
    folder = _job(request)
    if folder.is_dir():
        (folder / STOP).touch()
        _end(folder)
        shutil.rmtree(folder, ignore_errors=True)
    return {}


VERBS: Mapping[str, Callable[[Request, BinaryIO], Answer | None]] = {
    each.__name__: each
    for each in (greet, claim, release, missing, put, unpack, interpreter, install, launch, collect, end)
}


def _scratch() -> Path:
    return cache() / "scratch"


def _work(request: Request) -> Path:
    return _scratch() / str(request["run"]) / str(request["platform"])


def _job(request: Request) -> Path:
    return _work(request) / "jobs" / str(request["job"])


def _own_name(request: Request) -> str:
    return f"{PREFIX}{request['run']}-{request['platform']}"


def _memory(request: Request) -> dict[str, Path]:
    kinds = dict(line.split()[1:3] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines())
    if kinds.get(str(SHM)) != "tmpfs" or not os.access(SHM, os.W_OK | os.X_OK):
        return {}
    return {"tmpfs": SHM / _own_name(request)}


def _partial(target: Path) -> Path:
    """Return where to make a file or folder; remove what processes that were killed have left of it."""
    for left in target.parent.glob(f"{target.name}.*.part"):
        if not _start(int(left.suffixes[-2][1:])):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return target.with_name(f"{target.name}.{os.getpid()}.part")


def _environment(request: Request) -> dict[str, str]:
    """Return the variables of a launch: some of the user's here, and what is set, whose libraries come first."""
    kept = {name: value for name, value in os.environ.items() if name in request["kept"] or name.startswith("LC_")}
    together = {**kept, **request["set"]}
    if LIBRARIES in kept and LIBRARIES in request["set"]:
        together[LIBRARIES] = f"{request['set'][LIBRARIES]}:{kept[LIBRARIES]}"
    return together


def _can_hold(folder: Path) -> bool:
    """Whether it lies on a file system that is mounted below /mnt, and can be written."""
    points = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()}
    mounted = any(str(above) in points for above in (folder, *folder.parents) if above.parts[:2] == ("/", "mnt"))
    return mounted and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _hold(work: Path) -> None:
    """Keep this Linux running between invocations: WSL stops a distribution in which nothing of a user's runs.

    The process that does it sleeps; it ends with the run's folder, or when no invocation has come for long.
    """
    holder = _read(work / HOLDER)
    if holder and _lives(holder["process"], holder["instance"]):
        os.utime(work / HOLDER)
        return
    pid = os.fork()
    if pid:
        _write(work / HOLDER, {"process": _identity(pid), "instance": _instance()})
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    time.sleep(HOLD_CHECK)
    with contextlib.suppress(FileNotFoundError):
        while time.time() - (work / HOLDER).stat().st_mtime < HOLD_MOST:
            time.sleep(HOLD_CHECK)
    os._exit(0)


def _remove(work: Path) -> None:
    for job in work.glob("jobs/*"):
        _end(job)
    holder = _read(work / HOLDER)
    if holder and _lives(holder["process"], holder["instance"]):
        _kill(holder["process"]["pid"], signal.SIGKILL)
    for folder in (_read(work / CLAIM) or {}).get("folders", ()):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    if work.parent.is_dir() and not any(work.parent.iterdir()):
        work.parent.rmdir()


def _end(job: Path) -> None:
    started = _read(job / PROCESS)
    if started is None or started["instance"] != _instance():
        return
    for number, grace in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        deadline = time.monotonic() + grace
        if _lives(started["group"], started["instance"]):
            _kill(started["group"]["pid"], number)
        while _lives(started["keeper"], started["instance"]) and time.monotonic() < deadline:
            time.sleep(0.02)
    if _lives(started["keeper"], started["instance"]):
        os.kill(started["keeper"]["pid"], signal.SIGKILL)


def _kill(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _instance() -> str:
    """Return what tells this start of this Linux from others: a stopped distribution comes back with a new init."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {_start(1)}"


def _identity(pid: int) -> dict[str, Any]:
    return {"pid": pid, "start": _start(pid)}


def _lives(process: Mapping[str, Any], instance: str) -> bool:
    return instance == _instance() and _start(process["pid"]) == process["start"]


def _start(pid: int) -> str:
    """Return the process's start in ticks since boot, empty if there is none or only a zombie."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return "" if state in {"Z", "X"} else rest[18]


def _oom_kills() -> int:
    text = Path("/proc/vmstat").read_text(encoding="ascii")
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)


def _python(version: str) -> str | None:
    """Return a Python of this version: the one that runs this, one on PATH, uv's or pyenv's."""
    if version == VERSION:
        return sys.executable
    installed = [*Path.home().glob(f".local/share/uv/python/cpython-{version}.*/bin/python{version}")]
    installed += Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")
    newest = max(installed, key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))], default=None)
    return shutil.which(f"python{version}") or (str(newest) if newest else None)


def _install(request: Request, folder: Path) -> Answer | None:
    """Return the failure; the pip is the controller's."""
    shutil.rmtree(folder, ignore_errors=True)
    made = _said([request["interpreter"], "-I", "-m", "venv", "--without-pip", str(folder)])
    if made:
        return {"failed": "venv", "output": made}
    lock = folder / "requirements.txt"
    lock.write_text(request["lock"], encoding="utf-8")
    pip = [str(folder / "bin/python"), "-I", str(cache() / request["pip"]), "--isolated", "--no-cache-dir"]
    where = ["--no-index", "--find-links", str(cache() / request["wheels"])]
    failed = _said([*pip, "install", *where, "--require-hashes", "--no-deps", "-r", str(lock)])
    return {"failed": "pip", "output": failed} if failed else None


def _said(argv: list[str]) -> str:
    """Run a program; return the end of its output if it fails, empty if it works."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode("utf-8", "replace")[-8000:] or "no output" if done.returncode else ""


def _has(path: Path, size: int | None) -> bool:
    return path.is_dir() if size is None else path.is_file() and path.stat().st_size == size


def _read(path: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(path: Path, content: object) -> None:
    """Write so that a reader sees all of it or nothing."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


def main(stream: BinaryIO) -> None:
    """Serve the request on a stream."""
    request = json.loads(stream.readline())
    try:
        answer = VERBS[request["verb"]](request, stream)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        answer = {"error": f"{error.filename or cache()}: {error.strerror or error}", "full": full}
    if answer is not None:
        print(f"\n{request['mark']}{json.dumps(answer)}", flush=True)  # noqa: T201 - to the controller


if __name__ == "__main__":
    main(sys.stdin.buffer)
