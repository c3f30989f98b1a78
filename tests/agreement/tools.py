"""The independent tools: the commands, and what their output says. Parsers raise ValueError for what they can't read.

Values are seconds and bytes per second.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

LIMIT = 300.0  # seconds for one call
MIB = 2**20


def run(argv: Sequence[str | Path], *, environ: Mapping[str, str] | None = None) -> str:
    """Return what a tool prints on stdout. Raises CalledProcessError with its stderr if it fails."""
    return subprocess.run(
        [str(part) for part in argv],
        check=True,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=environment(environ),
    ).stdout


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a tool that is to print in English."""
    return {**os.environ, "LC_ALL": "C", **(more or {})}


def hyperfine(
    command: Sequence[str | Path],
    *,
    runs: int,
    warmup: int = 1,
    prepare: Sequence[str | Path] = (),
    environ: Mapping[str, str] | None = None,
) -> float:
    """Return the median seconds of a command, started without a shell."""
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder, "times.json")
        before = ("--prepare", _text(prepare)) if prepare else ()
        options = ("-N", "--style", "none", "--warmup", str(warmup), "--runs", str(runs), "--export-json", exported)
        run(["hyperfine", *options, *before, _text(command)], environ=environ)
        return hyperfine_median(exported.read_text(encoding="utf-8"))


def hyperfine_median(text: str) -> float:
    """Read the median seconds of the only command in hyperfine's JSON."""
    (result,) = json.loads(text)["results"]
    return float(result["median"])


def stress_ng_seconds(text: str, stressor: str) -> float:
    """Read the real seconds of one operation from `stress-ng --metrics-brief`."""
    return 1 / _number(rf"metrc: \[\d+\] {stressor} +\d+ +[\d.]+ +[\d.]+ +[\d.]+ +([\d.]+)", text)


def mbw_bandwidth(text: str) -> float:
    """Read mbw's average: bytes copied a second, each counted once."""
    return _number(r"AVG\tMethod: \w+\t.*Copy: ([\d.]+) MiB/s", text) * MIB


def stream_triad_bandwidth(text: str) -> float:
    """Read STREAM's rate of the triad in its average time: of many threads the best is what a shared host left once."""
    rate, average, least = (_number(rf"^Triad:(?: +[\d.]+){{{skip}}} +([\d.]+)", text) for skip in range(3))
    return rate * 1e6 * least / average


def fio_median(text: str) -> float:
    """Read the median seconds of one operation of fio's file engines, which count as reads."""
    (job,) = json.loads(text)["jobs"]
    return float(job["read"]["clat_ns"]["percentile"]["50.000000"]) / 1e9


def nvbandwidth_rate(text: str, test: str) -> float:
    """Read the bandwidth of a test with one GPU from `nvbandwidth --json`."""
    tests = json.loads(text)["nvbandwidth"]["testcases"]
    found = next((each for each in tests if each["name"] == test), None)
    if found is None or found.get("status") != "Passed":
        raise ValueError(f"nvbandwidth: {test}: {found.get('status') if found else 'not run'}")
    return float(found["bandwidth_matrix"][0][0]) * 1e9


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {pattern!r} in {text.strip()[:200]!r}")
    return float(found[1])


def _text(command: Sequence[str | Path]) -> str:
    return shlex.join([str(part) for part in command])
