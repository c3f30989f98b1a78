"""tf_cnn_benchmarks of tensorflow/benchmarks: the real program, from a checkout at the pinned commit."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
import time
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.agent.datasets.images import TRAINING_LIMITS
from harness.agent.datasets.stored import DataSetError
from harness.agent.messages import Scalar
from harness.agent.task import Context, Outcome, Task, Unavailable
from harness.agent.workloads import tf_cnn_data
from harness.agent.workloads.steps import Items, Recorder, outcome
from harness.agent.workloads.tf_cnn_launcher import UPSTREAM_COMMIT, LaunchError, OnStep, checkout_commit, launch
from harness.agent.workloads.upstream import TAME_RATE

# Under upstream's flag names. What is 0 in OWN_DEFAULT is not passed: upstream then decides.
PARAMS: Mapping[str, Scalar] = {
    "batch_size": 32,
    "num_batches": 20,
    "num_warmup_batches": 5,
    "num_gpus": 1,  # the first so many; each has batch_size images
    "variable_update": "parameter_server",
    "use_fp16": False,
    "xla": False,
    "forward_only": False,
    "num_intra_threads": 0,
    "num_inter_threads": 0,
    "init_learning_rate": 0.0,
    **tf_cnn_data.PARAMS,
}
VARIABLE_UPDATES = ("parameter_server", "replicated", "independent")
"""Those of one process; the others are for several hosts, or want Horovod."""
LIMITS = {
    "init_learning_rate": (0.0, math.inf),  # whatever the task's own is: 0 gives upstream's back
    **TRAINING_LIMITS,
}
OWN_DEFAULT = ("num_intra_threads", "num_inter_threads", "init_learning_rate")

DEVICE_FLAGS: Mapping[str, Mapping[str, Scalar]] = {
    "cpu": {"device": "cpu", "data_format": "NHWC", "local_parameter_device": "cpu"},
    "cuda:0": {"device": "gpu", "data_format": "NCHW", "local_parameter_device": "gpu"},
}

# On synthetic images (mean 127) the loss of these explodes at their own learning rate, most within a few steps, and a
# training that computes with infinities is no workload. The same operations at this rate stay finite.
DIVERGING = (
    *("trivial", "lenet", "alexnet", "overfeat", "vgg11", "vgg16", "vgg19", "inception4"),
    *("resnet32", "resnet44", "resnet56", "resnet110"),
)

# Seconds of one invocation with these parameters on 2 CPU cores (a rough expectation), by data set and model.
IMAGENET: Mapping[str, float] = {
    "trivial": 10,
    "lenet": 10,
    "alexnet": 120,
    "googlenet": 150,
    "overfeat": 300,
    "vgg11": 600,
    "vgg16": 1000,
    "vgg19": 1200,
    "resnet50": 400,
    "resnet50_v1.5": 450,
    "resnet50_v2": 400,
    "resnet101": 700,
    "resnet101_v2": 700,
    "resnet152": 1000,
    "resnet152_v2": 1000,
    "inception3": 500,
    "inception4": 1000,
}
CIFAR10: Mapping[str, float] = {
    "trivial": 10,
    "alexnet": 12,
    "resnet20": 12,
    "resnet20_v2": 12,
    "resnet32": 15,
    "resnet32_v2": 15,
    "resnet44": 20,
    "resnet44_v2": 20,
    "resnet56": 25,
    "resnet56_v2": 25,
    "resnet110": 45,
    "resnet110_v2": 45,
}
DATA = {"imagenet": IMAGENET, "cifar10": CIFAR10}

_CONTRIB = "needs tf.contrib, which TensorFlow 2 does not have"
_MODELS = "needs the repository tensorflow/models, which no stack contains"
_DENSENET = "fails in upstream's own code (its constructor does not take `params`)"
_OFFICIAL = [f"official_resnet{depth}{suffix}" for depth in (18, 34, 50, 101, 152, 200) for suffix in ("", "_v2")]
BROKEN: Mapping[str, str] = {
    **dict.fromkeys(("mobilenet", "nasnet", "nasnetlarge", "ssd300"), _CONTRIB),
    **dict.fromkeys([*_OFFICIAL, "ncf"], _MODELS),
    **dict.fromkeys(("densenet40_k12", "densenet100_k12", "densenet100_k24"), _DENSENET),
    "deepspeech2": "takes minutes to start and is no image model",
}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What is known of a training beside its steps; `failure` says why there are none to believe."""

    versions: Mapping[str, str]
    images_per_second: float = 0.0
    import_seconds: float = 0.0
    data_seconds: float = 0.0
    failure: str = ""


