"""A bundle whose every free text is hostile: what a stranger could send, and what its reader lets pass."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.report.test_build import HOSTILE

# What the reader checks: times, digests, words of a fixed list, and the name of the folder.
CHECKED = frozenset({"schema", "run_id", "created", "started", "status", "better", "file", "sha256"})
STEP = "step_seconds"
NAMED = frozenset({"platforms", "stacks"})  # objects whose keys are names
ARM = "@2"


def spoil(folder: Path, names: str = HOSTILE) -> Path:
    """Spoil the bundle in `folder` and return it.

    `names` goes behind names of platforms, stacks, tasks, metrics and locations, HOSTILE behind all other texts.
    """
    manifest = folder / "run.json"
    manifest.write_text(json.dumps(_spoiled(json.loads(manifest.read_text()), names)), encoding="utf-8")
    journal = folder / "journal.jsonl"
    lines = [_line(folder, json.loads(line), names) for line in journal.read_text().splitlines()]
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return folder


def _line(folder: Path, line: dict[str, Any], names: str) -> dict[str, Any]:
    path = folder / line["file"]
    result = _spoiled(json.loads(path.read_text()), names)
    result["warnings"] = [HOSTILE]
    path.write_text(json.dumps(result), encoding="utf-8")
    return {
        **_spoiled(line, names),
        "cell": result["cell"],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _spoiled(value: Any, names: str, key: str = "") -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        made = {_key(name, key, names): _spoiled(item, names, name) for name, item in value.items()}
        if {"platform", "stack", "task"} <= made.keys():  # an invocation, or a cell of the matrix
            arm = ARM if made.get("arm") == 2 else ""
            cell = f"{made['platform']}{arm}/{made['stack']}/{made['task']}"
            made["id" if "id" in made else "cell"] = cell
        return made
    if isinstance(value, list):
        return [_spoiled(item, names, key) for item in value]
    return _text(value, key, names) if isinstance(value, str) else value


def _key(name: str, holder: str, names: str) -> str:
    if holder in NAMED:
        return _text(name, "platform", names)
    return name + HOSTILE if holder in {"inspection", "host", "versions"} else name


def _text(text: str, key: str, names: str) -> str:
    if key in CHECKED or (key, text) == ("name", STEP):  # without a step there is no headline to spoil
        return text
    if key in {"platform", "baseline", "stack"}:
        arm = ARM if text.endswith(ARM) else ""
        return text.removesuffix(ARM) + names + arm
    if key in {"task", "entry"}:
        return f"{text}[{names}]"  # so that pictures find it
    return text + (names if key in {"name", "location"} else HOSTILE)
