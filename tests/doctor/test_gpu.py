"""The GPU's checks and its one setting against the simulated driver, in processes that load it as the harness does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.simulated.driver import SimulatedDriver

ROOT = Path(__file__).parents[2]
LOOK = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from harness.doctor.report import diagnose
found = diagnose(Path(sys.argv[1])).findings
print(json.dumps([asdict(each) for each in found if each.id.startswith("gpu.")]))
"""
ROUND_TRIP = """
import json, sys
from pathlib import Path
from harness.agent.inspection import gpu
from harness.agent.inspection.facts import Files
from harness.doctor.fix import Fixer, fix
from harness.doctor.restore import restore
from harness.doctor.settings import PersistenceMode
from tests.doctor.trees import complaint

devices = gpu.inspect()["devices"]
settings = [PersistenceMode(where=each["uuid"]) for each in devices["value"]]
fixer, files, note = Fixer(Files(), {"gpu.devices": devices}), Files(), Path(sys.argv[1]) / "note.json"

def held():
    return [each.read() for each in settings]

def said(steps):
    return [[step.said, step.failed] for step in steps]

before = held()
fixed = said(fix([complaint("gpu.persistence")], fixer, files=files, note=note, boot="b"))
during = held()
restored = said(restore(files=files, note=note, boot="b"))
print(json.dumps([before, fixed, during, restored, held(), note.exists()]))
"""


def python(code: str, folder: Path, driver: SimulatedDriver) -> Any:  # noqa: ANN401 - JSON
    argv = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(argv, cwd=ROOT, env=driver.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def looked(folder: Path, driver: SimulatedDriver) -> dict[str, tuple[str, str]]:
    """Return id → matter and what was found."""
    found = python(LOOK, folder, driver)
    by_id = {each["id"]: (each["matter"], each["what"]) for each in found}
    assert len(by_id) == len(found)
    return by_id


def test_a_gpu_that_nothing_is_wrong_with(tmp_path: Path) -> None:
    found = looked(tmp_path, SimulatedDriver(throttle=0x2))
    assert found == {}


def test_everything_that_may_be_wrong_with_a_gpu(tmp_path: Path) -> None:
    driver = SimulatedDriver(
        display=1, persistence=0, processes=2, temperature_c=85, slowdown_c=90, ecc=0, ecc_pending=1, throttle=0x1
    )
    assert looked(tmp_path, driver) == {
        "gpu.processes": ("decisive", "2 process(es) compute on GPU 0 (Simulated GPU): pid 1000001, pid 1000002"),
        "gpu.display": ("relevant", "GPU 0 (Simulated GPU) drives a display"),
        "gpu.heat": ("relevant", "GPU 0 (Simulated GPU) has 85 °C, it is slowed at 90 °C"),
        "gpu.persistence": ("relevant", "GPU 0 (Simulated GPU) is not in persistence mode"),
        "gpu.ecc": ("relevant", "GPU 0 (Simulated GPU) has ECC off, and on from the next reset on"),
        "gpu.clocks": (
            "noted",
            "nothing shows that GPU 0 (Simulated GPU) has its clocks locked (the driver does not tell)",
        ),
    }


def test_what_the_driver_does_not_support_is_nothing_what_it_fails_to_say_is_unknown(tmp_path: Path) -> None:
    lacking = SimulatedDriver(throttle=0x2, ecc=-1, persistence=-1, display=-1, slowdown_c=-1)
    assert looked(tmp_path, lacking) == {}
    failing = SimulatedDriver(throttle=0x2, fail=("nvmlDeviceGetEccMode:999", "nvmlDeviceGetTemperature:15"))
    found = looked(tmp_path, failing)
    assert {name: matter for name, (matter, _) in found.items()} == {"gpu.ecc": "unknown", "gpu.heat": "unknown"}
    assert found["gpu.heat"][1].endswith("can't be asked for celsius: GPU is lost")


def test_a_driver_that_crashes_leaves_unknowns(tmp_path: Path) -> None:
    found = looked(tmp_path, SimulatedDriver(crash=("nvmlDeviceGetTemperatureThreshold",)))
    assert found["gpu.processes"][0] == found["gpu.heat"][0] == found["gpu.ecc"][0] == "unknown"
    assert "NVML could not be asked" in found["gpu.heat"][1]


def test_persistence_mode_is_switched_on_and_put_back(tmp_path: Path) -> None:
    before, fixed, during, restored, after, noted = python(ROUND_TRIP, tmp_path, SimulatedDriver(persistence=0))
    assert (before, during, after) == (["0"], ["1"], ["0"])
    assert fixed == [["0 → 1", False]]
    assert restored == [["1 → 0", False]]
    assert not noted


def test_a_driver_that_refuses_it_is_told(tmp_path: Path) -> None:
    driver = SimulatedDriver(persistence=0, fail=("nvmlDeviceSetPersistenceMode:4",))
    _, fixed, during, restored, _, noted = python(ROUND_TRIP, tmp_path, driver)
    assert fixed == [["not changed: Insufficient Permissions", True]]
    assert during == ["0"]
    assert restored == [["holds 0 already, as before", False]]
    assert not noted
