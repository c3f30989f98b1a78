"""A made-up Windows with WSL: a folder with a stand-in wsl.exe for PATH, its distributions, a user's profile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("wsl_stand_in.py")
NAME = "Debian"
PACKAGE = """\
WSL version: 2.6.1.0
Kernel version: 6.6.87.2-1
WSLg version: 1.0.66
MSRDC version: 1.2.6353
Direct3D version: 1.611.1-81528511
DXCore version: 10.0.26100.1-240331-1435.ge-release
Windows version: 10.0.26200.6584"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """`folder` holds all of it; `root` is the tree that its distributions run in, None where none is started."""

    folder: Path
    root: Path | None = None

    def set_up(self) -> Machine:
        for name in ("bin", "home", "profile", "drive/Windows/Temp"):
            (self.folder / name).mkdir(parents=True)
        program = self.folder / "bin" / "wsl.exe"
        program.write_text(f"#!{sys.executable} -I\n{PROGRAM.read_text('utf-8')}", encoding="utf-8")
        program.chmod(0o755)
        self.change(
            distributions={NAME: self.distribution()},
            fault="",
            start_fault="",
            package=PACKAGE,
            knows_utf8=True,
            delay=0,
            start_seconds=0,
            idle_seconds=0,
        )
        return self

    def distribution(self, **changes: object) -> dict[str, Any]:
        values = {
            "version": 2,
            "state": "",
            "root": str(self.root),
            "home": str(self.folder / "home"),
            "home_kib": 0,
            "drive": str(self.folder / "drive"),
        }
        return values | changes

    def change(self, **values: object) -> None:
        path = self.folder / "state.json"
        before = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps(before | values), encoding="utf-8")

    @property
    def environ(self) -> dict[str, str]:
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {
            **os.environ,
            "PATH": path,
            "WSL_STAND_IN": str(self.folder),
            "USERPROFILE": str(self.folder / "profile"),
        }

    def wsl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["wsl.exe", *arguments], env=self.environ, capture_output=True, check=False)

    def calls(self) -> str:
        return (self.folder / "calls").read_text("utf-8")

    def stop(self) -> None:
        for name in json.loads((self.folder / "state.json").read_text("utf-8"))["distributions"]:
            self.change(fault="", start_fault="", delay=0)
            self.wsl("--terminate", name)

    @property
    def cache(self) -> Path:
        """The harness's folder in the distribution, seen from outside."""
        return self.folder / "home" / ".cache" / "overhead-matrix"
