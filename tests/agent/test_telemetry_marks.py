from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.nvml_library import library
from harness.agent.telemetry import marks as rules
from harness.agent.telemetry.marks import marks, warnings


def record(*, steal: float = 0.0, user: float = 10.0, waited: float = 0.0, seconds: float = 10.0) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "cpu_seconds": {"user": user, "idle": 1000.0, "steal": steal},
        "pressure_seconds": {"cpu.some": waited},
    }


def samples(**shares: float) -> dict[str, Any]:
    """Shares by bit, `bit_8=0.5`."""
    found = {name.removeprefix("bit_"): share for name, share in shares.items()}
    return {"clock_event_shares": {"gpu0.clock_event_reasons": found}, "gpus": {"gpu0": "GPU-1"}}


@pytest.mark.parametrize("bit", [0x8, 0x20, 0x40, 0x80])
def test_hardware_heat_and_power_brake_throttle(bit: int) -> None:
    found = marks(record(), samples(**{f"bit_{bit}": 0.5}))

    assert [(mark["name"], mark["share"], mark["gpu"]) for mark in found] == [("throttled", 0.5, "GPU-1")]
    [warning] = warnings(found)
    assert "GPU-1" in warning
    assert "50%" in warning


@pytest.mark.parametrize("bit", [0x1, 0x2, 0x10, 0x100])
def test_idle_settings_and_display_do_not(bit: int) -> None:
    assert marks(record(), samples(**{f"bit_{bit}": 1.0})) == []


def test_a_power_cap_is_a_mark_and_no_warning() -> None:
    found = marks(record(), samples(bit_4=1.0))

    assert [mark["name"] for mark in found] == ["power_capped"]
    assert warnings(found) == ()


@pytest.mark.parametrize(("low", "high", "marked"), [(3, 5, ["ecc"]), (3, 3, [])])
def test_memory_errors_during_the_task_are_a_mark_and_those_before_are_not(
    low: float, high: float, marked: list[str]
) -> None:
    summary = {"gpu0.ecc_errors": {"min": low, "median": low, "max": high}, "gpu0.power_watts": {"min": 1, "max": 2}}
    found = marks(record(), {"summary": summary, "gpus": {"gpu0": "GPU-1"}})

    assert [mark["name"] for mark in found] == marked
    assert [("GPU-1 counted 2 memory errors" in warning) for warning in warnings(found)] == [True] * len(marked)


def test_a_moment_is_not_enough() -> None:
    assert marks(record(), samples(bit_64=rules.CLOCK_SHARE)) == []


def test_the_bits_are_those_of_the_library() -> None:
    real = library()
    named = [
        real.nvmlClocksEventReasonSwThermalSlowdown,
        real.nvmlClocksThrottleReasonHwSlowdown,
        real.nvmlClocksThrottleReasonHwThermalSlowdown,
        real.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    ]
    assert sorted(named) == sorted(rules.THROTTLING)
    assert (real.nvmlClocksEventReasonSwPowerCap,) == rules.POWER_CAP


def test_stolen_time_counts_against_what_was_wanted_not_against_idle_processors() -> None:
    [mark] = marks(record(steal=1.0, user=9.0), {})

    assert (mark["name"], mark["share"]) == ("contended", 0.1)
    assert "stolen" in mark["rule"]
    assert marks(record(steal=0.1, user=10.0), {}) == []
    assert marks(record(steal=0.04, user=0.1, seconds=0.1), {}) == []  # four ticks of the kernel's count


def test_waiting_for_a_processor_is_contention() -> None:
    [mark] = marks(record(waited=2.5), {})

    assert (mark["name"], mark["share"]) == ("contended", 0.25)
    assert "cpu.some" in mark["rule"]
    assert marks(record(waited=0.5), {}) == []


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1e-6, 1e6), st.floats(0, 1))
def test_a_mark_always_states_a_share_and_its_rule(steal: float, user: float, seconds: float, bit: float) -> None:
    for mark in marks(record(steal=steal, user=user, waited=seconds * bit, seconds=seconds), samples(bit_8=bit)):
        assert 0 < mark["share"] <= 1.000001
        assert mark["rule"]


def test_without_a_quota_there_are_no_periods() -> None:
    assert marks({**record(), "quota_periods": {"all": 0, "used_up": 0}}, {}) == []


def test_what_was_not_recorded_marks_nothing() -> None:
    assert marks({"seconds": 1.0}, {"error": "no child process could be started"}) == []


@pytest.mark.parametrize(("used_up", "marked"), [(100, [("quota", 1.0)]), (50, [("quota", 0.5)]), (2, []), (0, [])])
def test_a_quota_that_was_used_up_is_a_mark_and_no_warning(used_up: int, marked: list[tuple[str, float]]) -> None:
    """The throttled time, that of all processors together, may be longer than the task."""
    periods = {"all": 100, "used_up": used_up}
    found = marks({**record(seconds=10.0), "throttled_seconds": 25.0, "quota_periods": periods}, {})

    assert [(mark["name"], mark["share"]) for mark in found] == marked
    assert warnings(found) == ()
