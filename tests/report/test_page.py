"""What the page says: headlines, banners, what was left out, each from a document that calls for it."""

from __future__ import annotations

import re
from collections import Counter
from types import SimpleNamespace

import pytest

from harness.analysis.document import CapabilityRecord, Document
from harness.report import table
from harness.report.build import assets, environment, render
from harness.report.capability import MOST_CELLS
from harness.report.contents import Page
from harness.report.one_sided import MOST_LINES
from harness.report.page import MOST_GAPS, page, run_of
from harness.report.pictures_strips import training
from harness.report.words import NOT_COMPARABLE
from tests.report.conftest import lonely


def composed(document: Document) -> Page:
    return page(document, assets())


def titles(document: Document) -> list[str]:
    return [banner.title for banner in composed(document).banners]


def test_a_platforms_headline_is_its_workload_and_the_rest_follows(document: Document) -> None:
    docker, half = composed(document).headlines
    assert (docker.platform, half.platform) == ("docker", "docker-half")
    assert docker.main is not None
    assert docker.main.what == "training"
    (record,) = (r for r in document["comparisons"] if r["platform"] == "docker" and r["metric"] == "step_seconds")
    assert docker.main.estimate.value == record["slowdown"]
    assert {finding.what for finding in half.others} == {"small files, open read"}
    assert {finding.what for finding in half.mechanisms} == {"triad bandwidth"}
    assert half.forest is not None
    assert all(text in half.forest.narrow[0] for text in ("tf_cnn.trivial", "overlay vs host", "tmpfs", "bandwidth"))


def test_without_a_workload_the_probes_speak(document: Document) -> None:
    document["comparisons"] = [r for r in document["comparisons"] if r["metric"] != "step_seconds"]
    for headline in document["headlines"]:
        headline["comparison"] = None
    half = composed(document).headlines[1]
    assert half.main is None
    assert half.others
    assert "the probes:" in half.reason


def test_a_platform_that_is_not_there_is_named_and_explained(document: Document) -> None:
    found = composed(document)
    assert found.not_measured[0] == "wsl"
    assert "driver.spawn" in found.not_measured
    gap = next(gap for gap in found.gaps if gap.platform == "wsl")
    assert (gap.status, gap.cells) == ("unavailable", ())
    assert "nox -s matrix" in gap.reason


def test_cells_that_failed_for_one_reason_are_one_entry(document: Document) -> None:
    document["capabilities"] = [
        CapabilityRecord(platform="docker", what=f"torch/t{n}", status="oom", value=None, reason="Give it more memory")
        for n in range(MOST_CELLS + 3)
    ]
    (gap,) = composed(document).gaps
    assert len(gap.cells) == MOST_CELLS
    assert gap.left_out == 3


def test_few_blocks_are_a_smoke_test(document: Document) -> None:
    assert not any("smoke" in title for title in titles(document))
    document["run"]["blocks"] = 2
    assert "2 blocks: a smoke test" in titles(document)


def test_a_pair_that_is_not_comparable_is_announced_greyed_and_said_why(document: Document) -> None:
    for record in document["comparisons"]:
        if record["platform"] == "docker-half":
            record["comparable"] = False
            record["confounders"] = ["libc: a on native, b on docker-half", "control.fma: 2.00 times native"]
    found = composed(document)
    (banner,) = (banner for banner in found.banners if "not comparable" in banner.title)
    assert banner.title == "docker-half is not comparable with native"
    assert "control.fma: 2.00 times native." in banner.text
    marked = {row.platform for row in found.table.rows if row.comparability is NOT_COMPARABLE}
    assert marked == {"docker-half"}


