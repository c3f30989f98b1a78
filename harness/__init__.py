"""Overhead Matrix: how much a platform costs the same workload, by which mechanism, and how sure that is."""

__version__ = "0.1.0"
