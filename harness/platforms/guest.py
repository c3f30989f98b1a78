"""The guest of one run: boots when it is needed, borrows its GPU, and is ended with the run.

A GPU that a driver of the host holds is lent for one use at a time, since in the same run the host is measured with
it too: the guest boots for each use and shuts down after it, and its disk keeps what is installed. Else it boots once,
and is paused between two uses: even an idle guest takes CPU time from what is measured beside it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.agent.inspection.facts import Fact
from harness.cache import cache_dir
from harness.errors import PlatformError
from harness.matrix.model import Vm
from harness.platforms import qemu, vfio, vfio_loan
from harness.platforms.guest_image import GuestImage
from harness.platforms.leftovers import claim, sweep
from harness.platforms.qemu import PortTakenError, Running
from harness.platforms.qemu_command import Accelerator, Machine
from harness.platforms.vfio import Sysfs
from harness.platforms.vfio_loan import Loan
from harness.platforms.vm_machine import accelerators, machine

KVM_FAILED = "kvm-failed"  # in the run's folder: why no guest of this run needs to try KVM again
EMULATED = "emulated by TCG: no figure of a virtual machine"


@dataclass(frozen=True, kw_only=True)
class Started:
    """The first start of a run's guest; later ones keep to its accelerator."""

    machine: Machine
    accelerator: Accelerator
    seconds: float
    kvm_problem: str  # why KVM was tried and not used


def recover(system: Sysfs, scratch: Path) -> list[str]:
    """End the guests that killed runs left, whose folders lie in `scratch`, and give the host its GPUs back.

    Return what can't be given back, one line each. Before that, this host seems to have fewer GPUs than it has.
    """
    sweep(*scratch.glob("*"))
    return vfio_loan.reclaim(system, cache_dir())


class Guest:
    """A guest whose files lie in `folder`, a folder of the run's own."""

    def __init__(self, name: str, config: Vm, image: GuestImage, *, folder: Path, system: Sysfs) -> None:
        self._name = name
        self._config = config
        self._image = image
        self._folder = folder
        self._system = system
        self._running: Running | None = None
        self._loan: Loan | None = None
        self._not_returned: list[str] = []
        self.started: Started | None = None

    @contextmanager
    def up(self, say: Callable[[str], None]) -> Iterator[Running]:
        """Boot the guest unless it runs, and let it go on. Raises PlatformError where it does not come up."""
        try:
            if self._running is None or not self._running.is_alive():
                self._running = self._start(say)
            self.resume()
            yield self._running
        finally:
            if self._loan is not None and (self._loan.borrowed or self._running is None):
                self.down()
            elif self._running is not None:
                qemu.pause(self._running)

    def resume(self) -> None:
        """Let a paused guest go on."""
        if self._running is not None:
            qemu.resume(self._running)

    def down(self) -> None:
        """Shut the guest down, and give the GPU back."""
        if self._running is not None:
            qemu.shut_down(self._running)
            self._running = None
        if self._loan is not None:
            self._not_returned = vfio_loan.give_back(self._system, self._loan)
            self._loan = None

    def discard(self) -> None:
        """End the guest for good, and remove its disk."""
        self.down()
        shutil.rmtree(self._folder, ignore_errors=True)

    def facts(self) -> Mapping[str, Fact]:
        """What only the host knows of the guest, after its first start."""
        if self.started is None:
            return {}
        emulated = self.started.accelerator == "tcg"
        values: dict[str, object] = {
            "accelerator": self.started.accelerator,
            "kvm_problem": self.started.kvm_problem,
            "stand_in": EMULATED if emulated else "",
            "qemu_version": qemu.version(),
            "start_seconds": round(self.started.seconds, 1),
            **_described(self.started.machine),
        }
        found: dict[str, Fact] = {f"vm.{name}": {"value": value, "source": "QEMU"} for name, value in values.items()}
        return found | (vfio.facts(self._system, self._config.gpu) if self._config.gpu else {})

    def _start(self, say: Callable[[str], None]) -> Running:
        self._make_folder()
        if self._not_returned:
            raise PlatformError(f"{self._name}: {self._not_returned[0]}")
        if self._config.gpu and self._loan is None:
            self._loan = vfio_loan.borrow(self._system, self._config.gpu, cache_dir())
        made = machine(self._name, self._config, self._image, self._folder, self._system)
        say(f"{self._name}: booting the guest")
        if self.started is not None:  # what is measured in one run is measured under one accelerator
            return qemu.boot(self._name, made, self.started.accelerator, self._folder)
        running, kvm_problem = self._boot(made, say)
        self.started = Started(
            machine=made, accelerator=running.accelerator, seconds=running.seconds, kvm_problem=kvm_problem
        )
        return running

    def _make_folder(self) -> None:
        """Make it, once the guests of killed runs have ended and their GPUs are back."""
        scratch = self._folder.parent
        self._not_returned += recover(self._system, scratch.parent)
        claim(scratch)
        self._folder.mkdir(exist_ok=True)

    def _boot(self, made: Machine, say: Callable[[str], None]) -> tuple[Running, str]:
        """Return the running guest, and why it is not KVM that runs it."""
        problem = self._known_kvm_problem()
        for accelerator in accelerators(self._config, self._system, kvm_problem=problem):
            try:
                return qemu.boot(self._name, made, accelerator, self._folder), problem
            except PortTakenError:
                raise
            except PlatformError as error:
                if accelerator == "tcg" or self._config.accelerator == "kvm":
                    raise
                problem = error.problem
                say(f"{problem}; so the guest is emulated")
                (self._folder.parent / KVM_FAILED).write_text(problem, encoding="utf-8")
        raise AssertionError

    def _known_kvm_problem(self) -> str:
        try:
            return (self._folder.parent / KVM_FAILED).read_text(encoding="utf-8")
        except OSError:
            return ""


def _described(made: Machine) -> dict[str, object]:
    """Return what decides a guest's speed."""
    return {
        "vcpus": made.cpus,
        "memory_bytes": made.memory,
        "pinning": ",".join(map(str, made.pinned)) or "none",
        "hugepage_bytes": made.hugepage,
        "numa": ",".join(map(str, made.nodes)) or "none",
        "disk": f"qcow2 overlay over {made.image.format()}, virtio-blk, cache={'none' if made.direct else 'writeback'}",
        "firmware": "UEFI" if made.variables else "SeaBIOS",
        "gpu": made.gpu,
    }
