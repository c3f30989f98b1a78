from __future__ import annotations

from harness.agent.messages import CellResult, Status
from harness.analysis.links import with_loaded_links


def invocation(
    platform: str, *, generation: float, width: float, device: str = "cuda:0", status: Status = "ok"
) -> CellResult:
    """One whose telemetry saw these at most; its link was asleep at first."""
    summary = {
        "gpu0.pcie_generation": {"min": 1, "median": 1, "max": generation},
        "gpu0.pcie_width": {"min": 1, "median": width, "max": width},
        "gpu0.power_watts": {"min": 1, "median": 1, "max": 1},
    }
    return CellResult(
        cell=f"{platform}/driver/x",
        platform=platform,
        stack="driver",
        task="x",
        params={},
        device=device,
        block=1,
        attempt=1,
        status=status,
        reason="" if status == "ok" else "it broke",
        telemetry={"samples": {"summary": summary}},
    )


def test_the_highest_link_under_load_is_a_platforms() -> None:
    found = with_loaded_links(
        {"native": {"cpu.model": "x"}, "wsl": {}, "docker": {"gpu.devices.0.name": "g"}},
        [
            invocation("native", generation=4, width=8),
            invocation("native@2", generation=3, width=16),
            invocation("wsl", generation=3, width=8),
            invocation("docker", generation=5, width=16, status="failed"),
            invocation("docker", generation=5, width=16, device="cpu"),
        ],
    )
    assert found == {
        "native": {
            "cpu.model": "x",
            "gpu.devices.0.loaded_pcie_generation": "4",
            "gpu.devices.0.loaded_pcie_width": "16",
        },
        "wsl": {"gpu.devices.0.loaded_pcie_generation": "3", "gpu.devices.0.loaded_pcie_width": "8"},
        "docker": {"gpu.devices.0.name": "g"},
    }


def test_telemetry_of_another_form_says_nothing() -> None:
    odd = invocation("native", generation=4, width=8)
    for telemetry in (
        {},
        {"samples": None},
        {"samples": {"summary": 1}},
        {"samples": {"summary": {"gpu0.pcie_width": 3}}},
    ):
        changed = CellResult(**{**vars(odd), "telemetry": telemetry})
        assert with_loaded_links({"native": {}}, [changed]) == {"native": {}}
