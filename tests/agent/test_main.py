"""The agent as a process: exit statuses, result files, signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.agent.main import main
from harness.agent.messages import CellResult, CellSpec, Progress, read_json, to_json, write_json
from tests.agent.conftest import FAKES, MakeSpec
from tests.agent.systems import NEW_GROUP, STOPS, not_under_wine

AGENT = (
    "import sys; from harness.agent import main, probes;"
    "probes.__path__.append(sys.argv.pop(1));"
    "sys.exit(main.main(sys.argv[1:]))"
)


class Started:
    """The agent in a process of its own, with the fake probes."""

    def __init__(self, verb: str, spec: CellSpec, folder: Path) -> None:
        self.result = folder / "result.json"
        write_json(folder / "spec.json", to_json(spec))
        self.process = subprocess.Popen(
            [sys.executable, "-c", AGENT, str(FAKES), verb, str(folder / "spec.json"), str(self.result)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            creationflags=NEW_GROUP,
        )

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def read(self) -> CellResult:
        return CellResult.from_json(read_json(self.result))


def test_a_result_is_written_and_progress_stands_among_other_output(make_spec: MakeSpec, tmp_path: Path) -> None:
    agent = Started("run", make_spec("fake.noise"), tmp_path)
    status, out, err = agent.end()

    assert (status, err) == (0, "")
    assert agent.read().status == "ok"
    assert [each for line in out.splitlines() if (each := Progress.from_line(line))] == [
        Progress(done=1, total=1, note="done")
    ]
    assert "native noise" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json", "spec.json"]


def test_a_failure_is_a_result_too(make_spec: MakeSpec, tmp_path: Path) -> None:
    agent = Started("run", make_spec("fake.failing"), tmp_path)
    status, _, err = agent.end()

    assert status == 0
    assert agent.read().status == "failed"
    assert "Traceback" in err


@not_under_wine("it passes on no Ctrl-Break")
@pytest.mark.parametrize("stop", STOPS)
def test_a_signal_ends_a_task_and_is_written_down(make_spec: MakeSpec, tmp_path: Path, stop: int) -> None:
    agent = Started("run", make_spec("fake.hang"), tmp_path)
    assert agent.process.stdout is not None
    assert Progress.from_line(agent.process.stdout.readline()) == Progress(done=0, total=1, note="hanging")
    agent.process.send_signal(stop)
    status, _, _ = agent.end()

    assert status == 130
    assert agent.read().status == "interrupted"


def test_inspection_is_a_plain_record(make_spec: MakeSpec, tmp_path: Path) -> None:
    agent = Started("inspect", make_spec(), tmp_path)
    status, _, err = agent.end()

    assert (status, err) == (0, "")
    assert read_json(agent.result)["python.version"]["value"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize("argv", [[], ["run"], ["run", "a"], ["explain", "a", "b"], ["run", "a", "b", "c"]])
def test_wrong_arguments_are_told(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err == "overhead-matrix agent: usage: agent.pyz run|inspect SPEC RESULT\n"


@pytest.fixture
def _keep_signals() -> object:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_keep_signals")
@pytest.mark.parametrize("content", [None, "{", "[]", '{"protocol": 1}', '{"protocol": 99}'])
def test_a_spec_that_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.json"
    if content is not None:
        spec.write_text(content)

    assert main(["run", str(spec), str(tmp_path / "result.json")]) == 65
    said = capsys.readouterr().err
    assert said.startswith(f"overhead-matrix agent: cannot read {spec}: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "result.json").exists()


@pytest.mark.usefixtures("_keep_signals", "fake_probes")
def test_a_result_that_cannot_be_written_is_told_in_one_line(
    make_spec: MakeSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(to_json(make_spec())))

    assert main(["run", str(tmp_path / "spec.json"), str(tmp_path / "nowhere" / "result.json")]) == 74
    assert "cannot write" in capsys.readouterr().err
