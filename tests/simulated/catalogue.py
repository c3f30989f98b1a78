"""What is planted for the whole CUDA catalogue, and where in a bundle each planted value is found again.

Times are planted far above what a call costs by itself, and short enough for some samples of each to end before the
system gives the processor to somebody else. The container's driver is planted with other values than the host's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

from harness.agent.messages import Metric, Scalar
from harness.agent.probes.copies_overlap import hidden
from tests.simulated.driver import SimulatedDriver

KIB, MIB = 2**10, 2**20
LAUNCHES, NODES = 4, 4
COPIED = 128 * KIB  # the largest copy of copies.bandwidth and copies.peer
GATED, ROW = 16 * KIB, 8
SMALL = 4096  # the smallest allocation
COMPUTE = 0.4e-3  # seconds

# An invocation lasts about a second.
TASKS = f"""\
  control.fma_device: {{samples: 3, sample_seconds: 0.02}}
  control.step: {{samples: 60, launches: {LAUNCHES}, h2d_bytes: {COPIED}, d2h_bytes: {COPIED}, d2d_bytes: {COPIED}}}
  driver.context: {{samples: 30}}
  driver.launch: {{launches: {LAUNCHES}, samples: 100, launches_per_point: 400, calls: 200}}
  driver.sync: {{samples: 60, warmup: 5}}
  driver.graph: {{launches: {NODES}, samples: 100, launches_per_point: 400}}
  copies.bandwidth: {{max_bytes: {COPIED}, growth: 32, samples: 60, point_seconds: 0.1}}
  copies.gated: {{max_bytes: {GATED}, samples: 15, point_seconds: 0.05}}
  copies.overlap: {{compute_seconds: {COMPUTE}, max_bytes: {COPIED}, samples: 80}}
  copies.allocation: {{max_bytes: {MIB}, samples: 40, point_seconds: 0.1, pinned_bytes: {8 * MIB}, pinned_block: {MIB}}}
  copies.peer: {{max_bytes: {COPIED}, growth: 32, samples: 60, point_seconds: 0.1}}
