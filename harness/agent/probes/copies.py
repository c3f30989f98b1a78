"""Copies between host and GPU, and the memory for them. What each task measures stands in its own module."""

from __future__ import annotations

from harness.agent.probes.copies_allocation import ALLOCATION
from harness.agent.probes.copies_bandwidth import BANDWIDTH
from harness.agent.probes.copies_collective import COLLECTIVE
from harness.agent.probes.copies_gated import GATED
from harness.agent.probes.copies_overlap import OVERLAP
from harness.agent.probes.copies_peer import PEER

TASKS = {
    "bandwidth": BANDWIDTH,
    "gated": GATED,
    "peer": PEER,
    "collective": COLLECTIVE,
    "overlap": OVERLAP,
    "allocation": ALLOCATION,
}
