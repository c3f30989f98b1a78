"""Where NVIDIA's management library (NVML) comes from: nvidia-ml-py, which the packed agent carries."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def library() -> ModuleType:
    """Return nvidia-ml-py: the copy in the agent's archive, else the installed one. Raises ImportError."""
    try:
        return import_module("harness.agent.pynvml")
    except ImportError:
        return import_module("pynvml")
