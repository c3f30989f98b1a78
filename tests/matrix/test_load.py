from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import MatrixError
from harness.matrix.load import load, parse
from harness.matrix.model import Container, Matrix, framework_of
from tests.matrix.examples import VALID, edited

LOCATED = re.compile(r"matrix\.yaml:[1-9][0-9]*:[1-9][0-9]*: \S")


def message(text: str) -> str:
    with pytest.raises(MatrixError) as caught:
        parse(text)
    assert caught.value.exit_status == 2
    return str(caught.value)


def test_values_are_parsed() -> None:
    matrix = parse(VALID)
    quick, smoke = matrix.profiles.values()
    assert (quick.precision, quick.budget, quick.timeout) == (0.02, 600.0, 300.0)
    assert (smoke.blocks.min, smoke.blocks.max) == (2, 2)
    docker = matrix.platforms["docker"]
    assert isinstance(docker, Container)
    assert (docker.cpus, docker.shm_size, docker.gpus) == (0.5, "2g", None)
    assert matrix.tasks["fakeprobe.plain"] == [{}]
    assert matrix.tasks["fakework.resnet"] == [{"batch_size": 32}, {"batch_size": 64}]


def test_parameters_are_complete_and_have_the_type_of_their_defaults() -> None:
    (params,) = parse(VALID).tasks["fakeprobe.params"]
    assert params == {"size": 4096, "rate": 2.0, "warm": True, "mode": "fast"}
    assert [type(value) for value in params.values()] == [int, float, bool, str]


def test_a_loaded_matrix_survives_the_way_through_run_json() -> None:
    matrix = parse(VALID)
    assert Matrix.model_validate(matrix.model_dump(mode="json", by_alias=True)) == matrix


