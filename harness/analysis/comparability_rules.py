"""The table of rules by which a difference between two platforms is ranked.

- `decisive`: what was measured on the two sides is not the same work on the same hardware. No ratio that it bears on
  is a platform's cost; it is shown in grey, and counts for nothing.
- `relevant`: known to move what it bears on, but part of how two platforms are set up, or not known to differ. The
  ratio stands, and the reader is told.
- `noted`: recorded, and of no known weight; or the platform itself, which is what is under test.

The first rule that fits decides. A rule fits when one of its `keys` (globs over the keys of the inspections, and of
what `harness.analysis.differing` adds to them) matches; when it bears on the comparison's task and device; when one
side's kind of platform is among `kinds` (none: any); when one side's value matches `value` (a glob, in lower case); and
when both sides report a value, or the rule says `alone`. Rules know no order of the two sides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import get_args

from harness.analysis.kinds import Kind
from harness.analysis.model import Rank

ANY = ("*",)
CUDA = "cuda*"
WORKLOADS = ("tf_cnn.*", "torch_*", "keras_cnn.*")
THREADED = (*WORKLOADS, "memory.bandwidth", "memory.affinity", "storage.loader", "storage.random", "tooling.build*",
            "copies.collective")  # fmt: skip
FILES = ("storage.*", "tooling.*", "data.*")
PCIE_LINK = ("gpu.devices.*.max_pcie_*", "gpu.devices.*.loaded_pcie_*")  # what it could be, what it was under load
RANKS: tuple[Rank, ...] = get_args(Rank)

GUESTS: frozenset[Kind] = frozenset({"wsl", "vm"})
OTHER_KERNELS: frozenset[Kind] = GUESTS | {"windows"}
OWN_FILES: frozenset[Kind] = OTHER_KERNELS | {"container"}  # the file system is part of what the platform is


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a difference is ranked, and why."""

    keys: tuple[str, ...]
    rank: Rank
    why: str
    tasks: tuple[str, ...] = ANY  # globs over names of tasks, without parameters
    devices: str = "*"  # glob
    kinds: frozenset[Kind] = frozenset()
    value: str = "*"
    alone: bool = False

    def names(self, key: str) -> bool:
        """Whether the rule is about this key."""
        return _any(key, self.keys)

    def fits(self, values: Iterable[str], kinds: Collection[Kind]) -> bool:
        """Whether the rule holds for these two values, on platforms of these kinds."""
        told = [value.lower() for value in values]
        return (
            (self.alone or all(told))
            and (not self.kinds or not self.kinds.isdisjoint(kinds))
            and any(fnmatchcase(value, self.value) for value in told)
        )

    def bears_on(self, task: str, device: str) -> bool:
        """Whether the rule is about what was measured by this task (without its parameters) on this device."""
        return fnmatchcase(device, self.devices) and _any(task, self.tasks)


