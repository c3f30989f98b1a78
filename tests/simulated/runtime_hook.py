#!/usr/bin/env python3
"""A stand-in for NVIDIA's container runtime hook: puts the simulated driver into a container that asks for GPUs.

A Docker daemon offers `--gpus` if a program `nvidia-container-runtime-hook` is on its PATH, and has it called before
such a container starts: with the container's state as JSON on stdin, its root file system mounted, and the request in
the container's environment. This one copies the libraries and the file of planted values that lie beside it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

LIBRARIES = {"compute": "libcuda.so.1", "utility": "libnvidia-ml.so.1"}
SETTINGS = "simulated-gpu"
# Where dynamic loaders look without being told, the first that there is: Debian's, Fedora's, others'.
FOLDERS = ("usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib")


def main() -> str | None:
    """Serve one container; return what went wrong, which the engine shows."""
    if sys.argv[1:] != ["prestart"]:
        return f"simulated hook: called with {sys.argv[1:]}, not prestart"
    bundle = Path(json.load(sys.stdin)["bundle"])
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    environment = dict(entry.split("=", 1) for entry in config["process"]["env"] if "=" in entry)
    devices = environment.get("NVIDIA_VISIBLE_DEVICES", "void")
    if devices in {"", "void", "none"}:
        return None
    if devices != "all":
        return f"simulated hook: NVIDIA_VISIBLE_DEVICES={devices}: only `all` is simulated"
    inject(bundle / config["root"]["path"], environment)
    return None


def inject(root: Path, environment: Mapping[str, str]) -> None:
    """Copy what the capabilities ask for; the real hook's default is both."""
    named = environment.get("NVIDIA_DRIVER_CAPABILITIES") or "utility,compute"
    wanted = LIBRARIES if named == "all" else {name for name in named.split(",") if name in LIBRARIES}
    folder = next(root / each for each in FOLDERS if (root / each).is_dir())
    for name in (SETTINGS, *(LIBRARIES[each] for each in wanted)):
        shutil.copy(Path(__file__).parent / name, folder / name)


if __name__ == "__main__":
    sys.exit(main())