def test_a_decisive_difference_is_the_reason_before_a_control_that_cannot_tell(document: Document) -> None:
    own = [record for record in document["comparisons"] if record["platform"] == "docker-half"]
    why = "processors: 2 on native, 0.5 on docker-half: less than one processor"
    own[0]["comparable"] = False
    own[0]["confounders"] = ["control.fma cannot tell within 2%", why]
    document["comparability"].append(
        {
            "platform": "docker-half",
            "baseline": "native",
            "key": "processors",
            "rank": "decisive",
            "baseline_value": "2",
            "platform_value": "0.5",
            "why": "less than one processor",
            "tasks": ["*"],
            "devices": "*",
        }
    )
    (banner,) = (banner for banner in composed(document).banners if "not comparable" in banner.title)
    assert banner.title == f"1 of {len(own)} comparisons: docker-half is not comparable with native"
    assert banner.text.startswith(f"{why}. ")


def test_with_nothing_to_compare_the_page_says_so(document: Document) -> None:
    document["comparisons"] = []
    document["headlines"] = [{"platform": "docker", "comparison": None}]
    found = composed(document)
    assert [banner.title for banner in found.banners] == ["Nothing to compare"]
    assert found.forest is None


def test_a_simulated_gpu_is_never_shown_as_hardware(document: Document) -> None:
    document["run"]["gpus"] = [{"uuid": "a", "name": "Simulated GPU", "stand_in": "true"}]
    assert titles(document)[0] == "A stand-in, not real hardware"


def test_a_stand_in_is_named_with_what_it_stands_for(document: Document) -> None:
    document["environments"]["docker"]["vm.stand_in"] = "emulated by TCG"
    assert "(docker: emulated by TCG)" in composed(document).banners[0].text


@pytest.mark.parametrize("key", ["gpu.stand_in", "gpu.devices.0.simulated", "gpu.simulated.value"])
def test_a_simulated_device_is_never_shown_as_hardware(document: Document, key: str) -> None:
    document["environments"]["docker"][key] = "true"
    assert titles(document)[0] == "A stand-in, not real hardware"
    document["environments"]["docker"][key] = "false"
    assert not any("stand-in" in title for title in titles(document))


def test_a_virtual_host_is_not_passed_off_as_bare_metal(document: Document) -> None:
    assert not any("virtual" in title for title in titles(document))
    document["run"]["host"]["virtualization.machine"] = "kvm"
    assert "The host is itself virtual (kvm)" in titles(document)


def test_a_run_inside_wsl_is_not_passed_off_as_native_linux(document: Document) -> None:
    document["run"]["host"] |= {"virtualization.wsl": "WSL2", "virtualization.container": "wsl"}
    assert "The host is itself virtual (WSL2)" in titles(document)
    document["run"]["host"]["virtualization.wsl"] = "no"
    assert not any("virtual" in title for title in titles(document))


def test_the_title_names_the_hardware(document: Document) -> None:
    document["run"]["host"] = {"cpu.model.value": "Intel(R)  Xeon(R) 8480+", "cpu.model.source": "/proc/cpuinfo"}
    document["run"]["gpus"] = [{"uuid": "a", "name": "NVIDIA H200"}, {"uuid": "b", "name": "NVIDIA H200"}]
    subject = composed(document).subject
    assert (subject.cpu, subject.gpus) == ("Intel Xeon 8480+", ("NVIDIA H200",))
    assert composed(document).title == "Overhead Matrix: Intel Xeon 8480+"


def test_commands_can_be_pasted_whatever_the_names(document: Document) -> None:
    document["run"]["profile"] = "a b; rm -rf /"
    assert composed(document).run.run_command == "nox -s matrix -- --profile 'a b; rm -rf /' --seed 1"


def test_the_command_that_measures_again_has_the_whole_selection(document: Document) -> None:
    document["run"]["plan"] |= {"matrix": "ci/my matrix.yaml", "platforms": ["native"], "tasks": ["storage.*", "a"]}
    assert run_of(document).run_command == (
        "nox -s matrix -- -m 'ci/my matrix.yaml' --profile synthetic --platform native --task 'storage.*' --task a "
        "--seed 1"
    )
    del document["run"]["plan"]
    assert run_of(document).run_command == "nox -s matrix -- --profile synthetic --seed 1"


