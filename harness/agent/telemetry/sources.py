"""What the sampler asks again and again: a source gives the values of one or more columns.

A plain class and no dataclass: importing `dataclasses` would double the sampler's start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Source:
    """Columns that one reading gives, and what that reading may raise. `every` counts ticks: 1 is each of them."""

    def __init__(
        self,
        names: tuple[str, ...],
        read: Callable[[], Sequence[float | None]],
        *,
        errors: tuple[type[BaseException], ...],
        every: int = 1,
    ) -> None:
        self.names = names
        self.every = every
        self._read = read
        self._errors = errors
        self._nothing = (None,) * len(names)

    def values(self, tick: int) -> Sequence[float | None]:
        """Return one value a column, None for all of them where it is not this source's turn or the reading fails."""
        if tick % self.every:
            return self._nothing
        try:
            return self._read()
        except self._errors:
            return self._nothing

    def refusal(self) -> str:
        """Ask once: return why there is no answer, empty where there is one."""
        try:
            self._read()
        except self._errors as error:
            return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
        return ""