# What stands in the valid matrix, what takes its place (▸ marks where the error is), and what is told.
MISTAKES = [
    (
        "cpus: 0.5",
        "▸cpuz: 0.5",
        (
            "platforms.docker.cpuz: unknown key; did you mean cpus? allowed: kind, engine, image, gpus, cpus, cpuset, "
            "memory, shm_size, ipc, ulimits, runtime, network, environment, mounts"
        ),
    ),
    ("schema: 1", "schema: ▸2", "schema: 1 is expected, found 2"),
    ("schema: 1", "schema: ▸true", "schema: the number 1 is expected, found true"),
    (
        "schema: 1",
        "▸schema_version: 1",
        (
            "schema_version: unknown key; did you mean schema? allowed: schema, baseline, platforms, stacks, tasks, "
            "profiles"
        ),
    ),
    ("schema: 1\n", "▸", "the key schema is missing"),
    ("cpus: 0.5", "cpus: ▸half", "platforms.docker.cpus: a number is expected, found 'half'"),
    ("cpus: 0.5", "cpus: ▸0", "platforms.docker.cpus: a number above 0 is expected, found 0"),
    ("cpus: 0.5", "cpus: ▸1e999", "platforms.docker.cpus: a finite number is expected, found inf"),
    (
        "shm_size: 2g",
        "shm_size: ▸2x",
        "platforms.docker.shm_size: a size in whole bytes is expected, such as 4096, 4KiB, 1MiB or 8g, found '2x'",
    ),
    (
        "cpus: 0.5",
        "environment: {N: ▸4}",
        "platforms.docker.environment.N: a text is expected, found 4; put it in quotes",
    ),
    (
        "cpus: 0.5",
        "mounts: [▸data]",
        "platforms.docker.mounts[0]: a text of the form ^.+:/[^:]*(:ro)?$ is expected, found 'data'",
    ),
    ("cpus: 0.5", "ulimits: {memlock: ▸-2}", "platforms.docker.ulimits.memlock: a number at least -1 is expected"),
    (
        "kind: container",
        "kind: ▸podman",
        "platforms.docker.kind: one of native, container, wsl, vm, remote is expected, found 'podman'",
    ),
    (
        "{kind: native}",
        "▸{os: linux}",
        "platforms.native: the key kind is missing; allowed: native, container, wsl, vm, remote",
    ),
    ("{kind: native}", "▸native", "platforms.native: a mapping is expected, found 'native'"),
    (
        "{kind: native}",
        "{kind: native, os: ▸mac}",
        "platforms.native.os: 'linux' or 'windows' is expected, found 'mac'",
    ),
    (
        "guest: {kind: vm, image: guest.qcow2, ",
        "guest: ▸{kind: vm, ",
        "platforms.guest: neither image nor domain is named; name one of them",
    ),
    (
        "guest: {kind: vm",
        "guest: ▸{kind: vm, domain: {name: ml, host: ml}",
        "platforms.guest: a domain's definition says what it is like; remove gpu, image",
    ),
    (
        "kind: vm, image: guest.qcow2, gpu: 0000:01:00.0",
        "kind: vm, domain: ▸{name: ml}",
        "platforms.guest.domain: the key host is missing",
    ),
    ("image: guest.qcow2", "image: ▸7", "platforms.guest.image: a text is expected, found 7; put it in quotes"),
    (
        "image: guest.qcow2",
        "image: guest.qcow2, ▸cpu: 4",
        "platforms.guest.cpu: unknown key; did you mean cpus? allowed: kind, image, domain, user, accelerator, cpus",
    ),
    (
        "guest: {kind: vm",
        "guest: ▸{kind: vm, memory: 1k",
        "platforms.guest: memory is below 64m, and no guest boots with that; name more",
    ),
    (
        "image: guest.qcow2",
        "image: guest.qcow2, memory: ▸1x",
        "platforms.guest.memory: a size in whole bytes is expected",
    ),
    (
        "guest: {kind: vm",
        "guest: ▸{kind: vm, cpus: 4, pin: 0-2",
        "platforms.guest: pin names 3 host CPUs for 4 virtual ones; name as many",
    ),
    (
        "guest: {kind: vm",
        "guest: ▸{kind: vm, pin: 3-0",
        "platforms.guest: pin names 0 host CPUs for 0 virtual ones; name as many",
    ),
    (
        "guest: {kind: vm",
        "guest: ▸{kind: vm, cpus: 4, numa: [0, 1, 2]",
        "platforms.guest: 4 CPUs can't be shared equally by 3 nodes of numa; change cpus",
    ),
    (
        "guest: {kind: vm",
        "guest: ▸{kind: vm, numa: [0, 1]",
        "platforms.guest: numa shares the CPUs among its nodes; say how many by cpus or pin",
    ),
    (
        "  docker:",
        "  ▸Docker:",
        (
            "platforms.Docker: a name is made of lower-case letters, digits, '.', '_' and '-', begins with a letter or "
            "digit, up to 64"
        ),
    ),
    (
        "baseline: native",
        "baseline: ▸nativ",
        "baseline: no such platform, found 'nativ'; did you mean native? allowed: native, docker, guest",
    ),
    (
        "  driver: {}",
        "  ▸jax: {}",
        "stacks.jax: a stack's name begins with driver, torch, tensorflow: that names its framework",
    ),
    (
        "{requirements: lock.txt}",
        "▸{}",
        "stacks.torch: where torch comes from is missing; add requirements or interpreter",
    ),
    (
        "{requirements: lock.txt}",
        "▸{requirements: lock.txt, interpreter: python3}",
        "stacks.torch: requirements and interpreter exclude each other; remove one",
    ),
    (
        "{requirements: lock.txt}",
        "{requirements: lock.txt, python: ▸3.11}",
        "stacks.torch.python: a text is expected, found 3.11; put it in quotes",
    ),
    (
        "  fakeprobe.plain:",
        "  ▸counts.torch_cnn.trivial:",
        "tasks.counts.torch_cnn.trivial: what a step consists of is counted by every run, once; remove it",
    ),
    (
        "  fakeprobe.plain:",
        "  ▸tf_cnn.inceptoin3:",
        "tasks.tf_cnn.inceptoin3: no such probe or workload; did you mean tf_cnn.inception3?",
    ),
    (
        "  fakeprobe.plain:",
        "  tf_cnn.trivial: {▸batchsize: 4}",
        "tasks.tf_cnn.trivial.batchsize: unknown parameter; did you mean batch_size?",
    ),
    (
        "  fakeprobe.plain:",
        "  ▸contrl.fma:",
        "tasks.contrl.fma: no such probe or workload; did you mean control.fma? allowed: control.",
    ),
    (
        "rate: 2}",
        "▸rat: 2}",
        "tasks.fakeprobe.params.rat: unknown parameter; did you mean rate? allowed: size, rate, warm, mode",
    ),
    ("fakework.mnist:", "fakework.mnist: {▸x: 1}", "tasks.fakework.mnist.x: unknown parameter; allowed: none"),
    ("rate: 2}", "rate: ▸fast}", "tasks.fakeprobe.params.rate: a number is expected, found 'fast'"),
    (
        "rate: 2}",
        "rate: ▸[2]}",
        "tasks.fakeprobe.params.rate: a text, a number, true or false is expected, found a list",
    ),
    (
        "rate: 2}",
        "rate:▸ }",
        "tasks.fakeprobe.params.rate: a text, a number, true or false is expected, found nothing",
    ),
    (
        "rate: 2}",
        "rate: ▸1e999}",
        "tasks.fakeprobe.params.rate: a text, a number, true or false is expected, found inf",
    ),
    (
        "size: 4KiB",
        "size: ▸0.3KiB",
        "tasks.fakeprobe.params.size: a size in whole bytes is expected, such as 4096, 4KiB, 1MiB or 8g, found '0.3",
    ),
    ("size: 4KiB", "size: ▸0", "tasks.fakeprobe.params.size: a number at least 1 is expected, found 0"),
    ("size: 4KiB", "size: ▸-4096", "tasks.fakeprobe.params.size: a number at least 1 is expected, found -4096"),
    ("rate: 2}", "rate: ▸0}", "tasks.fakeprobe.params.rate: a number above 0 is expected, found 0"),
    ("rate: 2}", "warm: ▸yes}", "tasks.fakeprobe.params.warm: true or false is expected, found 'yes'"),
    ("rate: 2}", "mode: ▸3}", "tasks.fakeprobe.params.mode: a text is expected; put it in quotes, found 3"),
    (
        "{batch_size: 64}]",
        "▸{batch_size: 32}]",
        "tasks.fakework.resnet[1]: the same parameters as in set 1; remove one",
    ),
    (
        "{size: 4KiB, rate: 2}",
        "[{mode: a-b}, ▸{mode: a/b}]",
        (
            "tasks.fakeprobe.params[1]: the values by which it differs from set 1 make the same name, "
            "fakeprobe.params[mode=a-b]; change one of them"
        ),
    ),
    (
        "fakework.mnist:",
        "tf_cnn.resnet50: {variable_update: ▸horovod}",
        (
            "tasks.tf_cnn.resnet50.variable_update: one of parameter_server, replicated, independent is expected, "
            "found 'horovod'"
        ),
    ),
    (
        "fakework.mnist:",
        "tf_cnn.resnet50: {▸num_gpu: 2}",
        "tasks.tf_cnn.resnet50.num_gpu: unknown parameter; did you mean num_gpus? allowed: batch_size, num_batches,",
    ),
    (
        "fakework.mnist:",
        "tf_cnn.resnet50: ▸{data_name: cifar10}",
        "tasks.tf_cnn.resnet50: tf_cnn resnet50 is not made for data_name cifar10. Set data_name to imagenet.",
    ),
    (
        "fakework.mnist:",
        "tf_cnn.resnet50: [{}, ▸{real_data: true, data_dir: /data}]",
        "tasks.tf_cnn.resnet50[1]: real_data makes a data set and data_dir names one. Set one of the two.",
    ),
    ("fakework.mnist:", "fakework.mnist: ▸[]", "tasks.fakework.mnist: at least one entry is expected"),
    ("fakework.mnist:", "fakework.mnist: ▸text", "tasks.fakework.mnist: a list is expected, found 'text'"),
    ("{min: 5, max: 12}", "▸{min: 13, max: 12}", "profiles.quick.blocks: min 13 is above max 12; swap them"),
    ("blocks: 2", "blocks: ▸0", "profiles.smoke.blocks: a number at least 1 is expected, found 0"),
    (
        "blocks: 2",
        "blocks: {min: 1, ▸mx: 2}",
        "profiles.smoke.blocks.mx: unknown key; did you mean max? allowed: min, max",
    ),
    ("blocks: 2", "blocks: ▸many", "profiles.smoke.blocks: a mapping is expected, found 'many'"),
    ("precision: 2%", "precision: ▸2", "profiles.quick.precision: a number below 1 is expected, found 2"),
    (
        "precision: 2%",
        "precision: ▸2 percent",
        "profiles.quick.precision: a percentage is expected, such as 2%, found '2 percent'",
    ),
    (
        "budget: 10min",
        "budget: ▸10 minutes",
        "profiles.quick.budget: a duration is expected, such as 30s, 10min or 1.5h, found '10 minutes'",
    ),
    (
        "[native, docker]",
        "[native, ▸podman]",
        "profiles.smoke.platforms[1]: 'podman' matches nothing; allowed: native, docker, guest",
    ),
    ('"t*"', '▸"x*"', "profiles.smoke.stacks[1]: 'x*' matches nothing; allowed: driver, torch, tensorflow"),
    (
        'tasks: ["*"]',
        'tasks: [▸"storage.*"]',
        (
            "profiles.smoke.tasks[0]: 'storage.*' matches no task; allowed: fakeprobe.plain, fakeprobe.params, "
            "fakework.resnet[batch_size=32], fakework.resnet[batch_size=64], fakework.mnist"
        ),
    ),
    ('tasks: ["*"]', "tasks: ▸[]", "profiles.smoke.tasks: at least one entry is expected"),
    (
        "    blocks: 2",
        "    parameters: {▸control.fma: {}}\n    blocks: 2",
        "profiles.smoke.parameters.control.fma: no such task; allowed: fakeprobe.plain, fakeprobe.params, fakework.res",
    ),
    (
        "    blocks: 2",
        "    parameters: {fakework.resnet: [{batch_size: 8}, {▸batchsize: 8}]}\n    blocks: 2",
        "profiles.smoke.parameters.fakework.resnet[1].batchsize: unknown parameter; did you mean batch_size?",
    ),
    (
        "    precision: 2%",
        "    parameters: {▸fakework.mnist: {}}\n    precision: 2%",
        "profiles.quick.parameters.fakework.mnist: no task of this profile; add it to tasks, or remove it",
    ),
    ("  smoke:", "  ▸quick:", "profiles.quick: the key is already in line 17; remove one"),
]