def _any(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _decisive(*keys: str, why: str, **conditions: object) -> Rule:
    return Rule(keys=keys, rank="decisive", why=why, **conditions)  # type: ignore[arg-type]  # fields of Rule


def _relevant(*keys: str, why: str, **conditions: object) -> Rule:
    return Rule(keys=keys, rank="relevant", why=why, **conditions)  # type: ignore[arg-type]  # as above


def _noted(*keys: str, why: str, **conditions: object) -> Rule:
    return Rule(keys=keys, rank="noted", why=why, **conditions)  # type: ignore[arg-type]  # as above


STAND_INS = (
    _decisive("*.stand_in", "*.simulated", alone=True, why="a stand-in: its figures test this tool and no platform"),
    _decisive("vm.accelerator", value="tcg", alone=True, why="emulated in software: no cost of a virtual machine"),
    _decisive("cpu.model", value="*tcg*", alone=True, why="an emulated processor, many times slower than any real one"),
)
MACHINE = (
    _decisive("remote.same_host", value="no", kinds=frozenset({"remote"}), alone=True,
              why="another machine: only cells of one machine compare"),
    _noted("board.*", kinds=GUESTS, why="a guest's board is what its hypervisor makes up"),
    _decisive("board.*", why="another mainboard: another machine"),
    _relevant("cpu.model", kinds=frozenset({"vm"}),
              why="the hypervisor names the processor as told; what it hides changes which code libraries choose"),
    _decisive("cpu.model", why="another processor"),
    _noted("system.machine", kinds=frozenset({"windows"}), why="each system has its own name for an architecture"),
    _decisive("system.machine", why="another instruction set"),
    _decisive("processors", value="0*", why="less than one processor: every thread is stopped for part of each period"),
    _decisive("processors", tasks=THREADED, why="another number of processors for a task of several threads"),
    _relevant("processors", why="one thread does the work, but what else runs has less or more room"),
    _relevant("cpu.affinity", "cpu.logical", tasks=THREADED,
              why="libraries start as many threads as they see processors, whatever the quota"),
    _noted("cgroup.cpus", "cgroup.cpuset", "cpu.affinity", "cpu.logical", "cpu.online", "cpu.cores", "cpu.threads",
           alone=True, why="what counts of it is `processors`: the least of quota, affinity and count"),
)  # fmt: skip
SOFTWARE = (
    _decisive("stack.lock_sha256", why="the two sides installed other packages"),
    _relevant("stack.lock_sha256", alone=True,
              why="only one side was installed from the lock file: a vendor's image is measured as it is"),
    _noted("versions.gpu_numa_node", kinds=frozenset({"vm"}), why="a guest's nodes are what its hypervisor shows"),
    _decisive("versions.gpu_uuid", "versions.gpu", devices=CUDA, why="another GPU did the work"),
    _noted("versions.native_helper", kinds=frozenset({"windows"}), why="each system has its own build of one source"),
    _relevant("versions.*", why="software that takes part in what was measured"),
    _noted("python.executable_sha256", "python.library_sha256", alone=True,
           why="that it is another build of Python; its version, compiler and flags say which"),
    _relevant("python.*", why="another build of Python: its own work takes another time"),
    _relevant("system.libc", why="another C library: allocation, string functions, thread start"),
)  # fmt: skip
GPU = (
    _decisive("gpu.devices.*.uuid", "gpu.devices.*.name", "gpu.devices.*.compute_capability", devices=CUDA,
              why="another GPU"),
    _decisive("gpu.devices.*.virtualization", value="vgpu", devices=CUDA, why="a vGPU is a share of a GPU"),
    _decisive("gpu.devices.*.ecc", devices=CUDA, why="error correction takes memory bandwidth on one side only"),
    _decisive("gpu.devices.*.mig", devices=CUDA, why="a MIG instance is a part of a GPU"),
    _decisive("gpu.devices.*.power_limit_watts", devices=CUDA, why="another power limit: other clocks under load"),
    _decisive("gpu.devices.*.application_*_clock_hz", devices=CUDA, why="the GPU was told to run at other clocks"),
    _decisive("gpu.confidential_computing", devices=CUDA, why="copies go through encrypted bounce buffers on one side"),
    _relevant("gpu.devices.*.uuid", "gpu.devices.*.name", "gpu.devices.*.ecc", "gpu.devices.*.mig",
              "gpu.devices.*.power_limit_watts", "gpu.confidential_computing", devices=CUDA, alone=True,
              why="one side does not report it: that both are equal is not assured"),
    _noted("gpu.devices.*.driver_model", "gpu.devices.*.pending_driver_model", "gpu.devices.*.virtualization",
           alone=True, why="the platform itself: how its driver reaches the GPU is what is under test"),
    _noted(*PCIE_LINK, "gpu.devices.*.numa_node", kinds=frozenset({"vm"}),
           why="a guest's PCIe link and nodes are what its hypervisor shows; only a measured copy tells"),
    _decisive(*PCIE_LINK, tasks=("copies.*",), devices=CUDA, why="another PCIe link"),
    _relevant(*PCIE_LINK, devices=CUDA, why="another PCIe link: copies take another time"),
    _relevant("gpu.driver", "gpu.cuda_driver", devices=CUDA,
              why="another version of the driver; those of Linux and Windows are never the same"),
    _relevant("gpu.devices.*.bar1_bytes", "gpu.devices.*.numa_node", "iommu.*", "pci.gpus.*.max_link_*",
              "pci.gpus.*.bar1_bytes", "pci.gpus.*.iommu_group_type", tasks=("copies.*", *WORKLOADS), devices=CUDA,
              why="how the GPU reaches memory: copies take another time"),
    _relevant("gpu.devices.*.display_*", "gpu.devices.*.compute_mode", "gpu.devices.*.addressing",
              "gpu.devices.*.vbios", "gpu.devices.*.enforced_power_limit_watts", "gpu.devices.*.max_*_clock_hz",
              "gpu.devices.*.memory_bytes", devices=CUDA, why="how the GPU is set up: its clocks, memory or sharing"),
    _relevant("gpu.devices.*.persistence", tasks=("driver.context",), devices=CUDA,
              why="without persistence the driver starts the GPU anew for each process"),
    _relevant("windows.gpu_scheduling", devices=CUDA, alone=True,
              why="hardware-accelerated GPU scheduling changes how launches reach the GPU"),
    _noted("gpu.*", "pci.*", "iommu.*", alone=True, why="of no known weight for what was measured"),
)  # fmt: skip
STORAGE = (
    _decisive("cgroup.io_limits", tasks=FILES, alone=True, why="a control group limits the disk on one side"),
    _relevant("storage.*.disks.*.model", kinds=GUESTS,
              why="a virtual disk stands for the host's; on which it lies cannot be seen from inside"),
    _relevant("storage.*.disks.*.model", value="virtual disk*",
              why="a virtual disk stands for the host's; on which it lies cannot be seen from inside"),
    _decisive("storage.*.disks.*.model", why="another disk"),
    _relevant("storage.*.disks.*.model", alone=True, why="on which disk one side's files lie is not known"),
    _noted("storage.*.filesystem", "storage.*.drive", "storage.*.options", "storage.*.device", "storage.*.layers",
           "storage.*.disks.*", kinds=OWN_FILES, alone=True,
           why="the platform itself: its file system is what is under test"),
    _noted("storage.*.total_bytes", "storage.*.device", alone=True, why="room that the tasks do not fill"),
    _relevant("storage.*", why="how the file system and the disk's queue are set up"),
    _noted("storage.*", alone=True, why="told by one side alone"),
    _relevant("windows.defender_*", "windows.volumes.*", "windows.last_access", "windows.short_names", tasks=FILES,
              alone=True, why="what Windows does at every file that is opened or made"),
    _relevant("container.shared_memory_bytes", "container.open_files", tasks=("storage.loader", *WORKLOADS),
              why="data loaders hand batches over in shared memory"),
)  # fmt: skip
SYSTEM = (
    _noted("system.kernel", "system.release", "kernel.*", kinds=OTHER_KERNELS | {"container"}, alone=True,
           why="the platform itself: its kernel is what is under test"),
    _relevant("system.kernel", "kernel.*", why="another kernel, or one that is started otherwise"),
    _relevant("cpu.governor", "cpu.energy_preference", "cpu.boost", "cpu.frequency_driver", "cpu.*_hz", "cpu.idle_*",
              "cpu.smt", "cpu.smt_control", why="what sets the clock of the processors and how fast they wake"),
    _relevant("windows.power_scheme", "windows.power_mode", alone=True,
              why="Windows' plan sets the clock of the processors"),
    _noted("cpu.microcode", "cpu.numa_nodes", "cpu.sockets", "cpu.cache_*", "memory.nodes.*", "system.memory_bytes",
           kinds=OTHER_KERNELS, alone=True, why="the platform itself: what it shows of the processors and memory"),
    _relevant("cpu.microcode", "cpu.vector_extensions",
              why="what the processors can do: libraries choose other code, mitigations cost otherwise"),
    _relevant("cpu.isolated", "cpu.tickless", "cpu.numa_nodes", "cpu.sockets", "cpu.cache_*", "memory.nodes.*",
              why="how processors and memory hang together"),
    _relevant("system.mitigations.*", "system.speculative_store_bypass",
              why="mitigations cost at every system call and in speculative code"),
    _relevant("system.page_size_bytes", "system.transparent_huge_pages", "memory.transparent_*", "memory.huge_pages.*",
              "memory.samepage_merging", "memory.numa_balancing", "memory.khugepaged_defrag",
              why="how memory is mapped: first touch, misses"),
    _relevant("system.clock_source", why="what a reading of the clock costs"),
    _relevant("cgroup.memory_*", "cgroup.swap_bytes", "system.memory_bytes", "memory.swap_bytes", "system.swappiness",
              tasks=("memory.*", "copies.allocation", *FILES, *WORKLOADS), why="how much memory there is to use"),
    _relevant("container.locked_memory_bytes", tasks=("copies.*",), why="how much memory may be pinned"),
    _relevant("cgroup.cpu_weight", why="who gives way when the processors are busy"),
    _relevant("vm.pinning", "vm.hugepage_bytes", "vm.numa", kinds=frozenset({"vm"}), alone=True,
              why="how the guest is pinned to the host's processors and memory decides what it costs"),
    _relevant("windows.virtualization_based_security", value="running", alone=True,
              why="Windows itself then runs under the hypervisor"),
    _relevant("windows.memory_integrity", value="yes", alone=True, why="the hypervisor checks kernel code as it loads"),
    _noted("system.platform", "system.seccomp", "virtualization.*", "container.*", "wsl.*", "vm.*", "windows.*",
           "remote.*", alone=True, why="the platform itself"),
)  # fmt: skip
OTHERWISE = _noted("*", alone=True, why="of no known weight")

RULES: tuple[Rule, ...] = (*STAND_INS, *MACHINE, *SOFTWARE, *GPU, *STORAGE, *SYSTEM, OTHERWISE)
