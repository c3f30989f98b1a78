from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.inspection import container
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree, values

STATUS = "Name:\tpython\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
DOCKER_DEFAULT = (
    "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod audit_write "
    "setfcap"
)


@not_on_windows("it has neither limits nor /dev/shm")
def test_a_container_of_docker_is_read(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "/proc/self/status": STATUS,
            "/proc/self/uid_map": "         0     100000      65536\n",
            "/proc/self/attr/apparmor/current": "docker-default (enforce)\n",
            "/sys/kernel/security/lsm": "lockdown,capability,apparmor\n",
            "/dev/shm/x": "",  # noqa: S108 - in the made-up tree
        },
    )
    found = values(container.inspect(files))

    assert found["capabilities"] == DOCKER_DEFAULT
    assert found["no_new_privileges"] is True
    assert found["system_call_filters"] == 1
    assert found["user_mapping"] == "remapped"
    assert found["security_profile"] == "docker-default (enforce)"
    assert found["security_modules"] == "lockdown,capability,apparmor"
    assert found["gpu_injection"] == "no GPU"
    assert isinstance(found["shared_memory_bytes"], int)
    assert found["open_files"]


@pytest.mark.parametrize(
    ("mask", "named"),
    [
        ("0000000000000000", "none"),
        ("000001ffffffffff", "all"),
        ("000001fffeffffff", "all but sys_resource"),
        ("0000000000000400", "net_bind_service"),
        ("ffffffffffffffff", "all"),
    ],
)
def test_capabilities_have_names(mask: str, named: str) -> None:
    assert container.capabilities(mask) == named


@given(st.sets(st.sampled_from(range(len(container.CAPABILITIES)))))
def test_every_set_of_capabilities_is_told_apart(bits: set[int]) -> None:
    named = container.capabilities(f"{sum(1 << bit for bit in bits):016x}")
    everything = set(container.CAPABILITIES)
    words = set(named.split()) & everything

    assert (everything - words if named.startswith("all") else words) == {container.CAPABILITIES[bit] for bit in bits}


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("         0          0 4294967295\n", "none"),
        ("0 0 1000\n", "identity of a part"),
        ("0 1000 1\n1 100000 65536\n", "remapped"),
    ],
)
def test_user_namespaces_are_told(text: str, mapping: str) -> None:
    assert container.user_mapping(text) == mapping


@given(st.text(max_size=60))
def test_other_texts_are_a_value_error_at_worst(text: str) -> None:
    with suppress(ValueError):
        assert container.user_mapping(text) in {"none", "identity of a part", "remapped"}
    with suppress(ValueError):
        assert "/home/" not in container.profile(f"/home/{text}")
    with suppress(ValueError):
        container.capabilities(text)


@pytest.mark.parametrize(
    ("label", "profile"),
    [
        ("unconfined", "unconfined"),
        ("system_u:system_r:container_t:s0:c123,c456", "selinux container_t"),
        ("cri-containerd.apparmor.d (enforce)", "cri-containerd.apparmor.d (enforce)"),
    ],
)
def test_labels_of_both_modules_are_read(label: str, profile: str) -> None:
    assert container.profile(label) == profile


@pytest.mark.parametrize(
    ("visible", "mounts", "injection"),
    [
        ("void", "", "cdi"),
        ("all", "40 22 0:50 / /proc/driver/nvidia ro - tmpfs tmpfs ro\n", "hook"),
        ("all", "40 22 0:50 / /proc rw - proc proc rw\n", "not told"),
        ("", "40 22 0:50 / /proc rw - proc proc rw\n", "not told"),
    ],
)
def test_how_a_gpu_came_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str, mounts: str, injection: str
) -> None:
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", visible)
    files = tree(tmp_path, {"/dev/nvidiactl": "", "/proc/self/mountinfo": mounts})

    assert container.inspect(files)["gpu_injection"]["value"] == injection


def test_a_variable_of_an_image_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "all")

    assert container.inspect(tree(tmp_path, {}))["gpu_injection"]["value"] == "no GPU"


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    facts = container.inspect(tree(tmp_path, {"/proc/self/attr/current": "/home/alice/tool (enforce)"}))

    for name in ("capabilities", "user_mapping", "security_profile", "shared_memory_bytes"):
        assert facts[name]["value"] is None
        assert facts[name]["error"]
    assert "alice" not in str(facts)
