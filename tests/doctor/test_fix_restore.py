"""What `--fix` changes and `--restore` puts back, on planted machines: whole, cut short anywhere, and meddled with."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent import messages
from harness.agent.inspection.facts import Files
from harness.doctor import note as notes
from harness.doctor import report
from harness.doctor.fix import Fixer, Step, fix
from harness.doctor.note import Change, Note, note_path, read_note, write_note
from harness.doctor.restore import give_back, restore
from harness.doctor.settings import KernelFile
from harness.errors import HarnessError, PlatformError
from tests.agent.trees import offline_processors
from tests.doctor.trees import CHOICES, FIXABLE, PAGES, POLICY, SWAPPINESS, TURBO, complaint, complaints, plant, values

ROOT = Path(__file__).parents[2]
FIXED = {path: choices[1] for path, choices in CHOICES.items()}
ORIGINAL = {path: choices[0] for path, choices in CHOICES.items()}


def do_fix(files: Files, note: Path, boot: str = "boot-1") -> list[Step]:
    return fix(complaints(), Fixer(files, {}), files=files, note=note, boot=boot)


def do_restore(files: Files, note: Path, boot: str = "boot-1") -> list[Step]:
    return restore(files=files, note=note, boot=boot)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "note.json"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return plant(tmp_path / "root")


def test_a_round_trip(files: Files, note: Path) -> None:
    steps = do_fix(files, note)
    assert values(files) == FIXED
    assert {(step.where, step.said) for step in steps} == {
        (path, f"{ORIGINAL[path]} → {FIXED[path]}") for path in CHOICES
    }
    steps = do_restore(files, note)
    assert values(files) == ORIGINAL
    assert {(step.where, step.said) for step in steps} == {
        (path, f"{FIXED[path]} → {ORIGINAL[path]}") for path in CHOICES
    }
    assert not any(step.failed for step in steps)
    assert not note.exists()
    assert do_restore(files, note) == []


def test_the_energy_preference_is_put_back_after_the_governor_which_forbids_others(files: Files, note: Path) -> None:
    do_fix(files, note)
    order = [step.where for step in do_restore(files, note)]
    assert order.index(f"{POLICY}0/scaling_governor") < order.index(f"{POLICY}0/energy_performance_preference")


def test_a_driver_that_moves_the_preference_with_the_governor_is_put_back_too(
    files: Files, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = KernelFile.write

    def driver(setting: KernelFile, value: str) -> None:
        policy, _, name = setting.where.rpartition("/")
        governor, preference = f"{policy}/scaling_governor", f"{policy}/energy_performance_preference"
        if name == "energy_performance_preference" and files.text(governor) == "performance" != value:
            raise OSError(errno.EBUSY, "Device or resource busy")  # as intel_pstate and amd_pstate do
        write(setting, value)
        if name == "scaling_governor":
            write(replace(setting, where=preference), "performance" if value == "performance" else "default")

    monkeypatch.setattr(KernelFile, "write", driver)
    do_fix(files, note)
    assert not any(step.failed for step in do_restore(files, note))
    assert values(files) == ORIGINAL


def test_what_is_as_it_should_be_is_neither_changed_nor_noted(files: Files, note: Path) -> None:
    for path, value in FIXED.items():
        files.path(path).write_text(value)
    assert do_fix(files, note) == []
    assert not note.exists()


def test_only_what_was_found_is_changed(files: Files, note: Path) -> None:
    fix([complaint("cpu.turbo")], Fixer(files, {}), files=files, note=note, boot="boot-1")
    assert values(files) == ORIGINAL | {TURBO: "1"}


def test_what_somebody_has_set_since_is_left_alone_and_told(files: Files, note: Path) -> None:
    do_fix(files, note)
    files.path(SWAPPINESS).write_text("10")
    steps = do_restore(files, note)
    assert values(files) == ORIGINAL | {SWAPPINESS: "10"}
    (told,) = [step.said for step in steps if step.where == SWAPPINESS]
    assert told == "left at 10, which somebody has set since (it was 60)"
    assert not note.exists()


def test_a_second_fix_remembers_what_held_before_the_first(files: Files, note: Path) -> None:
    do_fix(files, note)
    files.path(TURBO).write_text("0")
    do_fix(files, note)
    assert values(files) == FIXED
    do_restore(files, note)
    assert values(files) == ORIGINAL


def test_after_a_second_fix_what_somebody_set_in_between_is_what_held_before(files: Files, note: Path) -> None:
    do_fix(files, note)
    files.path(PAGES).write_text("never")
    do_fix(files, note)
    do_restore(files, note)
    assert values(files) == ORIGINAL | {PAGES: "never"}


def test_what_another_version_has_set_otherwise_is_still_put_back_to_what_held_before_it(
    files: Files, note: Path
) -> None:
    do_fix(files, note)
    note.write_text(note.read_text().replace('"before": "60", "after": "1"', '"before": "60", "after": "10"'))
    files.path(SWAPPINESS).write_text("10")
    do_fix(files, note)
    do_restore(files, note)
    assert values(files) == ORIGINAL


def test_what_an_earlier_boot_changed_is_gone_and_said_to_be(files: Files, note: Path) -> None:
    do_fix(files, note)
    for path, value in ORIGINAL.items():
        files.path(path).write_text(value)
    files.path(TURBO).write_text("1")  # set by whoever: not ours in this boot
    steps = do_restore(files, note, boot="boot-2")
    assert len(steps) == len(CHOICES)
    assert all("the reboot has undone it" in step.said for step in steps)
    assert values(files) == ORIGINAL | {TURBO: "1"}
    assert not note.exists()


def test_a_fix_forgets_what_a_reboot_has_undone(files: Files, note: Path) -> None:
    do_fix(files, note)
    plant(files.root)
    files.path(SWAPPINESS).write_text("10")
    do_fix(files, note, boot="boot-2")
    do_restore(files, note, boot="boot-2")
    assert values(files) == ORIGINAL | {SWAPPINESS: "10"}


def test_a_setting_that_has_gone_is_told_and_not_made_anew(files: Files, note: Path) -> None:
    do_fix(files, note)
    files.path(TURBO).unlink()
    (told,) = [step for step in do_restore(files, note) if step.where == TURBO]
    assert (told.said, told.failed) == ("is not there any more", False)
    assert not files.path(TURBO).exists()


def test_what_cannot_be_put_back_now_stays_in_the_note(
    files: Files, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_fix(files, note)
    with monkeypatch.context() as patch:
        patch.setattr(KernelFile, "write", _refuse)
        steps = do_restore(files, note)
    assert all(step.failed and "Permission denied" in step.said for step in steps)
    assert values(files) == FIXED
    do_restore(files, note)
    assert values(files) == ORIGINAL


def _refuse(*_arguments: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_write_that_is_refused_or_without_effect_is_told(
    files: Files, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(KernelFile, "write", _refuse)
        assert {step.said for step in do_fix(files, note)} == {"not changed: Permission denied"}
    monkeypatch.setattr(KernelFile, "write", lambda *_arguments: None)
    said = {step.where: step.said for step in do_fix(files, note) if step.failed}
    assert said[TURBO] == "not changed: it took 1 and says 0"
    assert values(files) == ORIGINAL


UNPRIVILEGED = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
from harness.agent.inspection.facts import Files
from harness.doctor.fix import Fixer, fix
from tests.agent.trees import offline_processors
from tests.doctor.trees import complaints

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
files = Files(Path(sys.argv[1]))
fixer = Fixer(files, {})
found = [replace(each, fixable=fixer.can(each.id)) for each in complaints()]
steps = fix(found, fixer, files=files, note=Path("/nonexistent/note.json"), boot="boot-1")
print(json.dumps([[each.fixable for each in found], [[step.finding, step.said, step.failed] for step in steps]]))
"""


