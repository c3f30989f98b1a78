"""What one step of a workload consists of: the names of its counts, which the attribution multiplies with costs.

Each is a metric of one value a step, of unit `count` or `B`. They stand in the result of the task
`counts.<workload's task>`, which traces the workload once a run on the baseline and is never compared; a workload that
knows its counts without a trace (`control.step`) gives them with its own result. Copies have the dim `direction`.
"""

from __future__ import annotations

from harness.agent.messages import Metric, Scalar

PREFIX = "counts."
"""Of the tasks that count: `counts.torch_cnn.resnet50` traces `torch_cnn.resnet50`."""

LAUNCHES = "launch_count"  # kernels on a GPU
OPERATIONS = "operation_count"  # of the framework, each a dispatch
SYNCHRONIZATIONS = "sync_count"
COPIES = "copy_count"
COPY_BYTES = "copy_bytes"
ALLOCATIONS = "allocation_count"  # of device memory by the driver, not by a framework's own pool
FILES = "file_count"  # opened and read
READ_BYTES = "read_bytes"  # from files
NAMES = frozenset({LAUNCHES, OPERATIONS, SYNCHRONIZATIONS, COPIES, COPY_BYTES, ALLOCATIONS, FILES, READ_BYTES})
DIRECTIONS = ("h2d", "d2h", "d2d")


def per_step(name: str, value: float, **dims: Scalar) -> Metric:
    """Return a count as a metric. Raises ValueError for a name that is none of NAMES."""
    if name not in NAMES:
        msg = f"{name!r} is no count of a step: {', '.join(sorted(NAMES))}"
        raise ValueError(msg)
    unit = "B" if name in (COPY_BYTES, READ_BYTES) else "count"
    return Metric(name=name, unit=unit, better="lower", samples=(value,), dims=dims)
