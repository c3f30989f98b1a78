from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.messages import Scalar
from harness.errors import UsageError
from harness.matrix.expand import expand
from harness.matrix.load import load, parse
from harness.matrix.model import Matrix, framework_of
from harness.matrix.tasks import label, named_tasks
from tests.matrix.examples import VALID, edited

SHIPPED = Path(__file__).parents[2] / "matrix.yaml"


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return parse(edited("  fakework.mnist:\n", "  fakework.mnist:\n  fakeprobe.gpu:\n"))


def test_the_first_profile_is_the_default(matrix: Matrix) -> None:
    plan = expand(matrix, gpu=False)
    assert plan.profile_name == "quick"
    assert plan.profile is matrix.profiles["quick"]


def test_every_task_pairs_with_the_stacks_of_its_framework(matrix: Matrix) -> None:
    cells = expand(matrix, "smoke", gpu=False).cells
    assert [cell.id for cell in cells if cell.platform == "docker"] == [
        "docker/driver/fakeprobe.plain",
        "docker/driver/fakeprobe.params",
        "docker/torch/fakework.resnet[batch_size=32]",
        "docker/torch/fakework.resnet[batch_size=64]",
        "docker/tensorflow/fakework.mnist",
        "docker/driver/fakeprobe.gpu",
    ]
    resnet = next(cell for cell in cells if cell.task == "fakework.resnet[batch_size=64]")
    assert (resnet.entry, resnet.params) == ("fakework.resnet", {"batch_size": 64})


def test_the_baseline_alone_has_a_second_arm(matrix: Matrix) -> None:
    arms = list(dict.fromkeys(cell.arm_name for cell in expand(matrix, gpu=False).cells))
    assert arms == ["native", "native@2", "docker", "guest"]


def test_every_arm_runs_the_same_cells(matrix: Matrix) -> None:
    cells = expand(matrix, "smoke", gpu=True).cells
    kinds = {arm: {(c.stack, c.task, c.device) for c in cells if c.arm_name == arm} for arm in ("native", "native@2")}
    assert kinds["native"] == kinds["native@2"] == {(c.stack, c.task, c.device) for c in cells}


@pytest.mark.parametrize(
    ("task", "gpu", "device"),
    [
        ("fakework.resnet", True, "cuda:0"),
        ("fakework.resnet", False, "cpu"),
        ("fakework.mnist", True, "cpu"),
        ("fakeprobe.gpu", True, "cuda:0"),
        ("fakeprobe.gpu", False, "cuda:0"),  # its platform says that there is none
    ],
)
def test_the_device_is_the_gpu_where_host_and_task_have_one(matrix: Matrix, task: str, gpu: bool, device: str) -> None:
    assert {cell.device for cell in expand(matrix, "smoke", tasks=[task], gpu=gpu).cells} == {device}


def test_the_command_line_takes_the_place_of_the_profiles_lists(matrix: Matrix) -> None:
    cells = expand(matrix, "quick", platforms=["guest"], tasks=["fakework.mnist"], gpu=False).cells
    assert [cell.id for cell in cells] == [
        "native/tensorflow/fakework.mnist",
        "native@2/tensorflow/fakework.mnist",
        "guest/tensorflow/fakework.mnist",
    ]
    one = expand(matrix, platforms=["native"], tasks=["fakework.resnet[batch_size=32]"], gpu=False).cells
    assert [cell.id for cell in one] == [f"native{arm}/torch/fakework.resnet[batch_size=32]" for arm in ("", "@2")]


def test_what_matches_nothing_is_told_with_what_exists(matrix: Matrix) -> None:
    def told(platforms: list[str] | None = None, tasks: list[str] | None = None) -> str:
        with pytest.raises(UsageError) as caught:
            expand(matrix, platforms=platforms, tasks=tasks, gpu=False)
        return str(caught.value)

    assert told(platforms=["native", "doker"]) == (
        "--platform doker: no such platform; did you mean docker? allowed: native, docker, guest"
    )
    assert told(tasks=["fakeprobe.pain"]).startswith(
        "--task fakeprobe.pain: no such task; did you mean fakeprobe.plain? allowed: fakeprobe.plain, "
    )
    with pytest.raises(UsageError, match="--profile fast: no such profile; allowed: quick, smoke"):
        expand(matrix, "fast", gpu=False)


