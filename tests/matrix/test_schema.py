from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harness.errors import MatrixError
from harness.matrix.document import parse as parse_yaml
from harness.matrix.load import parse
from harness.matrix.schema import SCHEMA_FILE, json_schema, write_schema
from tests.matrix.examples import VALID, edited

SHIPPED = Path(__file__).parents[2] / "matrix.yaml"
VALIDATOR = Draft202012Validator(json_schema())

GOOD = [
    VALID,
    edited("precision: 2%", "precision: 0.02"),
    edited("budget: 10min", "budget: 600"),
    edited("budget: 10min", "budget: 1.5h\n    timeout: 90 s"),
    edited("budget: 10min", "budget: null"),
    edited("blocks: 2", "blocks: {min: 2, max: 2}"),
    edited("fakework.mnist:", "fakework.mnist: {}"),
    edited("fakework.mnist:", "fakework.mnist: [{}]"),
    edited("shm_size: 2g", "shm_size: 1073741824, memory: 1.5GiB, gpus: all"),
    edited("cpus: 0.5", "cpus: 2, cpuset: 0-1, ulimits: {memlock: -1}, mounts: ['/a:/b:ro', 'C:\\a:/b']"),
    edited("{kind: native}", "{kind: native, os: windows}"),
    edited("lock.txt}", "lock.txt, cpu_requirements: cpu.txt, python: '3.12'}"),
    edited("  guest:", "  far: {kind: remote, host: me@lab}\n  wsl: {kind: wsl, distribution: Ubuntu}\n  guest:"),
]
BAD = [
    edited("schema: 1", "schema: 2"),
    edited("schema: 1", "schema_version: 1"),
    edited("schema: 1", "schema: 1\nodd: 1"),
    edited("baseline: native", ""),
    edited("cpus: 0.5", "cpuz: 0.5"),
    edited("cpus: 0.5", "cpus: 0"),
    edited("cpus: 0.5", "cpus: '1'"),
    edited("cpus: 0.5", "cpuset: all"),
    edited("cpus: 0.5", "environment: {A: 1}"),
    edited("cpus: 0.5", "environment: {A=B: x}"),
    edited("cpus: 0.5", "ulimits: {nofile: -2}"),
    edited("shm_size: 2g", "shm_size: 2x"),
    edited("shm_size: 2g", "shm_size: 0"),
    edited("kind: container", "kind: podman"),
    edited("{kind: native}", "{}"),
    edited("{kind: native}", "{kind: native, cpus: 1}"),
    edited("  docker:", "  a/b:"),
    edited("gpu: 0000:01:00.0", "gpu: first"),
    edited("  guest:", "  far: {kind: remote, host: -oProxyCommand=x}\n  guest:"),
    edited("lock.txt}", "lock.txt, python: 3.11}"),
    edited("size: 4KiB", "size: [4096]"),
    edited("fakework.mnist:", "fakework.mnist: []"),
    edited("fakework.mnist:", "fakework.mnist: text"),
    edited("precision: 2%", "precision: 2"),
    edited("precision: 2%", "precision: 2 percent"),
    edited("budget: 10min", "budget: 10m"),
    edited("budget: 10min", "budget: -1"),
    edited("blocks: 2", "blocks: 0"),
    edited("blocks: 2", "blocks: true"),
    edited("blocks: 2", "blocks: {min: 2}"),
    edited('["*"]', "[]"),
    edited('["*"]', "'*'"),
]


def test_the_published_schema_is_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    write_schema(path)
    command = "python -m harness schema"
    assert path.read_bytes() == SCHEMA_FILE.read_bytes(), f"write it anew: {command} {SCHEMA_FILE.name}"


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_the_shipped_matrix_names_its_schema_and_keeps_it() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    key, _, path = text.splitlines()[0].partition("=")
    assert key == "# yaml-language-server: $schema"
    assert json.loads((SHIPPED.parent / path).read_text(encoding="utf-8")) == json_schema()
    VALIDATOR.validate(parse_yaml(text, "matrix.yaml").data)


@pytest.mark.parametrize("text", GOOD)
def test_what_the_schema_accepts_is_loaded(text: str) -> None:
    VALIDATOR.validate(parse_yaml(text, "matrix.yaml").data)
    parse(text)


@pytest.mark.parametrize("text", BAD)
def test_what_the_schema_refuses_is_refused(text: str) -> None:
    assert not VALIDATOR.is_valid(parse_yaml(text, "matrix.yaml").data)
    with pytest.raises(MatrixError):
        parse(text)
