from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from harness.agent.messages import Scalar
from harness.agent.task import Outcome, Unavailable, find
from harness.agent.workloads import tf_cnn
from tests.agent.workloads.conftest import MakeContext
from tests.agent.workloads.fake_upstream import fake_upstream

CPU = {"--device=cpu", "--data_format=NHWC", "--local_parameter_device=cpu"}


@pytest.fixture
def fake_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_modules: None) -> Path:
    """Install a fake TensorFlow, which notes TF_USE_LEGACY_KERAS at its import; return its folder."""
    folder = tmp_path / "site"
    (folder / "tensorflow").mkdir(parents=True)
    (folder / "tf_keras").mkdir()
    (folder / "tf_keras" / "__init__.py").touch()
    source = (
        "import os, types\n"
        "__version__ = '2.21.0'\n"
        "legacy_keras = os.environ.get('TF_USE_LEGACY_KERAS')\n"
        "config = types.SimpleNamespace(list_physical_devices=lambda kind: [])\n"
    )
    (folder / "tensorflow" / "__init__.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")  # and monkeypatch takes back what the task sets
    return folder


def flags(entry: str, make_context: MakeContext, **params: Scalar) -> set[str]:
    context = make_context(entry, params=params)
    return set(tf_cnn.command_flags(entry.partition(".")[2], context.spec.device, context.params))


def test_flags_of_a_cpu_cell(make_context: MakeContext) -> None:
    assert flags("tf_cnn.trivial", make_context, num_batches=50, num_intra_threads=1) == CPU | {
        "--model=trivial",
        "--data_name=imagenet",
        "--batch_size=32",
        "--num_batches=50",
        "--num_warmup_batches=5",
        "--num_gpus=1",
        "--variable_update=parameter_server",
        "--use_fp16=false",
        "--xla=false",
        "--forward_only=false",
        "--num_intra_threads=1",
        "--init_learning_rate=1e-07",
    }


def test_flags_of_a_gpu_cell(make_context: MakeContext) -> None:
    context = make_context("tf_cnn.resnet50", device="cuda:0")
    made = set(tf_cnn.command_flags("resnet50", "cuda:0", context.params))
    assert made >= {"--device=gpu", "--data_format=NCHW", "--local_parameter_device=gpu", "--num_gpus=1"}


def test_several_gpus_are_the_first_so_many(make_context: MakeContext) -> None:
    context = make_context("tf_cnn.trivial", device="cuda:0", params={"num_gpus": 2, "variable_update": "replicated"})
    made = set(tf_cnn.command_flags("trivial", "cuda:0", context.params))
    assert made >= {"--num_gpus=2", "--variable_update=replicated", "--batch_size=32"}


@pytest.mark.parametrize(("params", "words"), [({"num_gpus": 2}, "num_gpus 2 counts GPUs"), ({"xla": True}, "xla")])
def test_what_needs_a_gpu_is_unsupported_without(params: dict[str, Scalar], words: str) -> None:
    task = tf_cnn.TASKS["trivial"]
    assert words in task.unsupported("cpu", {**task.params, **params})
    assert task.unsupported("cuda:0", {**task.params, **params}) == task.unsupported("cpu", task.params) == ""


def test_more_gpus_than_there_are_is_unavailable(
    fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext
) -> None:
    source = fake_tensorflow / "tensorflow" / "__init__.py"
    source.write_text(source.read_text(encoding="utf-8").replace(": [])", ": ['one'])"), encoding="utf-8")
    resources = {"tf_benchmarks": str(fake_upstream(tmp_path / "checkout"))}
    context = make_context("tf_cnn.trivial", device="cuda:0", params={"num_gpus": 2}, resources=resources)
    with pytest.raises(Unavailable, match="num_gpus is 2, and TensorFlow lists 1 GPU here"):
        tf_cnn.run(context)


@pytest.mark.parametrize("how", ["distributed_replicated", "horovod", "collective_all_reduce", "typo"])
def test_how_several_hosts_share_variables_is_refused(how: str) -> None:
    task = tf_cnn.TASKS["trivial"]
    expected = "one of parameter_server, replicated, independent is expected"
    assert task.refusal("variable_update", how) == expected
    assert task.refusal("variable_update", "replicated") == ""


def test_a_second_gpu_is_unsupported() -> None:
    task = tf_cnn.TASKS["trivial"]
    assert "CUDA_VISIBLE_DEVICES" in task.unsupported("cuda:1", task.params)


