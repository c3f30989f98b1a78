"""Sources that the harness obtains but never contains: a checkout of tensorflow/benchmarks at the pinned commit."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.agent import files
from harness.agent.workloads.tf_cnn_launcher import UPSTREAM_COMMIT, checkout_commit
from harness.errors import PlatformError, StackError
from harness.runner.process import Completed, capture

PUBLIC = "https://github.com/tensorflow/benchmarks"
LIMIT = 60.0  # seconds for one git command: the repository is 4 MB
REMEDY = "Set TF_BENCHMARKS to a path or URL of a clone of tensorflow/benchmarks."


def tf_benchmarks(*, environ: Mapping[str, str], cache: Path, progress: Callable[[str], None]) -> Path:
    """Return a clean checkout of tensorflow/benchmarks at `UPSTREAM_COMMIT`, made in `cache` where there is none.

    It is cloned from TF_BENCHMARKS (a path or URL) or else the public repository; its files are read-only.
    Raises StackError without git, when the source can't be cloned within LIMIT, or does not hold the commit.
    """
    folder = _folder(cache)
    _require_git(environ)
    if _intact(folder, environ):
        return folder
    progress(f"cloning tensorflow/benchmarks from {_source(environ)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="tf-benchmarks-", ignore_cleanup_errors=True) as scratch:
        fresh = Path(scratch, "checkout")  # git gives it the usual mode; the scratch folder itself is private
        _checkout(fresh, environ, Path(scratch))
        if not _intact(fresh, environ):
            raise StackError(f"The checkout of tensorflow/benchmarks from {_source(environ)} is not clean", REMEDY)
        _protect(fresh)
        _put(fresh, folder, environ)
    return folder


def quick_check(environ: Mapping[str, str], cache: Path) -> str:
    """Return '' where `tf_benchmarks` can be expected to succeed, else why not. No network, no process."""
    if is_cached(cache):
        return ""
    if shutil.which("git", path=environ.get("PATH")) is None:
        return "tensorflow/benchmarks is obtained by git, and there is none. Install git."
    named = environ.get("TF_BENCHMARKS", "")
    if named and not _is_url(named) and not _local(named).is_dir():
        return f"TF_BENCHMARKS names {named}, which is no folder. {REMEDY}"
    return ""


def is_cached(cache: Path) -> bool:
    """Whether a checkout of the commit lies in the cache."""
    return checkout_commit(_folder(cache)) == UPSTREAM_COMMIT


def _folder(cache: Path) -> Path:
    return cache / f"tensorflow-benchmarks-{UPSTREAM_COMMIT[:12]}"


def _is_url(source: str) -> bool:
    """`scheme://…`, or ssh's `host:path`, which is no Windows path with a drive letter."""
    head, colon, _ = source.partition(":")
    return "://" in source or (bool(colon) and len(head) > 1 and "/" not in head and "\\" not in head)


def _source(environ: Mapping[str, str]) -> str:
    named = environ.get("TF_BENCHMARKS", "")
    if not named:
        return PUBLIC
    return named if _is_url(named) else str(_local(named).resolve())


def _local(named: str) -> Path:
    return Path(os.path.expanduser(named))  # noqa: PTH111 - Path.expanduser raises for `~nobody`


def _require_git(environ: Mapping[str, str]) -> None:
    if shutil.which("git", path=environ.get("PATH")) is None:
        raise StackError("tensorflow/benchmarks is obtained by git, and there is none", "Install git.")


def _checkout(fresh: Path, environ: Mapping[str, str], scratch: Path) -> None:
    """Clone and check out the commit. Raises StackError."""
    source = _source(environ)
    trusting = {**environ, "GIT_CONFIG_GLOBAL": str(_trusting_config(scratch, source, environ))}
    cloned = _git(["clone", "--quiet", "--no-checkout", "--", source, str(fresh)], trusting)
    if cloned.code != 0:
        raise StackError(f"tensorflow/benchmarks can't be cloned from {source}: {_cause(cloned.stderr)}", REMEDY)
    checked_out = _git(["-C", str(fresh), "checkout", "--quiet", "--detach", UPSTREAM_COMMIT], trusting)
    if checked_out.code != 0:
        problem = f"{source} does not hold commit {UPSTREAM_COMMIT} of tensorflow/benchmarks"
        raise StackError(f"{problem}: {_cause(checked_out.stderr)}", "Fetch it there, or unset TF_BENCHMARKS.")


def _trusting_config(scratch: Path, source: str, environ: Mapping[str, str]) -> Path:
    """Write a git configuration that lets a local source belong to another user, on top of the user's own.

    git reads safe.directory from system and global files only: `-c` and the environment do not reach the process
    that serves a local clone.
    """
    config = scratch / "gitconfig"
    includes = [f"[include]\n\tpath = {_quoted(path)}\n" for path in _own_configs(environ)]
    trusted = [] if _is_url(source) else [Path(source), Path(source, ".git")]
    safe = [f"[safe]\n\tdirectory = {_quoted(path)}\n" for path in trusted]
    config.write_text("".join(includes + safe), encoding="utf-8")
    return config


def _own_configs(environ: Mapping[str, str]) -> list[Path]:
    named = environ.get("GIT_CONFIG_GLOBAL")
    if named:
        return [Path(named)]
    home = Path(environ.get("HOME") or Path.home())
    return [Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "git", "config"), home / ".gitconfig"]


def _quoted(path: str | Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _protect(checkout: Path) -> None:
    """Let nobody write to its files: a container has them mounted read-only, other platforms have no such means."""
    for path in checkout.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)


def _put(fresh: Path, folder: Path, environ: Mapping[str, str]) -> None:
    """Move a checkout to its place; a spoilt one there gives way, and one that another process made meanwhile stays."""
    if folder.exists() and not _intact(folder, environ):
        files.replace(folder, fresh.with_name("spoilt"))
    try:
        files.replace(fresh, folder)
    except OSError:
        if not _intact(folder, environ):
            raise


def _intact(folder: Path, environ: Mapping[str, str]) -> bool:
    """Whether the folder's HEAD is the commit and no file of it differs."""
    if checkout_commit(folder) != UPSTREAM_COMMIT:
        return False
    status = _git(["-C", str(folder), "status", "--porcelain"], environ)
    return status.code == 0 and not status.stdout.strip()


def _git(arguments: Sequence[str], environ: Mapping[str, str]) -> Completed:
    """Run git without ever asking a question. Raises StackError when it takes longer than LIMIT."""
    inherited = {name: value for name, value in environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    env = {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes", **inherited, **quiet}
    try:
        return capture(["git", *arguments], timeout=LIMIT, env=env)
    except PlatformError as error:
        problem = f"tensorflow/benchmarks can't be obtained from {_source(environ)}: {error.problem}"
        raise StackError(problem, REMEDY) from error


def _cause(stderr: str) -> str:
    """Return the line of git's complaint that says why."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["git gave no reason"]
    fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
    return (fatal or lines)[0]
