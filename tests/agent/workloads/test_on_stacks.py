"""The workloads on real frameworks, installed from the lock files of the project's matrix.yaml."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import sources
from harness.agent.messages import CellResult, Location, Scalar
from harness.agent.workloads import tf_cnn
from harness.agent.workloads.tf_cnn_launcher import SCRIPTS, UPSTREAM_COMMIT
from harness.cache import cache_dir
from tests.agent.cells import ROOT, run_cell, stack_python

pytestmark = [pytest.mark.stack, pytest.mark.slow]

TENSORFLOW_STACKS = ("tensorflow", "tensorflow-2.15", "tensorflow-2.10")

# Trainable variables, their elements, and multiply-accumulates of a forward pass on one image in upstream's training
# graph, counted with TensorFlow 2.21.0 and the pinned commit by tf_counts.py; 2.15.1 and 2.10.1 give the same.
COUNTS = {
    "trivial": (6, 4_263_877, 4_258_779),
    "lenet": (8, 2_173_353, 14_034_944),
    "alexnet": (16, 61_842_345, 838_792_896),
    "vgg16": (32, 138_361_641, 15_470_268_416),
    "resnet50": (161, 25_559_081, 3_857_975_296),
    "resnet50_v1.5": (161, 25_559_081, 4_089_186_304),
    "inception3": (190, 23_819_401, 5_713_218_144),
    "resnet20": (59, 269_787, 40_551_104),
}

TORCH_COUNTS = """
import json, math, torch
from harness.agent.workloads.torch_models import TWINS

def macs(model, side):
    counted = []
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            count = lambda module, _inputs, output: counted.append(output.numel() * module.weight[0].numel())
            module.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, side, side, device="meta"))
    return sum(counted)