def run(context: Context) -> Outcome:
    """Run the model that the task's entry names. Raises what `train` does."""
    recorder = Recorder.of(context)
    trained = train(context, recorder.add)
    recorder.note_memory()  # upstream's own clock runs until its last step has returned
    if trained.failure:
        return Outcome(metrics=(), versions=trained.versions, status="failed", reason=trained.failure)
    batch_size = context.integer("batch_size")
    return outcome(
        recorder,
        items=Items(name="image", per_step=batch_size * context.integer("num_gpus"), on_device=batch_size),
        per_second=trained.images_per_second,
        import_seconds=trained.import_seconds,
        data_seconds=trained.data_seconds,
        losses=not context.flag("forward_only"),
        versions=trained.versions,
        warnings=_warnings(trained.versions["tensorflow/benchmarks"]),
    )


def train(context: Context, on_step: OnStep) -> Trained:
    """Run the upstream program; `on_step` gets each step's seconds and loss.

    Raises Unavailable where the stack lacks a package.
    """
    model = context.spec.entry.partition(".")[2]
    flags = command_flags(model, context.spec.device, context.params)
    tf_cnn_data.check(context)
    checkout = Path(context.spec.resources["tf_benchmarks"])
    tensorflow, import_seconds = import_tensorflow()
    versions = _versions(tensorflow, checkout)
    if context.spec.device != "cpu":
        visible = len(tensorflow.config.list_physical_devices("GPU"))
        if not visible:
            reason = "TensorFlow lists no GPU: its CUDA libraries or the driver are not visible here."
            return Trained(versions=versions, failure=reason)
        _check_gpus(context.integer("num_gpus"), visible)
    try:
        with tf_cnn_data.prepared(context, tensorflow) as data:
            versions.update(data.versions)
            rate = launch(checkout, [*flags, *data.flags], on_step)
    except (LaunchError, DataSetError) as error:
        return Trained(versions=versions, failure=str(error))
    return Trained(versions=versions, images_per_second=rate, import_seconds=import_seconds, data_seconds=data.seconds)


def command_flags(model: str, device: str, params: Mapping[str, Scalar]) -> list[str]:
    """Return tf_cnn_benchmarks.py's command line without its data."""
    named = {name: value for name, value in params.items() if name not in tf_cnn_data.PARAMS}
    given = {name: value for name, value in named.items() if not (name in OWN_DEFAULT and value == 0)}
    flags = {"model": model, **DEVICE_FLAGS[device], **given}
    return [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in flags.items()]


def unsupported(device: str, params: Mapping[str, Scalar], *, model: str) -> str:
    """Return why upstream can't run the model on the device with these parameters, '' if it can."""
    if model in BROKEN:
        return f"tf_cnn {model} {BROKEN[model]}. Choose another model."
    if device == "cpu" and params["num_gpus"] != 1:
        return f"tf_cnn: num_gpus {params['num_gpus']} counts GPUs and this cell has none. Set it to 1 here."
    if device == "cpu" and params["xla"]:
        return "tf_cnn: upstream's xla compiles for GPUs only and changes nothing on a CPU. Leave it out here."
    if device not in DEVICE_FLAGS:
        return f"tf_cnn runs on cpu and cuda:0, not on {device}. Make the GPU the first by CUDA_VISIBLE_DEVICES."
    return ""


