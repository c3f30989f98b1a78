"""What `doctor`, `doctor --fix` and `doctor --restore` do, one function each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.agent.inspection import boot_id
from harness.agent.inspection.facts import Fact, Files
from harness.doctor.examine import examine
from harness.doctor.finding import Facts, Finding
from harness.doctor.fix import Fixer, Step, fix
from harness.doctor.note import note_path, read_note
from harness.doctor.readings import gather
from harness.doctor.restore import NOTED, RESTORERS, give_back, restore
from harness.errors import HarnessError
from harness.exclusive import exclusive

ROOT = Path("/")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found (None where nothing was looked for) and what was done."""

    findings: tuple[Finding, ...] | None
    steps: tuple[Step, ...] = ()


def diagnose(cache: Path, root: Path = ROOT) -> Report:
    """Look, change nothing."""
    facts, fixer = _look(cache, root)
    return Report(findings=tuple(examine(facts, fixer)))


def mend(cache: Path, root: Path = ROOT) -> Report:
    """Change what can be undone, then look again."""
    with exclusive(_lock(cache), lambda: None):
        facts, fixer = _look(cache, root)
        steps = fix(examine(facts, fixer), fixer, files=Files(root), note=note_path(cache), boot=boot_id(root=root))
    return Report(findings=diagnose(cache, root).findings, steps=tuple(steps))


def undo(cache: Path, root: Path = ROOT) -> Report:
    """Put back what was changed. Raises HarnessError for a file that is no note."""
    with exclusive(_lock(cache), lambda: None):
        others = list(give_back(RESTORERS, cache))
        ours = restore(files=Files(root), note=note_path(cache), boot=boot_id(root=root))
    return Report(findings=None, steps=(*ours, *others))


def _look(cache: Path, root: Path) -> tuple[Facts, Fixer]:
    facts = {**gather(root, cache), NOTED: _noted(cache, root)}
    return facts, Fixer(Files(root), facts)


def _noted(cache: Path, root: Path) -> Fact:
    """Return how many settings `--restore` would look at."""
    path = note_path(cache)
    try:
        note = read_note(path, Files(root))
    except HarnessError as error:
        return {"value": None, "source": str(path), "error": error.problem}
    return {"value": len(note.pending(boot_id(root=root))) if note else 0, "source": str(path)}


def _lock(cache: Path) -> Path:
    return note_path(cache).with_suffix(".lock")
