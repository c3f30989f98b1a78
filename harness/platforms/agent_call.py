"""The agent's command line and its specification file: the same on every platform."""

from __future__ import annotations

from harness.agent.messages import to_json, write_json
from harness.errors import ResultsError
from harness.platforms.base import Job
from harness.stacks import Stack

SPEC = "spec.json"
GPU_CHOICE = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")  # what the user chose on the host counts on every platform


def isolation(stack: Stack) -> tuple[str, ...]:
    """Return Python's options: a locked stack sees neither the user's packages nor PYTHON… variables."""
    return () if stack.variant == "installed" else ("-I",)


def agent_arguments(job: Job, agent: str, verb: str) -> tuple[str, ...]:
    """Return what follows the interpreter; the working directory is the job's folder."""
    return (agent, verb, SPEC, job.result.name)


def write_spec(job: Job) -> None:
    """Write the specification into the job's folder. Raises ResultsError if that fails."""
    path = job.folder / SPEC
    try:
        write_json(path, to_json(job.spec))
    except OSError as error:
        raise ResultsError(f"{path} can't be written: {error.strerror or error}", "Make room there.") from error
