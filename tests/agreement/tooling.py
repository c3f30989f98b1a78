"""The comparisons of install, import, build, make and dispatch: the same commands by hand, and torch's own timer."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from harness.agent import wheel
from harness.agent.messages import Location
from harness.agent.probes import build, tooling_make
from tests.agreement import tools
from tests.agreement.cells import folder_in_memory, result, stack_python, value
from tests.agreement.table import Comparison, Reason, Values, alternated, programs

MODULES, SIZE = 300, 4096  # of the wheel
SOURCES = 12

# tooling.install


def _install() -> Values:
    with folder_in_memory() as folder:
        location = Location(name="here", path=str(folder))
        done = result("tooling.install", {"files": MODULES, "size": SIZE, "samples": 5}, locations=[location])
    return {name: value(done, name) for name in ("install_seconds", "pip_start_seconds")}


def _pip() -> Values:
    pip = [sys.executable, "-m", "pip"]
    with folder_in_memory() as folder:
        package, target = wheel.write(folder, modules=MODULES, size=SIZE), folder / "target"
        environ = {"TMPDIR": str(folder), "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        options = ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--target", str(target), str(package)]
        install = tools.hyperfine([*pip, "install", *options], runs=5, prepare=["rm", "-rf", target], environ=environ)
    return {"install_seconds": install, "pip_start_seconds": tools.hyperfine([*pip, "--version"], runs=5)}


# tooling.import


def _import(stack: str, module: str) -> Values:
    python = sys.executable if stack == "driver" else stack_python(stack)
    done = result("tooling.import", {"samples": 5}, python=python, stack=stack)
    imported = value(done, "import_seconds", cache="warm")
    return {"start_seconds": value(done, "start_seconds"), f"import_seconds {module}": imported}


def _import_by_hand(stack: str, module: str, program: str) -> Values:
    python = sys.executable if stack == "driver" else stack_python(stack)
    return {
        "start_seconds": tools.hyperfine([python, "-c", "pass"], runs=20),
        f"import_seconds {module}": tools.hyperfine([python, "-c", program], runs=5),
    }


STANDARD_MODULES = (
    "import argparse, asyncio, csv, dataclasses, decimal, email.message, http.client, json, logging, multiprocessing, "
    "tempfile, unittest, urllib.request, xml.etree.ElementTree, zipfile"
)


# tooling.build


def _build() -> Values:
    done = result("tooling.build", {"rounds": 4})
    return {name: value(done, name) for name in ("compile_seconds", "link_seconds")}


def _build_by_hand() -> Values:
    with tempfile.TemporaryDirectory() as folder:
        source, target, library = (Path(folder, name) for name in ("extension.cpp", "extension.o", "extension.so"))
        source.write_text(build.CPP, encoding="utf-8")
        compiling = tools.hyperfine(["c++", "-O2", "-std=c++17", "-fPIC", "-c", source, "-o", target], runs=4)
        linking = tools.hyperfine(["c++", "-shared", target, "-o", library], runs=4)
    return {"compile_seconds": compiling, "link_seconds": linking}


# tooling.make


def _make() -> Values:
    done = result("tooling.make", {"sources": SOURCES, "rounds": 4})
    return {name: value(done, name) for name in ("make_seconds", "remake_seconds")}


def _make_by_hand() -> Values:
    with tempfile.TemporaryDirectory() as folder:
        objects = [f"unit_{number}.o" for number in range(SOURCES)]
        for number in range(SOURCES):
            Path(folder, f"unit_{number}.cpp").write_text(tooling_make.UNIT.format(number=number), encoding="utf-8")
        rule = "%.o: %.cpp\n\tc++ -O2 -std=c++17 -fPIC -c $< -o $@\n"
        Path(folder, "Makefile").write_text(f"all: {' '.join(objects)}\n{rule}", encoding="utf-8")
        command = ["make", "-C", folder]
        built = tools.hyperfine(command, runs=4, prepare=["rm", "-f", *(Path(folder, each) for each in objects)])
        return {"make_seconds": built, "remake_seconds": tools.hyperfine(command, runs=4)}


# driver.dispatch

# What a user of torch.utils.benchmark types.
TORCH_BENCHMARK = """
import torch
from torch.utils.benchmark import Timer
one, total, square = torch.ones(1), torch.zeros(1), torch.ones(2, 2)
names = {"torch": torch, "one": one, "total": total, "square": square}
for statement in ("torch.add(one, one)", "total.add_(one)", "torch.matmul(square, square)"):
    print(Timer(statement, globals=names).blocked_autorange(min_run_time=0.5).median)
"""
OPERATIONS = ("add", "add_inplace", "matmul")


def _dispatch() -> Values:
    done = result("driver.dispatch", {"samples": 400}, python=stack_python("torch"), stack="torch")
    return {f"dispatch_seconds {each}": value(done, "dispatch_seconds", operation=each) for each in OPERATIONS}


def _torch_benchmark() -> Values:
    printed = tools.run([stack_python("torch"), "-c", TORCH_BENCHMARK])
    return dict(zip((f"dispatch_seconds {each}" for each in OPERATIONS), map(float, printed.split()), strict=True))


STARTED_FROM_PYTHON = Reason(
    text="it takes 1.3 ms, and a process that Python starts takes some tenths longer than one that hyperfine starts",
    low=1.0,
    high=1.5,
)
HYPERFINE = programs(hyperfine="hyperfine")

COMPARISONS = (
    Comparison(
        probe="tooling.install",
        tool="hyperfine of pip",
        measured=alternated(_install, _pip),
        missing=HYPERFINE,
    ),
    Comparison(
        probe="tooling.import",
        tool="hyperfine of python",
        measured=alternated(
            lambda: _import("driver", "standard"), lambda: _import_by_hand("driver", "standard", STANDARD_MODULES)
        ),
        missing=HYPERFINE,
    ),
    Comparison(
        probe="tooling.import",
        tool="hyperfine of python with torch",
        measured=alternated(
            lambda: _import("torch", "torch"), lambda: _import_by_hand("torch", "torch", "import torch")
        ),
        missing=HYPERFINE,
        pairs=4,
    ),
    Comparison(
        probe="tooling.build",
        tool="hyperfine of c++",
        measured=alternated(_build, _build_by_hand),
        missing=programs(**{"c++": "g++", "hyperfine": "hyperfine"}),
        pairs=4,
    ),
    Comparison(
        probe="tooling.make",
        tool="hyperfine of make",
        reasons={"remake_seconds": STARTED_FROM_PYTHON},
        measured=alternated(_make, _make_by_hand),
        missing=programs(**{"c++": "g++", "make": "make", "hyperfine": "hyperfine"}),
        pairs=4,
    ),
    Comparison(
        probe="driver.dispatch",
        tool="torch.utils.benchmark",
        measured=alternated(_dispatch, _torch_benchmark),
        missing=lambda: "",
    ),
)
