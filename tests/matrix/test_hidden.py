"""What may be secret and what names a place: not in the bundle, and there again when a run is resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import MatrixError, UsageError
from harness.matrix.hidden import HIDDEN, definition, restored
from harness.matrix.load import load, parse
from harness.matrix.model import Container, Matrix

TEXT = """\
schema: 1
baseline: native
platforms:
  native: {{kind: native}}
  docker: {{kind: container, cpus: 0.5, environment: {environment}}}
stacks: {{driver: {{}}}}
tasks: {{control.delay: }}
profiles: {{tiny: {{tasks: ["*"], blocks: 1}}}}
"""
VARIABLES = '{TOKEN: "s3cret", OTHER: "p4ss", OMP_NUM_THREADS: "8", NVIDIA_DRIVER_CAPABILITIES: all, EMPTY: ""}'


def matrix(environment: str) -> Matrix:
    return parse(TEXT.format(environment=environment))


def variables(of: Matrix) -> dict[str, str]:
    platform = of.platforms["docker"]
    assert isinstance(platform, Container)
    return platform.environment


def kept(environment: str) -> Matrix:
    """Return the matrix as a bundle has it."""
    return Matrix.model_validate(json.loads(json.dumps(definition(matrix(environment)))))


def test_a_bundle_has_the_names_and_what_is_no_secret() -> None:
    assert variables(kept(VARIABLES)) == {
        "TOKEN": HIDDEN,
        "OTHER": HIDDEN,
        "OMP_NUM_THREADS": "8",
        "NVIDIA_DRIVER_CAPABILITIES": "all",
        "EMPTY": "",
    }


def test_all_else_is_as_it_was(tmp_path: Path) -> None:
    assert kept("{}") == matrix("{}")
    file = tmp_path / "matrix.yaml"
    file.write_text(TEXT.format(environment=VARIABLES), encoding="utf-8")
    assert restored(kept(VARIABLES), file, "run") == matrix(VARIABLES)


def test_the_values_are_todays(tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(TEXT.format(environment='{TOKEN: "new", OTHER: "o", OMP_NUM_THREADS: "2"}'), encoding="utf-8")
    found = variables(restored(kept(VARIABLES), file, "run"))
    assert (found["TOKEN"], found["OTHER"], found["OMP_NUM_THREADS"]) == ("new", "o", "8")


def test_without_hidden_values_todays_file_is_not_read(tmp_path: Path) -> None:
    whole = matrix('{OMP_NUM_THREADS: "8"}')
    assert restored(whole, tmp_path / "absent.yaml", "run") is whole


@pytest.mark.parametrize("environment", ["{}", '{OTHER: "o"}'])
def test_a_variable_that_is_gone_is_named(tmp_path: Path, environment: str) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(TEXT.format(environment=environment), encoding="utf-8")
    with pytest.raises(UsageError, match=r"--resume run: platforms\.docker\.environment\.TOKEN had a value"):
        restored(kept(VARIABLES), file, "run")


def test_a_file_that_is_gone_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(MatrixError):
        restored(kept(VARIABLES), tmp_path / "absent.yaml", "run")


PLACES = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
  docker: {kind: container, engine: "tcp://lab.example:2375", image: "/data/ann/x.tar", mounts: ["/data/ann:/data:ro"]}
  lab: {kind: remote, host: ann@lab.example, folder: "~/work", config: /etc/ann/ssh, python: python3.11}
  guest: {kind: vm, image: guest.qcow2}
  other: {kind: vm, domain: {name: bench, host: lab2.example, connection: "qemu+ssh://lab3.example/system"}}
stacks: {driver: {}, torch: {interpreter: PLACE/venv/bin/python}}
tasks: {tf_cnn.resnet50: {data_dir: PLACE/imagenet}, storage.small_files: [{files: 5}, {files: 6}]}
profiles: {tiny: {tasks: ["*"], blocks: 1}}
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("USERPROFILE", "/home/ann")
    file = tmp_path / "matrix.yaml"
    file.write_text(PLACES.replace("PLACE", "/home/ann"), encoding="utf-8")
    return file


def test_neither_hosts_nor_paths_are_kept_and_a_run_finds_them_again(places: Path) -> None:
    whole = load(places)
    text = json.dumps(definition(whole))
    assert not [word for word in ("ann", "lab.", "lab2", "lab3", "2375", "~", "/etc") if word in text]
    assert [word for word in ("guest.qcow2", ":/data:ro", "python3.11", "bench") if word not in text] == []
    assert restored(Matrix.model_validate(json.loads(text)), places, "run") == whole


def test_who_asks_for_identifiers_has_them_and_no_secret(places: Path) -> None:
    assert definition(load(places), identifiers=True) == load(places).model_dump(mode="json", by_alias=True)
    assert "s3cret" not in json.dumps(definition(matrix(VARIABLES), identifiers=True))


def test_another_mount_is_not_taken_for_the_one_that_was_hidden(places: Path) -> None:
    kept_one = Matrix.model_validate(definition(load(places)))
    places.write_text(places.read_text("utf-8").replace(":/data:ro", ":/other:ro"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"platforms\.docker\.mounts\.0 had a value"):
        restored(kept_one, places, "run")


MARKED = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
  environment:
    {kind: container, image: "ghcr.io/ann/pt:1", memory: 2g, mounts: ["/data/hf:/home/ann/hf", "x:/y/ann:ro"]}
  guest: {kind: vm, image: vm/ann/guest.qcow2}
stacks: {driver: {}}
tasks: {control.delay: }
profiles: {tiny: {tasks: ["*"], blocks: 1}}
"""


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("USERPROFILE", "/home/ann")
    monkeypatch.setenv("LOGNAME", "ann")
    file = tmp_path / "matrix.yaml"
    file.write_text(MARKED, encoding="utf-8")
    return file


def test_what_names_a_person_is_marked_wherever_it_stands_and_found_again(marked: Path) -> None:
    found = json.loads(json.dumps(definition(load(marked))))
    assert "ann" not in json.dumps(found)
    assert found["platforms"]["environment"]["mounts"] == [f"{HIDDEN}:/{HIDDEN}", f"{HIDDEN}:/{HIDDEN}:ro"]
    assert found["platforms"]["environment"]["image"] == found["platforms"]["guest"]["image"] == HIDDEN
    assert restored(Matrix.model_validate(found), marked, "run") == load(marked)


def test_a_platform_may_be_called_environment(marked: Path) -> None:
    found = definition(load(marked))["platforms"]["environment"]
    assert (found["kind"], found["memory"]) == ("container", "2g")


def test_a_mount_into_roots_home_comes_back_to_root(marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    marked.write_text(MARKED.replace("/home/ann/hf", "/root/.cache/huggingface"), encoding="utf-8")
    kept_one = Matrix.model_validate(definition(load(marked)))
    assert restored(kept_one, marked, "run") == load(marked)