@pytest.mark.parametrize(("old", "new", "told"), MISTAKES, ids=[new for _, new, _ in MISTAKES])
def test_a_mistake_is_told_with_its_place_and_what_is_allowed(old: str, new: str, told: str) -> None:
    before, _, after = edited(old, new).partition("▸")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    assert message(before + after).startswith(f"matrix.yaml:{line}:{column}: {told}")


def test_a_pattern_without_a_stack_for_its_tasks_is_an_error() -> None:
    text = edited('tasks: ["*"]', 'tasks: ["fakework.mnist"]').replace('stacks: [driver, "t*"]', "stacks: [driver]")
    assert message(text) == (
        "matrix.yaml:23:13: profiles.smoke.tasks[0]: 'fakework.mnist' needs a stack of tensorflow; add it to stacks"
    )


def test_the_error_that_comes_first_in_the_file_is_told() -> None:
    text = edited("cpus: 0.5", "cpus: x").replace("blocks: 2", "blocks: x").replace("schema: 1", "schema: 1\nodd: 1")
    assert message(text).startswith("matrix.yaml:2:1: odd: unknown key; allowed: schema, baseline,")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "matrix.yaml:1:1: the file is empty; a matrix begins with schema: 1"),
        ("# nothing\n", "matrix.yaml:1:1: the file is empty"),
        ("native", "matrix.yaml:1:1: a mapping is expected, found 'native'"),
        ("- 1", "matrix.yaml:1:1: a mapping is expected, found a list"),
        ("schema: 1\nbaseline: [native", "matrix.yaml:2:18: not YAML: while parsing a flow sequence, expected ',' or"),
        ("schema: 1\n  baseline: x", "matrix.yaml:2:11: not YAML: mapping values are not allowed here"),
        ("schema: 1\n\tbaseline: x", "matrix.yaml:2:1: not YAML: while scanning for the next token, found character"),
        ("schema: 1\n---\nschema: 1", "matrix.yaml:2:1: not YAML: expected a single document in the stream, but found"),
        ("a: *b", "matrix.yaml:1:4: not YAML: found undefined alias 'b'"),
        ("a: 1\nb: \x07", "matrix.yaml:2:4: the character U+0007 is not allowed"),
        ('a: "\\U99999999"', "matrix.yaml:1:7: not YAML: "),
        ('a: "\\ud800"', "matrix.yaml:1:4: a: a text with a broken escape"),
        (
            "a: !!python/object:os.system {}",
            "matrix.yaml:1:4: a: the tag tag:yaml.org,2002:python/object:os.system has",
        ),
        ("a: !!int x", "matrix.yaml:1:4: a: x cannot be read as tag:yaml.org,2002:int; remove the tag"),
        ("a: {b: 1, b: 2}", "matrix.yaml:1:11: a.b: the key is already in line 1; remove one"),
        ("1: x", "matrix.yaml:1:1: a key must be a text; put it in quotes"),
        ("? [a]\n: x", "matrix.yaml:1:3: a key must be a text; put it in quotes"),
        ("[" * 20_000, "matrix.yaml:1:33: not YAML: nested deeper than 32"),
        ("{a: " * 50_000, "not YAML: nested deeper than 32"),
        ("a: &a [*a]", "aliases counted, this is deeper than 32"),
        ("a: &a {b: *a}", "aliases counted, this is deeper than 32"),
    ],
)
def test_what_is_no_plain_yaml_is_told_in_one_line(text: str, expected: str) -> None:
    told = message(text)
    assert expected in told
    assert LOCATED.match(told)
    assert len(told) < 300


