"""The table of rules, and what it does to comparisons."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, get_args

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.agent.inspection import inspect, nvml, pci, windows
from harness.agent.inspection.facts import Files
from harness.agent.messages import Location
from harness.analysis import links
from harness.analysis.analyse import analyse
from harness.analysis.comparability import Comparability, fitting
from harness.analysis.comparability_rules import RANKS, RULES, Rule
from harness.analysis.compare import compare
from harness.analysis.differing import Differing, inspected, processors
from harness.analysis.kinds import Kind
from harness.analysis.model import Comparison, Difference
from harness.analysis.report_json import report_json
from harness.results.bundle import Bundle, Manifest, read
from tests.program import ROOT
from tests.synthetic import CONTROL, SMALL_FILES, TRAINING, write_bundle

KINDS: tuple[Kind, ...] = get_args(Kind)
LINUX = {"system.platform": "linux"}
LOCK = {"native": "a" * 64, "other": "b" * 64}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose platforms are replaced by those of each test."""
    return read(write_bundle(tmp_path_factory.mktemp("plain") / "run", tasks=(CONTROL,), blocks=1, samples=2))


def comparability(
    plain: Bundle, ours: Mapping[str, Any], theirs: Mapping[str, Any], kind: str = "container", **changes: object
) -> Comparability:
    platforms = {
        "native": {"kind": "native", "available": True, "inspection": LINUX | dict(ours)},
        "other": {"kind": kind, "available": True, "inspection": LINUX | dict(theirs)},
    }
    manifest = Manifest.model_validate(plain.manifest.dump() | {"platforms": platforms, "stacks": {}} | changes)
    return Comparability.of(Bundle(manifest=manifest, journal=(), invocations=()))


def comparison(
    task: str = "driver.syscall", device: str = "cpu", location: str = "", stack: str = "driver"
) -> Comparison:
    return Comparison(
        task=task,
        metric="any_seconds",
        dims={"location": location} if location else {},
        unit="s",
        stack=stack,
        device=device,
        baseline="native",
        platform="other",
        slowdown=1.0,
        ci95=(0.9, 1.1),
        verdict="inconclusive",
        blocks=8,
        paired=True,
        noise_floor=None,
        mde=None,
        comparable=True,
    )


SYSCALL, FILES = comparison(), comparison("storage.small_files", location="ext4")
LAUNCH, COPIES = comparison("driver.launch", "cuda:0"), comparison("copies.bandwidth[bytes=4]", "cuda:0")
TRAIN, GPU_TRAIN = comparison("torch_cnn.trivial"), comparison("torch_cnn.trivial", "cuda:0")


