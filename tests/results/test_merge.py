"""Merging: every invocation once, whatever the order; what is not of one machine, or there twice, is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import BundleError, HarnessError, ResultsError, UsageError
from harness.results.bundle import Bundle, read
from harness.results.merge import merge, merged, merged_id
from tests.boots import Boot, linux, windows, write_boot


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("three")
    return [write_boot(folder / boot.id, boot) for boot in (linux(1), windows(2), linux(3, blocks=5))]


@pytest.fixture
def three(written: list[Path], tmp_path: Path) -> list[Path]:
    """Three boots of one machine, to spoil."""
    return [shutil.copytree(path, tmp_path / path.name) for path in written]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def measured(bundle: Bundle) -> Counter[tuple[Any, ...]]:
    """What was measured, without where it now lies."""
    return Counter(
        (origin.run_id, result.stack, result.task, result.attempt, result.status, repr(result.metrics))
        for result in bundle.invocations
        for origin in [bundle.manifest.origins[bundle.boots()[result.block] - 1]]
    )


def refusal(paths: Sequence[Path], out: Path, *, same: bool = False) -> str:
    with pytest.raises(HarnessError) as caught:
        merge(paths, out, same=same)
    text = str(caught.value)
    assert "\n" not in text
    return text


def security(status: str | None) -> dict[str, Any]:
    return {"windows.virtualization_based_security": status}


def models(*names: str) -> dict[str, Any]:
    return {"gpu.devices": [{"driver_model": name} for name in names]}


@pytest.mark.parametrize("name", ["merged", "merged.zip"])
def test_every_invocation_is_there_once_with_its_log(three: list[Path], tmp_path: Path, name: str) -> None:
    found = read(merge(three, tmp_path / "out" / name))
    assert measured(found) == sum(map(measured, map(read, three)), Counter())
    assert [len(set(group)) for group in boots_of(found)] == [3, 3, 5]
    assert len({line.file for line in found.journal}) == len(found.journal) == sum(len(read(p).journal) for p in three)
    assert [(boot.run_id, boot.boot_id, boot.seed, boot.offset) for boot in found.manifest.boots] == [
        ("run-1", "boot-1", 1, 0),
        ("run-2", "boot-2", 2, 3),
        ("run-3", "boot-3", 3, 6),
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [name], "nothing partial is left"


def boots_of(bundle: Bundle) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for line in bundle.journal:
        groups.setdefault(line.boot, []).append(line.block)
    return [groups[number] for number in sorted(groups)]


def test_files_digests_and_logs_follow_their_invocation(three: list[Path], tmp_path: Path) -> None:
    folder = merge(three, tmp_path / "merged")
    for line in read(folder).journal:
        name = Path(line.file).stem
        assert name == f"{line.block}.{line.cell.replace('/', '~')}.{line.attempt}"
        raw = (folder / line.file).read_bytes()
        assert hashlib.sha256(raw).hexdigest() == line.sha256
        data = json.loads(raw)
        assert (data["block"], data["cell"], data["platform"]) == (line.block, line.cell, line.cell.split("/")[0])
        assert (folder / "logs" / f"{name}.log").read_text() == f"log of run-{line.boot}"


def test_a_source_is_kept_as_it_was(three: list[Path], tmp_path: Path) -> None:
    found = read(merge(three, tmp_path / "merged"))
    for path, boot in zip(three, found.manifest.boots, strict=True):
        source = read(path)
        own = source.manifest.dump()
        del own["boots"]
        assert {name: value for name, value in boot.dump().items() if name in own} == own
        assert boot.fingerprint == source.fingerprint


def test_inputs_are_not_touched(three: list[Path], tmp_path: Path) -> None:
    before = [(path, path.stat().st_mtime_ns) for folder in three for path in sorted(folder.rglob("*"))]
    contents = list(map(files, three))
    merge(three, tmp_path / "merged")
    assert list(map(files, three)) == contents
    assert before == [(path, path.stat().st_mtime_ns) for folder in three for path in sorted(folder.rglob("*"))]


def test_any_order_and_any_steps_give_the_same_bytes(three: list[Path], tmp_path: Path) -> None:
    whole = files(merge(three, tmp_path / "whole"))
    for number, order in enumerate(itertools.permutations(three)):
        assert files(merge(order, tmp_path / f"order-{number}")) == whole
        pair = merge(order[:2], tmp_path / f"pair-{number}.zip")
        assert files(merge([order[2], pair], tmp_path / f"steps-{number}")) == whole


def test_a_zip_is_the_same_as_its_folder(three: list[Path], tmp_path: Path) -> None:
    folder, archive = merge(three, tmp_path / "merged"), merge(three, tmp_path / "merged.zip")
    assert read(archive) == read(folder)
    with zipfile.ZipFile(archive) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == files(folder)


def test_two_systems_natives_are_two_platforms(three: list[Path], tmp_path: Path) -> None:
    found = read(merge(three, tmp_path / "merged"))
    assert sorted(found.manifest.platforms) == ["docker", "native", "native-windows", "wsl"]
    assert found.manifest.plan.baseline == "native"
    assert found.manifest.boots[1].names == {"native": "native-windows"}
    arms = {(line.boot, line.cell.split("/")[0]) for line in found.journal}
    assert arms == {
        *((boot, arm) for boot in (1, 3) for arm in ("native", "native@2", "docker", "wsl")),
        *((2, arm) for arm in ("native-windows", "native-windows@2", "wsl", "docker")),
    }
    assert all(record.available for record in found.manifest.platforms.values())
    assert {cell.platform for cell in found.manifest.plan.cells} == set(found.manifest.platforms)


def test_linux_keeps_its_names_when_windows_came_first(tmp_path: Path) -> None:
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (windows(1), linux(2))]
    found = read(merge(paths, tmp_path / "merged"))
    assert found.manifest.plan.baseline == "native"
    assert [boot.names for boot in found.manifest.boots] == [{"native": "native-windows"}, {}]
    assert found.manifest.host["system.platform"]["value"] == "linux"


def test_a_name_that_is_taken_is_not_given_twice(tmp_path: Path) -> None:
    taken = Boot(number=1, costs={"native": 1.0, "native-windows": 1.5})
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (taken, windows(2))]
    assert read(merge(paths, tmp_path / "merged")).manifest.boots[1].names == {"native": "native-windows-2"}


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        (security("off"), security("running"), ("native-windows", "native-windows-vbs")),
        (models("TCC"), models("WDDM"), ("native-windows-tcc", "native-windows")),
        (models("MCDM"), models("TCC", "WDDM"), ("native-windows-mcdm", "native-windows-tcc-wddm")),
        (
            security("running") | models("WDDM"),
            security("off") | models("TCC"),
            ("native-windows-vbs", "native-windows-tcc"),
        ),
        (security("running") | models("WDDM"), models("TCC"), ("native-windows", "native-windows-tcc")),
        (security("running"), security(None), ("native-windows", "native-windows")),
        (models("TCC"), {"gpu.devices": None}, ("native-windows", "native-windows")),
        (security("running"), security("running"), ("native-windows", "native-windows")),
        (security(None), security("off"), ("native-windows", "native-windows")),
        (models("WDDM"), {"gpu.devices": None}, ("native-windows", "native-windows")),
    ],
)
def test_boots_of_windows_set_up_otherwise_are_other_platforms(
    one: dict[str, Any], other: dict[str, Any], names: tuple[str, str], tmp_path: Path
) -> None:
    drawn = (linux(1), windows(2, host=one), windows(3, host=other))
    paths = [write_boot(tmp_path / boot.id, boot) for boot in drawn]
    found = read(merge(paths, tmp_path / "merged")).manifest
    assert [boot.named("native") for boot in found.boots] == ["native", *names]
    assert set(names) <= found.platforms.keys()
    renamed = {boot.named("wsl") for boot in found.boots[1:]}
    assert len(renamed) == len(set(names)), "what runs beside native in such a boot is another platform as well"


def test_wsl_from_inside_is_not_the_bare_linux(tmp_path: Path) -> None:
    inside = Boot(number=2, costs={"native": 1.2}, host={"virtualization.wsl": "WSL2"})
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (linux(1), inside)]
    assert "native-wsl" in read(merge(paths, tmp_path / "merged")).manifest.platforms


def test_times_are_ordered_in_utc(tmp_path: Path) -> None:
    late = linux(1, created="2026-01-01T10:00:00+02:00")
    early = linux(2, created="2026-01-01T09:00:00+09:00")
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (late, early)]
    assert [boot.run_id for boot in read(merge(paths, tmp_path / "merged")).manifest.boots] == ["run-2", "run-1"]


def test_the_stopping_rule_that_looks_most_often_speaks_for_all(tmp_path: Path) -> None:
    boots = (linux(1), linux(2, precision=0.02))
    plan = read(merge([write_boot(tmp_path / b.id, b) for b in boots], tmp_path / "merged")).manifest.plan
    assert (plan.precision, plan.looks) == (0.02, [3])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpu": "GPU-another"}, "GPU GPU-51b1a7ed"),
        ({"host": {"cpu.model": "Another CPU"}}, "CPU Synthetic CPU here, Another CPU there"),
        ({"host": {"board.model": "Board 2"}}, "board Synthetic Board 1 here, Synthetic Board 2 there"),
    ],
)
def test_another_machine_is_refused_with_the_difference(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (linux(1), linux(2, **changes))]
    for same in (False, True):
        text = refusal(paths, tmp_path / "merged", same=same)
        assert words in text
        assert "never merged" in text
    assert not (tmp_path / "merged").exists()


def test_spelling_and_what_one_system_does_not_tell_make_no_other_machine(tmp_path: Path) -> None:
    other = windows(2, host={"cpu.model": "  synthetic   CPU ", "board.vendor": None, "board.model": None})
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (linux(1), other)]
    assert len(read(merge(paths, tmp_path / "merged")).manifest.boots) == 2


def test_without_a_gpu_the_user_must_say_that_it_is_one_machine(tmp_path: Path) -> None:
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (linux(1, gpu=""), windows(2, gpu=""))]
    assert "say so with --same-machine" in refusal(paths, tmp_path / "merged")
    assert len(read(merge(paths, tmp_path / "merged", same=True)).manifest.boots) == 2


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"system.memory_bytes": 16 * 2**30}, "32.0 GiB of memory here, 16.0 GiB there"),
        ({"cpu.model": None}, "nor the CPU's model"),
        ({"cpu.model": "Another"}, "CPU Synthetic CPU here"),
    ],
)
def test_the_users_word_does_not_cover_what_differs(tmp_path: Path, host: dict[str, Any], words: str) -> None:
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (linux(1), linux(2, gpu="", host=host))]
    assert words in refusal(paths, tmp_path / "merged", same=True)


def test_memory_that_systems_count_differently_is_the_same(tmp_path: Path) -> None:
    host = {"system.memory_bytes": int(31.2 * 2**30)}
    paths = [write_boot(tmp_path / boot.id, boot) for boot in (linux(1, gpu=""), linux(2, gpu="", host=host))]
    merge(paths, tmp_path / "merged", same=True)


def test_a_run_is_merged_once(three: list[Path], tmp_path: Path) -> None:
    assert "run run-1 is in" in refusal([three[0], three[0]], tmp_path / "twice")
    copy = shutil.copytree(three[0], tmp_path / "copy")
    assert "Name every run once" in refusal([three[0], three[1], copy], tmp_path / "twice")
    pair = merge(three[:2], tmp_path / "pair")
    assert f"{pair}" in refusal([pair, three[1]], tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


def test_one_bundle_is_nothing_to_merge(three: list[Path], tmp_path: Path) -> None:
    assert "nothing to merge" in refusal(three[:1], tmp_path / "merged")


def test_nothing_is_overwritten_and_no_input_grows(three: list[Path], tmp_path: Path) -> None:
    assert f"lies inside {three[2]}" in refusal(three, three[2])
    assert f"lies inside {three[0]}" in refusal(three, three[0] / "merged")
    (tmp_path / "file.zip").write_bytes(b"mine")
    assert "is there already" in refusal(three, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == b"mine"


def test_a_place_that_cannot_be_written_is_one_line(three: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="can't be written"):
        merge(three, tmp_path / "file" / "merged")


def test_a_failure_on_the_way_leaves_nothing(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("harness.results.target.FolderWriter.write", full)
    with pytest.raises(ResultsError, match="No space left"):
        merge(three, tmp_path / "merged")
    assert sorted(tmp_path.iterdir()) == before


def test_a_cut_journal_is_said_by_the_merged_bundle_too(three: list[Path], tmp_path: Path) -> None:
    with (three[1] / "journal.jsonl").open("a") as file:
        file.write('{"block": 9')
    found = read(merge(three, tmp_path / "merged"))
    assert found.warnings[0].startswith("boot 2: journal.jsonl: the last line is cut")
    again = read(merge([tmp_path / "merged", write_boot(tmp_path / "four", linux(4))], tmp_path / "again"))
    assert again.warnings == found.warnings


def test_too_many_blocks_are_refused(three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.results.merge.MAX_COUNT", 10)
    assert "more than 10 blocks" in refusal(three, tmp_path / "merged")


def test_one_bundle_is_read_as_it_is_and_several_as_one(three: list[Path]) -> None:
    with merged(three[:1]) as bundle:
        assert bundle == read(three[0])
    with merged(three) as bundle:
        assert bundle.manifest.run_id == merged_id(bundle.manifest.boots)
        assert len(bundle.manifest.boots) == 3


@pytest.mark.parametrize("name", ["run.json", "journal.jsonl"])
def test_a_bundle_that_lacks_a_file_is_refused(three: list[Path], tmp_path: Path, name: str) -> None:
    (three[1] / name).unlink()
    assert f"{three[1]}: {name} is missing" in refusal(three, tmp_path / "merged")


def test_a_merged_bundle_is_checked_as_it_is_read(three: list[Path], tmp_path: Path) -> None:
    folder = merge(three, tmp_path / "merged")
    manifest = json.loads((folder / "run.json").read_text())

    def broken(change: Callable[[Any], object]) -> str:
        data = json.loads(json.dumps(manifest))
        change(data)
        (folder / "run.json").write_text(json.dumps(data))
        with pytest.raises(BundleError) as caught:
            read(folder)
        return str(caught.value)

    assert "names boot 3" in broken(lambda data: data["boots"].pop())
    assert "where it can't be" in broken(lambda data: data["boots"][2].update(offset=9))
    assert "one to one" in broken(lambda data: data["boots"][1].update(names={"native": "docker"}))
    assert "one to one" in broken(lambda data: data["boots"][1].update(names={"nowhere": "x"}))
    assert "boots.1, matrix" in broken(lambda data: data["boots"][0]["matrix"].pop("baseline"))


def test_a_block_of_two_boots_is_refused(three: list[Path], tmp_path: Path) -> None:
    folder = merge(three, tmp_path / "merged")
    lines = (folder / "journal.jsonl").read_text().splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | {"boot": 2})
    (folder / "journal.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(BundleError, match="where it can't be"):
        read(folder)


@st.composite
def some_boots(draw: st.DrawFn) -> list[Boot]:
    number = draw(st.integers(2, 4))
    kinds = [draw(st.sampled_from([linux, windows])) for _ in range(number)]
    return [
        dataclasses.replace(
            kind(position + 1),
            blocks=draw(st.integers(1, 3)),
            boot_id=draw(st.sampled_from(["one", "two", ""])),
            created=f"2026-01-0{draw(st.integers(1, 3))}T00:00:00Z",
        )
        for position, kind in enumerate(kinds)
    ]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(boots=some_boots(), data=st.data())
def test_whatever_is_merged_in_whatever_steps_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, boots: list[Boot], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("boots")
    paths = [write_boot(folder / boot.id, boot) for boot in boots]
    expected = sum(map(measured, map(read, paths)), Counter())
    left = data.draw(st.permutations(paths))
    while len(left) > 1:
        size = data.draw(st.integers(2, len(left)))
        left = [*left[size:], merge(left[:size], folder / f"merged-{len(left)}")]
    found = read(left[0])
    assert measured(found) == expected
    assert {line.boot for line in found.journal} == set(range(1, len(boots) + 1))
    assert files(left[0]) == files(merge(paths, folder / "whole"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_ends_in_a_traceback_or_half_a_bundle(
    three: list[Path], tmp_path: Path, data: st.DataObject
) -> None:
    work = tmp_path / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(three[1], work / "run")
    path = data.draw(st.sampled_from(sorted(path for path in (work / "run").rglob("*.json*"))))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw) // 2]))]))
    error = None
    try:
        merge([three[0], work / "run"], work / "merged")
    except (UsageError, ResultsError) as caught:
        error = str(caught)
    assert (error is None) == (work / "merged").exists()
    assert "\n" not in (error or "")
    if error is None:
        read(work / "merged")
