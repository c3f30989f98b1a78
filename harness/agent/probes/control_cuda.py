"""The control on a GPU: the chain of dependent multiply-adds as a kernel, timed on the device.

A sample is several kernels between two events: each is far shorter than the two seconds after which Windows resets a
GPU, even if the clock falls meanwhile. The result is checked (`ptx`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.agent import ptx
from harness.agent.cuda_operations import launch, record
from harness.agent.cuda_session import Session, session
from harness.agent.task import Context

KERNELS = 8  # a sample
FLOAT = struct.Struct("<f")


class ResultError(Exception):
    """The GPU computed something else: no time of it counts."""


@contextmanager
def device_chain(context: Context) -> Iterator[DeviceChain]:
    """Yield the chain on the GPU that the cell names."""
    with session(context) as cuda, cuda.gpu.memory(FLOAT.size) as result:
        gpu = cuda.gpu
        yield DeviceChain(cuda=cuda, result=result, stream=gpu.stream(), start=gpu.event(), end=gpu.event())


@dataclass(frozen=True, kw_only=True)
class DeviceChain:
    """Times chains on a GPU, as `Loops.fma` does on a CPU."""

    cuda: Session
    result: int
    stream: int
    start: int
    end: int

    def fma(self, samples: int, calls: int) -> list[float]:
        """Return the seconds of `calls` multiply-adds on the device. Raises ResultError if they come out wrong."""
        done = KERNELS * -(-calls // (KERNELS * ptx.FMA_UNROLLED)) * ptx.FMA_UNROLLED  # whole turns of the loop
        kernel = self.cuda.kernel("fma", self.result, done // KERNELS)
        kernels = [launch(self.stream, kernel)] * KERNELS
        sample = [record(self.stream, self.start), *kernels, record(self.stream, self.end)]
        seconds = []
        for _ in range(samples):
            self.cuda.loops.enqueue(1, sample, flush=True)
            seconds.append(self.cuda.gpu.elapsed(self.start, self.end) * calls / done)
        self._check()
        return seconds

    def _check(self) -> None:
        (value,) = FLOAT.unpack(self.cuda.gpu.read(self.result, FLOAT.size))
        if value != ptx.FMA_RESULT:
            msg = f"the GPU's multiply-adds gave {value} where {ptx.FMA_RESULT} is right: check the GPU"
            raise ResultError(msg)
