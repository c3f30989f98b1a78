"""The workloads on real frameworks, installed from the lock files of the project's matrix.yaml."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import sources
from harness.agent.messages import CellResult, Scalar
from harness.agent.workloads.tf_cnn_launcher import UPSTREAM_COMMIT
from harness.cache import cache_dir
from tests.agent.cells import ROOT, run_cell, stack_python

pytestmark = [pytest.mark.stack, pytest.mark.slow]

# Trainable variables, their elements, and multiply-accumulates of a forward pass on one image in upstream's training
# graph, counted with TensorFlow 2.21.0 and the pinned commit by tf_counts.py.
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
    if not os.environ.get("TF_BENCHMARKS"):
        pytest.skip("TF_BENCHMARKS is not set")
    return sources.tf_benchmarks(environ=os.environ, cache=cache_dir(), progress=lambda _line: None)


def _counts(*argv: str | Path) -> dict[str, Any]:
    printed = subprocess.run([str(part) for part in argv], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
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
    startup = metrics["startup_seconds"].samples[0]
    assert startup > metrics["import_seconds"].samples[0] + steps.samples[0]


def test_the_torch_twins_have_the_recorded_counts(torch_python: Path) -> None:
    assert _summed(_counts(torch_python, "-c", TORCH_COUNTS)) == COUNTS


def test_the_torch_twins_have_upstreams_counts(checkout: Path, torch_python: Path, tensorflow_python: Path) -> None:
    script = Path(__file__).with_name("tf_counts.py")
    names = [f"{'cifar10' if name == 'resnet20' else 'imagenet'}/{name}" for name in COUNTS]
    upstream = _counts(tensorflow_python, script, checkout, *names)
    assert _summed(upstream) == COUNTS
    assert _counts(torch_python, "-c", TORCH_COUNTS) == upstream


def test_tf_cnn_runs(checkout: Path, tensorflow_python: Path) -> None:
    params: dict[str, Scalar] = {"num_batches": 12, "num_warmup_batches": 3}
    result = run_cell("tf_cnn.trivial", params, python=tensorflow_python, resources={"tf_benchmarks": str(checkout)})
    _assert_sound(result, warmup=3, batches=12, per_step=32)
    assert result.versions["tensorflow/benchmarks"] == UPSTREAM_COMMIT


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
