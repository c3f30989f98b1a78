"""Each planted cost and duration is found again by a simple loop.

The host's costs are least values of many calls: the simulation never takes less than planted, and a busy machine does
not spoil all of forty calls. Durations on the device are events': they don't depend on the machine at all.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from ctypes import byref, c_size_t, c_uint64

import pytest

from tests.simulated.client import MIB, PTX, Client, CudaError, least
from tests.simulated.driver import SimulatedDriver

PLANTED = 300_000  # nanoseconds: far above what ctypes costs
SLACK = 100_000
SPIN, YIELD, BLOCK = 1, 2, 4
SIZE = MIB

Measure = Callable[[Client], float]


def launch(client: Client) -> float:
    kernel = client.kernel()
    return least(lambda: client.launch(kernel), lambda: client("cuCtxSynchronize"))


def synchronize(client: Client) -> float:
    return least(lambda: client("cuCtxSynchronize"))


def record(client: Client) -> float:
    event, stream = client.event(), client.stream()
    return least(lambda: client("cuEventRecord", event, stream))


def wait(client: Client) -> float:
    event, stream = client.event(), client.stream()
    client("cuEventRecord", event, stream)
    return least(lambda: client("cuStreamWaitEvent", stream, event, 0))


def query(client: Client) -> float:
    stream = client.stream()
    return least(lambda: client("cuStreamQuery", stream))


def create(client: Client) -> float:
    made: list[ctypes.c_void_p] = []
    return least(lambda: made.append(client.context_on(0)), lambda: client("cuCtxDestroy_v2", made.pop()), repeats=10)


def destroy(client: Client) -> float:
    made = [client.context_on(0)]
    return least(lambda: client("cuCtxDestroy_v2", made.pop()), lambda: made.append(client.context_on(0)), repeats=10)


def load(client: Client) -> float:
    return least(lambda: client.handle("cuModuleLoadData", PTX), repeats=10)


def allocate(client: Client) -> float:
    made: list[c_uint64] = []
    return least(lambda: made.append(client.memory(2 * MIB)), lambda: client("cuMemFree_v2", made.pop()))


def release(client: Client) -> float:
    made = [client.memory(2 * MIB)]
    return least(lambda: client("cuMemFree_v2", made.pop()), lambda: made.append(client.memory(2 * MIB)))


def allocate_async(client: Client) -> float:
    start, stream = c_uint64(), client.stream()
    return least(
        lambda: client("cuMemAllocAsync", byref(start), c_size_t(MIB), stream),
        lambda: client("cuMemFreeAsync", start, stream),
    )


def release_async(client: Client) -> float:
    start, stream = c_uint64(), client.stream()

    def again() -> None:
        client("cuMemAllocAsync", byref(start), c_size_t(MIB), stream)

    again()
    return least(lambda: client("cuMemFreeAsync", start, stream), again)


def allocate_host(client: Client) -> float:
    made: list[ctypes.c_void_p] = []
    return least(lambda: made.append(client.pinned(2 * MIB)), lambda: client("cuMemFreeHost", made.pop()))


def release_host(client: Client) -> float:
    made = [client.pinned(2 * MIB)]
    return least(lambda: client("cuMemFreeHost", made.pop()), lambda: made.append(client.pinned(2 * MIB)))


def register(client: Client) -> float:
    buffer = ctypes.create_string_buffer(2 * MIB)
    return least(
        lambda: client("cuMemHostRegister_v2", buffer, c_size_t(2 * MIB), 0),
        lambda: client("cuMemHostUnregister", buffer),
    )


def unregister(client: Client) -> float:
    buffer = ctypes.create_string_buffer(MIB)

    def again() -> None:
        client("cuMemHostRegister_v2", buffer, c_size_t(MIB), 0)

    again()
    return least(lambda: client("cuMemHostUnregister", buffer), again)


def submit_copy(client: Client) -> float:
    host, device, stream = client.pinned(SIZE), client.memory(SIZE), client.stream()
    return least(
        lambda: client("cuMemcpyHtoDAsync_v2", device, host, c_size_t(4), stream),
        lambda: client("cuStreamSynchronize", stream),
    )


def graph_of(client: Client, nodes: int) -> ctypes.c_void_p:
    stream, kernel = client.stream(), client.kernel()

    def launches() -> None:
        for _ in range(nodes):
            client.launch(kernel, stream)

    return client.capture(stream, launches)


def instantiate(client: Client) -> float:
    graph = graph_of(client, 3)
    return least(lambda: client.handle("cuGraphInstantiateWithFlags", graph, c_uint64(0)))


def launch_graph(client: Client) -> float:
    executable = client.handle("cuGraphInstantiateWithFlags", graph_of(client, 3), c_uint64(0))
    return least(lambda: client("cuGraphLaunch", executable, None), lambda: client("cuCtxSynchronize"))


@pytest.mark.parametrize(
    ("planted", "measure", "expected"),
    [
        ({"launch_ns": PLANTED}, launch, PLANTED),
        ({"sync_spin_ns": PLANTED}, synchronize, PLANTED),
        ({"event_ns": PLANTED}, record, PLANTED),
        ({"event_ns": PLANTED}, wait, PLANTED),
        ({"query_ns": PLANTED}, query, PLANTED),
        ({"context_create_us": 900, "context_destroy_us": 1}, create, 900_000),
        ({"context_create_us": 1, "context_destroy_us": 700}, destroy, 700_000),
        ({"module_load_us": 400, "jit_us": 600}, load, 1_000_000),
        ({"alloc_ns": PLANTED, "alloc_mib_ns": 100_000}, allocate, PLANTED + 200_000),
        ({"free_ns": PLANTED, "free_mib_ns": 100_000}, release, PLANTED + 200_000),
        ({"async_alloc_ns": PLANTED}, allocate_async, PLANTED),
        ({"async_free_ns": PLANTED}, release_async, PLANTED),
        ({"host_alloc_ns": PLANTED, "host_alloc_mib_ns": 100_000}, allocate_host, PLANTED + 200_000),
        ({"host_free_ns": PLANTED}, release_host, PLANTED),
        ({"host_register_ns": PLANTED, "host_register_mib_ns": 100_000}, register, PLANTED + 200_000),
        ({"host_unregister_ns": PLANTED}, unregister, PLANTED),
        ({"copy_submit_ns": PLANTED}, submit_copy, PLANTED),
        ({"graph_instantiate_ns": PLANTED}, instantiate, PLANTED),
        ({"graph_launch_ns": PLANTED}, launch_graph, PLANTED),
    ],
)
def test_a_call_costs_the_host_what_was_planted(planted: dict[str, float], measure: Measure, expected: float) -> None:
    found = measure(Client(SimulatedDriver(**planted)))  # type: ignore[arg-type]
    assert expected <= found <= expected + SLACK


@pytest.mark.parametrize(
    ("schedule", "planted"),
    [(SPIN, "sync_spin_ns"), (YIELD, "sync_yield_ns"), (BLOCK, "sync_block_ns"), (0, "sync_spin_ns")],
)
def test_synchronizing_costs_what_its_way_of_waiting_was_planted(schedule: int, planted: str) -> None:
    others: dict[str, float] = {"sync_spin_ns": 0, "sync_yield_ns": 0, "sync_block_ns": 0}
    client = Client(SimulatedDriver(**{**others, planted: PLANTED}), schedule)  # type: ignore[arg-type]
    assert PLANTED <= synchronize(client) <= PLANTED + SLACK


@pytest.mark.parametrize("schedule", [SPIN, YIELD, BLOCK])
def test_a_round_trip_is_launch_kernel_and_synchronization(schedule: int) -> None:
    client = Client(
        SimulatedDriver(launch_ns=50_000, sync_spin_ns=PLANTED, sync_yield_ns=PLANTED, sync_block_ns=PLANTED), schedule
    )
    kernel, milliseconds = client.kernel(b"spin"), 3_000_000  # longer than blocking spins

    def round_trip() -> None:
        client.launch(kernel, None, milliseconds)
        client("cuCtxSynchronize")

    expected = 50_000 + milliseconds + PLANTED
    assert expected <= least(round_trip) <= 2 * expected  # others may run while this one yields or sleeps


def test_an_event_may_block_where_the_context_spins() -> None:
    client = Client(SimulatedDriver(sync_block_ns=PLANTED))
    event = client.event(1)
    client("cuEventRecord", event, None)
    assert PLANTED <= least(lambda: client("cuEventSynchronize", event)) <= PLANTED + SLACK


def test_launches_back_to_back_cost_the_longer_of_launch_and_kernel() -> None:
    for launch_ns, kernel_ns, each in ((20_000, 5_000, 20_000), (5_000, 40_000, 40_000)):
        client = Client(SimulatedDriver(launch_ns=launch_ns, kernel_ns=kernel_ns))
        kernel = client.kernel()

        def burst(client: Client = client, kernel: ctypes.c_void_p = kernel) -> None:
            for _ in range(50):
                client.launch(kernel)
            client("cuCtxSynchronize")

        assert 50 * each <= least(burst, repeats=40) <= 75 * each


KERNEL_CASES = [(b"empty", (), 77_000.0), (b"spin", (123_456,), 123_456.0), (b"fma", (0, 50_000), 100_000.0)]


@pytest.mark.parametrize(("name", "parameters", "expected"), KERNEL_CASES)
def test_a_kernel_lasts_as_planted(name: bytes, parameters: tuple[int, ...], expected: float) -> None:
    client = Client(SimulatedDriver(kernel_ns=77_000, fma_ps=2_000))
    stream, kernel = client.stream(), client.kernel(name)
    assert client.between_events(stream, lambda: client.launch(kernel, stream, *parameters)) == pytest.approx(
        expected, rel=1e-3
    )


COPIES = SimulatedDriver(
    h2d_latency_ns=10_000,
    d2h_latency_ns=20_000,
    d2d_latency_ns=30_000,
    h2d_gbps=1.0,
    d2h_gbps=0.5,
    d2d_gbps=2.0,
)


@pytest.mark.parametrize(
    ("function", "latency", "gbps"),
    [
        ("cuMemcpyHtoDAsync_v2", 10_000, 1.0),
        ("cuMemcpyDtoHAsync_v2", 20_000, 0.5),
        ("cuMemcpyDtoDAsync_v2", 30_000, 2.0),
    ],
)
@pytest.mark.parametrize("size", [4, SIZE])
def test_a_copy_takes_its_latency_and_its_bandwidth(function: str, latency: float, gbps: float, size: int) -> None:
    client = Client(COPIES)
    host, device, other, stream = client.pinned(SIZE), client.memory(SIZE), client.memory(SIZE), client.stream()
    ends = {
        "cuMemcpyHtoDAsync_v2": (device, host),
        "cuMemcpyDtoHAsync_v2": (host, device),
        "cuMemcpyDtoDAsync_v2": (other, device),
    }[function]

    def three() -> None:
        for _ in range(3):
            client(function, *ends, c_size_t(size), stream)

    assert client.between_events(stream, three) == pytest.approx(3 * (latency + size / gbps), rel=1e-3)


def test_a_memset_takes_the_device_s_own_bandwidth() -> None:
    client = Client(COPIES)
    device, stream = client.memory(SIZE), client.stream()
    took = client.between_events(stream, lambda: client("cuMemsetD8Async", device, 5, c_size_t(SIZE), stream))
    assert took == pytest.approx(30_000 + SIZE / 2.0, rel=1e-3)


@pytest.mark.parametrize(
    ("function", "gbps"), [("cuMemcpyHtoD_v2", 0.25), ("cuMemcpyDtoH_v2", 0.2), ("cuMemcpyHtoDAsync_v2", 0.25)]
)
def test_a_pageable_copy_keeps_the_host(function: str, gbps: float) -> None:
    client = Client(SimulatedDriver(pageable_latency_ns=100_000, pageable_h2d_gbps=0.25, pageable_d2h_gbps=0.2))
    size = SIZE // 8  # shorter than a busy machine's time slices
    host, device = ctypes.create_string_buffer(size), client.memory(size)
    ends = (host, device) if "DtoH" in function else (device, host)
    stream = (client.stream(),) if "Async" in function else ()
    took = least(lambda: client(function, *ends, c_size_t(size), *stream))
    expected = 100_000 + size / gbps
    assert expected <= took <= 1.3 * expected


def both_ways(client: Client) -> tuple[float, float]:
    """Return the nanoseconds of ten copies to the device while ten go to the host, and of the whole."""
    there, back, gate = client.stream(), client.stream(), client.stream()
    ins, outs, device = client.pinned(SIZE), client.pinned(SIZE), client.memory(2 * SIZE)
    upper = c_uint64(device.value + SIZE)
    opened, events = client.event(), [client.event() for _ in range(3)]
    client.launch(client.kernel(b"spin"), gate, 20_000_000)
    client("cuEventRecord", opened, gate)
    client("cuStreamWaitEvent", there, opened, 0)
    client("cuStreamWaitEvent", back, opened, 0)
    client("cuEventRecord", events[0], there)
    for _ in range(10):
        client("cuMemcpyHtoDAsync_v2", device, ins, c_size_t(SIZE), there)
        client("cuMemcpyDtoHAsync_v2", outs, upper, c_size_t(SIZE), back)
    client("cuEventRecord", events[1], there)
    client("cuEventRecord", events[2], back)
    client("cuCtxSynchronize")
    return tuple(client.milliseconds(events[0], last) * 1e6 for last in events[1:])  # type: ignore[return-value]


@pytest.mark.parametrize("duplex", [1.0, 0.6])
def test_both_directions_at_once_get_the_planted_share(duplex: float) -> None:
    client = Client(SimulatedDriver(h2d_gbps=1, d2h_gbps=1, h2d_latency_ns=0, d2h_latency_ns=0, duplex=duplex))
    assert both_ways(client) == pytest.approx([10 * SIZE / duplex] * 2, rel=1e-3)


@pytest.mark.parametrize("overlap", [1.0, 0.5, 0.0])
def test_the_planted_share_of_a_copy_hides_behind_compute(overlap: float) -> None:
    client = Client(SimulatedDriver(h2d_gbps=1, h2d_latency_ns=0, overlap=overlap))
    copying, computing = client.stream(), client.stream()
    host, device, kernel = client.pinned(SIZE), client.memory(SIZE), client.kernel(b"spin")
    opened, done = client.event(), client.event()

    def side_by_side() -> None:
        client("cuEventRecord", opened, computing)
        client("cuStreamWaitEvent", copying, opened, 0)
        client("cuMemcpyHtoDAsync_v2", device, host, c_size_t(SIZE), copying)
        client.launch(kernel, computing, SIZE)  # as many nanoseconds as the copy takes
        client("cuEventRecord", done, copying)
        client("cuStreamWaitEvent", computing, done, 0)

    assert client.between_events(computing, side_by_side) == pytest.approx((2 - overlap) * SIZE, rel=1e-3)


def test_a_graph_s_nodes_take_their_own_time() -> None:
    client = Client(SimulatedDriver(kernel_ns=10_000, graph_node_ns=2_000))
    executable = client.handle("cuGraphInstantiateWithFlags", graph_of(client, 7), c_uint64(0))
    stream = client.stream()
    took = client.between_events(stream, lambda: client("cuGraphLaunch", executable, stream))
    assert took == pytest.approx(7 * 12_000, rel=1e-3)


def test_wddm_submits_in_batches() -> None:
    client = Client(SimulatedDriver(launch_ns=1_000, wddm_batch=4, wddm_submit_ns=PLANTED))
    kernel, stream = client.kernel(), client.stream()
    costs = [[0.0] * 8 for _ in range(20)]
    for row in costs:
        for i in range(8):
            row[i] = least(lambda: client.launch(kernel, stream), repeats=1)
        client("cuCtxSynchronize")
    cheapest = [min(column) for column in zip(*costs, strict=True)]
    assert [cost >= PLANTED for cost in cheapest] == [False, False, False, True] * 2


@pytest.mark.parametrize("flush", ["cuStreamQuery", "cuStreamSynchronize", "cuEventQuery"])
def test_wddm_holds_launches_until_something_flushes(flush: str) -> None:
    client = Client(SimulatedDriver(kernel_ns=0, wddm_batch=100, wddm_submit_ns=PLANTED))
    stream, event, kernel = client.stream(), client.event(), client.kernel()
    client("cuEventRecord", event, stream)
    client("cuEventSynchronize", event)
    argument = event if flush == "cuEventQuery" else stream

    def launch() -> None:
        client.launch(kernel, stream)

    assert least(lambda: poll(client, flush, argument)) < PLANTED
    launch()
    assert least(lambda: poll(client, flush, argument), launch) >= PLANTED


def test_wddm_runs_nothing_that_is_held() -> None:
    client = Client(SimulatedDriver(wddm_batch=100, kernel_ns=0))
    stream, before, after, kernel = client.stream(), client.event(), client.event(), client.kernel()
    client("cuEventRecord", before, stream)
    client("cuEventSynchronize", before)
    client.launch(kernel, stream)
    client("cuEventRecord", after, stream)
    client.free_bytes()  # looks at the device, but submits nothing
    time.sleep(0.05)
    client("cuStreamSynchronize", stream)
    assert client.milliseconds(before, after) >= 50


def poll(client: Client, function: str, argument: ctypes.c_void_p) -> None:
    try:
        client(function, argument)
    except CudaError as error:
        assert error.number == 600  # noqa: PT017 - not ready is one of two good answers