def test_multiplying_aliases_end_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "aliases counted" in message("\n".join(lines))  # 10^12 values: anything but a limit never ends


def test_aliases_are_allowed() -> None:
    text = edited("budget: 10min", "budget: 10min\n    stacks: &stacks [driver, torch]")
    text = text.replace('stacks: [driver, "t*"]', "stacks: *stacks").replace('["*"]', '["fakeprobe.*"]')
    assert parse(text).profiles["smoke"].stacks == ["driver", "torch"]


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    assert load(path) == parse(VALID)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    def told(path: Path) -> str:
        with pytest.raises(MatrixError) as caught:
            load(path)
        return str(caught.value).removeprefix(str(path))

    path = tmp_path / "matrix.yaml"
    assert told(path) == ":1:1: no such file; name another with -m FILE"
    assert told(tmp_path) == ":1:1: no such file; name another with -m FILE"
    assert told(Path("a\0b")).endswith("name another with -m FILE")
    path.write_bytes("schema: 1\n# gr\xfc\xdf\n".encode("latin-1"))
    assert told(path) == ":2:1: not UTF-8 (invalid start byte); save the file as UTF-8"
    path.write_bytes(VALID.encode("utf-16"))
    assert "not UTF-8" in told(path)
    path.write_text("#" * 70_000)
    assert told(path) == ":1:1: longer than 64 KiB: not a matrix"