@pytest.mark.parametrize(
    ("entry", "data_name"),
    [("trivial", "imagenet"), ("alexnet", "imagenet"), ("resnet20", "cifar10"), ("resnet50_v1.5", "imagenet")],
)
def test_each_model_has_the_data_set_it_is_made_for(entry: str, data_name: str, make_context: MakeContext) -> None:
    assert f"--data_name={data_name}" in flags(f"tf_cnn.{entry}", make_context)


def test_a_model_of_both_data_sets_can_choose(make_context: MakeContext) -> None:
    assert "--data_name=cifar10" in flags("tf_cnn.trivial", make_context, data_name="cifar10")


@pytest.mark.parametrize(
    ("entry", "data_name"), [("resnet50", "cifar10"), ("resnet20", "imagenet"), ("trivial", "coco")]
)
def test_another_data_set_is_a_conflict(entry: str, data_name: str) -> None:
    task = tf_cnn.TASKS[entry]
    said = task.conflict({**task.params, "data_name": data_name})
    assert said.startswith(f"tf_cnn {entry} is not made for data_name {data_name}. Set data_name to")


@pytest.mark.parametrize("model", sorted(tf_cnn.BROKEN))
def test_what_upstream_cannot_run_is_unsupported_with_its_reason(model: str) -> None:
    task = tf_cnn.TASKS[model]
    assert task.unsupported("cpu", task.params) == f"tf_cnn {model} {tf_cnn.BROKEN[model]}. Choose another model."


def test_a_model_that_diverges_is_tamed_unless_told_otherwise(make_context: MakeContext) -> None:
    assert "--init_learning_rate=1e-07" in flags("tf_cnn.vgg16", make_context)
    assert not any("learning_rate" in flag for flag in flags("tf_cnn.vgg16", make_context, init_learning_rate=0.0))
    assert not any("learning_rate" in flag for flag in flags("tf_cnn.googlenet", make_context))


def test_upstreams_own_learning_rate_can_be_had_back() -> None:
    task = tf_cnn.TASKS["vgg16"]
    assert task.refusal("init_learning_rate", 0.0) == ""
    assert task.refusal("init_learning_rate", -0.1) != ""


def test_every_model_is_found_by_its_entry() -> None:
    assert {*tf_cnn.IMAGENET, *tf_cnn.CIFAR10, *tf_cnn.BROKEN} == set(tf_cnn.TASKS)
    assert all(find(f"tf_cnn.{model}") is task for model, task in tf_cnn.TASKS.items())


def measured(make_context: MakeContext, checkout: Path, device: str = "cpu") -> Outcome:
    return tf_cnn.run(make_context("tf_cnn.trivial", device=device, resources={"tf_benchmarks": str(checkout)}))


def test_a_run_against_fakes(fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext) -> None:
    result = measured(make_context, fake_upstream(tmp_path / "checkout"))
    metrics = {metric.name: metric for metric in result.metrics}
    assert result.status == "ok"
    assert metrics["step_seconds"].samples == (0.25,) * 25
    assert metrics["step_seconds"].warmup == 5
    assert metrics["images_per_second"].samples == (612.1,)
    assert result.versions["tensorflow"] == "2.21.0"
    assert result.warnings == ()
    assert sys.modules["tensorflow"].legacy_keras == "1"


@pytest.mark.parametrize(
    ("upstream", "words"),
    [
        ({"losses": [9.7] * 10 + [float("nan")] * 15}, "The loss is nan from step 6 on"),
        ({"losses": [9.7, float("inf")] + [9.7] * 23}, "The loss is inf from warm-up step 2 on"),
        ({"losses": [9.7] * 24}, "24 steps were made, 25 were asked for"),
        ({"status": 2}, "status 2"),
        ({"last_line": ""}, "total images/sec"),
    ],
)
def test_an_unhealthy_run_fails(
    fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext, upstream: dict[str, Any], words: str
) -> None:
    result = measured(make_context, fake_upstream(tmp_path / "checkout", **upstream))
    assert (result.status, result.metrics) == ("failed", ())
    assert words in result.reason


def test_a_gpu_cell_without_a_gpu_fails(fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext) -> None:
    result = measured(make_context, fake_upstream(tmp_path / "checkout"), device="cuda:0")
    assert (result.status, "lists no GPU" in result.reason) == ("failed", True)


def test_another_commit_is_warned_of(fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext) -> None:
    checkout = fake_upstream(tmp_path / "checkout")
    (checkout / ".git" / "HEAD").write_text("ab" * 20, encoding="utf-8")
    assert ["not at the pinned" in warning for warning in measured(make_context, checkout).warnings] == [True]


