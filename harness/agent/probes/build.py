"""`tooling.build` and `tooling.build_cuda`: whether the platform's own compiler makes an extension, and how fast.

A small source of a few templates is compiled, linked to a shared library, loaded by ctypes, and asked for a number
that this process knows. Each round does all of that anew in an empty folder. The outcome is a capability: no compiler
is `unavailable`, one that does not get to the right number is `failed` with the end of its log; which compiler it was
stands in the versions. The CUDA library is loaded everywhere; its kernel is run where the cell has a GPU.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from harness.agent import compilers
from harness.agent.children import StepError, timed
from harness.agent.compilers import Compiler, Language
from harness.agent.compilers_windows import WindowsCompiler
from harness.agent.loops import PythonLoops, instrument
from harness.agent.messages import Metric
from harness.agent.sampling import NANOSECOND
from harness.agent.task import Context, Outcome, Task

if sys.platform == "win32":
    from _ctypes import FreeLibrary

WARMUP = 1  # rounds
ARGUMENT = 1000
NOT_RUN = "the kernel was compiled, linked and loaded, but not run: the cell has no GPU"

# Templates that the compiler must instantiate and unroll, and the standard library's heavier headers.
CPP = """
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

template <typename T, std::size_t N> struct Polynomial {
    std::array<T, N> coefficients;
    T operator()(T x) const {
        auto step = [x](T sum, T coefficient) { return sum * x + coefficient; };
        return std::accumulate(coefficients.rbegin(), coefficients.rend(), T{}, step);
    }
};

template <std::size_t N> std::int64_t sum(std::int64_t n) {
    Polynomial<std::int64_t, N> squares{{0, 0, 1}};
    std::map<std::string, std::vector<std::int64_t>> parity;
    for (std::int64_t x = 1; x <= n; ++x) parity[x % 2 ? "odd" : "even"].push_back(squares(x));
    std::int64_t total = 0;
    for (auto &[name, values] : parity) {
        std::sort(values.begin(), values.end(), std::greater<>());
        total += std::accumulate(values.begin(), values.end(), std::int64_t{});
    }
    return total;
}

extern "C" std::int64_t sum_of_squares(std::int64_t n) { return sum<3>(n); }
"""

# The negative of a CUDA error where the kernel can't be run.
CUDA = """
#include <cstdint>

template <typename T> __global__ void squares(T n, T *total) {
    for (T x = 1 + threadIdx.x; x <= n; x += blockDim.x) atomicAdd(total, x * x);
}

extern "C" std::int64_t sum_of_squares(std::int64_t n) {
    using Count = unsigned long long;
    Count *total = nullptr, answer = 0;
    cudaError_t error = cudaMalloc(&total, sizeof answer);
    if (error == cudaSuccess) error = cudaMemset(total, 0, sizeof answer);
    if (error == cudaSuccess) squares<Count><<<1, 128>>>(n, total);
    if (error == cudaSuccess) error = cudaGetLastError();
    if (error == cudaSuccess) error = cudaMemcpy(&answer, total, sizeof answer, cudaMemcpyDeviceToHost);
    cudaFree(total);
    return error == cudaSuccess ? static_cast<std::int64_t>(answer) : -static_cast<std::int64_t>(error);
}
"""
SOURCES: Mapping[Language, tuple[str, str]] = {"c++": ("extension.cpp", CPP), "cuda": ("extension.cu", CUDA)}


def run_cpp(context: Context) -> Outcome:
    """Measure `compile_seconds`, `link_seconds` and `load_seconds` of a C++ extension."""
    return _run(context, "c++", call=True)


def run_cuda(context: Context) -> Outcome:
    """Measure the same of a CUDA extension."""
    return _run(context, "cuda", call=context.spec.device != "cpu")


def in_rounds(context: Context, build: Callable[[Path], Mapping[str, float]]) -> list[Metric]:
    """Return what a build's steps took, each round in an empty folder of its own, after WARMUP rounds.

    `build` returns the seconds of each step by its metric's name. Raises StepError where it does.
    """
    rounds = []
    total = WARMUP + context.integer("rounds")
    for done in range(1, total + 1):
        with tempfile.TemporaryDirectory(prefix="overhead-matrix-") as folder:
            rounds.append(build(Path(folder)))
        context.progress(done, total, "builds")
    return [
        Metric(name=name, unit="s", better="lower", samples=tuple(each[name] for each in rounds), warmup=WARMUP)
        for name in rounds[0]
    ]


def _run(context: Context, language: Language, *, call: bool) -> Outcome:
    compiler = compilers.find(language)
    versions = {"compiler": compiler.path}
    try:
        versions["compiler"] = compiler.version()
        metrics = in_rounds(context, partial(_build, compiler, call=call))
    except StepError as error:
        return Outcome(metrics=(), versions=versions, status="failed", reason=str(error))
    return Outcome(
        metrics=(*metrics, *instrument(PythonLoops())), versions=versions, warnings=() if call else (NOT_RUN,)
    )


def _build(compiler: Compiler | WindowsCompiler, folder: Path, *, call: bool) -> Mapping[str, float]:
    """Return the seconds of each step. Raises StepError with the log of the one that fails."""
    name, text = SOURCES[compiler.language]
    source, target, library = folder / name, folder / "extension.o", folder / "extension.so"
    source.write_text(text, encoding="utf-8")
    return {
        "compile_seconds": timed(compiler.compile(source, target), f"{compiler.path}, compile", compiler.environ),
        "link_seconds": timed(compiler.link(target, library), f"{compiler.path}, link", compiler.environ),
        "load_seconds": _load(library, call=call),
    }


def _load(library: Path, *, call: bool) -> float:
    """Return the seconds that loading takes, after a look at the answer. Raises StepError if it is wrong."""
    start = time.perf_counter_ns()
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError as error:
        raise StepError(f"load: {error}") from error
    try:
        function = loaded.sum_of_squares
        seconds = (time.perf_counter_ns() - start) * NANOSECOND
        function.argtypes, function.restype = [ctypes.c_int64], ctypes.c_int64
        right = ARGUMENT * (ARGUMENT + 1) * (2 * ARGUMENT + 1) // 6
        if call and (answer := function(ARGUMENT)) != right:
            what = f"CUDA error {-answer}" if answer < 0 else f"{answer} where {right} is right"
            raise StepError(f"call: the extension answers {what}")
    except AttributeError as error:
        raise StepError(f"load: {error}") from error
    finally:
        if sys.platform == "win32":  # which removes no file of a library that is loaded
            FreeLibrary(loaded._handle)
    return seconds


PARAMS = {"rounds": 5}

CPP_TASK = Task(
    summary="Compile, link and load a small C++ extension with the platform's own compiler.",
    run=run_cpp,
    params=PARAMS,
    seconds=4.0,
)
CUDA_TASK = Task(
    summary="Compile, link and load a small CUDA extension with the platform's nvcc; run it where there is a GPU.",
    run=run_cuda,
    params=PARAMS,
    devices=("cpu", "cuda"),
    seconds=6.0,
)