@pytest.mark.parametrize(
    ("key", "values", "kind", "greyed", "spared"),
    [
        ("cpu.model", ("A", "B"), "container", [SYSCALL, LAUNCH, FILES], []),
        ("cpu.model", ("A", "QEMU TCG CPU version 2.5+"), "vm", [SYSCALL, LAUNCH], []),
        ("cpu.model", ("A", "QEMU Virtual CPU"), "vm", [], [SYSCALL]),
        ("cpu.model", ("A  CPU", "a cpu"), "container", [], [SYSCALL]),
        ("cpu.model", ("A", ""), "container", [], [SYSCALL]),
        ("vm.accelerator", ("", "tcg"), "vm", [SYSCALL, LAUNCH], []),
        ("vm.accelerator", ("", "kvm"), "vm", [], [SYSCALL, LAUNCH]),
        ("wsl.stand_in", ("", "no WSL"), "wsl", [SYSCALL, LAUNCH], []),
        ("remote.same_host", ("", False), "remote", [SYSCALL], []),
        ("remote.same_host", ("", False), "vm", [], [SYSCALL]),
        ("board.model", ("A", "B"), "container", [SYSCALL], []),
        ("board.model", ("A", "B"), "vm", [], [SYSCALL]),
        ("cgroup.cpus", ("unlimited", 0.5), "container", [SYSCALL, TRAIN, LAUNCH], []),
        ("cpu.affinity", (8, 2), "container", [TRAIN, GPU_TRAIN], [SYSCALL, LAUNCH, FILES]),
        ("gpu.devices.0.uuid", ("GPU-1", "GPU-2"), "container", [LAUNCH, COPIES], [SYSCALL, TRAIN]),
        ("gpu.devices.0.name", ("A", "B"), "wsl", [LAUNCH], [SYSCALL]),
        ("gpu.devices.0.ecc", (True, False), "wsl", [LAUNCH], [SYSCALL]),
        ("gpu.devices.0.mig", (True, False), "container", [GPU_TRAIN], [TRAIN]),
        ("gpu.devices.0.power_limit_watts", (450.0, 300.0), "wsl", [GPU_TRAIN], [TRAIN]),
        ("gpu.devices.0.power_limit_watts", (450.0, ""), "wsl", [], [GPU_TRAIN]),
        ("gpu.devices.0.virtualization", ("bare metal", "vGPU"), "vm", [LAUNCH], []),
        ("gpu.devices.0.virtualization", ("bare metal", "passthrough"), "vm", [], [LAUNCH]),
        ("gpu.devices.0.max_pcie_width", (16, 8), "container", [COPIES], [LAUNCH]),
        ("gpu.devices.0.max_pcie_width", (16, 8), "vm", [], [COPIES]),
        ("gpu.devices.0.loaded_pcie_generation", (4, 3), "wsl", [COPIES], [LAUNCH]),
        ("gpu.devices.0.loaded_pcie_generation", (4, 3), "vm", [], [COPIES]),
        ("gpu.devices.0.driver_model", ("", "WDDM"), "wsl", [], [LAUNCH]),
        ("gpu.driver", ("570.1", "571.2"), "wsl", [], [LAUNCH]),
        ("system.kernel", ("6.1", "6.6-microsoft"), "wsl", [], [SYSCALL]),
        ("cpu.governor", ("performance", "powersave"), "container", [], [SYSCALL]),
        ("cgroup.io_limits", ("", ["io.max: 8:0 rbps=1"]), "container", [FILES], [SYSCALL]),
    ],
)  # fmt: skip
def test_what_decides_and_for_what(
    plain: Bundle,
    key: str,
    values: tuple[object, object],
    kind: str,
    greyed: list[Comparison],
    spared: list[Comparison],
) -> None:
    ours, theirs = ({key: value} if value != "" else {} for value in values)
    judge = comparability(plain, {"cpu.logical": 8} | ours, {"cpu.logical": 8} | theirs, kind)
    judged = judge.judged([*greyed, *spared])
    assert [each.comparable for each in judged] == [False] * len(greyed) + [True] * len(spared)
    for each in judged[: len(greyed)]:
        assert each.confounders[0].endswith(
            next(one.why for one in judge.differences(judged) if one.rank == "decisive")
        )
    assert not any(each.confounders for each in judged[len(greyed) :])


@pytest.mark.parametrize(
    ("key", "values", "kind", "rank"),
    [
        ("system.kernel", ("6.1", "6.6"), "wsl", "noted"),
        ("system.kernel", ("6.1", "6.6"), "remote", "relevant"),
        ("cpu.governor", ("performance", "powersave"), "vm", "relevant"),
        ("cpu.governor", ("performance", ""), "vm", "noted"),
        ("cpu.boost", (True, False), "container", "relevant"),
        ("system.transparent_huge_pages", ("always", "never"), "container", "relevant"),
        ("system.mitigations.spectre_v2", ("A", "B"), "vm", "relevant"),
        ("system.clock_source", ("tsc", "hpet"), "vm", "relevant"),
        ("system.libc", ("glibc 2.36", "musl"), "container", "relevant"),
        ("python.flags", ("-O3", "-O2"), "container", "relevant"),
        ("python.executable_sha256", ("a", "b"), "container", "noted"),
        ("container.capabilities", ("all", "none"), "container", "noted"),
        ("windows.power_scheme", ("", "balanced"), "remote", "relevant"),
        ("something.new", ("a", "b"), "container", "noted"),
    ],
)
def test_what_is_relevant_and_what_is_noted(
    plain: Bundle, key: str, values: tuple[object, object], kind: str, rank: str
) -> None:
    ours, theirs = ({key: value} if value != "" else {} for value in values)
    (one,) = comparability(plain, ours, theirs, kind).differences([SYSCALL])
    assert (one.key, one.rank, one.platform, one.baseline) == (key, rank, "other", "native")
    assert one.why