def test_who_may_not_is_told_the_command(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        files = plant(Path(folder))
        for path in CHOICES:
            files.path(path).chmod(0o444)
        argv = [sys.executable, "-c", UNPRIVILEGED, folder]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert values(files) == ORIGINAL
    fixable, steps = json.loads(done.stdout)
    assert not any(fixable)
    assert [name for name, _, _ in steps] == list(FIXABLE)
    assert all(failed and "as root" in said and f"mend {name}" in said for name, said, failed in steps)


def test_a_processor_that_is_offline_does_not_keep_the_others_from_being_fixed(
    files: Files, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline_processors(monkeypatch, f"{POLICY}1/")
    steps = fix([complaint("cpu.governor")], Fixer(files, {}), files=files, note=note, boot="boot-1")
    assert [(step.where, step.failed) for step in steps] == [
        (f"{POLICY}0/energy_performance_preference", False),
        (f"{POLICY}0/scaling_governor", False),
    ]


def test_a_governor_that_is_not_offered_is_not_asked_for(files: Files) -> None:
    for number in (0, 1):
        files.path(f"{POLICY}{number}/scaling_available_governors").write_text("ondemand")
        files.path(f"{POLICY}{number}/energy_performance_available_preferences").unlink()
    assert not Fixer(files, {}).can("cpu.governor")


# ---- killed ----

KILLED = """
import os, signal, sys
from pathlib import Path
from harness.agent import messages
from harness.doctor.settings import KernelFile
from tests.doctor.test_fix_restore import do_fix, do_restore
from harness.agent.inspection.facts import Files

files, note, act, writes = Files(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
write, done = KernelFile.write, []

def mortal(self, value):
    if len(done) == writes:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(self.where)
    write(self, value)

KernelFile.write = mortal
{"fix": do_fix, "restore": do_restore}[act](files, note)
"""


def killed(files: Files, note: Path, act: str, writes: int) -> None:
    """Do it in a process that is killed when it is about to change a setting for the nth time."""
    argv = [sys.executable, "-c", KILLED, str(files.root), str(note), act, str(writes)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("writes", [0, 1, len(CHOICES) - 1])
def test_killed_between_the_note_and_a_change(files: Files, note: Path, writes: int) -> None:
    killed(files, note, "fix", writes)
    assert note.exists(), "the note comes first"
    assert sum(values(files)[path] != ORIGINAL[path] for path in CHOICES) == writes
    do_restore(files, note)
    assert values(files) == ORIGINAL
    assert not note.exists()


def test_killed_while_restoring(files: Files, note: Path) -> None:
    do_fix(files, note)
    killed(files, note, "restore", 3)
    assert ORIGINAL != values(files) != FIXED
    do_restore(files, note)
    assert values(files) == ORIGINAL


# ---- any sequence of fix, crash and restore ----


class Crash(BaseException):
    """Stands for the end of the process: nothing catches it."""


@contextmanager
def crashing(after: int | None) -> Iterator[None]:
    """Crash before the nth act that outlives the process: a note's or a setting's write; never for None."""
    acts = 0

    def mortal(act: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal acts
            if acts == after:
                raise Crash
            acts += 1
            return act(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KernelFile, "write", mortal(KernelFile.write))
        patch.setattr(notes, "write_json", mortal(messages.write_json))
        patch.setattr(Path, "unlink", mortal(Path.unlink))
        yield


Act = Callable[[Files, Path], list[Step]]
ACTS = st.tuples(st.sampled_from([do_fix, do_restore]), st.none() | st.integers(0, len(CHOICES) + 1))
MACHINES = st.fixed_dictionaries({path: st.sampled_from(choices) for path, choices in CHOICES.items()})


@given(MACHINES, st.lists(ACTS, max_size=6))
def test_whatever_happens_restore_leaves_the_machine_as_it_began(
    machine: dict[str, str], acts: list[tuple[Act, int | None]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files, note = plant(Path(folder) / "root"), Path(folder) / "note.json"
        for path, value in machine.items():
            files.path(path).write_text(value)
        for act, crash in acts:
            with suppress(Crash), crashing(crash):
                act(files, note)
        steps = do_restore(files, note)
        assert values(files) == machine
        assert not any(step.failed for step in steps)
        assert not note.exists()


# ---- the note ----


def test_the_note_survives_writing_and_reading(files: Files, note: Path) -> None:
    setting = KernelFile(where=TURBO, files=files)
    written = Note(boot="b", changes=(Change(finding="cpu.turbo", setting=setting, before="0", after="1"),))
    write_note(note, written)
    assert read_note(note, files) == written


def record(**changes: object) -> dict[str, object]:
    change = {"finding": "cpu.turbo", "kind": "file", "where": TURBO, "before": "0", "after": "1"}
    return {"schema": 1, "boot_id": "boot-1", "changes": [{**change, **changes}]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({"schema": 2, "boot_id": "", "changes": []}),
        json.dumps({"schema": 1, "boot_id": "", "changes": [3]}),
        json.dumps(record(where="/etc/passwd")),
        json.dumps(record(where=f"{TURBO}/../../../../../../etc/passwd")),
        json.dumps(record(before="0\nroot::0:0")),
        json.dumps(record(kind="program")),
        json.dumps(record(kind="persistence", where="GPU-1", before="on")),
        json.dumps(record(kind="power plan", where="powercfg", before="/import evil")),
    ],
)
def test_what_doctor_has_not_written_is_refused_in_one_line(files: Files, note: Path, text: str) -> None:
    note.parent.mkdir()
    note.write_text(text)
    with pytest.raises(HarnessError, match=r"is no note of `doctor --fix`.*Remove it") as refused:
        do_restore(files, note)
    assert "\n" not in str(refused.value)
    assert values(files) == ORIGINAL
    assert note.read_text() == text


def test_each_host_has_its_own_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platform.node", lambda: "one/../host")
    here = note_path(tmp_path)
    monkeypatch.setattr("platform.node", lambda: "another")
    assert here.parent == note_path(tmp_path).parent == tmp_path / "doctor"
    assert here != note_path(tmp_path)


def test_every_restorer_is_called_also_after_one_that_fails(tmp_path: Path) -> None:
    returned = Step(finding="vm.gpu", where="0000:02:00.0", said="bound to nvidia again")

    def fails(_cache: Path) -> list[Step]:
        raise PlatformError("0000:01:00.0 can't be bound to nvidia", "Load the driver")

    def gives_back(cache: Path) -> list[Step]:
        assert cache == tmp_path
        return [returned]

    failed = Step(
        finding="restore", where="", said="0000:01:00.0 can't be bound to nvidia. Load the driver", failed=True
    )
    assert list(give_back((fails, gives_back), tmp_path)) == [failed, returned]


def test_restorers_are_called_by_undo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = plant(tmp_path / "root")
    stuck = Step(finding="vm.gpu", where="", said="still bound to vfio-pci", failed=True)
    monkeypatch.setattr(report, "RESTORERS", (lambda _cache: [stuck],))
    assert report.undo(tmp_path / "cache", files.root).steps == (stuck,)
