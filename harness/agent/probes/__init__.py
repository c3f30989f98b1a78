"""Probes: one module a claim, each measuring one mechanism."""