def test_another_disk_decides_at_its_location_alone(plain: Bundle) -> None:
    facts = {"filesystem": "ext4", "disks": [{"kind": "nvme", "model": "A"}]}
    ours = {f"storage.host.{name}": value for name, value in facts.items()}
    theirs = {f"storage.bind.{name}": value for name, value in facts.items()} | {
        "storage.volume.filesystem": "ext4",
        "storage.volume.disks": [{"kind": "nvme", "model": "B"}],
        "storage.overlay.filesystem": "overlay",
    }
    judge = comparability(plain, ours, theirs)
    places = [comparison("storage.random", location=name) for name in ("bind", "volume", "overlay")]
    judged = judge.judged([*places, SYSCALL])
    assert [each.comparable for each in judged] == [True, False, True, True]
    assert judged[1].confounders == ("storage.volume.disks.0.model: A on native, B on other: another disk",)
    ranks = {one.key: (one.rank, one.baseline_value, one.platform_value) for one in judge.differences(judged)}
    assert ranks["storage.overlay.filesystem"] == ("noted", "ext4", "overlay")
    assert ranks["storage.overlay.disks.0.model"] == ("relevant", "A", "")
    assert not any(key.startswith("storage.bind") for key in ranks)


def test_a_virtual_disk_stands_for_one_that_is_not_seen(plain: Bundle) -> None:
    ours, theirs = ({"storage.host.disks": [{"kind": "sd", "model": model}]} for model in ("Samsung", "Virtual Disk"))
    (each,) = comparability(plain, ours, theirs).judged([comparison("storage.random", location="host")])
    assert each.comparable


def test_other_packages_decide_and_a_vendors_image_does_not(plain: Bundle) -> None:
    locks = {name: {"lock_sha256": digest} for name, digest in LOCK.items()}
    torch = comparison("torch_cnn.trivial", stack="torch")
    two = comparability(plain, {}, {}, stacks={"torch": {"platforms": locks}})
    assert [each.comparable for each in two.judged([torch, SYSCALL])] == [False, True]
    one = comparability(plain, {}, {}, stacks={"torch": {"platforms": {"native": locks["native"]}}})
    assert one.judged([torch])[0].comparable
    (told,) = one.differences([torch])
    assert (told.key, told.rank, told.platform_value) == ("stack.lock_sha256", "relevant", "")


def test_what_decides_nothing_that_was_measured_is_not_called_decisive(plain: Bundle) -> None:
    judge = comparability(plain, {"gpu.devices.0.uuid": "GPU-1"}, {"gpu.devices.0.uuid": "GPU-2"})
    assert [one.rank for one in judge.differences([SYSCALL])] == ["noted"]
    assert [one.rank for one in judge.differences([SYSCALL, LAUNCH])] == ["decisive"]


def test_what_is_serious_for_some_tasks_is_not_listed_as_harmless_for_others(plain: Bundle) -> None:
    found = comparability(plain, {"cpu.affinity": 8}, {"cpu.affinity": 2}).differences([SYSCALL, TRAIN])
    assert [(one.key, one.rank) for one in found] == [
        ("processors", "decisive"),
        ("cpu.affinity", "relevant"),
        ("processors", "relevant"),
    ]
    assert "torch_*" in found[0].tasks


@pytest.mark.parametrize(
    ("facts", "number"),
    [
        ({"cgroup.cpus": "unlimited", "cpu.affinity": "4", "cpu.logical": "8"}, "4"),
        ({"cgroup.cpus": "0.5", "cpu.affinity": "4"}, "0.5"),
        ({"cgroup.cpus": "2.0", "cpu.logical": "2"}, "2"),
        ({"cpu.model": "A"}, None),
    ],
)
def test_processors_are_the_least_of_quota_affinity_and_count(facts: dict[str, str], number: str | None) -> None:
    assert processors(facts).get("processors") == number


