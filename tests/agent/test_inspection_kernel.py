from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.inspection import kernel
from tests.agent.trees import tree, values


def test_telling_parameters_are_kept_and_nothing_that_names_a_machine() -> None:
    line = (
        "BOOT_IMAGE=/vmlinuz-6.1 root=UUID=1234-SECRET ro quiet mitigations=off isolcpus=2-3 nohz_full=2-3 iommu=pt "
        "ip=10.0.0.1 hugepagesz=1G hugepages=4 mitigations=auto nosmt rd.luks.name=secret -- init_on_free=1"
    )

    assert kernel.parameters(line) == {
        "mitigations": "auto",
        "isolcpus": "2-3",
        "nohz_full": "2-3",
        "iommu": "pt",
        "hugepagesz": "1G",
        "hugepages": "4",
        "nosmt": "",
    }


@given(st.text())
def test_whatever_the_command_line_is_only_known_names_and_plain_values_come_out(line: str) -> None:
    for name, value in kernel.parameters(line).items():
        assert name in kernel.TELLING
        assert kernel.WORTH.fullmatch(value)


@given(st.dictionaries(st.sampled_from(sorted(kernel.TELLING)), st.from_regex(r"[a-z0-9,-]{0,9}", fullmatch=True)))
def test_parameters_are_found_again(given: dict[str, str]) -> None:
    line = " ".join(f"{name}={value}" if value else name for name, value in given.items())

    assert kernel.parameters(f"root=/dev/sda1 {line} quiet") == given


@pytest.mark.parametrize(
    ("version", "preemption"),
    [
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.1.115-1 (2024-11-01)", "PREEMPT_DYNAMIC"),
        ("#1 SMP PREEMPT_RT Debian", "PREEMPT_RT"),
        ("#1 SMP PREEMPT Mon", "PREEMPT"),
        ("#1 SMP Mon", "none or voluntary"),
    ],
)
def test_the_preemption_model_is_read_from_the_version(version: str, preemption: str) -> None:
    assert kernel.preemption(version) == preemption


def test_a_kernel_is_read(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "/proc/cmdline": "idle=poll\n",
            "/sys/kernel/debug/sched/preempt": "none voluntary (full) lazy\n",
            "/proc/self/timerslack_ns": "50000\n",
            "/proc/sys/kernel/randomize_va_space": "2\n",
        },
    )
    (tmp_path / "proc/config.gz").write_bytes(gzip.compress(b"CONFIG_HZ_250=y\nCONFIG_HZ=250\n"))
    found = values(kernel.inspect(files))

    assert found["parameters"] == {"idle": "poll"}
    assert found["preemption"] == "full"
    assert found["tick_hz"] == 250
    assert found["timer_slack_seconds"] == pytest.approx(50e-6)
    assert found["address_randomization"] == 2


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(b"no gzip", id="no gzip"),
        pytest.param(gzip.compress(b"# nothing\n"), id="nothing"),
        pytest.param(gzip.compress(b"x" * 100)[:-9], id="cut"),
    ],
)
def test_a_configuration_of_another_form_is_an_error(tmp_path: Path, config: bytes) -> None:
    files = tree(tmp_path, {"/proc/cmdline": "", "/sys/kernel/debug/sched/preempt": "full\n"})
    (tmp_path / "proc/config.gz").write_bytes(config)
    facts = kernel.inspect(files)

    assert facts["tick_hz"]["value"] is None
    assert facts["tick_hz"]["error"]
    assert facts["preemption"]["error"] == "ValueError: full"