def test_without_tf_keras_the_stack_lacks_it(fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext) -> None:
    (fake_tensorflow / "tf_keras" / "__init__.py").unlink()
    (fake_tensorflow / "tf_keras").rmdir()
    with pytest.raises(Unavailable, match="Add tf_keras"):
        measured(make_context, fake_upstream(tmp_path / "checkout"))


def test_without_tensorflow_the_stack_lacks_it(tmp_path: Path, make_context: MakeContext) -> None:
    with pytest.raises(Unavailable, match="no TensorFlow"):
        measured(make_context, fake_upstream(tmp_path / "checkout"))


def test_tensorflow_2_10_gets_the_module_that_upstream_imports(
    fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext
) -> None:
    source = fake_tensorflow / "tensorflow" / "__init__.py"
    source.write_text(source.read_text(encoding="utf-8").replace("2.21.0", "2.10.1"), encoding="utf-8")
    ops = fake_tensorflow / "tensorflow" / "python" / "ops"
    ops.mkdir(parents=True)
    for package in (ops.parent, ops):
        (package / "__init__.py").touch()
    (ops / "variables.py").write_text("class VariableV1: pass\n", encoding="utf-8")
    assert measured(make_context, fake_upstream(tmp_path / "checkout")).status == "ok"
    alias: types.ModuleType = sys.modules["tensorflow.python.ops.variable_v1"]
    assert alias.VariableV1 is sys.modules["tensorflow.python.ops.variables"].VariableV1
    assert sys.modules["tensorflow.python.ops"].variable_v1 is alias


def test_a_data_dir_goes_to_upstream(
    fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "imagenet"
    data.mkdir()
    (data / "train-00000-of-00001").touch()
    checkout = fake_upstream(tmp_path / "checkout")
    context = make_context("tf_cnn.trivial", resources={"tf_benchmarks": str(checkout)}, params={"data_dir": str(data)})
    assert tf_cnn.run(context).status == "ok"
    printed = capsys.readouterr().out.split()
    assert f"--data_dir={data}" in printed
    assert not any(word.startswith("--real_data") for word in printed)


def test_a_data_dir_of_cifar10_is_looked_into(fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext) -> None:
    resources = {"tf_benchmarks": str(fake_upstream(tmp_path / "checkout"))}
    data = tmp_path / "cifar10"
    params: dict[str, Scalar] = {"data_dir": str(data)}
    context = make_context("tf_cnn.resnet20", resources=resources, params=params)
    assert f"data_dir: {data} is no folder" in tf_cnn.run(context).reason
    data.mkdir()
    for number in range(1, 5):
        (data / f"data_batch_{number}").touch()
    assert f"data_dir: {data} holds no data_batch_5 of CIFAR-10" in tf_cnn.run(context).reason
    (data / "data_batch_5").touch()
    assert tf_cnn.run(context).status == "ok"


def test_a_data_dir_without_records_fails(fake_tensorflow: Path, tmp_path: Path, make_context: MakeContext) -> None:
    checkout = fake_upstream(tmp_path / "checkout")
    for folder, words in ((tmp_path, "holds no shard"), (tmp_path / "gone", "is no folder")):
        params: dict[str, Scalar] = {"data_dir": str(folder)}
        context = make_context("tf_cnn.trivial", resources={"tf_benchmarks": str(checkout)}, params=params)
        result = tf_cnn.run(context)
        assert (result.status, result.metrics) == ("failed", ())
        assert f"data_dir: {folder} {words}" in result.reason


@pytest.mark.parametrize(
    ("entry", "params", "words"),
    [
        ("tf_cnn.trivial", {"data_dir": "/data"}, "Set one of the two"),
        ("tf_cnn.resnet20", {}, "Set data_name to imagenet"),
    ],
)
def test_data_that_cannot_be_made(
    make_context: MakeContext, tmp_path: Path, entry: str, params: dict[str, Scalar], words: str
) -> None:
    context = make_context(entry, resources={"tf_benchmarks": str(tmp_path)}, params={"real_data": True, **params})
    assert words in tf_cnn.TASKS[entry.partition(".")[2]].conflict(context.params), "so `plan` refuses it"


def test_data_need_a_location(make_context: MakeContext, tmp_path: Path) -> None:
    context = make_context("tf_cnn.trivial", resources={"tf_benchmarks": str(tmp_path)}, params={"real_data": True})
    with pytest.raises(Unavailable, match="no location"):
        tf_cnn.run(context)