def test_a_real_engines_container_compares(tmp_path: Path) -> None:
    """What the synthetic bundles have in common with real ones: a quota that does not bind, another Python."""
    bundle = read(write_bundle(tmp_path / "run", sigma=0.003, tasks=(CONTROL, SMALL_FILES, TRAINING)))
    assert all(each.comparable for each in compare(bundle))
    told = report_json(analyse(bundle), bundle)["comparability"]
    assert {"python.version", "versions.python"} <= {each["key"] for each in told if each["rank"] == "relevant"}
    assert not any(each["rank"] == "decisive" for each in told)


def test_half_a_processor_is_found_without_any_control(tmp_path: Path) -> None:
    bundle = read(write_bundle(tmp_path / "run", tasks=(TRAINING,)))
    records = dict(bundle.manifest.platforms)
    quota = {"cgroup.cpus": {"value": 0.5, "source": "cpu.max"}}
    docker = records["docker"]
    records["docker"] = docker.model_copy(update={"inspection": docker.inspection | quota})
    half = Bundle(
        manifest=bundle.manifest.model_copy(update={"platforms": records}),
        journal=bundle.journal,
        invocations=bundle.invocations,
        fingerprint=bundle.fingerprint,
    )
    document = report_json(analyse(half), half)
    assert not any(each["comparable"] for each in document["comparisons"])
    assert document["comparability"][0]["key"] == "processors"
    assert (document["comparability"][0]["rank"], document["regressions"]) == ("decisive", [])


# The table itself


def witness(glob: str) -> str:
    return glob.replace("*", "8")


def places(rule: Rule) -> Iterator[tuple[str, str]]:
    return product(map(witness, rule.tasks), ("cpu", "cuda:0"))


def differing(rule: Rule, glob: str) -> Iterator[Differing]:
    value = witness(rule.value)
    for other in ("9", "") if rule.alone else ("9",):
        yield Differing(key=witness(glob), baseline_value=other, platform_value=value)


def first(one: Differing, kind: Kind, task: str, device: str) -> Rule:
    return next(rule for rule in fitting(one, {kind, "linux"}) if rule.bears_on(task, device))


@pytest.mark.parametrize("number", range(len(RULES)))
def test_every_rule_is_reached_by_each_of_its_keys(number: int) -> None:
    rule = RULES[number]
    for glob in rule.keys:
        reached = (
            first(one, kind, task, device) is rule
            for one in differing(rule, glob)
            for kind in KINDS
            for task, device in places(rule)
        )
        assert any(reached), f"{glob} of rule {number} ({rule.why}) is hidden by rules before it"


def test_the_last_rule_is_for_everything() -> None:
    assert RULES[-1] == Rule(keys=("*",), rank="noted", why=RULES[-1].why, alone=True)
    assert all(rule.why and rule.rank in RANKS for rule in RULES)


def test_no_rule_is_about_a_fact_that_nobody_reports() -> None:
    known = set(reported())
    for rule in RULES[:-1]:
        for glob in rule.keys:
            pattern = re.compile(".*".join(map(re.escape, glob.split("*"))))
            assert any(pattern.match(key) for key in known), glob


def reported() -> Iterator[str]:
    """Every key that an inspection may have, flat: most from the code that makes them."""
    yield from inspect([Location(name="host", path="/")])
    yield from (f"gpu.devices.0.{name}" for name in nvml._questions(pynvml, None))
    yield from (f"pci.gpus.0.{name}" for name in pci._questions(Files(), "/"))
    yield from (f"windows.{name}" for name in windows.from_registry(lambda _key, _name: ""))
    yield from (f"windows.{name}" for name in (*windows.QUESTIONS, "volumes.0.filesystem", "stand_in"))
    yield from ("gpu.driver", "gpu.cuda_driver", "gpu.confidential_computing", "memory.huge_pages.2048kB")
    yield from (f"vm.{name}" for name in ("accelerator", "pinning", "hugepage_bytes", "numa", "stand_in"))
    yield from (f"gpu.devices.0.loaded_{name}" for name in links.COLUMNS)
    yield from ("remote.same_host", "wsl.version", "processors", "stack.lock_sha256", "gpu.simulated")
    yield from (f"versions.{name}" for name in ("gpu", "gpu_uuid", "gpu_numa_node", "native_helper"))
    yield from ("cpu.cache_bytes.L2", "storage.host.disks.0.model", "storage.host.drive")
    yield from ("system.mitigations.l1tf", "kernel.parameters.psi")
    yield from ("cgroup.memory_bytes", "cgroup.swap_bytes", "memory.nodes.0.cpus")  # which depend on its version