def test_tasks_for_which_the_profile_has_no_stack_are_told() -> None:
    text = VALID.replace('stacks: [driver, "t*"]', "stacks: [driver]").replace('["*"]', '["fakeprobe.*"]')
    with pytest.raises(UsageError, match=r"profile smoke: no stack for fakework\.mnist; its stacks: driver"):
        expand(parse(text), "smoke", tasks=["fakework.mnist"], gpu=False)


@given(
    stacks=st.lists(st.sampled_from(["driver", "driver-2", "torch-a", "torch-b"]), min_size=1, unique=True),
    platforms=st.lists(st.sampled_from(["a", "b", "c-2", "native2"]), unique=True),
    batch_sizes=st.lists(st.integers(1, 10**6), min_size=1, max_size=5, unique=True),
    gpu=st.booleans(),
)
def test_ids_are_unique_and_every_pair_is_there(
    stacks: list[str], platforms: list[str], batch_sizes: list[int], gpu: bool
) -> None:
    matrix = Matrix.model_validate(
        {
            "schema": 1,
            "baseline": "native",
            "platforms": {name: {"kind": "native"} for name in ["native", *platforms]},
            "stacks": {name: {} for name in ["torch", *stacks]},
            "tasks": {"fakework.resnet": [{"batch_size": size} for size in batch_sizes], "fakeprobe.plain": [{}]},
            "profiles": {"all": {"tasks": ["*"], "blocks": 1}},
        }
    )
    ids = [cell.id for cell in expand(matrix, gpu=gpu).cells]
    frameworks = [framework_of(name) for name in matrix.stacks]
    pairs = frameworks.count("torch") * len(batch_sizes) + frameworks.count("none")
    assert len(ids) == len(set(ids)) == pairs * (len(platforms) + 2)


COUNTED = """\
schema: 1
baseline: native
platforms: {native: {kind: native}, docker: {kind: container}}
stacks: {driver: {}, torch: {requirements: lock.txt}, torch-other: {requirements: lock.txt}}
tasks:
  control.delay:
  storage.loader:
  torch_cnn.trivial: [{batch_size: 4}, {batch_size: 8}]
profiles:
  all: {tasks: ["*"], blocks: 1}
"""


def test_each_workload_is_counted_once_on_the_baseline() -> None:
    cells = expand(parse(COUNTED), gpu=False).cells
    counting = [cell for cell in cells if cell.once]
    assert [cell.id for cell in counting] == [
        f"native/{stack}/counts.torch_cnn.trivial[batch_size={size}]"
        for size in (4, 8)
        for stack in ("torch", "torch-other")
    ]
    assert cells[-4:] == tuple(counting)
    assert {(cell.entry, cell.params["batch_size"]) for cell in counting} == {
        ("counts.torch_cnn.trivial", 4),
        ("counts.torch_cnn.trivial", 8),
    }


def test_what_is_not_asked_for_is_not_counted() -> None:
    one = expand(parse(COUNTED), tasks=["torch_cnn.trivial[batch_size=8]"], gpu=False).cells
    assert {cell.task for cell in one if cell.once} == {"counts.torch_cnn.trivial[batch_size=8]"}
    assert not any(cell.once for cell in expand(parse(COUNTED), tasks=["control.*"], gpu=False).cells)


