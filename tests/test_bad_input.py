"""What a user asks for in vain, through the whole path: a status with its reason, and the next cell runs."""

from __future__ import annotations

import json
import sys
import venv
from pathlib import Path

import pytest

from harness import sources
from harness.agent.workloads.tf_cnn_launcher import SCRIPTS, UPSTREAM_COMMIT
from harness.cli import main
from harness.interpreters import python_in
from tests.agent.datasets.test_stored import write_shard
from tests.program import harness, journal_of, project

TOO_LARGE = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
stacks:
  torch: {requirements: images/torch/requirements.txt, cpu_requirements: images/torch/requirements-cpu.txt}
tasks:
  torch_matmul.square: [{size: 10000000}, {size: 64}]
profiles:
  all: {tasks: ["*"], blocks: 1}
"""


@pytest.mark.stack
@pytest.mark.slow
def test_what_memory_cannot_hold_is_oom_and_the_next_cell_runs(tmp_path: Path) -> None:
    project(tmp_path, TOO_LARGE)
    done = harness("run", cwd=tmp_path)
    assert done.returncode == 1
    assert "3 of 6 cells failed" in done.stdout
    statuses = {(line["cell"].rpartition("/")[2], line["status"]) for line in journal_of(tmp_path)}
    assert statuses == {
        (f"{prefix}torch_matmul.square[size={size}]", status)
        for prefix in ("", "counts.")
        for size, status in (("10000000", "oom"), ("64", "ok"))
    }
    assert harness("report", "-o", "out", cwd=tmp_path).returncode == 0
    document = json.loads((tmp_path / "out/report.json").read_text("utf-8"))
    reasons = {row["what"]: row["reason"] for row in document["capabilities"]}
    assert "you tried to allocate 400000000000000 bytes" in reasons["torch/torch_matmul.square[size=10000000]"]


# Fakes of TensorFlow and of tensorflow/benchmarks: the loss is NaN at upstream's own learning rate, and a record that
# is cut is complained of as TensorFlow does, without its file. `test_on_stacks` has the real ones.
FAKE_TENSORFLOW = """
import types

class OpError(Exception):
    pass

__version__ = "2.21.0"
errors = types.SimpleNamespace(OpError=OpError)
"""
FAKE_BENCHMARK_CNN = """
import sys

def benchmark_one_step(sess, fetches, step, batch_size, step_train_times, trace_filename, params=None):
    step_train_times.append(0.25)
    tame = any(flag.startswith("--init_learning_rate") for flag in sys.argv)
    return None, 9.7 if tame else float("nan")
"""
FAKE_PROGRAM = """
import pathlib, sys, benchmark_cnn, tensorflow

for flag in sys.argv:
    if flag.startswith("--data_dir=") and b"whole" not in next(pathlib.Path(flag[11:]).iterdir()).read_bytes():
        raise tensorflow.errors.OpError("truncated record at 0")
for step in range(-5, 20):
    benchmark_cnn.benchmark_one_step(None, {}, step, 32, [], "")
print("total images/sec: 128.00")
"""
BAD_TRAININGS = """\
schema: 1
baseline: native
platforms:
  native: {{kind: native}}
stacks:
  tensorflow: {{interpreter: "{python}"}}
tasks:
  tf_cnn.trivial:
    - {{init_learning_rate: 0.0}}
    - {{data_dir: "{folder}/gone"}}
    - {{data_dir: "{folder}/cut"}}
    - {{data_dir: "{folder}/whole"}}
profiles:
  all: {{tasks: ["*"], blocks: 1}}
"""


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out a project whose TensorFlow, upstream program and data sets are fakes; return its folder."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False, symlinks=sys.platform != "win32")
    (packages,) = environment.rglob("site-packages")
    for name, source in (("tensorflow", FAKE_TENSORFLOW), ("tf_keras", "")):
        (packages / f"{name}.py").write_text(source, encoding="utf-8")
    scripts = tmp_path / "checkout" / SCRIPTS
    scripts.mkdir(parents=True)
    (scripts / "benchmark_cnn.py").write_text(FAKE_BENCHMARK_CNN, encoding="utf-8")
    (scripts / "tf_cnn_benchmarks.py").write_text(FAKE_PROGRAM, encoding="utf-8")
    (tmp_path / "checkout" / ".git").mkdir()
    (tmp_path / "checkout" / ".git" / "HEAD").write_text(UPSTREAM_COMMIT, encoding="utf-8")
    monkeypatch.setattr(sources, "tf_benchmarks", lambda **_: tmp_path / "checkout")
    monkeypatch.setattr(sources, "quick_check", lambda _environ, _cache: "")
    for name, record in (("cut", b"cut"), ("whole", b"whole")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train-00000-of-00001").write_bytes(record)
    write_shard(tmp_path / "cut" / "train-00000-of-00001", [10, 20])
    with (tmp_path / "cut" / "train-00000-of-00001").open("r+b") as file:
        file.truncate(40)
    matrix = BAD_TRAININGS.format(python=python_in(environment).as_posix(), folder=tmp_path.as_posix())
    return project(tmp_path / "project", matrix)


def test_a_loss_that_is_no_number_and_data_that_are_damaged_fail_their_cells_alone(
    fakes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(fakes)
    assert main(["run"]) == 1
    lines = [line for line in journal_of(fakes) if "/tf_cnn." in line["cell"] and "@2" not in line["cell"]]
    ended = [(line["status"], line["reason"]) for line in lines]
    gone, cut = tmp_path / "gone", tmp_path / "cut" / "train-00000-of-00001"
    assert len(ended) == 4
    assert set(ended) == {
        ("failed", "The loss is nan from warm-up step 1 on: the training is not sound."),
        ("failed", f"data_dir: {gone} is no folder: correct it, or mount it where the platform sees it"),
        ("failed", f"{cut} is cut at byte 40, in the middle of record 2: make it anew"),
        ("ok", ""),
    }