KEYS = st.sampled_from(sorted({witness(glob) for rule in RULES for glob in rule.keys}))
VALUES = st.sampled_from(["", "0", "1", "no", "yes", "tcg", "vgpu", "unlimited", "A", "virtual disk"])
FACTS = st.dictionaries(
    KEYS.filter(lambda key: key not in {"cgroup.cpus", "cpu.affinity", "cpu.logical"}), VALUES.filter(bool)
)  # what is not told has no key


@given(key=KEYS, values=st.tuples(VALUES, VALUES), kinds=st.tuples(*[st.sampled_from(KINDS)] * 2), place=st.data())
def test_a_rule_knows_no_order_of_the_two_sides(
    key: str, values: tuple[str, str], kinds: tuple[Kind, Kind], place: st.DataObject
) -> None:
    one = Differing(key=key, baseline_value=values[0], platform_value=values[1])
    other = Differing(key=key, baseline_value=values[1], platform_value=values[0])
    assert fitting(one, kinds) == fitting(other, kinds[::-1])
    task, device = place.draw(st.sampled_from([(each.task.partition("[")[0], each.device) for each in EVERY]))
    assert any(rule.bears_on(task, device) for rule in fitting(one, kinds))


EVERY = (SYSCALL, FILES, LAUNCH, COPIES, TRAIN, GPU_TRAIN)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ours=FACTS, theirs=FACTS, kind=st.sampled_from(["container", "wsl", "vm", "remote"]), random=st.randoms())
def test_decisive_and_not_comparable_are_the_same_thing(
    plain: Bundle, ours: dict[str, str], theirs: dict[str, str], kind: str, random: Random
) -> None:
    judge = comparability(plain, ours, theirs, kind)
    judged = judge.judged(EVERY)
    found = judge.differences(judged)
    assert bool([one for one in found if one.rank == "decisive"]) == any(not each.comparable for each in judged)
    for each in judged:
        decided = {one.key for one in found if one.rank == "decisive" and bears(one, each)}
        assert each.comparable is not bool(decided)
        assert {line.partition(": ")[0] for line in each.confounders} == decided
    assert [RANKS.index(one.rank) for one in found] == sorted(RANKS.index(one.rank) for one in found)
    assert {one.key for one in found} == {one.key for one in inspected(LINUX | ours, LINUX | theirs)}
    shuffled = random.sample(sorted(ours.items()), len(ours))
    assert comparability(plain, dict(shuffled), theirs, kind).differences(judged) == found


def bears(one: Difference, each: Comparison) -> bool:
    rule = Rule(keys=("*",), rank=one.rank, why="", tasks=one.tasks, devices=one.devices)
    location = one.key.split(".")[1] if one.key.startswith("storage.") else each.dims.get("location")
    return rule.bears_on(each.task.partition("[")[0], each.device) and location == each.dims.get("location")


def test_the_docs_name_every_decisive_rule() -> None:
    told = (ROOT / "docs/claims.md").read_text("utf-8")
    rows = [line for line in told.splitlines() if line.startswith("| `")]
    decisive = [rule for rule in RULES if rule.rank == "decisive"]
    assert len(rows) == len(decisive)
    for row, rule in zip(rows, decisive, strict=True):
        assert row.endswith(f" | {rule.why} |")
        assert all(f"`{key}`" in row for key in rule.keys)
        assert rule.tasks == ("*",) or all(f"`{task}`" in row for task in rule.tasks)
        assert ("on a GPU" in row) is (rule.devices != "*")
        assert rule.value == "*" or f"`{rule.value}`" in row
