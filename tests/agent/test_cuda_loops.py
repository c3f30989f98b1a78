from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness import native
from harness.agent import ptx
from harness.agent.cuda import CudaContext, open_driver
from harness.agent.cuda_errors import CudaError, CudaOutOfMemoryError
from harness.agent.cuda_loops import FAILURE, FUNCTIONS, CudaLoops, NativeCudaLoops, cuda_loops
from harness.agent.cuda_operations import Kind, Memory, Operation, expect_pending, launch, record
from harness.agent.cuda_python_loops import PythonCudaLoops
from harness.agent.host_memory import pageable
from harness.agent.loops import PythonLoops
from harness.agent.task import Unsupported
from tests.agent.conftest import Plant
from tests.agent.costs import costs
from tests.agent.native_helper import built

pytestmark = pytest.mark.measures

# Costs are least values: the simulation never takes less than planted, and a busy machine does not spoil all of forty.
MILLISECOND = 1_000_000  # ns


@contextmanager
def a_context() -> Iterator[CudaContext]:
    with open_driver().device(0).context() as gpu:
        yield gpu


@pytest.fixture(params=["native", "python"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def loops_of(kind: str, gpu: CudaContext) -> CudaLoops:
    if kind == "native":
        return NativeCudaLoops(gpu.driver, built())
    return PythonCudaLoops(gpu.driver, PythonLoops())


def header() -> str:
    return (native.SOURCES / "cuda.h").read_text()


def enumerated(name: str) -> list[str]:
    body = re.search(rf"enum {name} {{(.*?)}};", header(), re.DOTALL)
    assert body is not None
    return re.findall(r"^\s+CUDA_(\w+),", body[1], re.MULTILINE)


def test_the_numbers_are_those_of_the_header() -> None:
    assert [each.name for each in Kind] == enumerated("cuda_kind")
    assert [each.value for each in Kind] == list(range(len(Kind)))
    assert [each.value for each in Memory] == list(range(len(enumerated("cuda_memory"))))
    assert f"#define PROBE_CUDA_FAILURE {FAILURE}\n" in (native.SOURCES / "overhead_probe.h").read_text()


def test_the_functions_are_those_of_the_header_in_its_order() -> None:
    """`memory_allocate` of the structure is cuMemAlloc: the words agree, whatever their order and version."""
    members = re.findall(r"\(CUDA_CALL \*(\w+)\)", header())
    assert len(members) == len(FUNCTIONS)
    short = {"context": "ctx", "allocate": "alloc", "memory": "mem", "copy": "memcpy"}
    ends = {"to_device": "HtoD", "to_host": "DtoH", "on_device": "DtoD", "to_peer": "Peer"}
    for member, function in zip(members, FUNCTIONS, strict=True):
        if member.startswith("copy_"):
            assert ends[member.removeprefix("copy_")] in function
        else:
            words = [short.get(word, word) for word in member.split("_")]
            assert all(word in function.lower() for word in words), (member, function)


def test_both_ways_name_themselves(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant()
    built()
    with a_context() as gpu:
        assert cuda_loops(gpu.driver).timed.name == "native"
        monkeypatch.setattr("harness.agent.helper.load", lambda: None)
        assert cuda_loops(gpu.driver).timed.name == "python"


@pytest.mark.parametrize("launch_us", [100, 300])
def test_enqueuing_and_completion_are_told_apart(plant: Plant, kind: str, launch_us: int) -> None:
    plant(launch_ns=1e3 * launch_us, kernel_ns=1e6, sync_spin_ns=0)
    with a_context() as gpu:
        operation = launch(gpu.stream(), gpu.kernel(gpu.module(ptx.MODULE), "empty"))
        enqueued, complete = loops_of(kind, gpu).enqueue(40, [operation], repeats=3)
    assert min(enqueued) == costs(3e-6 * launch_us, kind, calls=3)
    assert min(complete) == costs(1e-6 * launch_us + 3 * 1e-3, kind)


def test_a_flush_costs_a_query_after_each(plant: Plant, kind: str) -> None:
    plant(launch_ns=100_000, query_ns=200_000)
    with a_context() as gpu:
        operation = launch(gpu.stream(), gpu.kernel(gpu.module(ptx.MODULE), "empty"))
        enqueued, _ = loops_of(kind, gpu).enqueue(40, [operation], repeats=3, flush=True)
        each = loops_of(kind, gpu).each(40, operation, batch=4, flush=True)
    assert min(enqueued) == costs(900e-6, kind, calls=6)
    assert min(each) == costs(300e-6, kind, calls=2)


def test_each_call_is_timed_alone_and_the_wait_is_not(plant: Plant, kind: str) -> None:
    plant(launch_ns=200_000, kernel_ns=3e6)
    with a_context() as gpu:
        operation = launch(gpu.stream(), gpu.kernel(gpu.module(ptx.MODULE), "empty"))
        each = loops_of(kind, gpu).each(40, operation, batch=2)
    assert len(each) == 40
    assert min(each) == costs(200e-6, kind)


def test_all_streams_are_waited_for(plant: Plant, kind: str) -> None:
    plant()
    with a_context() as gpu:
        module = gpu.module(ptx.MODULE)
        short, long = (launch(gpu.stream(), gpu.kernel(module, "spin", n * MILLISECOND)) for n in (1, 4))
        for operations in ([short, long], [long, short]):
            _, complete = loops_of(kind, gpu).enqueue(1, operations)
            assert complete[0] >= 0.005  # one engine runs both
            for operation in operations:
                assert gpu.driver.status("cuStreamQuery", operation.stream) == 0


def test_two_operations_run_at_once(plant: Plant, kind: str) -> None:
    """Two launches on threads of their own: each thread pays for its own, and both kernels are done at the end."""
    plant(launch_ns=400_000, kernel_ns=200_000, sync_spin_ns=0)
    with a_context() as gpu:
        kernel = gpu.kernel(gpu.module(ptx.MODULE), "empty")
        operations = launch(gpu.stream(), kernel), launch(gpu.stream(), kernel)
        seconds = loops_of(kind, gpu).both(40, gpu.handle, operations)
        assert all(gpu.driver.status("cuStreamQuery", each.stream) == 0 for each in operations)
    assert len(seconds) == 40
    assert min(seconds) >= 800e-6  # one engine runs the kernels one after the other


def test_a_failure_beside_is_a_failure(plant: Plant, kind: str) -> None:
    plant(fail=("cuEventRecord:801:5",))
    with a_context() as gpu:
        operation = launch(gpu.stream(), gpu.kernel(gpu.module(ptx.MODULE), "empty"))
        pair = (operation, record(gpu.stream(), gpu.event()))
        with pytest.raises(Unsupported, match=r"cuEventRecord: CUDA_ERROR_NOT_SUPPORTED"):
            loops_of(kind, gpu).both(20, gpu.handle, pair)


def test_copies_move_what_they_are_told_to(plant: Plant, kind: str) -> None:
    plant()
    with a_context() as gpu, gpu.memory(64) as first, gpu.memory(64) as second, gpu.pinned(64) as host:
        stream, loops = gpu.stream(), loops_of(kind, gpu)
        gpu.driver.call("cuMemsetD8_v2", first, 7, 64)
        across = Operation(kind=Kind.ON_DEVICE, stream=stream, destination=second, source=first, size=32)
        down = Operation(kind=Kind.TO_HOST, stream=stream, destination=host, source=second, size=32)
        up = Operation(kind=Kind.TO_DEVICE, stream=stream, destination=first + 32, source=host, size=16)
        gpu.driver.call("cuMemsetD8_v2", first + 32, 1, 32)
        loops.enqueue(1, [across, down, up])
        assert gpu.read(first, 64) == bytes([7] * 48 + [1] * 16)


def test_an_event_that_should_be_pending_and_has_come_ends_the_loop(plant: Plant, kind: str) -> None:
    plant()
    with a_context() as gpu:
        stream, event, loops = gpu.stream(), gpu.event(), loops_of(kind, gpu)
        module = gpu.module(ptx.MODULE)
        after = [record(stream, event), expect_pending(stream, event)]
        loops.enqueue(1, [launch(stream, gpu.kernel(module, "spin", 5 * MILLISECOND)), *after])
        with pytest.raises(BlockingIOError):
            loops.enqueue(1, after)


def test_a_failure_names_the_function_and_the_error(plant: Plant, kind: str) -> None:
    plant(fail=("cuEventRecord:719:5",))
    with pytest.raises(CudaError) as raised, a_context() as gpu:
        loops_of(kind, gpu).enqueue(20, [record(gpu.stream(), gpu.event())])
    assert (raised.value.function, raised.value.code, raised.value.lost) == ("cuEventRecord", 719, True)


def test_a_refused_allocation_is_out_of_memory(plant: Plant, kind: str) -> None:
    plant(memory_mib=64)
    with a_context() as gpu, pytest.raises(CudaOutOfMemoryError, match="cuMemAlloc_v2"):
        loops_of(kind, gpu).allocate(1, Memory.DEVICE, 2**30)


@pytest.mark.parametrize("planted", [200_000, 400_000])
@pytest.mark.parametrize(
    ("memory", "allocate", "free"),
    [
        (Memory.DEVICE, "alloc_ns", "free_ns"),
        (Memory.POOL, "async_alloc_ns", "async_free_ns"),
        (Memory.HOST, "host_alloc_ns", "host_free_ns"),
        (Memory.REGISTERED, "host_register_ns", "host_unregister_ns"),
    ],
)
def test_allocation_and_freeing_are_told_apart(
    plant: Plant, kind: str, memory: Memory, allocate: str, free: str, planted: int
) -> None:
    plant(**{allocate: planted, free: 2 * planted})
    with a_context() as gpu, gpu.memory(4096), pageable(4096) as address:
        loops = loops_of(kind, gpu)
        allocated, freed = loops.allocate(40, memory, 4096, stream=gpu.stream(), address=address)
    assert min(allocated) == costs(1e-9 * planted, kind)
    assert min(freed) == costs(2e-9 * planted, kind)


def test_entering_the_driver_costs_next_to_nothing(plant: Plant, kind: str) -> None:
    plant()
    with a_context() as gpu:
        seconds = loops_of(kind, gpu).driver_call(10, 200)
    assert len(seconds) == 10
    assert 1e-9 < min(seconds) < 1e-4


def test_a_driver_without_pools_is_told_apart_from_a_crash(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:

    plant()
    with a_context() as gpu:
        need = type(gpu.driver).need

        def old(driver: object, *functions: str) -> None:
            if "cuMemAllocAsync" in functions:
                raise Unsupported("this driver has no cuMemAllocAsync: update the driver")
            need(gpu.driver, *functions)

        monkeypatch.setattr(type(gpu.driver), "need", old)
        with pytest.raises(Unsupported, match="update the driver"):
            NativeCudaLoops(gpu.driver, built()).allocate(1, Memory.POOL, 4096)


def test_a_function_that_the_driver_lacks_is_unsupported(plant: Plant) -> None:

    plant()
    driver = open_driver()
    assert driver.address("cuNoSuchFunction") == 0
    with pytest.raises(Unsupported, match="this driver has no cuNoSuchFunction: update the driver"):
        driver.call("cuNoSuchFunction")
