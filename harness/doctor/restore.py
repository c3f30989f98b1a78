"""Puts back what was changed, by `doctor --fix` or by a run that was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from harness.agent.inspection.facts import Files
from harness.doctor import guests
from harness.doctor.finding import Check, Facts, Seen, read
from harness.doctor.fix import Step
from harness.doctor.note import Change, Note, read_note, write_note
from harness.errors import HarnessError

# What else was taken and must be given back after a crash, such as a GPU that a virtual machine was given: a function
# that looks for its own notes below the cache folder, gives back, and returns one step for each thing that it did or
# could not do; it may raise HarnessError. Each is called by every `doctor --restore`.
Restorer = Callable[[Path], Iterable[Step]]
RESTORERS: tuple[Restorer, ...] = (guests.returned,)

NOTED = "doctor.changes"


def restore(*, files: Files, note: Path, boot: str) -> list[Step]:
    """Put back what the note says, the last change first; what can't be put back now stays in the note.

    A setting that holds neither value is somebody else's by now and is left alone. What another boot changed and a
    reboot undoes is dropped. Raises HarnessError for a file that is no note.
    """
    found = read_note(note, files)
    if found is None:
        return []
    pending = found.pending(boot)
    now = {each.key: _now(each) for each in pending}  # before anything is put back: one setting may move another
    steps = {each.key: _put_back(each, now[each.key]) for each in reversed(pending)}
    kept = tuple(each for each in pending if steps[each.key].failed)
    write_note(note, Note(boot=boot, changes=kept))
    gone = [_gone(each) for each in found.changes if each not in pending]
    return [*steps.values(), *gone]


def _now(change: Change) -> str | OSError:
    try:
        return change.setting.read()
    except OSError as error:
        return error


def _put_back(change: Change, now: str | OSError) -> Step:
    if isinstance(now, FileNotFoundError):
        return _step(change, "is not there any more")
    if isinstance(now, OSError):
        return _step(change, f"can't be read: {now.strerror or now}", failed=True)
    if now == change.before:
        return _step(change, f"holds {now} already, as before")
    if now != change.after:
        return _step(change, f"left at {now}, which somebody has set since (it was {change.before})")
    try:
        change.setting.write(change.before)
    except OSError as error:
        return _step(change, f"can't be put back to {change.before}: {error.strerror or error}", failed=True)
    return _step(change, f"{change.after} → {change.before}")


def _gone(change: Change) -> Step:
    return _step(change, f"was changed in an earlier boot; the reboot has undone it (it was {change.before})")


def _step(change: Change, said: str, *, failed: bool = False) -> Step:
    return Step(finding=change.finding, where=change.setting.where, said=said, failed=failed)


def give_back(restorers: Sequence[Restorer], cache: Path) -> Iterator[Step]:
    """Call every restorer, also after one that fails."""
    for each in restorers:
        try:
            yield from each(cache)
        except HarnessError as error:
            yield Step(finding="restore", where="", said=str(error), failed=True)


def _changed(facts: Facts) -> Iterator[Seen]:
    found = read(facts, NOTED)
    if found.value:
        what = f"`doctor --fix` has changed {found.value} setting(s) of this machine"
        yield Seen(what=what, source=found.source, remedy="doctor --restore, after the last run")


CHECKS = (
    Check(
        id="doctor.changes",
        matter="noted",
        why="every boot that is compared should be measured with the same settings",
        look=_changed,
    ),
)
