"""Samples in bounded memory: when it is full, every second one is dropped and sampling goes on at half the rate."""

from __future__ import annotations

from collections.abc import Collection, Sequence


class Series:
    """Rows of values, one column a name. Extremes and shares of bits cover all rows, also those that were dropped.

    `stride` is how many of the original intervals lie between two rows; a row stands for that much time. `flags` names
    the columns that hold sets of bits.
    """

    def __init__(self, names: Sequence[str], capacity: int, flags: Collection[str] = ()) -> None:
        """Raise ValueError for a capacity below 3: there would be nothing to drop between first and last."""
        if capacity < 3:
            msg = f"a series of {capacity} rows cannot be thinned out"
            raise ValueError(msg)
        self.names = tuple(names)
        self.stride = 1
        self._capacity = capacity - 1 + capacity % 2  # odd: the last row stays when every second one goes
        self._times: list[float] = []
        self._rows: list[tuple[float | None, ...]] = []
        self._extremes: dict[str, tuple[float, float]] = {}
        self._bits: dict[str, dict[int, int]] = {name: {} for name in self.names if name in flags}
        self._weights = dict.fromkeys(self._bits, 0)

    def add(self, time: float, row: Sequence[float | None]) -> None:
        """Append a row that was taken at `time` seconds; None where a value was not to be had."""
        self._times.append(time)
        self._rows.append(tuple(row))
        for name, value in zip(self.names, row, strict=True):
            if value is None:
                continue
            if name in self._bits:
                self._count(name, int(value))
            else:
                low, high = self._extremes.get(name, (value, value))
                self._extremes[name] = (min(low, value), max(high, value))
        if len(self._rows) == self._capacity:
            self._times, self._rows = self._times[::2], self._rows[::2]
            self.stride *= 2

    def _count(self, name: str, value: int) -> None:
        """Count every bit by the time that its row stands for."""
        self._weights[name] += self.stride
        counted = self._bits[name]
        while value:
            bit = value & -value
            counted[bit] = counted.get(bit, 0) + self.stride
            value ^= bit

    @property
    def times(self) -> list[float]:
        """Seconds, ascending."""
        return list(self._times)

    @property
    def columns(self) -> dict[str, list[float | None]]:
        """Name → values, every list as long as `times`."""
        return {name: [row[index] for row in self._rows] for index, name in enumerate(self.names)}

    @property
    def extremes(self) -> dict[str, tuple[float, float]]:
        """Name → smallest and largest value; not of flags."""
        return dict(self._extremes)

    @property
    def shares(self) -> dict[str, dict[str, float]]:
        """Flag column → bit (a decimal text, as JSON wants it) → share of the time in which it was set."""
        return {
            name: {str(bit): count / self._weights[name] for bit, count in sorted(counted.items())}
            for name, counted in self._bits.items()
            if self._weights[name]
        }
