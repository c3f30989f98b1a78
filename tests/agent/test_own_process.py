from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.agent import own_process

SHOW = "import sys\ndef main(arguments):\n    print(arguments, sorted(sys.modules))\n    return 3\n"


def modules(answer: str) -> set[str]:
    return set(json.loads(answer[answer.index("[", 1) :].replace("'", '"')))


@pytest.mark.parametrize("packed", [False, True])
def test_a_module_is_run_from_where_the_agent_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    (tmp_path / "show.py").write_text(SHOW)
    root = tmp_path
    if packed:
        root = tmp_path / "agent.pyz"
        with zipfile.ZipFile(root, "w") as archive:
            archive.writestr("packed/__init__.py", "")
            archive.writestr("packed/show.py", SHOW)
    monkeypatch.setattr(own_process, "IMPORT_ROOT", str(root))
    argv = own_process.command("packed.show" if packed else "show", "one", "two words")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith("['one', 'two words'] [")


def test_nothing_is_imported_beside_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sampler starts beside the task: whatever its command loads would be taken from it."""
    (tmp_path / "show.py").write_text(SHOW)
    monkeypatch.setattr(own_process, "IMPORT_ROOT", str(tmp_path))
    bare = [sys.executable, "-I", "-S", "-c", "import sys; print([], sorted(sys.modules))"]
    found = [
        modules(subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout)
        for argv in (own_process.command("show", options=("-I", "-S")), bare)
    ]
    assert found[0] - found[1] == {"show"}


def test_it_lies_where_the_package_does() -> None:
    assert Path(own_process.IMPORT_ROOT, "harness", "agent", "own_process.py").is_file()
