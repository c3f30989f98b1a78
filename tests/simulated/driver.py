"""What a simulated driver is planted with, and how a process or a loaded library gets it.

    SimulatedDriver(launch_ns=20_000).environment()      for a fresh process: dlopen("libcuda.so.1") finds it
    SimulatedDriver(launch_ns=20_000).plant()            in this process: returns the loaded libcuda, planted anew

Names, units and defaults are those of driver/simulated.h, and a test holds them together.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from tests.simulated.build import libraries

CUDA = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
NVML = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
VARIABLE = "SIMULATED_GPU"
SETTINGS = "simulated-gpu"


@dataclass(frozen=True, kw_only=True)
class SimulatedDriver:
    """Planted values. A suffix is the unit; `gbps` are 1e9 bytes a second; README.md says what each one does."""

    # devices and contexts
    devices: int = 1
    name: str = "Simulated GPU"
    uuid: int = 0  # of 0…255: a byte of the UUID
    driver_version: int = 12080
    memory_mib: int = 4096
    context_create_us: float = 5000
    first_context_us: float = 0
    context_destroy_us: float = 2000
    module_load_us: float = 200
    jit_us: float = 3000
    first_jit_us: float = 0
    # launches and synchronization
    launch_ns: float = 5000
    kernel_ns: float = 3000
    fma_ps: float = 1000
    sync_spin_ns: float = 4000
    sync_yield_ns: float = 7000
    sync_block_ns: float = 30000
    event_ns: float = 1000
    query_ns: float = 800
    graph_launch_ns: float = 9000
    graph_node_ns: float = 500
    graph_instantiate_ns: float = 60000
    wddm_batch: int = 0
    wddm_submit_ns: float = 20000
    # copies
    copy_submit_ns: float = 4000
    h2d_latency_ns: float = 7000
    d2h_latency_ns: float = 8000
    d2d_latency_ns: float = 3000
    peer_latency_ns: float = 12000
    pageable_latency_ns: float = 15000
    h2d_gbps: float = 1.5
    d2h_gbps: float = 1.2
    d2d_gbps: float = 3
    peer_gbps: float = 1
    pageable_h2d_gbps: float = 0.8
    pageable_d2h_gbps: float = 0.6
    near_cpu: int = -1
    far_factor: float = 1
    duplex: float = 1
    overlap: float = 1
    peer: bool = False
    # allocation
    alloc_ns: float = 40000
    alloc_mib_ns: float = 500
    free_ns: float = 30000
    free_mib_ns: float = 200
    async_alloc_ns: float = 3000
    async_free_ns: float = 2000
    host_alloc_ns: float = 100000
    host_alloc_mib_ns: float = 50000
    host_free_ns: float = 60000
    host_register_ns: float = 20000
    host_register_mib_ns: float = 30000
    host_unregister_ns: float = 20000
    pinned_wall_mib: float = 0
    # what NVML says; -1 is "not supported"
    sm_clock_mhz: int = 1500
    max_sm_clock_mhz: int = 2000
    mem_clock_mhz: int = 5000
    max_mem_clock_mhz: int = 6000
    power_mw: int = 100000
    power_limit_mw: int = 200000
    temperature_c: int = 50
    slowdown_c: int = 90
    utilization: int = 0
    throttle: int = 0
    throttled_device: int = -1
    pcie_gen: int = 3
    pcie_width: int = 8
    max_pcie_gen: int = 4
    max_pcie_width: int = 16
    pcie_tx_kbps: int = 1000
    pcie_rx_kbps: int = 2000
    pcie_replays: int = 0
    bar1_mib: int = 256
    numa_node: int = 0
    ecc: int = 0
    ecc_pending: int = -1
    mig: int = -1
    persistence: int = 1
    display: int = 0
    driver_model: int = -1
    virtualization: int = 0
    processes: int = 0
    # faults, by function's name
    fail: tuple[str, ...] = ()  # "cuMemAlloc_v2:2", "cuLaunchKernel:700:100" after 100 calls that succeed
    crash: tuple[str, ...] = ()
    hang: tuple[str, ...] = ()
    not_supported: tuple[str, ...] = ()

    def settings(self) -> str:
        """Return the text that the libraries read."""
        return ",".join(f"{each.name}={_text(getattr(self, each.name))}" for each in fields(self))

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the environment of a process that has this driver, on top of `environ`.

        On Windows the libraries must lie in system32, as the real ones do: that is where they are looked for.
        """
        if sys.platform == "win32":
            return {**environ, VARIABLE: self.settings()}
        path = [str(libraries()), *filter(None, [environ.get("LD_LIBRARY_PATH")])]
        return {**environ, "LD_LIBRARY_PATH": ":".join(path), VARIABLE: self.settings()}

    def install(self, folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Lay the libraries into a folder with these values beside them; return the environment that finds them there.

        For processes that are started without SIMULATED_GPU, as the harness starts the agent.
        """
        folder.mkdir(exist_ok=True)
        for name in (CUDA, NVML):
            if not (folder / name).exists():
                (folder / name).symlink_to(libraries() / name)
        (folder / SETTINGS).write_text(self.settings() + "\n", encoding="utf-8")
        path = [str(folder), *filter(None, [environ.get("LD_LIBRARY_PATH")])]
        return {**environ, "LD_LIBRARY_PATH": ":".join(path)}

    def plant(self, library: str = CUDA) -> ctypes.CDLL:
        """Plant these values into a library of this process, which forgets everything else; return it, loaded."""
        loaded = load(libraries() / library)
        assert loaded.simulated_configure(self.settings().encode()) == 0
        return loaded


@cache
def load(path: Path) -> ctypes.CDLL:
    """Load a library; the same path is the same library, whoever loads it."""
    return ctypes.CDLL(str(path))


def _text(value: str | float | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return value
    return "|".join(value) if isinstance(value, tuple) else f"{value:.17g}"
