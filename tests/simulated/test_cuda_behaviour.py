"""What the simulated driver does beside taking time: moves data, keeps order, counts memory, tells errors."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint64, c_void_p

import pytest

from tests.simulated.client import MIB, PTX, Client, CudaError
from tests.simulated.driver import CUDA, SimulatedDriver

SIZE = 64 * 1024
INVALID_VALUE, OUT_OF_MEMORY, NOT_INITIALIZED, NO_DEVICE = 1, 2, 3, 100
INVALID_CONTEXT, INVALID_PTX, INVALID_HANDLE, NOT_FOUND = 201, 218, 400, 500
NOT_READY, ILLEGAL_ADDRESS, NOT_SUPPORTED, CAPTURING = 600, 700, 801, 900
PATTERN = bytes(range(256)) * (SIZE // 256)


@pytest.fixture
def client() -> Client:
    return Client(SimulatedDriver())


def number_of(call: Callable[[], object]) -> int:
    """Return the number of the error that a call must raise."""
    with pytest.raises(CudaError) as error:
        call()
    return error.value.number


# ---- what a device says of itself


def test_every_device_is_named_simulated() -> None:
    client = Client(SimulatedDriver(devices=2, name="H100"))
    names = []
    for device in range(2):
        text = ctypes.create_string_buffer(64)
        client("cuDeviceGetName", text, 64, device)
        names.append(text.value)
    assert names == [b"Simulated H100"] * 2


def test_identity_is_per_device_and_as_planted() -> None:
    client = Client(SimulatedDriver(devices=2, uuid=7, driver_version=13010, memory_mib=512))
    uuids = []
    for device in range(2):
        uuid = ctypes.create_string_buffer(16)
        client("cuDeviceGetUuid_v2", uuid, device)
        uuids.append(uuid.raw)
    version, total, capability = c_int(), c_size_t(), c_int()
    client("cuDriverGetVersion", byref(version))
    client("cuDeviceTotalMem_v2", byref(total), 0)
    client("cuDeviceGetAttribute", byref(capability), 75, 0)
    assert uuids == [b"SIMULATED-GPU-\x07\x00", b"SIMULATED-GPU-\x07\x01"]
    assert (version.value, total.value, capability.value) == (13010, 512 * MIB, 8)


def test_an_attribute_without_an_answer_is_an_invalid_value(client: Client) -> None:
    value = c_int(-5)
    assert number_of(lambda: client("cuDeviceGetAttribute", byref(value), 999, 0)) == INVALID_VALUE
    assert value.value == -5


# ---- data


def test_data_really_move(client: Client) -> None:
    host, one, other, stream = client.pinned(SIZE), client.memory(SIZE), client.memory(SIZE), client.stream()
    back, size = ctypes.create_string_buffer(SIZE), c_size_t(SIZE)
    ctypes.memmove(host, PATTERN, SIZE)
    client("cuMemcpyHtoDAsync_v2", one, host, size, stream)
    client("cuMemcpyDtoDAsync_v2", other, one, size, stream)
    client("cuMemsetD8Async", one, 9, size, stream)
    client("cuStreamSynchronize", stream)
    client("cuMemcpyDtoH_v2", back, other, size)
    assert back.raw == PATTERN
    client("cuMemcpyDtoH_v2", back, one, size)
    assert back.raw == b"\x09" * SIZE


def test_fma_leaves_the_fixed_point_of_its_chain(client: Client) -> None:
    device, found = client.memory(4), ctypes.c_float()
    client("cuMemsetD8_v2", device, 0, c_size_t(4))
    client.launch(client.kernel(b"fma"), None, device.value, 1000)
    client("cuMemcpyDtoH_v2", byref(found), device, c_size_t(4))
    assert found.value == 2.0


def test_data_arrive_when_the_copy_runs_not_when_it_is_enqueued(client: Client) -> None:
    host, device, stream = client.pinned(SIZE), client.memory(SIZE), client.stream()
    ctypes.memset(host, 0, SIZE)
    client("cuMemsetD8_v2", device, 1, c_size_t(SIZE))
    client("cuCtxSynchronize")
    client.launch(client.kernel(b"spin"), stream, 50_000_000)
    client("cuMemcpyDtoHAsync_v2", host, device, c_size_t(SIZE), stream)
    assert number_of(lambda: client("cuStreamQuery", stream)) == NOT_READY
    assert ctypes.string_at(host, 1) == b"\x00"
    client("cuStreamSynchronize", stream)
    assert ctypes.string_at(host, 1) == b"\x01"
    client("cuStreamQuery", stream)


def test_a_stream_waits_for_an_event_of_another(client: Client) -> None:
    first, second, event = client.stream(), client.stream(), client.event()
    done = [client.event(), client.event()]
    client.launch(client.kernel(b"spin"), first, 5_000_000)
    client("cuEventRecord", event, first)
    client("cuStreamWaitEvent", second, event, 0)
    client("cuEventRecord", done[0], second)
    client("cuEventRecord", done[1], first)
    client("cuCtxSynchronize")
    assert client.milliseconds(event, done[0]) >= 0


def test_what_was_enqueued_first_gets_the_engine_first(client: Client) -> None:
    gate, opened, kernel = client.stream(), client.event(), client.kernel(b"spin")
    client.launch(kernel, gate, 20_000_000)
    client("cuEventRecord", opened, gate)
    ends = []
    for _ in range(4):
        stream = client.stream()
        client("cuStreamWaitEvent", stream, opened, 0)
        client.launch(kernel, stream, 1_000_000)
        ends.append(client.event())
        client("cuEventRecord", ends[-1], stream)
    client("cuCtxSynchronize")
    assert [client.milliseconds(opened, end) for end in ends] == pytest.approx([1, 2, 3, 4])


@pytest.mark.parametrize(("flags", "waits"), [(0, True), (1, False)])
def test_the_default_stream_waits_for_blocking_streams_only(client: Client, flags: int, waits: bool) -> None:
    stream, start, end = client.stream(flags), client.event(), client.event()
    client("cuEventRecord", start, stream)
    client.launch(client.kernel(b"spin"), stream, 5_000_000)
    client("cuEventRecord", end, None)
    client("cuCtxSynchronize")
    assert (client.milliseconds(start, end) >= 5) == waits


def test_a_graph_replays_kernels_and_copies(client: Client) -> None:
    host, device, stream = client.pinned(SIZE), client.memory(SIZE), client.stream()
    graph = client.capture(stream, lambda: client("cuMemcpyHtoDAsync_v2", device, host, c_size_t(SIZE), stream))
    executable = client.handle("cuGraphInstantiateWithFlags", graph, c_uint64(0))
    back = ctypes.create_string_buffer(SIZE)
    for value in (3, 4):
        ctypes.memset(host, value, SIZE)
        client("cuGraphLaunch", executable, stream)
        client("cuStreamSynchronize", stream)
        client("cuMemcpyDtoH_v2", back, device, c_size_t(SIZE))
        assert back.raw == bytes([value]) * SIZE
    client("cuGraphExecDestroy", executable)
    client("cuGraphDestroy", graph)
    assert number_of(lambda: client("cuGraphLaunch", executable, stream)) == INVALID_VALUE


def test_a_capturing_stream_runs_nothing_and_cannot_be_waited_for(client: Client) -> None:
    stream = client.stream()
    client("cuStreamBeginCapture_v2", stream, 0)
    client.launch(client.kernel(b"spin"), stream, 10**12)
    for function in ("cuStreamSynchronize", "cuStreamQuery"):
        assert number_of(lambda function=function: client(function, stream)) == CAPTURING  # type: ignore[misc]
    client("cuCtxSynchronize")


def test_a_thread_that_waits_does_not_keep_others_waiting(client: Client) -> None:
    stream, seen = client.stream(), []
    client.launch(client.kernel(b"spin"), stream, 2_000_000_000)

    def work_meanwhile() -> None:
        client("cuCtxSetCurrent", client.context)
        for _ in range(100):
            client.event()
        seen.append(client.library.cuStreamQuery(stream))

    other = threading.Thread(target=work_meanwhile)
    other.start()
    client("cuStreamSynchronize", stream)
    other.join()
    assert seen == [NOT_READY], "the other thread was done before the wait was over"


# ---- memory


def test_memory_is_counted_and_ends(client: Client) -> None:
    whole = client.free_bytes()
    half = client.memory(whole // 2)
    assert client.free_bytes() == whole - whole // 2
    assert number_of(lambda: client.memory(whole // 2 + MIB)) == OUT_OF_MEMORY
    client("cuMemFree_v2", half)
    assert client.free_bytes() == whole


def test_memory_freed_in_stream_order_is_there_until_its_turn(client: Client) -> None:
    stream, start, whole = client.stream(), client.memory(MIB), client.free_bytes()
    client.launch(client.kernel(b"spin"), stream, 30_000_000)
    client("cuMemFreeAsync", start, stream)
    assert client.free_bytes() == whole
    client("cuStreamSynchronize", stream)
    assert client.free_bytes() == whole + MIB


def test_a_context_takes_its_memory_with_it() -> None:
    client = Client(SimulatedDriver(context_create_us=1, context_destroy_us=1))
    whole = client.free_bytes()
    other = client.context_on(0)
    client.memory(MIB)
    client("cuCtxDestroy_v2", other)
    assert client.free_bytes() == whole


def test_beyond_the_wall_no_memory_can_be_pinned() -> None:
    client = Client(SimulatedDriver(pinned_wall_mib=4, host_alloc_mib_ns=0, host_register_mib_ns=0))
    first, buffer = client.pinned(3 * MIB), ctypes.create_string_buffer(2 * MIB)
    assert number_of(lambda: client.pinned(2 * MIB)) == OUT_OF_MEMORY
    assert number_of(lambda: client("cuMemHostRegister_v2", buffer, c_size_t(2 * MIB), 0)) == OUT_OF_MEMORY
    client.pinned(MIB)
    client("cuMemFreeHost", first)
    client("cuMemHostRegister_v2", buffer, c_size_t(2 * MIB), 0)


def test_memory_is_pinned_once(client: Client) -> None:
    buffer = ctypes.create_string_buffer(MIB)
    client("cuMemHostRegister_v2", buffer, c_size_t(MIB), 0)
    assert number_of(lambda: client("cuMemHostRegister_v2", buffer, c_size_t(MIB), 0)) == 712
    client("cuMemHostUnregister", buffer)
    assert number_of(lambda: client("cuMemHostUnregister", buffer)) == 713


def test_a_copy_beyond_an_allocation_is_an_invalid_value(client: Client) -> None:
    host, device = client.pinned(SIZE), client.memory(SIZE // 2)
    assert number_of(lambda: client("cuMemcpyHtoD_v2", device, host, c_size_t(SIZE))) == INVALID_VALUE


# ---- peers


@pytest.mark.parametrize("peer", [True, False])
def test_copies_between_devices(peer: bool) -> None:
    client = Client(SimulatedDriver(devices=2, peer=peer, peer_gbps=0.5, peer_latency_ns=0, h2d_gbps=0.5, d2h_gbps=0.5))
    reachable, there = c_int(), client.context_on(1)
    target = client.memory(SIZE)
    client("cuCtxSetCurrent", client.context)
    source, stream, size = client.memory(SIZE), client.stream(), c_size_t(SIZE)
    client("cuDeviceCanAccessPeer", byref(reachable), 0, 1)
    assert reachable.value == peer
    if peer:
        client("cuCtxEnablePeerAccess", there, 0)
        assert number_of(lambda: client("cuCtxEnablePeerAccess", there, 0)) == 704
    else:
        assert number_of(lambda: client("cuCtxEnablePeerAccess", there, 0)) == 217
    client("cuMemsetD8_v2", source, 6, size)

    def copy() -> None:
        client("cuMemcpyPeerAsync", target, there, source, client.context, size, stream)

    took = client.between_events(stream, copy)
    expected = SIZE / 0.5 if peer else 15_000 + 2 * SIZE / 0.5  # through the host: both latencies, both directions
    assert took == pytest.approx(expected, rel=1e-3)
    back = ctypes.create_string_buffer(SIZE)
    client("cuCtxSetCurrent", there)
    client("cuMemcpyDtoH_v2", back, target, size)
    assert back.raw == b"\x06" * SIZE


# ---- errors


def test_nothing_works_before_init_or_without_a_context() -> None:
    library = SimulatedDriver().plant()
    count, stream = c_int(), c_void_p()
    assert library.cuDeviceGetCount(byref(count)) == NOT_INITIALIZED
    assert library.cuInit(0) == 0
    assert library.cuStreamCreate(byref(stream), 0) == INVALID_CONTEXT


def test_a_driver_without_devices() -> None:
    assert SimulatedDriver(devices=0).plant().cuInit(0) == NO_DEVICE


def test_handles_that_are_over_are_told(client: Client) -> None:
    stream, event = client.stream(), client.event()
    client("cuStreamDestroy_v2", stream)
    client("cuEventDestroy_v2", event)
    assert number_of(lambda: client("cuStreamSynchronize", stream)) == INVALID_HANDLE
    assert number_of(lambda: client("cuEventRecord", event, None)) == INVALID_HANDLE
    assert number_of(lambda: client("cuEventRecord", client.module, None)) == INVALID_HANDLE


def test_an_event_that_was_never_recorded_has_no_time(client: Client) -> None:
    first, last = client.event(), client.event()
    client("cuEventQuery", first)
    client("cuEventRecord", last, None)
    client("cuCtxSynchronize")
    assert number_of(lambda: client.milliseconds(first, last)) == INVALID_HANDLE


def test_modules_are_read_as_far_as_their_entries(client: Client) -> None:
    assert number_of(lambda: client.handle("cuModuleLoadData", b"nonsense")) == INVALID_PTX
    assert number_of(lambda: client.handle("cuModuleLoadData", b"\x7fELF")) == 209
    assert number_of(lambda: client.kernel(b"emp")) == NOT_FOUND
    module = client.handle("cuModuleLoadDataEx", PTX, 0, None, None)
    client("cuModuleUnload", module)
    assert number_of(lambda: client.handle("cuModuleGetFunction", module, b"empty")) == INVALID_HANDLE


@pytest.mark.parametrize(
    ("fault", "number"),
    [("cuInit:100", 100), ("cuCtxCreate_v2:2", 2), ("cuModuleLoadData:222", 222)],
)
def test_a_planted_error_is_returned(fault: str, number: int) -> None:
    assert number_of(lambda: Client(SimulatedDriver(fail=(fault,)))) == number


def test_a_planted_error_may_come_later() -> None:
    client = Client(SimulatedDriver(fail=("cuMemAlloc_v2:2:3", "cuGraphInstantiateWithFlags:801")))
    for _ in range(3):
        client.memory(MIB)
    assert number_of(lambda: client.memory(MIB)) == OUT_OF_MEMORY
    graph = client.capture(client.stream(), lambda: None)
    assert number_of(lambda: client.handle("cuGraphInstantiateWithFlags", graph, c_uint64(0))) == NOT_SUPPORTED
    client("cuCtxSynchronize")  # neither is the end of the context


def test_an_error_of_a_kernel_sticks() -> None:
    client = Client(SimulatedDriver(fail=("cuLaunchKernel:700:1",)))
    kernel = client.kernel()
    client.launch(kernel)
    assert number_of(lambda: client.launch(kernel)) == ILLEGAL_ADDRESS
    assert number_of(lambda: client("cuCtxSynchronize")) == ILLEGAL_ADDRESS
    assert number_of(lambda: client.memory(MIB)) == ILLEGAL_ADDRESS


def test_errors_have_names() -> None:
    library = SimulatedDriver().plant()
    name, text = c_char_p(), c_char_p()
    assert library.cuGetErrorName(2, byref(name)) == 0
    assert library.cuGetErrorString(2, byref(text)) == 0
    assert (name.value, text.value) == (b"CUDA_ERROR_OUT_OF_MEMORY", b"out of memory")
    assert library.cuGetErrorName(12345, byref(name)) == INVALID_VALUE
    assert name.value is None


INIT = f"import ctypes; print(ctypes.CDLL('{CUDA}').cuInit(0), flush=True)"


def run(driver: SimulatedDriver, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", INIT]
    return subprocess.run(argv, env=driver.environment(), capture_output=True, text=True, timeout=timeout, check=False)


def test_a_fresh_process_finds_the_library_by_its_name() -> None:
    assert run(SimulatedDriver()).stdout == "0\n"
    assert run(SimulatedDriver(fail=("cuInit:999",))).stdout == "999\n"


def test_a_crash_ends_the_process() -> None:
    done = run(SimulatedDriver(crash=("cuInit",)))
    assert (done.returncode, done.stdout) == (-11, "")


def test_a_hang_never_returns() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(SimulatedDriver(hang=("cuInit",)), timeout=3)
