"""The program as a user meets it, on the native platform: its answers, its statuses, and what goes wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main, parser
from tests.program import MATRIX, ROOT, bundle_of, command, environment, harness, journal_of, one_line_error, project
from tests.synthetic import write_bundle


def test_a_run_leaves_a_bundle_and_its_report(tmp_path: Path) -> None:
    project(tmp_path)
    done = harness("run", "--profile", "tiny", "--task", "control.*", "--seed", "7", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout, "no escape sequences when piped"
    counts = Counter((line["block"], line["cell"]) for line in journal_of(tmp_path))
    assert sorted(counts) == [
        (block, f"{arm}/driver/control.delay") for block in (1, 2, 3) for arm in ("native", "native@2")
    ]
    manifest = json.loads((bundle_of(tmp_path) / "run.json").read_text())
    assert manifest["seed"] == 7
    assert manifest["platforms"]["native"]["available"] is True
    reported = harness("report", cwd=tmp_path)
    assert reported.returncode == 0, reported.stderr
    (index,) = (tmp_path / "reports").glob("*/index.html")
    assert "<!doctype html>" in index.read_text("utf-8").lower()
    document = json.loads((index.parent / "report.json").read_text("utf-8"))
    assert document["baseline"] == "native"
    assert len(document["claims"]) == 7
    assert document["run"]["plan"] == {
        "blocks": {"min": 3, "max": 3},
        "budget": None,
        "matrix": "matrix.yaml",
        "platforms": None,
        "tasks": ["control.*"],
    }
    again = "nox -s matrix -- --profile tiny --task &#39;control.*&#39; --seed 7"
    assert f"<code>{again}</code>" in index.read_text("utf-8")


def test_plan_says_what_runs_and_why_the_rest_does_not(tmp_path: Path) -> None:
    project(tmp_path)
    done = harness("plan", "--profile", "both", "--json", cwd=tmp_path, env={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    cells = {cell["cell"]: cell for cell in plan["cells"]}
    assert cells["native/driver/control.delay"]["runnable"] is True
    docker = cells["docker/driver/control.delay"]
    assert docker["runnable"] is False
    assert "nonexistent.sock" in docker["reason"]
    assert 0 < plan["expected_seconds"]["least"] <= plan["expected_seconds"]["most"]


def test_plan_in_words(tmp_path: Path) -> None:
    project(tmp_path)
    done = harness("plan", "--profile", "both", cwd=tmp_path, env={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert "Can't run: " in done.stdout
    assert "2 of 3 cells can run" in done.stdout


def test_plan_says_what_runs_once(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "-m", str(ROOT / "matrix.yaml"), "--profile", "smoke", "--task", "torch_cnn.trivial"]
    assert main([*arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [row["cell"] for row in plan["cells"] if row["once"]] == ["native/torch/counts.torch_cnn.trivial"]
    assert main(arguments) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "counts." in line]
    assert "runs once: what a step consists of" in line


def test_without_docker_the_run_still_succeeds_and_the_report_says_why(tmp_path: Path) -> None:
    project(tmp_path)
    env = {"DOCKER_HOST": "unix:///nonexistent.sock"}
    done = harness("run", "--profile", "both", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = [line for line in journal_of(tmp_path) if line["cell"].startswith("docker/")]
    assert record["status"] == "unavailable"
    harness("report", "-o", "out", cwd=tmp_path)
    document = json.loads((tmp_path / "out/report.json").read_text("utf-8"))
    reasons = [row["reason"] for row in document["capabilities"] if row["platform"] == "docker"]
    assert any("nonexistent.sock" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("baseline: native", "baseline: nativ", "nativ"),
        ("kind: container", "kind: container, cpuz: 1", "cpuz"),
        ("kind: container", "kind: podd", "podd"),
        ("blocks: 8", "blocks: many", "many"),
        ("tasks: [control.delay], platforms: [native]", "tasks: [controll.*], platforms: [native]", "controll.*"),
        ("  control.delay: {", "  control.dellay: {", "control.dellay"),
        ("microseconds: 200", "micros: 200", "micros"),
        ("schema: 1", "schema: [1", "matrix.yaml:"),
    ],
)
def test_a_wrong_matrix_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in MATRIX
    project(tmp_path, MATRIX.replace(old, new, 1))
    done = harness("plan", cwd=tmp_path)
    assert done.returncode == 2
    line = one_line_error(done)
    assert words in line
    assert line.startswith("overhead-matrix: matrix.yaml:")


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "-m", "absent.yaml"),
        ("plan", "--profile", "absent"),
        ("plan", "--platform", "absent"),
        ("plan", "--task", "absent.*"),
        ("run", "--resume", "absent"),
        ("report",),
        ("report", "absent"),
        ("compare", "native", "docker"),
    ],
)
def test_what_is_not_there_is_one_line_and_status_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    project(tmp_path)
    done = harness(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    one_line_error(done)


def scripted(folder: Path, body: str) -> str:
    """Write an interpreter that is Python until the agent's `run` is asked of it; then it does as the body says."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\ncase "$*" in *" run "*) {body};; esac\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("kill -SEGV $$", "crashed", "SIGSEGV"),
        ("sleep 60", "timeout", "after 1 s"),
        ("echo no >&2; exit 3", "failed", "no"),
    ],
)
def test_a_probe_that_crashes_hangs_or_fails_is_told(tmp_path: Path, body: str, status: str, words: str) -> None:
    python = scripted(tmp_path, body)
    matrix = MATRIX.replace("driver: {}", f"driver: {{interpreter: {python}}}").replace(
        "blocks: 3}", "blocks: 1, timeout: 1s}", 1
    )
    project(tmp_path, matrix)
    done = harness("run", "--profile", "tiny", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert {line["status"] for line in journal_of(tmp_path)} == {status}
    assert all(words in line["reason"] and "\n" not in line["reason"] for line in journal_of(tmp_path))


def started(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the program and wait until its journal has some lines."""
    process = subprocess.Popen(
        command("run", *arguments), cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        journals = list(tmp_path.glob("results/*/journal.jsonl"))
        if journals and journals[0].read_text().count("\n") >= 3:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[1])


def test_kill_and_resume_runs_every_cell_once(tmp_path: Path) -> None:
    project(tmp_path)
    process = started(tmp_path, "--profile", "long")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = journal_of(tmp_path)
    run_id = bundle_of(tmp_path).name
    done = harness("run", "--resume", run_id, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    after = journal_of(tmp_path)
    assert after[: len(before)] == before
    counts = Counter((line["block"], line["cell"]) for line in after)
    assert len(counts) == 8 * 2 * 2
    assert set(counts.values()) == {1}
    assert harness("report", cwd=tmp_path).returncode == 0
    (written,) = (tmp_path / "reports").glob("*/report.json")
    compared = json.loads(written.read_text("utf-8"))
    measured = Counter((row["task"], row["metric"], row["platform"]) for row in compared["distributions"])
    assert set(measured.values()) == {1}


def test_a_bundle_has_no_value_of_an_environment_and_its_run_goes_on_with_it(tmp_path: Path) -> None:
    secret = MATRIX.replace("docker: {kind: container}", "docker: {kind: container, environment: {TOKEN: s3cret}}")
    project(tmp_path, secret)
    assert harness("run", "--profile", "tiny", cwd=tmp_path).returncode == 0
    bundle = bundle_of(tmp_path)
    texts = [path.read_text("utf-8", "replace") for path in bundle.rglob("*") if path.is_file()]
    assert any("TOKEN" in text for text in texts)
    assert not any("s3cret" in text for text in texts)
    resumed = harness("run", "--resume", bundle.name, cwd=tmp_path)
    assert resumed.returncode == 0
    assert "today's is taken" not in resumed.stdout
    project(tmp_path, secret.replace("s3cret", "an0ther"))
    changed = harness("run", "--resume", bundle.name, cwd=tmp_path)
    assert changed.returncode == 2
    assert "platforms.docker.environment.TOKEN is not what it was when the run began" in one_line_error(changed)
    moved = harness("run", "--resume", bundle.name, cwd=tmp_path, env={"OVERHEAD_MATRIX_CACHE": str(tmp_path / "new")})
    assert "has no value of platforms.docker.environment.TOKEN: today's is taken" in moved.stdout
    project(tmp_path, MATRIX)
    wrong = harness("run", "--resume", bundle.name, cwd=tmp_path)
    assert wrong.returncode == 2
    assert "platforms.docker.environment.TOKEN had a value" in one_line_error(wrong)


def test_a_run_is_resumed_by_its_id_and_nothing_is_lost(tmp_path: Path) -> None:
    project(tmp_path)
    harness("run", "--profile", "tiny", cwd=tmp_path)
    bundle = bundle_of(tmp_path)
    before = sorted(path.name for path in bundle.iterdir())
    for name in (str(bundle), f"../results/{bundle.name}", ""):
        done = harness("run", "--resume", name, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        one_line_error(done)
    assert sorted(path.name for path in bundle.iterdir()) == before


def test_a_second_process_cannot_resume_a_running_run(tmp_path: Path) -> None:
    project(tmp_path)
    process = started(tmp_path, "--profile", "long")
    second = harness("run", "--resume", bundle_of(tmp_path).name, cwd=tmp_path)
    assert second.returncode == 1
    assert "in use by another run" in one_line_error(second)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert {line["status"] for line in journal_of(tmp_path)} == {"ok"}


def test_a_run_does_not_go_on_under_other_conditions(tmp_path: Path) -> None:
    project(tmp_path)
    process = started(tmp_path, "--profile", "long")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    manifest = bundle_of(tmp_path) / "run.json"
    began = json.loads(manifest.read_text())
    for change in ({"tool_version": "0.0.1"}, {"agent_sha256": "0" * 64}, {"boot_id": "another"}):
        manifest.write_text(json.dumps({**began, **change}))
        done = harness("run", "--resume", bundle_of(tmp_path).name, cwd=tmp_path)
        assert done.returncode == 2, change
        one_line_error(done)
    began["stacks"]["driver"]["platforms"]["native"]["interpreter"] = "/another/python"
    manifest.write_text(json.dumps(began))
    done = harness("run", "--resume", bundle_of(tmp_path).name, cwd=tmp_path)
    assert done.returncode == 2
    assert "/another/python" in one_line_error(done)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_within_seconds_and_says_how_to_resume(tmp_path: Path, signal_number: signal.Signals) -> None:
    project(tmp_path)
    process = started(tmp_path, "--profile", "long")
    began = time.monotonic()
    process.send_signal(signal_number)
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert f"--resume {bundle_of(tmp_path).name}" in errors.decode()
    assert "Traceback" not in errors.decode()


def test_resume_takes_the_run_as_it_began(tmp_path: Path) -> None:
    project(tmp_path)
    harness("run", "--profile", "tiny", cwd=tmp_path)
    run_id = bundle_of(tmp_path).name
    (tmp_path / "matrix.yaml").write_text("nonsense")
    done = harness("run", "--resume", run_id, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(journal_of(tmp_path)) == 6
    wrong = harness("run", "--resume", run_id, "--seed", "1", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--seed" in one_line_error(wrong)


def test_a_full_results_disk_is_one_line_with_the_remedy(tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    project(tmp_path)
    done = harness("run", "--profile", "long", "--results", str(small_disk(96)), cwd=tmp_path)
    assert done.returncode == 1
    line = one_line_error(done)
    assert "No space left on device" in line
    assert "--resume" in line or "--results" in line


def test_compare_two_platforms_of_a_bundle(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "results" / "one", platforms={"docker": 1.2})
    done = harness("compare", "native", "docker", "--format", "json", "--metric", "step_*", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert rows
    assert all(row["slowdown"] == pytest.approx(1.2, rel=0.03) and row["verdict"] == "slower" for row in rows)
    back = harness("compare", "docker", "native", "--bundle", str(bundle), "--metric", "step_*", cwd=tmp_path)
    assert back.returncode == 0, back.stderr
    assert "faster" in back.stdout
    nothing = harness("compare", "native", "docker", "--metric", "absent", "--fail-above", "5%", cwd=tmp_path)
    assert nothing.returncode == 2, "a gate that compared nothing has not passed"
    wrong = harness("compare", "native", "dokcer", cwd=tmp_path)
    assert "dokcer" in one_line_error(wrong)


def test_compare_two_bundles_as_a_gate(tmp_path: Path) -> None:
    a = write_bundle(tmp_path / "a", platforms={"docker": 1.0})
    b = write_bundle(tmp_path / "b", platforms={"docker": 1.5}, seed=2)
    arguments = ("compare", str(a), str(b), "--format", "markdown", "--metric", "step_*")
    passed = harness(*arguments, "--fail-above", "60%", cwd=tmp_path)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert passed.stdout.startswith("| task |")
    assert "between-boot variance not estimated" in passed.stdout or "not interleaved" in passed.stdout
    failed = harness(*arguments, "--fail-above", "40%", cwd=tmp_path)
    assert failed.returncode == 1
    assert "step_seconds" in failed.stderr


def of_another_boot(folder: Path, number: int, slowdown: float) -> Path:
    """A run of its own boot; `number` names both."""
    write_bundle(folder, platforms={"docker": slowdown}, seed=number)
    manifest = json.loads((folder / "run.json").read_text()) | {"run_id": f"run-{number}", "boot_id": f"boot-{number}"}
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


def test_a_gate_without_an_interval_has_not_passed(tmp_path: Path) -> None:
    """One boot a side: three times slower, and nothing is ever surely above."""
    old, new = (of_another_boot(tmp_path / str(n), n, slowdown) for n, slowdown in ((1, 1.0), (2, 3.0)))
    arguments = ("--metric", "step_*", "--fail-above", "5%")
    done = harness("compare", str(old), str(new), *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "no slowdown has an interval (1 and 1 boots" in one_line_error(done)
    assert "merge" in one_line_error(done)
    more = [of_another_boot(tmp_path / str(n), n, slowdown) for n, slowdown in ((3, 1.0), (4, 3.0))]
    for name, boots in (("old", (old, more[0])), ("new", (new, more[1]))):
        merged = harness("merge", *map(str, boots), "-o", name, "--same-machine", cwd=tmp_path)
        assert merged.returncode == 0, merged.stderr
    judged = harness("compare", "old", "new", *arguments, cwd=tmp_path)
    assert judged.returncode == 1, judged.stdout + judged.stderr
    assert "above 5.0%: tf_cnn.trivial step_seconds" in judged.stderr


def test_the_schema_command_writes_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", str(tmp_path / "schema.json")]) == 0
    assert json.loads((tmp_path / "schema.json").read_text())["type"] == "object"
    assert "schema.json" in capsys.readouterr().out


def test_percentages() -> None:
    chosen = parser().parse_args(["compare", "a", "b", "--fail-above", "5%"])
    assert chosen.fail_above == pytest.approx(0.05)
    for wrong in ("much", "nan", "inf", "-1%", "5"):
        with pytest.raises(SystemExit):
            parser().parse_args(["compare", "a", "b", "--fail-above", wrong])


@pytest.mark.parametrize(
    "env",
    [
        {"DOCKER_HOST": "tcp://localhost:abc"},
        {"DOCKER_HOST": "npipe://x"},
        {"DOCKER_HOST": "http://["},
        {"TF_BENCHMARKS": "~nosuchuser/x"},
    ],
)
def test_an_odd_environment_is_a_reason_and_no_traceback(tmp_path: Path, env: dict[str, str]) -> None:
    project(tmp_path)
    done = harness("plan", "--profile", "both", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("cache", ["/proc/nothing", "~nosuchuser/x", "matrix.yaml"])
def test_a_cache_that_cannot_be_made_is_one_line(tmp_path: Path, cache: str) -> None:
    project(tmp_path)
    done = harness("plan", cwd=tmp_path, env={"OVERHEAD_MATRIX_CACHE": cache})
    assert done.returncode == 1
    assert "OVERHEAD_MATRIX_CACHE" in one_line_error(done)


def test_a_path_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    done = harness("schema", str(tmp_path / "absent" / "schema.json"), cwd=tmp_path)
    assert done.returncode == 1
    assert "absent" in one_line_error(done)


def test_run_with_report_reports_that_run(tmp_path: Path) -> None:
    project(tmp_path)
    done = harness("run", "--report", "--profile", "tiny", "--results", "elsewhere", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (index,) = (tmp_path / "reports").glob("*/index.html")
    assert (tmp_path / "elsewhere" / index.parent.name / "run.json").exists()
