"""The PCIe link of each platform's GPU while it worked: an idle link sleeps, so what an inspection reads says nothing.

The highest generation and width that the telemetry saw, over all invocations of a platform, as facts of its
environment: `gpu.devices.0.loaded_pcie_generation`, `…_width`. What the GPU could have, `max_pcie_…`, is not what its
slot gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from harness.agent.messages import CellResult
from harness.analysis.confounders import Environments
from harness.analysis.exclusions import MEASURED
from harness.matrix.cells import SECOND_ARM

COLUMNS = ("pcie_generation", "pcie_width")


def with_loaded_links(found: Environments, invocations: Iterable[CellResult]) -> dict[str, Mapping[str, str]]:
    """Return the environments with the links that their invocations on a GPU saw."""
    highest: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for result in invocations:
        if result.status in MEASURED and result.device != "cpu":
            links = highest[result.platform.removesuffix(SECOND_ARM)]
            for key, value in _seen(result.telemetry):
                links[key] = max(value, links.get(key, value))
    return {
        name: {**told, **{key: f"{value:g}" for key, value in highest[name].items()}} if name in highest else told
        for name, told in found.items()
    }


def _seen(telemetry: Mapping[str, object]) -> Iterable[tuple[str, float]]:
    samples = telemetry.get("samples")
    summary = samples.get("summary") if isinstance(samples, Mapping) else None
    for column, each in (summary if isinstance(summary, Mapping) else {}).items():
        gpu, _, name = column.partition(".")
        if name in COLUMNS and isinstance(each, Mapping) and isinstance(value := each.get("max"), (int, float)):
            yield f"gpu.devices.{gpu.removeprefix('gpu')}.loaded_{name}", value