def test_the_shipped_matrix() -> None:
    matrix = load(SHIPPED)
    assert list(matrix.profiles) == ["quick", "smoke", "probes", "full", "gpu", "gpu-workloads", "cpu-workloads"]
    plans = {name: expand(matrix, name, gpu=False).cells for name in matrix.profiles}
    cells = {name: [cell for cell in plan if not cell.once] for name, plan in plans.items()}
    assert {cell.platform for cell in cells["quick"]} == set(matrix.platforms)
    assert {cell.platform for cell in cells["smoke"]} == {"native", "docker"}
    assert {cell.entry for cell in cells["full"]} == set(matrix.tasks)
    assert not any("resnet50" in cell.entry for name in ("quick", "smoke") for cell in cells[name])
    assert {cell.entry for cell in cells["probes"]} == {
        name
        for name in matrix.tasks
        if not any(family in name for family in ("_cnn", "_matmul", "_decode", "loader", "data."))
    }
    workloads = {cell.entry.partition(".")[0] for cell in cells["cpu-workloads"]} - {
        "control",
        "driver",
        "storage",
        "data",
    }
    assert workloads == {"tf_cnn", "torch_cnn", "keras_cnn", "torch_decode", "torch_matmul"}
    assert {cell.entry.partition(".")[0] for cell in plans["cpu-workloads"] if cell.once} == {"counts"}
    dispatched = {cell.stack for cell in cells["cpu-workloads"] if cell.entry == "driver.dispatch"}
    assert dispatched == {"torch", "tensorflow"}, "without it no launch has a cost on a CPU"
    assert {cell.stack for cell in cells["gpu"]} == {"driver", "torch-installed"}
    trained = {cell.params["batch_size"] for cell in cells["gpu-workloads"] if cell.entry == "torch_cnn.resnet20"}
    costs = {f"driver.{name}" for name in ("launch", "sync")} | {"copies.bandwidth", "copies.allocation"}
    assert {cell.entry for cell in cells["gpu-workloads"]} > costs | {"storage.small_files", "storage.sequential"}
    assert trained == {16, 128}, "a GPU's sizes, in place of those for a CPU"


def test_a_profile_may_have_parameter_sets_of_its_own() -> None:
    own = 'parameters: {fakework.resnet: {batch_size: 7}}\n    tasks: ["fakeprobe.*", "fakework.resnet"]'
    matrix = parse(edited('tasks: ["fakeprobe.*", "fakework.resnet"]', own))
    sizes = {
        name: {cell.task: cell.params["batch_size"] for cell in expand(matrix, name, gpu=False).cells
               if cell.entry == "fakework.resnet"}
        for name in ("quick", "smoke")
    }  # fmt: skip
    assert sizes["quick"] == {"fakework.resnet": 7}
    assert set(sizes["smoke"].values()) == {32, 64}


def test_the_cpu_is_controlled_on_every_platform_of_a_host_with_a_gpu() -> None:
    cells = expand(load(SHIPPED), "probes", tasks=["control.fma*"], gpu=True).cells
    assert {(cell.platform, cell.task, cell.device) for cell in cells} == {
        (platform, task, device)
        for platform in ("native", "docker")
        for task, device in (("control.fma", "cpu"), ("control.fma_device", "cuda:0"))
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/data/imagenet", "data-imagenet"),
        (r"D:\sets\ImageNet 2012", "D-sets-ImageNet-2012"),
        ("", "none"),
        ("/" + "x" * 80, "x" * 64),
        (True, "true"),
        (1e-07, "1e-07"),
    ],
)
def test_a_value_is_part_of_a_name(value: Scalar, expected: str) -> None:
    assert label(value) == expected


def test_sets_may_differ_in_a_path() -> None:
    sets = {"tf_cnn.resnet50": [{"data_dir": ""}, {"data_dir": "/data"}]}
    names = [task.name for task in named_tasks(sets)]
    assert names == ["tf_cnn.resnet50[data_dir=none]", "tf_cnn.resnet50[data_dir=data]"]


def test_a_tasks_name_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOME", "/home/alice"), ("USERPROFILE", "/home/alice"), ("LOGNAME", "alice")):
        monkeypatch.setenv(name, value)
    assert label("/home/alice/imagenet") == "imagenet"
    assert label("/scratch/alice/imagenet") == "scratch-user-imagenet"
