"""A check judges facts; what it objects to is a finding. A fact that could not be read is one too: an unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from harness.agent.inspection.facts import Fact

# In the order shown. Decisive: a ratio measured so may be wrong in what it says. Relevant: it is noisier, or a part of
# the tasks is affected. Noted: nothing is wrong, but it belongs beside the result.
Matter = Literal["decisive", "relevant", "unknown", "noted"]
ORDER: tuple[Matter, ...] = get_args(Matter)

Facts = Mapping[str, Fact]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that would spoil a measurement.

    `what` holds the value and `source` where it was read; `why` says how it spoils a measurement; `remedy` is a
    command or what else to do, empty where nothing is to be done. `fixable` is what `--fix` can do as this user.
    """

    id: str
    what: str
    source: str
    matter: Matter
    why: str
    remedy: str = ""
    fixable: bool = False


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a check objects to. `matter` where it is not the check's own: a slight case of it, or an unknown."""

    what: str
    source: str
    remedy: str = ""
    matter: Matter | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One kind of finding. `look` raises Unread where its facts could not be read; `unread` is the remedy of that."""

    id: str
    matter: Matter
    why: str
    look: Callable[[Facts], Iterable[Seen]]
    unread: str = ""


class Unread(Exception):  # noqa: N818 - a state of a fact, not a failure of the program
    """A fact that a check needs could not be read. `remedy` is what to do where the check's own would not help."""

    def __init__(self, source: str, error: str, remedy: str = "") -> None:
        self.source = source
        self.error = error
        self.remedy = remedy
        super().__init__(f"{source}: {error}")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A value that was read, and where."""

    value: Any
    source: str


def read(facts: Facts, name: str) -> Reading:
    """Return the fact's value with its source. Raises Unread."""
    found = facts.get(name)
    if found is None:
        raise Unread(name, "it was not read")
    if "error" in found or found["value"] is None:
        raise Unread(found["source"], found.get("error", "it says nothing"))
    return Reading(value=found["value"], source=found["source"])


def findings(checks: Iterable[Check], facts: Facts) -> list[Finding]:
    """Return what the checks object to, what matters most first."""
    found = [each for check in checks for each in _findings(check, facts)]
    return sorted(found, key=lambda each: ORDER.index(each.matter))


def _findings(check: Check, facts: Facts) -> Iterator[Finding]:
    try:
        for seen in check.look(facts):
            yield _finding(check, seen)
    except Unread as unread:
        yield _unknown(check, unread)


def _finding(check: Check, seen: Seen) -> Finding:
    return Finding(
        id=check.id,
        what=seen.what,
        source=seen.source,
        matter=seen.matter or check.matter,
        why=check.why,
        remedy=seen.remedy,
    )


def _unknown(check: Check, unread: Unread) -> Finding:
    what = f"can't be read: {unread.error}"
    remedy = unread.remedy or check.unread
    return Finding(id=check.id, what=what, source=unread.source, matter="unknown", why=check.why, remedy=remedy)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return `a, b, c and 4 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def size(number: float) -> str:
    """Return bytes as `7.6 GiB` or `512 MiB`."""
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