"""

HOST = SimulatedDriver(
    devices=2,
    peer=True,
    context_create_us=500,
    context_destroy_us=400,
    first_context_us=60_000,  # once a process: no other sample makes up for a disturbance
    module_load_us=300,
    jit_us=400,
    first_jit_us=60_000,
    launch_ns=80_000,
    kernel_ns=60_000,
    fma_ps=800,
    sync_spin_ns=200_000,
    sync_yield_ns=300_000,
    sync_block_ns=400_000,
    query_ns=50_000,
    graph_launch_ns=250_000,
    graph_node_ns=40_000,
    graph_instantiate_ns=500_000,
    copy_submit_ns=80_000,
    h2d_latency_ns=200_000,
    d2h_latency_ns=240_000,
    d2d_latency_ns=280_000,
    peer_latency_ns=320_000,
    pageable_latency_ns=360_000,
    h2d_gbps=0.8,
    d2h_gbps=0.7,
    d2d_gbps=0.9,
    peer_gbps=0.6,
    pageable_h2d_gbps=0.5,
    pageable_d2h_gbps=0.4,
    duplex=0.5,
    overlap=0.5,
    alloc_ns=150_000,
    alloc_mib_ns=200_000,
    free_ns=120_000,
    free_mib_ns=180_000,
    async_alloc_ns=130_000,
    async_free_ns=110_000,
    host_alloc_ns=170_000,
    host_alloc_mib_ns=300_000,
    host_free_ns=140_000,
    host_register_ns=160_000,
    host_register_mib_ns=250_000,
    host_unregister_ns=190_000,
    pinned_wall_mib=5,
)


def slower(driver: SimulatedDriver, factor: float) -> SimulatedDriver:
    """Return the driver with all its times multiplied, and its bandwidths divided."""
    times = {each.name for each in fields(driver) if each.name.endswith(("_ns", "_us", "_ps"))}
    rates = {each.name for each in fields(driver) if each.name.endswith("_gbps")}
    return replace(
        driver,
        **{name: getattr(driver, name) * factor for name in times},
        **{name: getattr(driver, name) / factor for name in rates},
    )


CONTAINER = replace(slower(HOST, 1.25), duplex=0.7, overlap=0.7, pinned_wall_mib=4)
PLANTED = {"native": HOST, "docker": CONTAINER}


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """A planted value in the unit of the metric that it is found in.

    `rest` are the other planted costs that the same time includes: what is left without them is the value.
    """

    value: str
    task: str
    metric: str
    dims: Mapping[str, Scalar]
    planted: float
    rest: float = 0.0


def recoveries(driver: SimulatedDriver) -> Iterator[Recovery]:
    """Yield where each value of this driver is found."""
    yield from _context(driver)
    yield from _launches(driver)
    yield from _graph(driver)
    yield from _bandwidth(driver)
    yield from _peer(driver)
    yield from _gated(driver)
    yield from _both_at_once(driver)
    yield from _allocation(driver)
    yield _found("fma_ps", "control.fma_device", "device_fma_seconds", 1e-3 * driver.fma_ps)


def _found(value: str, task: str, metric: str, planted: float, rest: float = 0.0, /, **dims: Scalar) -> Recovery:
    return Recovery(value=value, task=task, metric=metric, dims=dims, planted=planted, rest=rest)


def _nanoseconds(value: str, task: str, metric: str, planted: float, rest: float = 0.0, /, **dims: Scalar) -> Recovery:
    return _found(value, task, metric, 1e-9 * planted, 1e-9 * rest, **dims)


def _context(driver: SimulatedDriver) -> Iterator[Recovery]:
    task = "driver.context"
    for name in ("context_create", "context_destroy", "module_load"):
        yield _found(f"{name}_us", task, f"{name}_seconds", 1e-6 * getattr(driver, f"{name}_us"))
    compiling = driver.jit_us + driver.module_load_us
    yield _found("jit_us", task, "jit_seconds", 1e-6 * driver.jit_us, 1e-6 * driver.module_load_us)
    yield _found("first_jit_us", task, "first_jit_seconds", 1e-6 * driver.first_jit_us, 1e-6 * compiling)
    first, later = driver.first_context_us, driver.context_create_us
    yield _found("first_context_us", task, "first_context_seconds", 1e-6 * first, 1e-6 * later)


def _launches(driver: SimulatedDriver) -> Iterator[Recovery]:
    launch, kernel, task = driver.launch_ns, driver.kernel_ns, "driver.launch"
    yield _nanoseconds("launch_ns", task, "launch_call_seconds", launch, flush=False)
    yield _nanoseconds("launch_ns", task, "enqueue_seconds", LAUNCHES * launch, launches=LAUNCHES, flush=False)
    yield _nanoseconds("query_ns", task, "launch_call_seconds", driver.query_ns, launch, flush=True)
    rest = LAUNCHES * launch + kernel
    dims: dict[str, Scalar] = {"launches": LAUNCHES, "flush": False}
    yield _nanoseconds("sync_spin_ns", task, "complete_seconds", driver.sync_spin_ns, rest, **dims)
    ways = {"spin": "spin", "yield": "yield", "blocking": "block"}
    for sync, name in ways.items():
        planted = getattr(driver, f"sync_{name}_ns")
        yield _nanoseconds(f"sync_{name}_ns", "driver.sync", "round_trip_seconds", planted, launch + kernel, sync=sync)


def _graph(driver: SimulatedDriver) -> Iterator[Recovery]:
    launch, node, kernel, task = driver.graph_launch_ns, driver.graph_node_ns, driver.kernel_ns, "driver.graph"
    yield _nanoseconds("graph_launch_ns", task, "graph_enqueue_seconds", launch, nodes=NODES)
    nodes, kernels, host = NODES * node, NODES * kernel, launch + driver.sync_spin_ns
    yield _nanoseconds("graph_node_ns", task, "graph_complete_seconds", nodes, host + kernels, nodes=NODES)
    yield _nanoseconds("kernel_ns", task, "graph_complete_seconds", kernels, host + nodes, nodes=NODES)
    instantiate = driver.graph_instantiate_ns
    yield _nanoseconds("graph_instantiate_ns", task, "graph_instantiate_seconds", instantiate, nodes=NODES)


@dataclass(frozen=True, kw_only=True)
class _Path:
    """A way of copies; `host` is what a copy costs the host beside them, in nanoseconds."""

    name: str
    latency: str
    host: float
    dims: Mapping[str, Scalar]


def _paths(driver: SimulatedDriver) -> Iterator[_Path]:
    wait = driver.sync_spin_ns
    submit = driver.copy_submit_ns + wait
    for way in ("h2d", "d2h"):
        yield _Path(name=way, latency=way, host=submit, dims={"direction": way, "memory": "pinned"})
        pageable: dict[str, Scalar] = {"direction": way, "memory": "pageable"}
        yield _Path(name=f"pageable_{way}", latency="pageable", host=wait, dims=pageable)
    yield _Path(name="d2d", latency="d2d", host=submit, dims={"direction": "d2d", "memory": "device"})


def _bandwidth(driver: SimulatedDriver) -> Iterator[Recovery]:
    task = "copies.bandwidth"
    submit = driver.copy_submit_ns
    dims: dict[str, Scalar] = {"direction": "h2d", "memory": "pinned", "bytes": COPIED}
    yield _nanoseconds("copy_submit_ns", task, "copy_enqueue_seconds", submit, **dims)
    for path in _paths(driver):
        yield from _curve(driver, path, task, "copy")


def _peer(driver: SimulatedDriver) -> Iterator[Recovery]:
    host = driver.copy_submit_ns + driver.sync_spin_ns
    for direction in ("to", "from"):
        path = _Path(name="peer", latency="peer", host=host, dims={"direction": direction})
        yield from _curve(driver, path, "copies.peer", "peer")


def _curve(driver: SimulatedDriver, path: _Path, task: str, metric: str) -> Iterator[Recovery]:
    """Yield a way's latency and bandwidth, each as the copies of one size have it."""
    latency, gbps = getattr(driver, f"{path.latency}_latency_ns"), getattr(driver, f"{path.name}_gbps")
    names = f"{path.latency}_latency_ns", f"{path.name}_gbps"
    rest, moving = path.host + latency, COPIED / gbps
    yield _nanoseconds(names[0], task, f"{metric}_seconds", latency, path.host, **path.dims, bytes=4)
    yield _nanoseconds(names[1], task, f"{metric}_seconds", moving, rest, **path.dims, bytes=COPIED)
    yield _found(names[1], task, f"{metric}_bandwidth", 1e9 * COPIED / (rest + moving), **path.dims, bytes=COPIED)


