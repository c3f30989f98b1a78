"""Workloads: end-to-end training and inference."""