def method(document: Document) -> str:
    """What the page says of stopping, as plain words."""
    whole = environment().get_template("_method.html.j2").render(page=SimpleNamespace(run=run_of(document)))
    text = whole.partition("<strong>Stopping.</strong>")[2].partition("</li>")[0]
    return " ".join(re.sub(r"<[^>]*>", "", text).replace("\u202f", " ").split())


def test_what_the_sentence_cites_has_interval_and_verdict_and_is_drawn_first(document: Document) -> None:
    half = composed(document).headlines[1]
    cited = (*half.others, *half.mechanisms)
    assert [each.mark.word for each in cited] == ["slower", "slower"]
    card = render(document).partition("<bdi>docker-half</bdi>")[2].partition("</article>")[0]
    for each in cited:
        told = card.partition(each.what)[2].partition("</p>")[0]
        assert f'(95%: <data value="{each.estimate.low}">' in told
        assert "mark slower" in told
    assert half.forest is not None
    rows = "tf_cnn.trivial: slower. storage.small_files · tmpfs: slower. memory.bandwidth: slower. storage.small_files"
    assert f">{rows}" in half.forest.wide[0], "the headline, what else is felt, the mechanism, then the others"


def test_what_ended_the_run_is_told_as_it_was(document: Document) -> None:
    plan = document["run"]["plan"]
    plan |= {"blocks": {"min": 5, "max": 12}, "budget": 480.0}
    assert method(document) == (
        "No result ended the run: at least 5 blocks, at most 12, and between these no block began after 8 min 0 s. "
        "This was fixed before the start."
    )
    plan["budget"] = None
    assert method(document) == "12 blocks, a number fixed before the start."
    plan |= {"blocks": {"min": 2, "max": 2}, "budget": 480.0}
    assert method(document) == "2 blocks, a number fixed before the start."
    document["run"]["precision"] = 0.02
    plan |= {"blocks": {"min": 5, "max": 12}}
    assert method(document) == (
        "A task ends at a look when its interval is narrower than 2.0%. Otherwise it has 12 blocks, or, from 5 blocks "
        "on, as many as begin within 8 min 0 s."
    )
    document["run"]["boots"] *= 2
    assert method(document).startswith("A task ends when its interval is narrower than 2.0%, at the latest")
    document["run"]["precision"] = None
    assert method(document).startswith("By the blocks or the time that each run's profile allows")
    del document["run"]["plan"]
    document["run"]["boots"] = document["run"]["boots"][:1]
    assert method(document).startswith("By the blocks or the time")