def conflict(model: str, params: Mapping[str, Scalar]) -> str:
    """Return which parameters upstream does not take together and what to do, empty if it takes them."""
    data_name = str(params["data_name"])
    if model not in BROKEN and model not in DATA.get(data_name, {}):
        data_sets = " or ".join(name for name, models in DATA.items() if model in models)
        return f"tf_cnn {model} is not made for data_name {data_name}. Set data_name to {data_sets}."
    return tf_cnn_data.conflict(params)


def _check_gpus(wanted: int, visible: int) -> None:
    if wanted > visible:
        msg = f"num_gpus is {wanted}, and TensorFlow lists {visible} GPU here. Lower it, or add GPUs to the platform."
        raise Unavailable(msg)


def import_tensorflow() -> tuple[Any, float]:
    """Import TensorFlow the way upstream needs it and return it with the seconds that its import took.

    Upstream is written for Keras 2: from TensorFlow 2.16 on that is tf_keras, asked for before the import (2.15, too,
    looks for it then, and needs none). Up to 2.10 the module variable_v1, from which upstream takes one class, does not
    exist: it gets an alias.
    """
    if find_spec("tensorflow") is None:
        msg = "This stack has no TensorFlow. Run the task on a stack that has it."
        raise Unavailable(msg)
    if find_spec("tf_keras") is not None:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    started = time.perf_counter()
    tensorflow = importlib.import_module("tensorflow")
    with contextlib.suppress(ImportError):
        # np.median imports it when first called (numpy 2): upstream does so in its first timed step, and its images per
        # second would contain an import, 20 to 250 ms.
        importlib.import_module("numpy.ma")
    seconds = time.perf_counter() - started
    if _release(tensorflow.__version__) >= (2, 16) and find_spec("tf_keras") is None:
        msg = f"TensorFlow {tensorflow.__version__} runs tf_cnn with tf_keras only. Add tf_keras to the stack."
        raise Unavailable(msg)
    if _release(tensorflow.__version__) <= (2, 10):
        _alias_variable_v1()
    return tensorflow, seconds


def _release(text: str) -> tuple[int, int]:
    major, minor, *_ = text.split(".")
    return int(major), int(minor)


def _alias_variable_v1() -> None:
    ops = importlib.import_module("tensorflow.python.ops")
    alias: Any = types.ModuleType("tensorflow.python.ops.variable_v1")
    alias.VariableV1 = importlib.import_module("tensorflow.python.ops.variables").VariableV1
    sys.modules[alias.__name__] = alias
    ops.variable_v1 = alias  # type: ignore[attr-defined]  # what `from tensorflow.python.ops import variable_v1` reads


def _versions(tensorflow: Any, checkout: Path) -> dict[str, str]:  # noqa: ANN401 - a module
    found = {"tensorflow": str(tensorflow.__version__), "tensorflow/benchmarks": checkout_commit(checkout) or "unknown"}
    for package in ("tf_keras", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _warnings(commit: str) -> tuple[str, ...]:
    if commit == UPSTREAM_COMMIT:
        return ()
    return (f"tensorflow/benchmarks is at {commit}, not at the pinned {UPSTREAM_COMMIT[:12]}: compare with care.",)


def _task(model: str) -> Task:
    data_name = next((name for name, models in DATA.items() if model in models), "imagenet")
    return Task(
        summary=f"Training steps of tf_cnn_benchmarks' {model} on synthetic data, or on TFRecords.",
        run=run,
        params={**PARAMS, "data_name": data_name, "init_learning_rate": TAME_RATE if model in DIVERGING else 0.0},
        frameworks=("tensorflow",),
        devices=("cpu", "cuda"),
        choices={"variable_update": VARIABLE_UPDATES, "data_name": tuple(DATA)},
        conflict=partial(conflict, model),
        unsupported=partial(unsupported, model=model),
        work=("batch_size", "num_batches"),
        resources=("tf_benchmarks",),
        limits=LIMITS,
        seconds=DATA[data_name].get(model, 1.0),
    )


TASKS: Mapping[str, Task] = {model: _task(model) for model in (*IMAGENET, *CIFAR10, *BROKEN)}
