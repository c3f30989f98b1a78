"""The parts of a workload's step: how often each thing happens in it, times what the probes say that one costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from harness.agent.step_counts import (
    ALLOCATIONS,
    COPIES,
    COPY_BYTES,
    FILES,
    LAUNCHES,
    OPERATIONS,
    READ_BYTES,
    SYNCHRONIZATIONS,
)
from harness.analysis import attribution_costs as costs
from harness.analysis.attribution_counts import Count, Counts
from harness.analysis.attribution_probes import Cost, MissingError, Probes
from harness.analysis.attribution_sums import Sum, total
from harness.analysis.model import CauseName

Price = Callable[[], Cost]  # raises MissingError


@dataclass(frozen=True, kw_only=True)
class Part:
    """A cause before it has an interval: how much more it costs the platform's step, and what the baseline's.

    `more` is None where `reason` says why. `count` is None of what was not counted.
    """

    cause: CauseName
    more: Sum | None = None
    baseline: float = 0.0
    count: float | None = None
    probe: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A workload's step on a pair of platforms. `places` are the locations of its files, the baseline's first."""

    stack: str
    device: str
    counts: Counts
    probes: Probes
    places: tuple[str, str]
    file_bytes: int  # of each file of `costs.file`, which its cost includes

    @property
    def on_gpu(self) -> bool:
        """Whether the workload runs on a GPU."""
        return self.device != "cpu"

    def parts(self) -> Iterator[Part]:
        """Yield what was counted; of a workload on a CPU alone, what there is on a CPU."""
        yield self._plain("launch", LAUNCHES if self.on_gpu else OPERATIONS, costs.launch)
        if self.on_gpu:
            yield self._plain("sync", SYNCHRONIZATIONS, costs.wait)
            yield self._copies("copy_latency", COPIES, costs.copy_latency)
            yield self._copies("copy_bandwidth", COPY_BYTES, costs.copy_byte)
            yield _priced("allocation", ALLOCATIONS, map(self._allocation, self.counts.of(ALLOCATIONS)))
        yield _priced("file", FILES, ((each.value, self._file(each, costs.file)) for each in self.counts.of(FILES)))
        yield _priced(
            "file_bandwidth",
            READ_BYTES,
            ((self._beyond(each), self._file(each, costs.file_byte)) for each in self.counts.of(READ_BYTES)),
        )

    def clock(self, rest: float) -> Part:
        """Return the part of the clock, of so many seconds of the baseline's step that are computing."""
        return _priced("clock", "", [(max(0.0, rest), lambda: costs.cycle(self.probes, self.stack, self.device))])

    def _plain(self, cause: CauseName, name: str, cost: Callable[[Probes, str, str], Cost]) -> Part:
        price = lambda: cost(self.probes, self.stack, self.device)  # noqa: E731 - one for each count
        return _priced(cause, name, ((each.value, price) for each in self.counts.of(name)))

    def _copies(self, cause: CauseName, name: str, cost: Callable[[Probes, str, str, str, str], Cost]) -> Part:
        def priced(direction: str, memory: str) -> Price:
            return lambda: cost(self.probes, self.stack, self.device, direction, memory)

        return _priced(cause, name, ((number, priced(*path)) for path, number in self.counts.by_path(name).items()))

    def _allocation(self, each: Count) -> tuple[float, Price]:
        return each.value, lambda: costs.allocation(self.probes, self.stack, self.device, each.dims)

    def _file(self, each: Count, cost: Callable[[Probes, str, tuple[str, str]], Cost]) -> Price:
        places = str(each.dims.get("location", self.places[0])), self.places[1]
        return lambda: cost(self.probes, self.stack, places)

    def _beyond(self, read: Count) -> float:
        """Return the bytes that the cost of the same location's files does not include."""
        files = sum(each.value for each in self.counts.of(FILES) if each.dims == read.dims)
        return max(0.0, read.value - files * self.file_bytes)


def _priced(cause: CauseName, name: str, counted: Iterable[tuple[float, Price]]) -> Part:
    """Return a part of so many, each at its price; what is not there at all costs nothing, and needs no probe."""
    numbers = list(counted)
    if not numbers:
        return Part(cause=cause, reason=f"{name} was not counted")
    count = sum(number for number, _ in numbers)
    try:
        priced = [(number, price()) for number, price in numbers if number]
    except MissingError as missing:
        return Part(cause=cause, count=count, reason=str(missing))
    more = total(cost.more * number for number, cost in priced)
    if not all(more.terms.values()):
        return Part(cause=cause, count=count, reason="no block has all that this is made of")
    return Part(
        cause=cause,
        more=more,
        baseline=sum(number * cost.baseline for number, cost in priced),
        count=count,
        probe=", ".join(dict.fromkeys(cost.probe for _, cost in priced)),
    )
