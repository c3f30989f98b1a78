from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harness.errors import MatrixError
from harness.matrix.document import parse as parse_yaml
from harness.matrix.load import parse
from harness.matrix.schema import SCHEMA_FILE, json_schema, write_schema
from tests.matrix.examples import edited

SHIPPED = Path(__file__).parents[2] / "matrix.yaml"
VALIDATOR = Draft202012Validator(json_schema())

# What stands in the valid matrix, and what takes its place.
GOOD = [
    ("schema: 1", "schema: 1"),
    ("precision: 2%", "precision: 0.02"),
    ("budget: 10min", "budget: 600"),
    ("budget: 10min", "budget: 1.5h\n    timeout: 90 s"),
    ("budget: 10min", "budget: null"),
    ("blocks: 2", "blocks: {min: 2, max: 2}"),
    ("fakework.mnist:", "fakework.mnist: {}"),
    ("fakework.mnist:", "fakework.mnist: [{}]"),
    ("shm_size: 2g", "shm_size: 1073741824, memory: 1.5GiB, gpus: all"),
    ("cpus: 0.5", "cpus: 2, cpuset: 0-1, ulimits: {memlock: -1}, mounts: ['/a:/b:ro', 'C:\\a:/b']"),
    ("{kind: native}", "{kind: native, os: windows}"),
    ("lock.txt}", "lock.txt, cpu_requirements: cpu.txt, python: '3.12'}"),
    ("image: guest.qcow2", "image: a, cpus: 4, pin: '0-3', memory: 8g, hugepages: 1g, numa: [0, 1], user: me"),
    ("image: guest.qcow2", "image: guest.qcow2, accelerator: kvm, memory: null"),
    ("  guest:", "  far: {kind: remote, host: me@lab}\n  wsl: {kind: wsl, distribution: Ubuntu}\n  guest:"),
]
BAD = [
    ("schema: 1", "schema: 2"),
    ("schema: 1", "schema_version: 1"),
    ("schema: 1", "schema: 1\nodd: 1"),
    ("baseline: native", ""),
    ("cpus: 0.5", "cpuz: 0.5"),
    ("cpus: 0.5", "cpus: 0"),
    ("cpus: 0.5", "cpus: '1'"),
    ("cpus: 0.5", "cpuset: all"),
    ("cpus: 0.5", "environment: {A: 1}"),
    ("cpus: 0.5", "environment: {A=B: x}"),
    ("cpus: 0.5", "ulimits: {nofile: -2}"),
    ("shm_size: 2g", "shm_size: 2x"),
    ("shm_size: 2g", "shm_size: 0"),
    ("kind: container", "kind: podman"),
    ("{kind: native}", "{}"),
    ("{kind: native}", "{kind: native, cpus: 1}"),
    ("  docker:", "  a/b:"),
    ("gpu: 0000:01:00.0", "gpu: first"),
    ("image: guest.qcow2", "image: guest.qcow2, accelerator: hvf"),
    ("image: guest.qcow2", "image: guest.qcow2, numa: [-1]"),
    ("image: guest.qcow2", "image: guest.qcow2, pin: all"),
    ("image: guest.qcow2", "image: guest.qcow2, hugepages: 4k"),
    ("  guest:", "  far: {kind: remote, host: -oProxyCommand=x}\n  guest:"),
    ("lock.txt}", "lock.txt, python: 3.11}"),
    ("size: 4KiB", "size: [4096]"),
    ("fakework.mnist:", "fakework.mnist: []"),
    ("fakework.mnist:", "fakework.mnist: text"),
    ("precision: 2%", "precision: 2"),
    ("precision: 2%", "precision: 2 percent"),
    ("budget: 10min", "budget: 10m"),
    ("budget: 10min", "budget: -1"),
    ("blocks: 2", "blocks: 0"),
    ("blocks: 2", "blocks: true"),
    ("blocks: 2", "blocks: {min: 2}"),
    ('["*"]', "[]"),
    ('["*"]', "'*'"),
]


def test_the_published_schema_is_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    write_schema(path)
    command = "python -m harness schema harness/matrix/matrix.schema.json"
    assert path.read_text("utf-8") == SCHEMA_FILE.read_text("utf-8"), f"write it anew: {command}"


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_the_shipped_matrix_names_its_schema_and_keeps_it() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    key, _, path = text.splitlines()[0].partition("=")
    assert key == "# yaml-language-server: $schema"
    assert json.loads((SHIPPED.parent / path).read_text(encoding="utf-8")) == json_schema()
    VALIDATOR.validate(parse_yaml(text, "matrix.yaml").data)


@pytest.mark.parametrize(("old", "new"), GOOD, ids=[new for _, new in GOOD])
def test_what_the_schema_accepts_is_loaded(old: str, new: str) -> None:
    text = edited(old, new)
    VALIDATOR.validate(parse_yaml(text, "matrix.yaml").data)
    parse(text)


@pytest.mark.parametrize(("old", "new"), BAD, ids=[new for _, new in BAD])
def test_what_the_schema_refuses_is_refused(old: str, new: str) -> None:
    text = edited(old, new)
    assert not VALIDATOR.is_valid(parse_yaml(text, "matrix.yaml").data)
    with pytest.raises(MatrixError):
        parse(text)