def test_a_stacks_name_gives_its_framework() -> None:
    names = ["driver", "torch", "torch-2.13", "torch-installed", "tensorflow-2.21"]
    assert [framework_of(name) for name in names] == ["none", "torch", "torch", "torch", "tensorflow"]
    with pytest.raises(ValueError, match="begins with driver, torch, tensorflow"):
        framework_of("jax")


def assert_loads_or_tells(text: str) -> None:
    try:
        parse(text)
    except MatrixError as error:
        told = str(error)
        assert LOCATED.match(told)
        assert len(told.splitlines()) == 1


@given(st.text())
def test_any_text_loads_or_is_told(text: str) -> None:
    assert_loads_or_tells(text)


@given(st.text(alphabet=list("[]{}:,-?&*!|>'\"%@`#~ \n\tab01.\\")))
def test_any_yaml_like_text_loads_or_is_told(text: str) -> None:
    assert_loads_or_tells(text)


LINES = VALID.splitlines()
VALUES = [
    "",
    "~",
    "-1",
    "0",
    "1e999",
    "yes",
    "'",
    "[]",
    "{}",
    "[x, {y: 1}]",
    "*a",
    "&a x",
    "!!int x",
    "9" * 400,
    "\x85",
]


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """The valid matrix with lines deleted, doubled, moved, and values replaced."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        place = draw(st.integers(0, len(line)))
        value = draw(st.sampled_from(VALUES) | st.text(max_size=5))
        edits = {
            "delete": [],
            "double": [line, line],
            "replace the value": [re.sub(r": .*", lambda _: f": {value}", line)],  # noqa: B023 - used at once
            "replace words": [re.sub(r"\b[a-z]+\b", value.replace("\\", ""), line)],
            "insert": [line[:place] + value + line[place:]],
            "indent": ["  " + line],
        }
        lines[index : index + 1] = edits[draw(st.sampled_from(sorted(edits)))]
        lines = lines or [""]
    return "\n".join(lines)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(mutations())
def test_any_mutation_loads_or_is_told(text: str) -> None:
    assert_loads_or_tells(text)