def _gated(driver: SimulatedDriver) -> Iterator[Recovery]:
    task = "copies.gated"
    for way in ("h2d", "d2h", "d2d"):
        latency, gbps = getattr(driver, f"{way}_latency_ns"), getattr(driver, f"{way}_gbps")
        for copies in (1, ROW):
            point: dict[str, Scalar] = {"direction": way, "copies": copies}
            yield _nanoseconds(f"{way}_latency_ns", task, "gated_seconds", latency, **point, bytes=4)
            yield _nanoseconds(f"{way}_gbps", task, "gated_seconds", GATED / gbps, latency, **point, bytes=GATED)
        path, wait = "driver_path_seconds", driver.sync_spin_ns
        yield _nanoseconds("copy_submit_ns", task, path, driver.copy_submit_ns, wait, direction=way, bytes=4)


def _both_at_once(driver: SimulatedDriver) -> Iterator[Recovery]:
    dims: dict[str, Scalar] = {"direction": "both", "memory": "pinned", "bytes": COPIED}
    yield _nanoseconds("duplex", "copies.bandwidth", "copy_seconds", both_ways(driver), **dims)


def both_ways(driver: SimulatedDriver) -> float:
    """Return the nanoseconds of a copy up and, submitted after it, one down, which the planted duplex slows.

    The copy up is the first to end; from then on the one down has its whole bandwidth.
    """
    submit, wait = driver.copy_submit_ns, driver.sync_spin_ns
    up_ends = submit + driver.h2d_latency_ns + COPIED / (driver.h2d_gbps * driver.duplex)
    beside = up_ends - (2 * submit + driver.d2h_latency_ns)
    down_ends = up_ends + COPIED / driver.d2h_gbps - beside * driver.duplex
    assert up_ends < down_ends
    return max(up_ends + wait, down_ends) + wait


