"""Rows of what nobody has compared yet: which tool would do, how it is got, and why a row stays empty.

All but gloo want NVIDIA GPUs, which no machine had that the table was measured on; what these tools print is not read
here before someone has seen it.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator

from tests.agreement.table import Comparison, NotMeasuredError, Pair

NVBANDWIDTH = "build https://github.com/NVIDIA/nvbandwidth, onto the PATH"
TOOLS = (
    (
        "driver.launch",
        "SuperBench's kernel_launch_overhead",
        "kernel_launch_overhead",
        "build kernel_launch_overhead of https://github.com/microsoft/superbenchmark, onto the PATH",
    ),
    ("driver.dispatch, cuda:0", "torch.utils.benchmark", "nvidia-smi", "a GPU with torch"),
    ("copies.bandwidth pageable", "bandwidthTest", "bandwidthTest", "build it in cuda-samples: --memory=pageable"),
    ("copies.peer", "nvbandwidth device_to_device", "nvbandwidth", f"two GPUs, and {NVBANDWIDTH}"),
    (
        "copies.collective, nccl",
        "nccl-tests all_reduce_perf",
        "all_reduce_perf",
        "two GPUs, and build https://github.com/NVIDIA/nccl-tests",
    ),
)
GLOO = (
    "no independent tool: gloo's own benchmark is not packaged, and OSU's micro-benchmarks time MPI, another library; "
    "a loop of torch.distributed is what the probe is"
)


def _nothing(_pairs: int, _order: random.Random) -> Iterator[Pair]:
    raise NotMeasuredError("the tool is here, and what it prints has never been seen: compare by hand")


def _of_tool(probe: str, tool: str, program: str, remedy: str) -> Comparison:
    def missing() -> str:
        return "" if shutil.which(program) else f"missing: {remedy}"

    return Comparison(probe=probe, tool=tool, measured=_nothing, missing=missing)


COMPARISONS = (
    *(_of_tool(*each) for each in TOOLS),
    Comparison(probe="copies.collective, gloo", tool="none", measured=_nothing, missing=lambda: GLOO),
)