def test_the_table_is_cut_for_each_platform_and_says_so(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_ROWS", 10)
    found = composed(document).table
    assert Counter(row.platform for row in found.rows) == {"docker": 5, "docker-half": 5}
    all_rows = Counter(record["platform"] for record in document["comparisons"])
    assert {cut.platform: cut.rows + 5 for cut in found.cuts} == all_rows
    said = render(document)
    for cut in found.cuts:
        assert f"{cut.rows} further comparisons of <bdi>{cut.platform}</bdi>" in said


def test_a_whole_table_is_not_cut(document: Document) -> None:
    found = composed(document).table
    assert (len(found.rows), found.cuts) == (len(document["comparisons"]), ())
    assert "further comparisons of <bdi>" not in render(document)


@pytest.mark.parametrize(
    ("counts", "most", "kept"),
    [
        ([10, 10], 20, 10),  # there is room
        ([100, 100], 20, 10),
        ([2, 100], 20, 18),  # what one does not need the others have
        ([2, 5, 100, 100], 20, 6),
        ([0, 100], 20, 20),
        ([9] * 5, 3, 1),  # none vanishes
        ([], 20, 0),
    ],
)
def test_room_is_shared_fairly(counts: list[int], most: int, kept: int) -> None:
    assert table.share(counts, most) == kept


def test_what_one_side_alone_has_is_told_by_platform(document: Document) -> None:
    assert "Measured on one side alone" not in render(document)
    threads = "threads 4 on docker alone"
    document["unmatched"] = [
        lonely("docker", "memory.bandwidth", "triad_bandwidth", threads),
        lonely("docker", "memory.bandwidth", "copy_seconds", threads),
        lonely("docker", "memory.bandwidth", "latency_seconds", "loop python on docker alone"),
        *(lonely("wsl", f"task.{number}", "step_seconds", "no block") for number in range(MOST_LINES + 3)),
    ]
    docker, wsl = composed(document).one_sided
    assert [(line.what, line.reason) for line in docker.lines] == [
        ("memory.bandwidth: triad bandwidth, copy", threads),
        ("memory.bandwidth: latency", "loop python on docker alone"),
    ]
    assert (docker.platform, docker.left_out) == ("docker", 0)
    assert (wsl.platform, len(wsl.lines), wsl.left_out) == ("wsl", MOST_LINES, 3)
    said = render(document)
    assert threads in said
    assert "and 3 more, in report.json" in said


def test_a_note_is_listed_once_and_numbered_where_it_applies(document: Document) -> None:
    for record in document["comparisons"]:
        record["confounders"] = ["both", record["platform"]]
    found = composed(document).table
    assert found.notes == ("both", "docker", "docker-half")
    assert {row.platform: row.notes for row in found.rows} == {"docker": (1, 2), "docker-half": (1, 3)}


def test_a_baseline_that_differs_from_itself_is_marked(document: Document) -> None:
    document["comparisons"][0]["noise_ci95"] = [1.01, 1.02]
    document["comparisons"][1]["noise_ci95"] = [None, None]
    assert sum(row.noise_suspect for row in composed(document).table.rows) == sum(
        low is not None and high is not None and not low <= 1 <= high
        for low, high in (record["noise_ci95"] for record in document["comparisons"])
    )


def test_reasons_beyond_the_page_are_counted(document: Document) -> None:
    document["capabilities"] = [
        CapabilityRecord(platform="docker", what="s/t", status="failed", value=None, reason=str(n))
        for n in range(MOST_GAPS + 4)
    ]
    assert composed(document).gaps_left_out == 4


def test_the_training_picture_shows_the_baseline_first_and_its_second_arm_next_to_it(document: Document) -> None:
    (panel,) = training(document).panels
    order = [panel.drawing.index(f">{name}<") for name in ("native", "native@2", "docker", "docker-half")]
    assert order == sorted(order)


def test_where_there_is_little_room_every_task_is_shown_before_any_has_a_second_row(document: Document) -> None:
    records = [r for r in document["comparisons"] if r["platform"] == "docker"]
    tasks = list(dict.fromkeys((r["stack"], r["task"]) for r in records))
    assert len(tasks) < len(records)
    few = table.fair(records, len(tasks) - 1)
    assert len({(r["stack"], r["task"]) for r in few}) == len(few) == len(tasks) - 1
    assert {(r["stack"], r["task"]) for r in table.fair(records, len(tasks) + 1)} == set(tasks)
    assert table.fair(records, len(records)) == records


def test_what_tells_nothing_apart_is_left_to_the_table(document: Document) -> None:
    for record in document["comparisons"]:
        record["dims"]["loop"] = "native"
        if record["task"] == "storage.small_files":
            record["dims"]["cache"] = "warm" if record["dims"]["location"] == "tmpfs" else "cold"
    found = composed(document)
    forest = found.headlines[1].forest
    assert forest is not None
    assert "tmpfs" in forest.narrow[0]
    assert "cold" not in forest.narrow[0]
    assert "loop" not in forest.narrow[0]
    assert all("loop native" in row.dims for row in found.table.rows)
