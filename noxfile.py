"""The front door. `nox -l` lists the sessions; what stands behind `--` goes to the program."""

from __future__ import annotations

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2026.2"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml()


def install(session: nox.Session, *groups: str) -> None:
    """Install the project as a checkout, with these groups of development dependencies."""
    session.install("-q", "-e", ".", *nox.project.dependency_groups(PROJECT, *groups))


def build_native(session: nox.Session, *options: str) -> None:
    """Build the native helper if its sources have changed; without it the probes' Python loops run, and say so."""
    command = ("python", "-m", "harness.native", *options)
    if not session.run(*command, "--check", silent=True, log=False, success_codes=[0, 1]):
        return
    try:
        session.install("-q", *nox.project.dependency_groups(PROJECT, "native"))
        session.run(*command)
    except CommandFailed:
        session.warn("the native helper could not be built: probes fall back to Python loops and are marked so")


def harness(session: nox.Session, *command: str) -> None:
    """Run a command of the harness, which on Ctrl-C removes containers, shuts guests down and says how to go on."""
    argv = ("python", "-m", "harness", *command, *session.posargs)
    session.run(*argv, interrupt_timeout=120.0, terminate_timeout=30.0)


@nox.session
def matrix(session: nox.Session) -> None:
    """Measure every platform within reach and write the report."""
    install(session)
    build_native(session, "--all")  # the agent that goes to WSL or to another host is the one that every boot packs
    harness(session, "run", "--report")


@nox.session
def images(session: nox.Session) -> None:
    """Build the container images that the matrix needs; print name, digest, size and time."""
    install(session)
    harness(session, "images")


@nox.session
def report(session: nox.Session) -> None:
    """Write the report of a bundle (default: the newest)."""
    install(session)
    harness(session, "report")


@nox.session
def publish(session: nox.Session) -> None:
    """Build a static site of many reports."""
    install(session)
    harness(session, "publish")


@nox.session
def doctor(session: nox.Session) -> None:
    """Say what on this host would spoil a measurement; `-- --fix` mends what can be undone, `-- --restore` undoes."""
    install(session)
    harness(session, "doctor")


@nox.session
def native(session: nox.Session) -> None:
    """Build the native helper for every operating system."""
    install(session, "native")
    session.run("python", "-m", "harness.native", "--all", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests. What needs an engine, a browser or a framework skips, with its reason, where there is none."""
    install(session, "test", "native")  # the compiler also builds the simulated GPU driver
    build_native(session)
    session.run("python", "-m", "tests", *session.posargs)


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def agent(session: nox.Session) -> None:
    """Run the agent's tests on every Python that it promises to run on; what tests a stack has that stack's own."""
    session.install("-q", *nox.project.dependency_groups(PROJECT, "agent-test", "native"))
    build_native(session)
    without_stacks = ("-m", "not stack", "--ignore=tests/agent/workloads/test_on_stacks.py")
    session.run("python", "-m", "tests", *without_stacks, *(session.posargs or ["tests/agent"]))


@nox.session
def wine(session: nox.Session) -> None:
    """Under Wine: the tests of what Windows runs, the smoke profile, and boots of Linux and Windows in one report.

    `-- measuring` is those tests that want the machine for themselves, `-- others` the rest.
    """
    install(session, "test", "native")
    session.run("python", "-m", "tests.windows", *session.posargs)


@nox.session
def truth(session: nox.Session) -> None:
    """Measure the analysis on bundles drawn from known truths: coverage, false alarms, power."""
    install(session, "test")
    session.run("python", "-m", "tests.truth", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint and types; what stands behind `--` goes to `ruff check` (default: `.`)."""
    install(session, "lint", "types", "test")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", *(session.posargs or ["."]))
    session.run("mypy")
    session.run("mypy", "--platform", "win32", "harness")  # no name that POSIX alone has is reachable there


@nox.session
def types(session: nox.Session) -> None:
    """Check types alone."""
    install(session, "types", "test")
    session.run("mypy", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the harness itself: plan, a cell beyond its measurement, telemetry, a report's time and size."""
    install(session, "test")
    build_native(session)
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session
def agreement(session: nox.Session) -> None:
    """Measure probes and independent tools in turn, workloads and runs by hand; print ratio and interval of each."""
    install(session, "test")
    build_native(session)
    session.run("python", "-m", "tests.agreement", *session.posargs)
