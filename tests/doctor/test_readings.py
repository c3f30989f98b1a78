"""What is read of the moment: from planted trees, from this machine, and by a planted powercfg."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.agent.inspection.facts import Files
from harness.doctor import sensors
from harness.doctor.fix import Fixer, fix
from harness.doctor.note import read_note
from harness.doctor.processes import Process, Watch, parse_tasklist
from harness.doctor.readings import gather
from harness.doctor.report import diagnose, mend, undo
from harness.doctor.restore import restore
from harness.doctor.settings import PowerPlan
from harness.doctor.windows import HIGH_PERFORMANCE
from tests.agent.planted import busy_cpu
from tests.agent.trees import tree, values
from tests.doctor.trees import CHOICES, complaint, complaints, plant
from tests.doctor.trees import values as settings


def test_what_the_processors_worked_is_a_share_of_their_time() -> None:
    assert sensors.busy((100.0, 300.0), (101.0, 303.0)) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="no time has passed"):
        sensors.busy((1.0, 1.0), (1.0, 1.0))


ZONE = "/sys/class/thermal/thermal_zone"


def test_the_moment_is_read(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "/proc/loadavg": "1.25 0.80 0.50 2/300 4242\n",
            "/proc/pressure/cpu": "some avg10=12.50 avg60=1.00 avg300=0.00 total=123\n",
            "/proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=3.00 total=0\n",
            "/proc/pressure/io": "some avg10=0.10 avg60=0.00 avg300=0.00 total=0\n",
            "/proc/meminfo": "MemTotal: 100 kB\nSwapTotal: 2048 kB\nSwapFree: 1024 kB\n",
            f"{ZONE}0/type": "x86_pkg_temp\n",
            f"{ZONE}0/temp": "61500\n",
            f"{ZONE}0/trip_point_0_temp": "95000\n",
            f"{ZONE}0/trip_point_0_type": "passive\n",
            f"{ZONE}0/trip_point_1_temp": "50000\n",
            f"{ZONE}0/trip_point_1_type": "active\n",
            f"{ZONE}0/trip_point_2_temp": "-274000\n",
            f"{ZONE}0/trip_point_2_type": "critical\n",
            f"{ZONE}1/type": "acpitz\n",
            f"{ZONE}1/temp": "\n",
            "/sys/class/power_supply/AC/type": "Mains\n",
            "/sys/class/power_supply/AC/online": "0\n",
            "/sys/class/power_supply/BAT0/type": "Battery\n",
            "/sys/class/power_supply/BAT0/status": "Discharging\n",
        },
    )
    assert values(sensors.inspect(files)) == {
        "load.average": 1.25,
        "load.pressure.cpu": 0.125,
        "load.pressure.memory": 0.0,
        "load.pressure.io": 0.001,
        "memory.swapped_bytes": 1024 * 1024,
        "thermal.zones": [
            {"type": "x86_pkg_temp", "celsius": 61.5, "trip": 95.0},
            {"type": "acpitz", "celsius": None, "trip": None},
        ],
        "power.supplies": [
            {"type": "Mains", "scope": "", "status": "", "online": "0"},
            {"type": "Battery", "scope": "", "status": "Discharging", "online": ""},
        ],
    }


def test_what_is_not_there_says_why(tmp_path: Path) -> None:
    facts = sensors.inspect(Files(tmp_path))
    assert facts
    assert all(each["value"] is None and each["error"] for each in facts.values())


def stat(name: str, parent: int, ticks: int, start: int = 7) -> str:
    fields = [0] * 50
    fields[1 - 1], fields[11 - 1], fields[12 - 1], fields[19 - 1] = parent, ticks - 1, 1, start
    return f"1 ({name}) S {' '.join(map(str, fields))}\n"


def test_shares_of_a_processor_without_our_own_family(tmp_path: Path) -> None:
    own = os.getpid()
    before = {
        "/proc/5/stat": stat("odd) name (", 1, 100),
        "/proc/6/stat": stat("reused", 1, 5000),
        f"/proc/{own}/stat": stat("python", 1, 10),
        f"/proc/{own + 1}/stat": stat("child", own, 10),
        f"/proc/{own + 2}/stat": stat("grandchild", own + 1, 10),
        "/proc/self/stat": "no process",
        "/proc/8/stat": "cut",
    }
    watch = Watch(tree(tmp_path, before))
    after = {name: stat(name, 1, ticks, start) for name, ticks, start in (("odd) name (", 120, 7), ("reused", 3, 99))}
    tree(tmp_path, {"/proc/5/stat": after["odd) name ("], "/proc/6/stat": after["reused"]})
    found = {each.name: each.share or 0 for each in watch.fact()["value"]}
    assert found.keys() == {"odd) name (", "reused"}
    assert 0 < found["odd) name ("] <= 20 / 40  # 20 ticks in at least 0.4 s
    assert found["reused"] == pytest.approx(found["odd) name ("] * 3 / 20), (
        "a new process, not 4997 ticks less than none"
    )


def test_a_busy_process_is_seen_on_this_machine() -> None:
    with busy_cpu(0, 1):  # a child of this process: watched as if it were somebody else's
        ours = os.getpid()
        watch = Watch(Files())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            found = watch.fact()["value"]
    assert any(each.pid == ours for each in found)
    assert max(each.share or 0 for each in found) > 0.1
    assert Watch(Files()).fact()["value"], "and others, of course"


def test_windows_list_of_processes() -> None:
    text = (
        '"System Idle Process","0","Services","0","8 K"\r\n'
        '"MsMpEng.exe","3180","Services","0","312,456 K"\r\n'
        '"Name, with comma.exe","42","Console","1","1 K"\r\n\r\n'
    )
    assert parse_tasklist(text) == [
        Process(pid=0, name="System Idle Process", share=None),
        Process(pid=3180, name="MsMpEng.exe", share=None),
        Process(pid=42, name="Name, with comma.exe", share=None),
    ]
    with pytest.raises(ValueError, match="no list"):
        parse_tasklist("INFO: No tasks are running\r\n")


def test_a_planted_machine_from_reading_to_restoring(tmp_path: Path) -> None:
    files = plant(tmp_path / "root")
    tree(
        files.root,
        {
            "/proc/meminfo": "MemTotal: 1000000 kB\nSwapTotal: 2048 kB\nSwapFree: 2048 kB\n",
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
        },
    )
    began = settings(files)
    cache = tmp_path / "cache"
    found = {each.id: each for each in diagnose(cache, files.root).findings or ()}
    assert found["cpu.governor"].what == "the frequency governor is powersave"
    assert {name for name, each in found.items() if each.fixable} == {each.id for each in complaints()}
    assert found["load.average"].matter == "unknown", "a tree without it: not this machine's"

    mended = mend(cache, files.root)
    assert not any(step.failed for step in mended.steps)
    assert settings(files) == {path: choices[1] for path, choices in CHOICES.items()}
    after = {each.id: each for each in mended.findings or ()}
    assert f"{len(CHOICES)} setting(s)" in after["doctor.changes"].what
    assert not {"cpu.turbo", "memory.swappiness"} & after.keys()

    assert not any(step.failed for step in undo(cache, files.root).steps)
    assert settings(files) == began
    assert undo(cache, files.root).steps == ()


def test_a_note_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    files = plant(tmp_path / "root")
    mend(tmp_path, files.root)
    (note,) = (tmp_path / "doctor").glob("*.json")
    note.write_text("{")
    found = {each.id: each for each in diagnose(tmp_path, files.root).findings or ()}
    assert found["doctor.changes"].matter == "unknown"


def test_the_cache_folder_is_looked_at(tmp_path: Path) -> None:
    facts = gather(Path("/"), tmp_path)
    assert facts["storage.cache.filesystem"]["value"]
    assert facts["storage.cache.total_bytes"]["value"] > 0


POWERCFG = """\
#!/bin/sh
case "$1" in
  /getactivescheme) echo "Energieschema-GUID: $(cat "{0}")  (Ausbalanciert)";;
  /setactive)
    test "$2" != "${{REFUSED-}}" || {{ echo "Das Schema ist nicht vorhanden." >&2; exit 1; }}
    echo "$2" > "{0}";;
