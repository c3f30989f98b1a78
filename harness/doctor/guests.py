"""What a killed run has left of a virtual machine: the guest, and the GPU that it was lent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.doctor.fix import Step
from harness.platforms import domain, vfio_loan
from harness.platforms.leftovers import sweep
from harness.platforms.vfio import DRIVER, SYSTEM, Sysfs


def returned(cache: Path, system: Sysfs = SYSTEM) -> Iterator[Step]:
    """End the guests of killed runs and give the host its GPUs back; those of a living run stay."""
    sweep(*(cache / "scratch").glob("*"))
    for problem in domain.recover(cache):
        yield Step(finding="domain.left", where="", said=problem, failed=True)
    for loan in vfio_loan.orphaned(cache):
        problems = vfio_loan.give_back(system, loan)
        for address, name in loan.before.items():
            failed = next((problem for problem in problems if problem.startswith(address)), "")
            said = failed or f"{DRIVER} → {name or 'no driver'}"
            yield Step(finding="gpu.taken", where=address, said=said, failed=bool(failed))
