"""What did not run, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.agent.messages import CellResult, Status
from harness.analysis.capabilities import capabilities
from harness.results.bundle import Bundle, read
from tests.synthetic import BANDWIDTH, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read(write_bundle(tmp_path / "run", tasks=(BANDWIDTH,), blocks=3, samples=2))


def rows(bundle: Bundle) -> list[tuple[str, str, str, str]]:
    return [(row.platform, row.what, row.status, row.reason) for row in capabilities(bundle)]


def test_one_row_for_a_platform_and_one_for_a_cell(bundle: Bundle) -> None:
    assert rows(bundle) == [
        ("wsl", "platform", "unavailable", "WSL2 is measured from Windows. Run `nox -s matrix` there"),
        ("docker", "driver/driver.spawn", "crashed", "ended by SIGSEGV; see its log"),
    ]


def test_a_cell_that_failed_now_and_then_says_how_often(bundle: Bundle) -> None:
    def fail(status: Status, block: int) -> Bundle:
        changed = [
            replace(result, status=status, reason="no luck", metrics=())
            if (result.platform, result.block, result.task) == ("docker", block, BANDWIDTH.name)
            else result
            for result in bundle.invocations
        ]
        return replace(bundle, invocations=tuple(changed))

    assert ("docker", "driver/memory.bandwidth", "timeout", "no luck (1 of 3 invocations)") in rows(fail("timeout", 2))


def test_what_was_out_of_memory_says_the_largest_batch_that_ran(bundle: Bundle) -> None:
    def with_batch(result: CellResult) -> CellResult:
        """Blocks 1 to 3 stand for tasks of batch 32, 64 and 128; the last is too much for the container."""
        size = 16 << result.block
        told = replace(result, task=f"torch_cnn.vgg16[batch_size={size}]", params={"batch_size": size})
        too_much = size == 128 and result.platform == "docker"
        return replace(told, status="oom", reason="no memory", metrics=()) if too_much else told

    measured = [with_batch(result) for result in bundle.invocations if result.task == BANDWIDTH.name]
    (row,) = [each for each in capabilities(replace(bundle, invocations=tuple(measured))) if each.status == "oom"]
    assert (row.platform, row.what, row.value) == ("docker", "driver/torch_cnn.vgg16[batch_size=128]", 64)
    assert row.reason == "no memory; batch_size 64 is the largest that ran"


def test_both_arms_of_the_baseline_share_a_row(bundle: Bundle) -> None:
    failed = [
        replace(result, status="failed", reason="broken", metrics=())
        if result.task == BANDWIDTH.name and result.platform != "docker"
        else result
        for result in bundle.invocations
    ]
    found = rows(replace(bundle, invocations=tuple(failed)))
    assert found.count(("native", "driver/memory.bandwidth", "failed", "broken")) == 1
    assert "native@2" not in {platform for platform, *_ in found}


def test_cells_of_a_platform_that_is_not_there_have_no_row_of_their_own(bundle: Bundle) -> None:
    records = dict(bundle.manifest.platforms)
    records["docker"] = records["docker"].model_copy(update={"available": False, "reason": "no engine"})
    found = rows(replace(bundle, manifest=bundle.manifest.model_copy(update={"platforms": records})))
    assert [row for row in found if row[0] == "docker"] == [("docker", "platform", "unavailable", "no engine")]
