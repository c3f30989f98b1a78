"""`doctor --restore` gives back the GPU of a killed run's guest, on a made-up machine."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from harness.doctor.guests import returned
from harness.doctor.restore import RESTORERS
from harness.platforms import vfio_loan
from harness.platforms.owner import Owner
from harness.platforms.vfio import driver
from tests.platforms.planted_gpu import AUDIO, GPU, HOME, planted


def test_a_killed_runs_gpu_goes_back_and_each_device_is_told(tmp_path: Path) -> None:
    machine, cache = planted(tmp_path / "machine"), tmp_path / "cache"
    loan = vfio_loan.borrow(machine, GPU, cache)
    assert list(returned(cache, machine)) == [], "a living run's GPU was taken away"
    record = json.loads(loan.note.read_text(encoding="utf-8"))
    gone = replace(Owner.of(os.getpid()), start="1").record()
    loan.note.write_text(json.dumps({**record, "owner": gone}), encoding="utf-8")
    machine.refuses.add(HOME[AUDIO])
    steps = {step.where: step for step in returned(cache, machine)}
    assert (steps[GPU].said, steps[GPU].failed) == ("vfio-pci → nvidia", False)
    assert steps[AUDIO].failed
    assert "reboot" in steps[AUDIO].said
    machine.refuses.clear()
    assert not any(step.failed for step in returned(cache, machine))
    assert {each: driver(machine, each) for each in HOME} == HOME
    assert list(returned(cache, machine)) == []


def test_doctor_asks_for_it() -> None:
    assert returned in RESTORERS
