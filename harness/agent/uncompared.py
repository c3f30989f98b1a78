"""Metrics that tell of a workload and are no cost of a platform: they are kept with the result and never compared."""

from __future__ import annotations

UNCOMPARED = frozenset(
    {
        "loss",  # of every step: it shows that the training was sound
        "data_set_seconds",  # making a data set, or finding it made
    }
)
