"""Whether memory was lacking: frameworks say so by classes that can't be imported here, other processes by words."""

from __future__ import annotations

CLASSES = frozenset({"OutOfMemoryError", "ResourceExhaustedError"})  # of torch and of TensorFlow
WORDS = (  # torch, in a RuntimeError
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",  # on Windows
)
OWN_WORDS = ("MemoryError", "OutOfMemoryError", *WORDS)  # in the traceback of another process
KILLED = "was killed, as the kernel does where memory is lacking"
KILLED_WORKER = "killed by signal: Killed"  # SIGKILL as strsignal(3) has it
WORKER_WAS_KILLED = f"a DataLoader worker {KILLED}"
SIGKILL = 9  # Windows has no such signal


def is_lack(error: BaseException) -> bool:
    """Whether an exception says that memory was lacking."""
    if isinstance(error, MemoryError) or type(error).__name__ in CLASSES:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


def told(output: str, status: int) -> str:
    """Return what another process that has failed says of a lack of memory, one line; '' if that is not why."""
    if status == -SIGKILL:
        return KILLED
    lines = [line for line in output.splitlines() if any(words in line for words in OWN_WORDS)]
    return lines[-1].strip() if lines else ""


def is_killed_worker(error: BaseException) -> bool:
    """Whether a DataLoader of torch lost a worker by SIGKILL; it says so in its error or in what led to that.

    torch raises the error in a signal handler, so in whatever the process is at.
    """
    chain: BaseException | None = error
    while chain is not None:
        if "DataLoader worker" in str(chain) and KILLED_WORKER in str(chain):
            return True
        chain = chain.__cause__ or chain.__context__
    return False