found = {}
for name, twin in TWINS.items():
    with torch.device("meta"):  # shapes without numbers
        model = twin.model()
    sizes = sorted(each.numel() for each in model.parameters())
    found[name] = {"sizes": sizes, "macs": macs(model, twin.image_size)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def torch_python() -> Path:
    return stack_python("torch")


@pytest.fixture(scope="module")
def tensorflow_python() -> Path:
    return stack_python("tensorflow")


@pytest.fixture(scope="module")
def checkout() -> Path:
    if not (os.environ.get("TF_BENCHMARKS") or sources.is_cached(cache_dir())):
        pytest.skip("TF_BENCHMARKS is not set, and no checkout of tensorflow/benchmarks lies in the cache")
    return sources.tf_benchmarks(environ=os.environ, cache=cache_dir(), progress=lambda _line: None)


def _counts(*argv: str | Path) -> dict[str, Any]:
    done = subprocess.run([str(part) for part in argv], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _summed(counts: Mapping[str, Any]) -> dict[str, tuple[int, int, int]]:
    return {name: (len(each["sizes"]), sum(each["sizes"]), each["macs"]) for name, each in counts.items()}


def _assert_sound(
    result: CellResult, *, warmup: int, batches: int, per_step: int, rate: str = "images_per_second"
) -> None:
    assert (result.status, result.reason) == ("ok", "")
    metrics = {metric.name: metric for metric in result.metrics}
    steps = metrics["step_seconds"]
    assert (len(steps.samples), steps.warmup) == (warmup + batches, warmup)
    within_steps = batches * per_step / sum(steps.samples[warmup:])
    # What is counted over the whole loop can't be faster than the steps in it (upstream prints two decimals).
    assert within_steps / 2 < metrics[rate].samples[0] <= within_steps + 0.01
    start = [metrics[f"{name}_seconds"].samples[0] for name in ("start", "import", "build", "step")]
    assert metrics["startup_seconds"].samples[0] == pytest.approx(sum(start))
    assert min(start) > 0
    assert metrics["warmup_seconds"].samples[0] == pytest.approx(sum(steps.samples[:warmup]))
    assert metrics["peak_memory_bytes"].samples[0] > 50 * 2**20


def test_the_torch_twins_have_the_recorded_counts(torch_python: Path) -> None:
    assert _summed(_counts(torch_python, "-c", TORCH_COUNTS)) == COUNTS


@pytest.fixture(scope="module")
def upstreams_counts(checkout: Path, tensorflow_python: Path) -> Mapping[str, Mapping[str, Any]]:
    """Data set → model → what its graph consists of, for every model of upstream's."""
    script = Path(__file__).with_name("tf_counts.py")
    return {
        data_name: _counts(tensorflow_python, script, checkout, *(f"{data_name}/{model}" for model in models))
        for data_name, models in tf_cnn.DATA.items()
    }


def test_every_model_of_upstream_builds_its_graph(upstreams_counts: Mapping[str, Mapping[str, Any]]) -> None:
    for data_name, models in tf_cnn.DATA.items():
        counts = upstreams_counts[data_name]
        assert set(counts) == set(models)
        assert [model for model, of_it in counts.items() if not of_it["sizes"] or not of_it["macs"]] == []


def test_the_torch_twins_have_upstreams_counts(
    upstreams_counts: Mapping[str, Mapping[str, Any]], torch_python: Path
) -> None:
    upstream = {name: upstreams_counts["cifar10" if name == "resnet20" else "imagenet"][name] for name in COUNTS}
    assert _summed(upstream) == COUNTS
    assert _counts(torch_python, "-c", TORCH_COUNTS) == upstream


# Those of upstream's own tests that pass without a GPU, and how many each has. They run as `python …_test.py` does it,
# but in one process, since most of their time is the import, which is done as the workload does it.
UPSTREAM_TESTS = {"cnn_util_test": 3, "variable_mgr_util_test": 6, "allreduce_test": 11, "all_reduce_benchmark_test": 1}
AS_UPSTREAM = """
import json, sys, unittest
from harness.agent.workloads.tf_cnn import import_tensorflow
import_tensorflow()
sys.path.insert(0, sys.argv[1])
suites = {name: unittest.defaultTestLoader.loadTestsFromName(name) for name in sys.argv[2:]}
import tensorflow.compat.v1 as tf
from absl import flags
tf.disable_v2_behavior()
flags.FLAGS(sys.argv[:1])
ran = {name: unittest.TextTestRunner().run(suite) for name, suite in suites.items()}
print(json.dumps({name: [each.testsRun - len(each.skipped), each.wasSuccessful()] for name, each in ran.items()}))
"""


@pytest.mark.parametrize("stack", TENSORFLOW_STACKS)
def test_upstreams_own_tests_pass(checkout: Path, stack: str) -> None:
    ran = _counts(stack_python(stack), "-B", "-c", AS_UPSTREAM, checkout / SCRIPTS, *UPSTREAM_TESTS)
    assert ran == {name: [passed, True] for name, passed in UPSTREAM_TESTS.items()}


@pytest.mark.parametrize("stack", TENSORFLOW_STACKS)
def test_tf_cnn_runs(checkout: Path, stack: str) -> None:
    params: dict[str, Scalar] = {"num_batches": 12, "num_warmup_batches": 3}
    python = stack_python(stack)
    result = run_cell("tf_cnn.trivial", params, python=python, stack=stack, resources={"tf_benchmarks": str(checkout)})
    _assert_sound(result, warmup=3, batches=12, per_step=32)
    assert result.versions["tensorflow/benchmarks"] == UPSTREAM_COMMIT
    _, dash, version = stack.partition("-")
    assert not dash or result.versions["tensorflow"].startswith(f"{version}.")


def test_tf_cnn_runs_forward_only(checkout: Path, tensorflow_python: Path) -> None:
    params: dict[str, Scalar] = {"num_batches": 12, "num_warmup_batches": 3, "forward_only": True}
    resources = {"tf_benchmarks": str(checkout)}
    result = run_cell("tf_cnn.trivial", params, python=tensorflow_python, resources=resources)
    _assert_sound(result, warmup=3, batches=12, per_step=32)
    assert "loss" not in {metric.name for metric in result.metrics}


def test_what_tf_cnn_cannot_train_on_fails(checkout: Path, tensorflow_python: Path, tmp_path: Path) -> None:
    resources = {"tf_benchmarks": str(checkout)}
    few: dict[str, Scalar] = {"num_batches": 10, "num_warmup_batches": 1}
    for params, words in (
        ({"init_learning_rate": 1e30}, "the training is not sound"),  # the weights' squares overflow
        ({"data_dir": str(tmp_path / "gone")}, "is no folder"),
    ):
        result = run_cell("tf_cnn.trivial", {**few, **params}, python=tensorflow_python, resources=resources)
        assert (result.status, result.metrics) == ("failed", ())
        assert words in result.reason


def test_a_model_that_diverges_is_sound_at_its_tame_rate(checkout: Path, tensorflow_python: Path) -> None:
    result = run_cell("tf_cnn.lenet", python=tensorflow_python, resources={"tf_benchmarks": str(checkout)})
    _assert_sound(result, warmup=5, batches=20, per_step=32)


@pytest.mark.parametrize(
    ("model", "batch_size", "options"),
    [
        ("trivial", 32, {}),
        ("lenet", 32, {}),
        ("resnet50", 1, {"channels_last": True}),
        ("inception3", 1, {"forward_only": True}),
        ("resnet20", 32, {"precision": "bfloat16"}),
        pytest.param(
            "resnet20",
            8,
            {"compile": True},
            marks=pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile wants a C++ compiler: no g++"),
        ),
    ],
)
def test_torch_cnn_runs(torch_python: Path, model: str, batch_size: int, options: Mapping[str, Scalar]) -> None:
    params: dict[str, Scalar] = {
        "batch_size": batch_size,
        "num_batches": 3,
        "num_warmup_batches": 1,
        "threads": 1,
        **options,
    }
    result = run_cell(f"torch_cnn.{model}", params, python=torch_python)
    _assert_sound(result, warmup=1, batches=3, per_step=batch_size)
    assert "3 timed steps" in result.warnings[0]


def test_two_processes_share_a_training(torch_python: Path) -> None:
    few: dict[str, Scalar] = {"batch_size": 8, "num_batches": 10, "num_warmup_batches": 2, "threads": 1, "processes": 2}
    result = run_cell("torch_cnn.resnet20", few, python=torch_python)
    _assert_sound(result, warmup=2, batches=10, per_step=16)
    assert result.versions["torch.distributed"] == "gloo"


# The others' images are other ones: from the second step on, their gradients show in rank 0's loss.
SHARED = """
import json, torch
from harness.agent.messages import CellSpec
from harness.agent.task import Context
from harness.agent.workloads import torch_cnn, torch_ranks, torch_steps

def losses(processes):
    names = dict.fromkeys(("cell", "platform", "stack", "task"), "-") | {"entry": "torch_cnn.resnet20"}
    spec = CellSpec(**names, params={}, device="cpu", block=1, attempt=1, seed=1)
    few = {"batch_size": 4, "num_batches": 2, "num_warmup_batches": 1, "threads": 0, "processes": processes}
    context = Context(spec=spec, params={**torch_cnn.PARAMS, **few}, progress=print)
    torch_steps.configure(torch, context)
    with torch_ranks.joined(torch, context) as share, torch_cnn._work(torch, context, share) as work:
        return [work.step(number) for number in range(3)]

torch.set_num_threads(1)
print(json.dumps({"alone": losses(1), "shared": losses(2)}))
"""


def test_the_gradients_are_those_of_all_processes(torch_python: Path) -> None:
    losses = _counts(torch_python, "-c", SHARED)
    assert losses["shared"][0] == pytest.approx(losses["alone"][0], rel=1e-5)
    assert losses["shared"][2] != pytest.approx(losses["alone"][2], rel=1e-5)


def test_torch_matmul_runs(torch_python: Path) -> None:
    params: dict[str, Scalar] = {"size": 256, "products": 4, "num_batches": 20, "num_warmup_batches": 1, "threads": 1}
    result = run_cell("torch_matmul.square", params, python=torch_python)
    _assert_sound(result, warmup=1, batches=20, per_step=4, rate="products_per_second")
    assert result.warnings == ()


def test_a_matrix_beyond_all_memory_is_oom(torch_python: Path) -> None:
    result = run_cell("torch_matmul.square", {"size": 10**7}, python=torch_python)
    assert (result.status, result.metrics) == ("oom", ())


# The tokens of a text must not depend on how much room the cache still has: what is not there yet is masked.
DECODED = """
import json, torch
from harness.agent.workloads.torch_gpt import Gpt

def decoded(context):
    torch.manual_seed(0)
    model = Gpt(layers=2, width=32, heads=4, vocabulary=50, context=64)
    for block in model.blocks:
        block.keys, block.values = (torch.full((4, context, 8), 1e6) for _ in range(2))
    model.order = torch.arange(context)
    token, tokens = torch.zeros(1, dtype=torch.int64), []
    for position in range(16):
        with torch.no_grad():
            token = model(token, torch.tensor([position]))
        tokens.append(token.item())
    return tokens

print(json.dumps({"short": decoded(16), "long": decoded(64)}))
"""


def test_torch_decode_attends_to_what_is_there(torch_python: Path) -> None:
    tokens = _counts(torch_python, "-c", DECODED)
    assert tokens["short"] == tokens["long"]
    assert len(set(tokens["short"])) > 1


def test_torch_decode_runs(torch_python: Path) -> None:
    params: dict[str, Scalar] = {"layers": 2, "width": 64, "context": 8, "num_batches": 30, "threads": 1}
    result = run_cell("torch_decode.gpt", params, python=torch_python)
    _assert_sound(result, warmup=20, batches=30, per_step=1, rate="tokens_per_second")


KERAS_COUNTS = """
import json
from harness.agent.workloads.keras_models import TWINS

weights = {name: twin.model().trainable_variables for name, twin in TWINS.items()}
found = {name: [each.value.shape.num_elements() for each in every] for name, every in weights.items()}
print(json.dumps(found))
"""


def test_the_keras_twins_have_upstreams_parameters(tensorflow_python: Path) -> None:
    found = _counts(tensorflow_python, "-c", KERAS_COUNTS)
    assert {name: (len(sizes), sum(sizes)) for name, sizes in found.items()} == {
        name: COUNTS[name][:2] for name in ("trivial", "resnet50")
    }


def test_keras_cnn_runs(tensorflow_python: Path) -> None:
    params: dict[str, Scalar] = {"num_batches": 12, "num_warmup_batches": 3}
    result = run_cell("keras_cnn.trivial", params, python=tensorflow_python)
    _assert_sound(result, warmup=3, batches=12, per_step=32)
    assert result.versions["keras"].startswith("3.")


LOADED: Mapping[str, Scalar] = {"count": 8, "width": 120, "height": 80, "batch_size": 4, "workers": 1, "rounds": 1}

# The set of LOADED, byte for byte, from what the locks name: Pillow 13.0.0 and TensorFlow 2.21.0, on any platform.
RAW = "573e355046a4e18ed97bc42ddaa9ede7267540b39a7250847da3e6f0240a182b"
BY_TORCH = {
    "data_set.files": "e0c22223694a50338c0ca94e5be7df0765733e8e771d0af16d7a73c343aad727",
    "data_set.raw": RAW,
}
BY_TENSORFLOW = {
    "data_set.files": "03098899f621b842ab67ac42f114bf423fbf4b88c9ff26ea847baad94ce87eda",
    "data_set.records": "472fc0ccd4e9081e8b7809c9349d52d8dac8eaca67196ef48893e94d719e33c4",
    "data_set.raw": RAW,
}


def _assert_loaded(result: CellResult, ways: Mapping[str, set[tuple[int, str]]]) -> None:
    """Assert that each source was loaded in these ways (workers, start) and no other."""
    assert (result.status, result.reason) == ("ok", "")
    rates = [metric for metric in result.metrics if metric.name == "samples_per_second"]
    warm = [metric.dims for metric in rates if metric.dims["cache"] == "warm"]
    found = {(str(each["source"]), int(each["workers"]), str(each["start"])) for each in warm}
    assert found == {(source, *way) for source, each in ways.items() for way in each}
    assert all(min(metric.samples) > 0 and len(metric.samples) == 2 for metric in rates)


def test_torch_loads_data_from_the_packed_agent(torch_python: Path, tmp_path: Path, agent: Path) -> None:
    """A spawned worker imports the data set out of the archive."""
    place = Location(name="disk", path=str(tmp_path))
    result = run_cell("storage.loader", LOADED, python=torch_python, stack="torch", locations=[place], agent=agent)
    _assert_loaded(result, {"files": {(0, "none"), (1, "fork"), (1, "spawn")}, "raw": {(0, "none"), (1, "fork")}})
    assert result.versions.items() >= BY_TORCH.items()
    assert result.versions.keys() >= {"pillow", "libjpeg-turbo"}


def test_tensorflow_loads_data(tensorflow_python: Path, tmp_path: Path) -> None:
    place = Location(name="disk", path=str(tmp_path))
    ways = {(0, "none"), (1, "threads")}
    result = run_cell("storage.loader", LOADED, python=tensorflow_python, stack="tensorflow", locations=[place])
    _assert_loaded(result, {"files": ways, "records": ways, "raw": ways})
    assert result.versions.items() >= BY_TENSORFLOW.items()


@pytest.mark.parametrize(("stack", "digests"), [("torch", BY_TORCH), ("tensorflow", BY_TENSORFLOW)])
def test_a_data_set_is_generated(
    request: pytest.FixtureRequest, tmp_path: Path, stack: str, digests: Mapping[str, str]
) -> None:
    """The very one that is loaded."""
    place = Location(name="disk", path=str(tmp_path))
    params: dict[str, Scalar] = {"count": 8, "width": 120, "height": 80, "sets": 1}
    python = request.getfixturevalue(f"{stack}_python")
    result = run_cell("data.generate", params, python=python, stack=stack, locations=[place])
    assert (result.status, result.reason) == ("ok", "")
    made = {each.dims["source"] for each in result.metrics if each.name == "generate_seconds"}
    assert made == {name.removeprefix("data_set.") for name in digests}
    assert result.versions.items() >= digests.items()


# What the loaders give must be the images: raw pixels to the bit, decoded ones but for what JPEG at this quality loses.
DECODED_BY_TORCH = """
import sys, json, numpy
from pathlib import Path
from harness.agent.datasets.images import ImageSet
from harness.agent.probes import storage_loader_torch as probe

loader = probe.TorchLoader(batch_size=4, cuda=False)
images = ImageSet(count=3, width=120, height=80, quality=95, shard_size=2, seed=0, encoder=loader.encoder)
files = probe._data_set("files", loader.write("files", Path(sys.argv[1], "files"), images), images)
raw = probe._data_set("raw", loader.write("raw", Path(sys.argv[1], "raw"), images), images)
lost = [float(abs(files[n][0].numpy().astype(int) - pixels).mean()) for n, pixels in enumerate(images.pixels())]
same = [bool((raw[n][0].numpy() == pixels).all()) for n, pixels in enumerate(images.pixels())]
print(json.dumps({"lost": lost, "same": same, "labels": [files[n][1] for n in range(3)]}))
"""

DECODED_BY_TENSORFLOW = """
import sys, json, numpy
from pathlib import Path
import tensorflow
from harness.agent.datasets.images import ImageSet
from harness.agent.datasets.stored import damaged_shard
from harness.agent.probes.storage_loader_tensorflow import TensorFlowLoader

loader = TensorFlowLoader(batch_size=4)
images = ImageSet(count=3, width=120, height=80, quality=95, shard_size=2, seed=0, encoder=loader.encoder)
stored = {name: loader.write(name, Path(sys.argv[1], name), images) for name in loader.sources}
loaded = {name: list(loader._images(name, stored[name], images, None)) for name in loader.sources}
decoded = [image.numpy().astype(int) for image, _ in loaded["records"]]
lost = [float(abs(decoded[n] - pixels).mean()) for n, pixels in enumerate(images.pixels())]
same = [bool((loaded["raw"][n][0].numpy() == pixels).all()) for n, pixels in enumerate(images.pixels())]
alike = [bool((loaded["files"][n][0] == loaded["records"][n][0]).numpy().all()) for n in range(3)]
whole = damaged_shard(Path(sys.argv[1], "records"))
last = stored["records"].paths[-1]
last.write_bytes(last.read_bytes()[:-50])
labels = [int(label) for _, label in loaded["records"]]
cut = damaged_shard(Path(sys.argv[1], "records"))
print(json.dumps({"lost": lost, "same": same + alike, "labels": labels, "whole": whole, "cut": cut}))
"""


def _assert_decoded(found: Mapping[str, Any]) -> None:
    assert found["labels"] == [1, 2, 3]
    assert all(found["same"])
    assert all(0 < levels < 20 for levels in found["lost"])  # another image is 70 levels off


def test_torch_decodes_the_images(torch_python: Path, tmp_path: Path) -> None:
    _assert_decoded(_counts(torch_python, "-c", DECODED_BY_TORCH, tmp_path))


def test_tensorflow_decodes_the_images(tensorflow_python: Path, tmp_path: Path) -> None:
    found = _counts(tensorflow_python, "-c", DECODED_BY_TENSORFLOW, tmp_path)
    _assert_decoded(found)
    assert found["whole"] == ""
    assert "train-00001-of-00002 is cut at byte" in found["cut"]
    assert "in the middle of record 1" in found["cut"]


def test_tf_cnn_trains_on_records(checkout: Path, tensorflow_python: Path, tmp_path: Path) -> None:
    params: dict[str, Scalar] = {"batch_size": 8, "num_batches": 12, "num_warmup_batches": 1, "real_data": True}
    resources = {"tf_benchmarks": str(checkout)}
    place = Location(name="disk", path=str(tmp_path))
    result = run_cell("tf_cnn.trivial", params, python=tensorflow_python, resources=resources, locations=[place])
    _assert_sound(result, warmup=1, batches=12, per_step=8)
    assert "data_set.records" in result.versions
    again = run_cell("tf_cnn.trivial", params, python=tensorflow_python, resources=resources, locations=[place])
    made, found = (
        next(each.samples[0] for each in one.metrics if each.name == "data_set_seconds") for one in (result, again)
    )
    assert found < made / 4, "the set was made once"


def test_tf_cnn_names_the_record_that_is_cut(checkout: Path, tensorflow_python: Path, tmp_path: Path) -> None:
    shard = checkout / SCRIPTS / "test_data" / "fake_tf_record_data" / "train-00000-of-00008"
    cut = tmp_path / "train-00000-of-00001"
    cut.write_bytes(shard.read_bytes()[:-100])
    params: dict[str, Scalar] = {"batch_size": 8, "num_batches": 12, "data_dir": str(tmp_path)}
    result = run_cell("tf_cnn.trivial", params, python=tensorflow_python, resources={"tf_benchmarks": str(checkout)})
    assert (result.status, result.metrics) == ("failed", ())
    assert result.reason.startswith(f"{cut} is cut at byte")


# A worker that loses its life in the middle of a pass, as where the kernel ends it for memory.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from harness.agent.datasets.images import ImageSet
from harness.agent.execute import _verdict
from harness.agent.probes import storage_loader_torch as probe

if __name__ == "__main__":
    loader = probe.TorchLoader(batch_size=1, cuda=False)
    images = ImageSet(count=64, width=500, height=375, quality=90, shard_size=64, seed=0, encoder=loader.encoder)
    stored = loader.write("files", Path(sys.argv[1], "files"), images)
    found = ""
    try:
        for number, _ in enumerate(loader.passes("files", stored, images, probe.Way(workers=1, start="fork"))()):
            if number == 0:
                children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
                os.kill(int(children[-1]), signal.SIGKILL)
    except (MemoryError, RuntimeError) as error:  # torch's signal handler raises wherever this process is
        found = " ".join(_verdict(error))
    print(json.dumps({"found": found}))
"""


def test_a_loaders_worker_that_is_killed_lacked_memory(torch_python: Path, tmp_path: Path) -> None:
    found = _counts(torch_python, "-c", KILLED, tmp_path)["found"]
    assert found.startswith("oom a DataLoader worker was killed, as the kernel does where memory is lacking: lower")


def _counted(result: CellResult) -> Mapping[str, float]:
    assert (result.status, result.reason) == ("ok", "")
    return {metric.name: metric.samples[0] for metric in result.metrics}


def test_a_step_of_torch_is_counted(torch_python: Path, tmp_path: Path) -> None:
    """Each step reads as many files as its batch has images; operations differ a little with the workers' timing."""
    params: dict[str, Scalar] = {"batch_size": 4, "real_data": True, "threads": 1}
    place = Location(name="disk", path=str(tmp_path))
    found = _counted(run_cell("counts.torch_cnn.lenet", params, python=torch_python, locations=[place]))
    assert found["file_count"] == 4
    assert found["read_bytes"] == pytest.approx(4 * 105_500, rel=0.05)
    assert 60 < found["operation_count"] < 120


def test_a_step_of_tf_cnn_is_counted(checkout: Path, tensorflow_python: Path) -> None:
    resources = {"tf_benchmarks": str(checkout)}
    found = _counted(run_cell("counts.tf_cnn.trivial", python=tensorflow_python, resources=resources))
    assert 45 < found["operation_count"] < 70, "as the processor's kernels are fused"
    assert found["read_bytes"] < 1000


def test_a_step_of_keras_is_counted(tensorflow_python: Path) -> None:
    found = _counted(run_cell("counts.keras_cnn.trivial", python=tensorflow_python))
    assert 50 < found["operation_count"] < 80, "as the processor's kernels are fused"
    assert found["read_bytes"] < 1000
