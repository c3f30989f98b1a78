"""What differs between platforms, side by side."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.analysis.confounders import (
    Controls,
    differences,
    environments,
    flat,
    inspection_warnings,
    judge_control,
)
from harness.analysis.estimate import Estimate
from harness.results.bundle import read
from tests.synthetic import write_bundle


def test_facts_become_their_values() -> None:
    inspection = {
        "cpu.model": {"value": "Fast", "source": "/proc/cpuinfo"},
        "cpu.governor": {"value": None, "source": "/sys", "error": "missing"},
        "cpu.smt": {"value": False, "source": "/sys"},
        "system.mitigations": {"value": {"meltdown": "PTI"}, "source": "/sys"},
        "python.flags": {"value": ["-O3", "-g"], "source": "sysconfig"},
        "gpu.devices": {"value": [{"name": "GPU", "uuid": "GPU-1"}], "source": "NVML"},
        "gpu.none": {"value": [], "source": "NVML"},
    }
    assert flat(inspection) == {
        "cpu.model": "Fast",
        "cpu.smt": "no",
        "system.mitigations.meltdown": "PTI",
        "python.flags": "-O3, -g",
        "gpu.devices.0.name": "GPU",
        "gpu.devices.0.uuid": "GPU-1",
    }


def test_plain_nested_data_are_flattened_too() -> None:
    assert flat({"a": {"b": 1}, "c": "x" * 500}) == {"a.b": "1", "c": "x" * 199 + "…"}


def test_only_what_differs_is_shown() -> None:
    found = differences(
        {
            "native": {"python.version": "3.11.2", "cpu.model": "Fast", "system.boot_id": "1"},
            "docker": {"python.version": "3.11.9", "cpu.model": "Fast", "system.boot_id": "2", "cgroup.cpus": "0.5"},
            "silent": {},
        }
    )
    assert found == {
        "cgroup.cpus": {"native": "", "docker": "0.5"},
        "python.version": {"native": "3.11.2", "docker": "3.11.9"},
    }


def estimate(low: float | None, high: float | None) -> Estimate:
    if low is None or high is None:
        return Estimate(log_ratio=0.0, low=None, high=None, spread=None, blocks=1)
    middle = (math.log(low) + math.log(high)) / 2
    return Estimate(log_ratio=middle, low=math.log(low), high=math.log(high), spread=0.01, blocks=8)


@pytest.mark.parametrize(
    ("low", "high", "comparable", "remark"),
    [
        (0.99, 1.01, True, ""),
        (1.0, 1.019, True, ""),
        (1.021, 1.05, False, "differs: 1.035 [1.021, 1.050]"),
        (0.45, 0.55, False, "differs"),
        (0.99, 1.03, True, "cannot tell within 2%"),
        (0.5, 2.0, True, "cannot tell within 2%"),
        (None, None, True, "has no interval"),
    ],
)
def test_the_control_decides_what_is_comparable(
    low: float | None, high: float | None, comparable: bool, remark: str
) -> None:
    control = judge_control([estimate(low, high)])
    assert control.comparable is comparable
    assert remark in "".join(control.remarks)
    assert bool(control.remarks) is bool(remark)


def test_the_worst_control_counts() -> None:
    assert not judge_control([estimate(0.99, 1.01), estimate(1.9, 2.1)]).comparable


EQUAL, SLOWER = estimate(0.995, 1.005), estimate(1.9, 2.1)


@pytest.mark.parametrize(
    ("cpu", "gpu", "on_cpu", "on_gpu"),
    [(EQUAL, EQUAL, True, True), (SLOWER, EQUAL, False, False), (EQUAL, SLOWER, True, False)],
)
def test_what_ran_on_a_gpu_is_judged_by_both_controls_all_else_by_the_cpus(
    cpu: Estimate, gpu: Estimate, on_cpu: bool, on_gpu: bool
) -> None:
    controls = Controls()
    controls.add("control.fma", "fma_seconds", cpu)
    controls.add("control.fma", "clock_seconds", SLOWER)
    controls.add("control.fma_device[samples=5]", "device_fma_seconds", gpu)
    controls.add("driver.launch", "launch_slope_seconds", SLOWER)
    assert (controls.judge("cpu").comparable, controls.judge("cuda:0").comparable) == (on_cpu, on_gpu)
    assert any("control.fma_device differs" in remark for remark in controls.judge("cuda:0").remarks) == (
        on_cpu > on_gpu
    )


def test_a_gpus_control_that_is_missing_is_said_of_what_ran_there() -> None:
    controls = Controls()
    controls.add("control.fma", "fma_seconds", EQUAL)
    assert controls.judge("cpu").remarks == ()
    (remark,) = controls.judge("cuda:0").remarks
    assert remark == "control.fma_device was not measured on both: an equal clock is not assured"


def test_a_small_difference_for_sure_is_not_hidden_by_a_larger_doubtful_one() -> None:
    assert not judge_control([estimate(1.03, 1.05), estimate(0.5, 2.5)]).comparable


def test_what_changes_from_one_moment_to_the_next_is_no_difference() -> None:
    gpu = {"uuid": "GPU-1", "graphics_clock_hz": 1e9, "pcie_generation": 1, "max_pcie_generation": 5}
    other = {**gpu, "graphics_clock_hz": 2e9, "pcie_generation": 5, "max_pcie_generation": 4}
    found = differences(
        {
            "native": flat({"gpu.devices": {"value": [gpu], "source": "NVML"}, "storage.a.free_inodes": 1}),
            "docker": flat({"gpu.devices": {"value": [other], "source": "NVML"}, "storage.a.free_inodes": 2}),
        }
    )

    assert set(found) == {"gpu.devices.0.max_pcie_generation"}


def test_of_a_failed_inspection_counts_what_the_platform_told_all_the_same(tmp_path: Path) -> None:
    bundle = read(write_bundle(tmp_path / "bundle", platforms={"docker": 1.0}, blocks=2, samples=2))
    inspected = {"system.kernel": {"value": "6.1", "source": "uname"}}
    failed = {
        "inspection": {"value": None, "source": "agent", "error": "out of time"},
        "vm.stand_in": {"value": "emulated by TCG", "source": "QEMU"},
    }
    records = bundle.manifest.platforms
    platforms = {
        "native": records["native"].model_copy(update={"inspection": inspected}),
        "docker": records["docker"].model_copy(update={"inspection": failed}),
    }
    manifest = bundle.manifest.model_copy(update={"platforms": platforms})
    found = environments(manifest)
    assert found["docker"] == {"inspection": "failed", "vm.stand_in": "emulated by TCG"}
    assert differences(found) == {}, "what is not told is not known to differ"
    assert list(inspection_warnings(manifest)) == [
        "docker could not be inspected, so what differs from it is not known: out of time"
    ]
    ranked = analyse(replace(bundle, manifest=manifest)).comparability
    assert [(one.key, one.rank) for one in ranked if not one.key.startswith("versions.")] == [
        ("vm.stand_in", "decisive")
    ]