def hidden_share(driver: SimulatedDriver, way: str, alone: float) -> float:
    """Return what copies.overlap makes of the planted overlap, which slows both while they run side by side.

    `alone` are the seconds of the copy by itself, which the probe makes as large as it sees fit. All its times include
    what launching, submitting and waiting cost the host.
    """
    submit, wait, launch = driver.copy_submit_ns, driver.sync_spin_ns, driver.launch_ns
    latency = getattr(driver, f"{way}_latency_ns")
    compute, slowed = 1e9 * COMPUTE, 2 - driver.overlap
    moving = 1e9 * alone - submit - latency - wait
    copy_began = launch + submit
    copy_ends = copy_began + latency + slowed * moving
    kernel_ends = copy_began + slowed * (compute - submit)
    if copy_ends < kernel_ends:
        kernel_ends = copy_ends + compute - submit - (copy_ends - copy_began) / slowed
    else:
        copy_ends = kernel_ends + moving - (kernel_ends - copy_began - latency) / slowed
    both = max(kernel_ends + wait, copy_ends) + wait
    return hidden(launch + compute + wait, 1e9 * alone, both)


def step_gaps(ours: SimulatedDriver, theirs: SimulatedDriver) -> dict[str, float]:
    """Return what the planted drivers make of each cause of control.step's gap, in seconds.

    It has two groups of launches, two copies up, one down, one across, and one allocation of a MiB. The end of a kernel
    is in the wait of `driver.sync`, so a copy's latency, which is without that wait, is without it too.
    """

    def more(*names: str) -> float:
        return sum(1e-9 * float(getattr(theirs, name) - getattr(ours, name)) for name in names)

    ways = {"h2d": 2, "d2h": 1, "d2d": 1}
    copies = sum(ways.values())
    latencies = sum(number * more(f"{way}_latency_ns") for way, number in ways.items())
    byte = (
        number * (1 / getattr(theirs, f"{way}_gbps") - 1 / getattr(ours, f"{way}_gbps")) for way, number in ways.items()
    )
    return {
        "launch": LAUNCHES * more("launch_ns"),
        "sync": (2 + copies + 1) * more("sync_spin_ns", "kernel_ns"),
        "copy_latency": latencies + copies * (more("copy_submit_ns") - more("kernel_ns")),
        "copy_bandwidth": 1e-9 * COPIED * sum(byte),
        "allocation": more("alloc_ns", "alloc_mib_ns", "free_ns", "free_mib_ns"),
    }


def undisturbed(metric: Metric) -> Metric:
    """Return the best quarter of the samples: whatever else the machine does only adds to a planted time."""
    samples = sorted(metric.samples[metric.warmup :], reverse=metric.better == "higher")
    return replace(metric, samples=tuple(samples[: len(samples) // 4 + 1]), warmup=0)


def _allocation(driver: SimulatedDriver) -> Iterator[Recovery]:
    """Yield each call's fixed cost from the smallest size, and what a MiB adds from the largest."""
    calls = {
        ("allocate", "device"): ("alloc", True),
        ("free", "device"): ("free", True),
        ("allocate", "pool"): ("async_alloc", False),
        ("free", "pool"): ("async_free", False),
        ("allocate", "host"): ("host_alloc", True),
        ("free", "host"): ("host_free", False),
        ("allocate", "registered"): ("host_register", True),
        ("free", "registered"): ("host_unregister", False),
    }
    task = "copies.allocation"
    for (verb, kind), (name, grows) in calls.items():
        fixed, mib = getattr(driver, f"{name}_ns"), getattr(driver, f"{name}_mib_ns") if grows else 0.0
        metric = f"{verb}_seconds"
        yield _nanoseconds(f"{name}_ns", task, metric, fixed, mib * SMALL / MIB, kind=kind, bytes=SMALL)
        if grows:
            yield _nanoseconds(f"{name}_mib_ns", task, metric, mib, fixed, kind=kind, bytes=MIB)
    yield _found("pinned_wall_mib", task, "pinned_reached_bytes", driver.pinned_wall_mib * MIB)