esac
"""
BALANCED = "381b4222-f694-41f0-9685-ff5bb260df2e"


@pytest.fixture
def active(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for powercfg, which keeps the active scheme in this file and speaks German."""
    scheme = tmp_path / "active"
    scheme.write_text(BALANCED)
    program = tmp_path / "bin" / "powercfg"
    program.parent.mkdir()
    program.write_text(POWERCFG.format(scheme))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return scheme


def test_windows_power_plan_outlives_a_reboot_and_is_put_back(active: Path, tmp_path: Path) -> None:
    files, note = Files(tmp_path), tmp_path / "note.json"
    plan = complaint("windows.power_plan")
    (step,) = fix([plan], Fixer(files, {}), files=files, note=note, boot="boot-1")
    assert step.said == f"{BALANCED} → {HIGH_PERFORMANCE}"
    assert active.read_text().strip() == HIGH_PERFORMANCE
    (step,) = restore(files=files, note=note, boot="boot-2")
    assert step.said == f"{HIGH_PERFORMANCE} → {BALANCED}"
    assert active.read_text().strip() == BALANCED
    assert read_note(note, files) is None


def test_a_power_plan_that_windows_refuses(active: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUSED", HIGH_PERFORMANCE)
    with pytest.raises(OSError, match="Das Schema ist nicht vorhanden"):
        PowerPlan().write(HIGH_PERFORMANCE)
    active.write_text("nonsense")
    with pytest.raises(OSError, match="no active scheme"):
        PowerPlan().read()


def test_without_powercfg_there_is_no_power_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(FileNotFoundError):
        PowerPlan().read()
