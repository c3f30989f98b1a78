"""A made-up document in which every picture of the page has data. Nothing in it was measured.

python -m tests.report.full FOLDER      writes the page and its report.json, to look at
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from harness.agent.messages import write_json
from harness.analysis.analyse import analyse
from harness.analysis.document import DistributionRecord, Document, ExclusionRecord, Scalar
from harness.analysis.report_json import report_json
from harness.report.build import render
from harness.results.bundle import read
from tests.synthetic import write_bundle

BLOCKS = 6
SLOWER = {"native": 1.0, "docker": 1.04, "docker-half": 1.6}
GUEST = "guest"
WORKLOAD = {"task": "tf_cnn.trivial", "stack": "tensorflow", "device": "cpu"}


def full(document: Document) -> Document:
    """Return a copy with data for every picture. The document has the platforms of `SLOWER`, native its baseline."""
    made = copy.deepcopy(document)
    random = np.random.default_rng(1)
    made["platforms"].append(GUEST)
    made["platform_records"][GUEST] = {"kind": "vm", "available": True, "reason": ""}
    made["distributions"] += [*_by_size(random), *_in_a_guest(random), *_strips(random)]
    made["distributions"][-1]["unsteady"] = [2]
    wide = cast("dict[str, Any]", made)
    wide["attribution"] = [_attributed(name) for name in SLOWER if name != "native"]
    wide["dose_response"] = [_dose("docker"), _dose("docker-half", reason="all tasks have as many launches")]
    wide["stalls"] = [_stall(number, name) for number, name in enumerate(SLOWER)]
    wide["comparability"] = _ranked()
    wide["telemetry"] = [_telemetry(random, name) for name in SLOWER]
    made["exclusions"] = [_excluded(block) for block in (2, 3)]
    for number, record in enumerate(made["comparisons"][:6]):
        record["percentiles"] = [
            {"percent": 95, "slowdown": record["slowdown"] * 1.1, "ci95": [1.01, 1.2 + number / 10], "reason": ""},
            {"percent": 99, "slowdown": None, "ci95": [None, None], "reason": "7 invocations: 10 are the fewest"},
        ]
        record["p_holm"] = 0.0004 if number % 2 else 0.021
    made["regressions"] = list(range(4))
    for claim in cast("list[dict[str, Any]]", made["claims"]):
        _judge(claim)
    return made


def _in_a_guest(random: np.random.Generator) -> Iterator[DistributionRecord]:
    """Yield what a GPU did on the baseline and in a virtual machine."""
    for name in ("native", GUEST):
        for sync, seconds in (("spin", 7e-6), ("blocking", 2.6e-5)):
            made = distribution("driver.sync", "round_trip_seconds", name, _around(random, seconds), {"sync": sync})
            made["device"] = "cuda:0"
            yield made


def _judge(claim: dict[str, Any]) -> None:
    claim |= {
        "verdict": "depends",
        "rule": "Supported where every comparison is slower by the factor, refuted where none is, else it depends.",
        "reason": "docker is slower and docker-half is not.",
        "parts": [
            {"name": "small_files", "verdict": "supported", "comparisons": [1], "decisive": 1, "reason": "4 of 4"}
        ],
        "would_change": "An interval that lies above 1 on a machine of another kind.",
        "comparisons": [0, 1, 2, 3, 8, 9],
        "decisive": 1,
        "factor": 2.0 if claim["id"] == "headline" else None,
        "evidence": [f"storage.small_files, number {number}: docker costs more" for number in range(14)],
    }


def distribution(
    task: str,
    metric: str,
    platform: str,
    medians: list[float],
    dims: Mapping[str, Scalar] | None = None,
    *,
    unit: str = "s",
    stack: str = "driver",
) -> DistributionRecord:
    """Return one distribution, of block 1 and on."""
    return DistributionRecord(
        task=task,
        metric=metric,
        dims=dict(dims or {}),
        unit=unit,
        stack=stack,
        device="cpu",
        platform=platform,
        blocks=list(range(1, len(medians) + 1)),
        medians=medians,
        samples=len(medians) * 50,
        warmup=[5, *[8] * (len(medians) - 1)],
        unsteady=[],
        unchecked=[],
    )


def _around(random: np.random.Generator, value: float, sigma: float = 0.02) -> list[float]:
    return [float(each) for each in value * np.exp(random.normal(0, sigma, BLOCKS))]


def _by_size(random: np.random.Generator) -> Iterator[DistributionRecord]:
    for platform, factor in SLOWER.items():
        for flush in (False, True):
            for power in range(13):
                seconds = 6e-6 + 2**power * (2.2e-6 if not flush else 3.1e-6) * factor
                values = _around(random, seconds)
                yield distribution(
                    "driver.launch", "complete_seconds", platform, values, {"launches": 2**power, "flush": flush}
                )
        for direction, memory in (("h2d", "pinned"), ("d2h", "pinned"), ("h2d", "pageable"), ("d2d", "device")):
            for power in range(2, 31, 2):
                seconds = 8e-6 * factor**2 + 2**power / (26e9 if memory == "pinned" else 9e9)
                dims: dict[str, Scalar] = {"direction": direction, "memory": memory, "bytes": 2**power}
                yield distribution("copies.bandwidth", "copy_seconds", platform, _around(random, seconds), dims)
        for page in (4096, 2 * 2**20):
            for power in range(12, 31, 2):
                seconds = 1.1e-9 * (1 + max(0, power - 14) ** 2 / 2.6) * (factor**0.3 if power > 22 else 1)
                if 2**power >= page:
                    values = _around(random, seconds)
                    dims = {"working_set": 2**power, "page_bytes": page}
                    yield distribution("memory.latency", "load_seconds", platform, values, dims)


def _strips(random: np.random.Generator) -> Iterator[DistributionRecord]:
    places = {"native": ("host", "tmpfs"), "docker": ("overlay", "bind", "tmpfs"), "docker-half": ("overlay", "bind")}
    for platform, factor in SLOWER.items():
        for place in places[platform]:
            slow = factor * (4.2 if place == "bind" else 1.0)
            for source in ("jpeg", "tfrecord"):
                for workers in (0, 2):
                    rate = _around(random, 800 * (1 + workers) / slow)
                    dims: dict[str, Scalar] = {"location": place, "source": source, "workers": workers, "cache": "warm"}
                    task = "storage.loader"
                    yield distribution(
                        task, "samples_per_second", platform, rate, dims, unit="samples/s", stack="torch"
                    )
            values = _around(random, 2.4 * slow)
            yield distribution("tooling.install", "install_seconds", platform, values, {"location": place})
        yield distribution(
            "tooling.import", "import_seconds", platform, _around(random, 1.9 * factor), {"cache": "warm"}
        )
        yield distribution(
            "torch_cnn.resnet50", "step_seconds", platform, _around(random, 0.42 * factor), stack="torch"
        )


def _attributed(platform: str) -> dict[str, Any]:
    parts = {"launch": 2.1e-4, "sync": 4.0e-5, "copy_latency": 3.0e-5, "copy_bandwidth": 8e-5, "file": -2e-5}
    causes = [_cause(name, seconds) for name, seconds in parts.items()]
    unknown = {
        **_cause("allocation", 0.0),
        "seconds": None,
        "ci95": [None, None],
        "reason": "no copies.allocation here",
    }
    return {
        **WORKLOAD,
        "baseline": "native",
        "platform": platform,
        "step_seconds": 0.012,
        "gap_seconds": 4.1e-4,
        "gap_ci95": [3.4e-4, 4.8e-4],
        "comparable": True,
        "causes": [*causes, unknown, _cause("unexplained", 7e-5)],
        "remarks": ["launches are counted as if the device's work hid none of them"],
    }


def _dose(platform: str, *, agrees: bool | None = True, reason: str = "") -> dict[str, Any]:
    return {
        "platform": platform,
        "baseline": "native",
        "stack": "tensorflow",
        "device": "cpu",
        "slope_seconds": None if reason else 1.31e-6,
        "ci95": [None, None] if reason else [1.1e-6, 1.52e-6],
        "probe_seconds": 1.3125e-6,
        "probe_ci95": [1.2e-6, 1.4e-6],
        "agrees": None if reason else agrees,
        "points": [{"task": f"tf_cnn.{number}", "launches": 160.0, "gap_seconds": 4.1e-4} for number in range(3)],
        "reason": reason,
    }


def _cause(name: str, seconds: float) -> dict[str, Any]:
    return {
        "cause": name,
        "seconds": seconds,
        "ci95": [seconds - 2.5e-5, seconds + 2.5e-5],
        "count": 160.0,
        "cost_seconds": seconds / 160,
        "probe": "driver.launch launch_slope_seconds",
        "bounds": [0.0, seconds] if name == "launch" else None,
        "reason": "",
    }


def _stall(number: int, platform: str) -> dict[str, Any]:
    share = 0.06 + 0.11 * number
    return {
        **WORKLOAD,
        "platform": platform,
        "share": share,
        "ci95": [share - 0.02, share + 0.02],
        "synthetic_seconds": 0.012,
        "real_seconds": 0.012 / (1 - share),
    }


def _ranked() -> list[Mapping[str, str]]:
    def record(platform: str, key: str, rank: str, ours: str, theirs: str, why: str) -> dict[str, str]:
        return {
            "platform": platform,
            "baseline": "native",
            "key": key,
            "rank": rank,
            "baseline_value": ours,
            "platform_value": theirs,
            "why": why,
        }

    return [
        record("docker-half", "cgroup.cpus", "decisive", "unlimited", "0.5", "half a processor is another machine"),
        record("docker", "python.version", "relevant", "3.11.2", "3.11.9", "another build of the interpreter"),
        record("docker", "system.libc", "noted", "glibc 2.36", "glibc 2.41", "the workload does not depend on it"),
    ]


def _telemetry(random: np.random.Generator, platform: str) -> dict[str, Any]:
    times = [round(0.1 * number, 4) for number in range(120)]
    busy = [float(value) for value in np.clip(random.normal(93 - 12 * SLOWER[platform], 4, len(times)), 0, 100)]
    clock = [1.98e9 - 1e7 * (number > 40) for number in range(len(times))]
    return {
        **WORKLOAD,
        "platform": platform,
        "block": BLOCKS,
        "times": times,
        "columns": {
            "gpu.utilization_percent": [None, *busy[1:]],
            "gpu.sm_clock_hz": clock,
            "gpu.power_watts": [240 + 3.5 * value for value in busy],
            "cpu_busy": [None, *(1.1 * SLOWER[platform] for _ in times[1:])],
        },
        "medians": {
            "gpu.utilization_percent": _around(random, 93 - 12 * SLOWER[platform]),
            "gpu.power_watts": _around(random, 520.0),
        },
    }


def _excluded(block: int) -> ExclusionRecord:
    return ExclusionRecord(
        platform="docker",
        stack="tensorflow",
        task="tf_cnn.trivial",
        device="cpu",
        block=block,
        attempt=1,
        cause="throttled: hardware lowered the GPU's clock for 31% of the time",
    )


def main() -> None:
    """Write the page of the made-up document."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        platforms = {name: factor for name, factor in SLOWER.items() if name != "native"}
        bundle = read(write_bundle(Path(place) / "bundle", platforms=platforms, blocks=BLOCKS, samples=30))
        document = full(report_json(analyse(bundle), bundle))
    document["environments"]["native"]["cpu.stand_in"] = "a made-up document: nothing here was measured"
    write_json(folder / "report.json", document)
    (folder / "index.html").write_text(render(document), encoding="utf-8")


if __name__ == "__main__":
    main()
