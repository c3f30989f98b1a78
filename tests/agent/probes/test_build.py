from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.agent.messages import CellSpec
from harness.agent.probes import build
from harness.agent.task import Context, Outcome, Unavailable
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.probes.programs import script
from tests.agent.systems import not_on_windows

pytestmark = [pytest.mark.answers, not_on_windows("its fakes are shell scripts")]

STEPS = {"compile_seconds", "link_seconds", "load_seconds", *INSTRUMENT}


def test_the_extension_is_built_loaded_and_right(run_task: RunTask, only: Path) -> None:
    outcome = run_task("tooling.build", rounds=2)
    assert (outcome.status, outcome.reason, outcome.warnings) == ("ok", "", ())
    assert names(outcome) == STEPS
    for name in STEPS - INSTRUMENT:
        step = metric(outcome, name)
        assert (len(step.samples), step.warmup, step.unit, step.better) == (3, 1, "s", "lower")
    assert any(digit.isdigit() for digit in outcome.versions["compiler"])


def test_each_step_is_timed_by_itself(run_task: RunTask, only: Path, cpp: Path) -> None:
    script(only / "c++", f'case "$*" in *-shared*) sleep 0.5;; esac; exec {cpp}/c++ "$@"')
    outcome = run_task("tooling.build", rounds=1)
    assert metric(outcome, "link_seconds").samples[-1] >= 0.5
    assert metric(outcome, "load_seconds").samples[-1] < 0.5


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'fatal error: vector: No such file'; exit 1", r"c\+\+, compile: exit status 1: fatal error: vector"),
        ("case $* in *-shared*) echo 'cannot find -lc'; exit 1;; esac", r"link: exit status 1: cannot find -lc"),
        ("kill -9 $$", "compile: ended by signal 9: it printed nothing"),
        ("true", r"load: .*extension\.so: cannot open shared object file"),
    ],
)
def test_a_broken_compiler_is_a_failed_capability(run_task: RunTask, only: Path, body: str, reason: str) -> None:
    script(only / "c++", f'case "$*" in *--version*) echo "broken 1.0";; *) {body};; esac')
    outcome = run_task("tooling.build", rounds=1)
    assert (outcome.status, outcome.metrics, outcome.versions) == ("failed", (), {"compiler": "broken 1.0"})
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(outcome.reason)


def test_a_compiler_that_cannot_say_its_version_is_named_by_its_path(run_task: RunTask, only: Path) -> None:
    path = script(only / "c++", "echo 'no licence'; exit 1")
    outcome = run_task("tooling.build", rounds=1)
    assert (outcome.status, outcome.versions) == ("failed", {"compiler": str(path)})
    assert outcome.reason == f"{path} --version: exit status 1: no licence"


def test_a_wrong_answer_is_a_failed_capability(run_task: RunTask, only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = build.CPP.replace("return sum<3>(n)", "return sum<3>(n) + 1")
    monkeypatch.setattr(build, "SOURCES", {"c++": ("extension.cpp", wrong)})
    outcome = run_task("tooling.build", rounds=1)
    assert outcome.status == "failed"
    assert outcome.reason == "call: the extension answers 333833501 where 333833500 is right"


def test_no_compiler_is_unavailable(run_task: RunTask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"no c\+\+"):
        run_task("tooling.build")
    with pytest.raises(Unavailable, match="no nvcc"):
        run_task("tooling.build_cuda")


# A fake nvcc: it compiles a stand-in for the source, whose kernel finds no device (cudaErrorNoDevice is 100).
STAND_IN = 'extern "C" long long sum_of_squares(long long) { return -100; }'
FAKE_NVCC = """
case "$*" in
  *--version*) echo "fake nvcc"; echo "Cuda compilation tools, release 0.0";;
  *-shared*) exec c++ "$@";;
  *) for last; do :; done; exec c++ -fPIC -c {stand_in} -o "$last";;
esac
"""


def _run_cuda(device: str) -> Outcome:
    spec = CellSpec(
        cell="c",
        platform="native",
        stack="driver",
        task="tooling.build_cuda",
        entry="tooling.build_cuda",
        params={"rounds": 1},
        device=device,
        block=1,
        attempt=1,
        seed=1,
    )
    return build.run_cuda(Context(spec=spec, params=spec.params, progress=lambda _done, _total, _note: None))


def test_a_cuda_extension_is_called_where_the_cell_has_a_gpu(only: Path, tmp_path: Path) -> None:
    (tmp_path / "stand_in.cpp").write_text(STAND_IN)
    script(only / "nvcc", FAKE_NVCC.format(stand_in=tmp_path / "stand_in.cpp"))
    without = _run_cuda("cpu")
    assert (without.status, without.warnings) == ("ok", (build.NOT_RUN,))
    assert without.versions == {"compiler": "Cuda compilation tools, release 0.0"}
    called = _run_cuda("cuda:0")
    assert (called.status, called.reason) == ("failed", "call: the extension answers CUDA error 100")


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no NVIDIA GPU toolkit's nvcc on this machine")
def test_a_real_nvcc_builds_the_extension() -> None:
    """Compiled, linked and loaded: a GPU is needed to run it."""
    built = _run_cuda("cpu")
    assert (built.status, built.reason, built.warnings) == ("ok", "", (build.NOT_RUN,))
    assert built.versions["compiler"].startswith("Cuda compilation tools")
    assert names(built) == STEPS
    for step in ("compile_seconds", "link_seconds"):
        assert min(metric(built, step).samples) > 0.01
