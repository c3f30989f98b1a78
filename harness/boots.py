"""`plan --boots`: which systems a matrix needs booted, how often, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from harness.analysis.boot_plan import LEAST, MOST, Need, needs
from harness.results.bundle import Bundle, read_manifest
from harness.results.machine import system
from harness.results.merge import by_machine, merged


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A schedule of boots. `parts` maps each system to the platforms that its boots measure."""

    parts: Mapping[str, Sequence[str]]
    done: Mapping[str, int]  # system → boots measured so far
    precision: float
    needs: tuple[Need, ...]
    boots: int  # a side
    schedule: tuple[str, ...]  # the systems to boot, in this order

    def lines(self) -> Iterator[str]:
        """Yield the proposal in words."""
        for name, platforms in self.parts.items():
            yield f"{name}: boots measured so far: {self.done.get(name, 0)}; each measures {', '.join(platforms)}"
        yield from self._reasons()
        for number, name in enumerate(self.schedule, start=1):
            yield f"  {number}. boot {name}, run `nox -s matrix` there"
        if self.schedule:
            yield "then report all bundles together: `overhead-matrix report BUNDLE…`"
        else:
            yield "no further boot is needed"

    def _reasons(self) -> Iterator[str]:
        within = [need for need in self.needs if need.boots is not None]
        if not self.needs:
            yield f"no between-boot variance is known yet: at least {LEAST} boots a side to estimate it"
        elif within:
            widest = max(within, key=lambda need: (need.boots, max(need.spreads)))
            ours, theirs = widest.spreads
            yield (
                f"for ±{self.precision:.1%}: {self.boots} boots a side, as {_named(widest)} needs"
                f" (between boots {ours:.1%} and {theirs:.1%})"
            )
        beyond = [need for need in self.needs if need.boots is None]
        if beyond:
            yield f"not planned for, since more than {MOST} boots a side would be needed: {_listed(beyond)}"


@contextmanager
def known_boots(paths: Sequence[Path], results: Path, *, same: bool) -> Iterator[Bundle | None]:
    """Yield what was measured so far as one bundle: the bundles named, else this machine's in `results`, else None.

    Those in `results` were left here, so without a GPU's UUID they count as this machine's where nothing differs.
    """
    if not paths:
        found = [path.parent for path in sorted(results.glob("*/journal.jsonl")) if (path.parent / "run.json").exists()]
        groups = by_machine([path for path in found if not read_manifest(path).boots], same=True)
        paths, same = next((group for group in groups if found[-1] in group), []), True
    if not paths:
        yield None
        return
    with merged(paths, same=same) as bundle:
        yield bundle


def propose(parts: Mapping[str, Sequence[str]], bundle: Bundle | None, precision: float, random: Random) -> Proposal:
    """Propose boots of the systems in turn, until each has as many as the precision takes."""
    found = needs(bundle, precision) if bundle else ()
    boots = max((need.boots for need in found if need.boots is not None), default=LEAST)
    origins = bundle.manifest.origins if bundle else ()
    done = Counter(name for name, _ in {(system(origin), origin.boot_id) for origin in origins})
    last = system(origins[-1]) if origins else ""
    return Proposal(
        parts=parts,
        done=dict(done),
        precision=precision,
        needs=found,
        boots=boots,
        schedule=alternating({name: max(boots - done[name], 0) for name in parts}, last, random),
    )


def alternating(left: Mapping[str, int], last: str, random: Random) -> tuple[str, ...]:
    """Return the systems in turn, each as often as asked for: one that was not the last begins, drawn at random.

    Taking turns spreads a drift of the machine (dust, a driver's update) over all of them; one after the other would
    make it part of the difference.
    """
    names = [name for name in left if left[name]]
    random.shuffle(names)
    names.sort(key=lambda name: name == last)
    rounds = max(left.values(), default=0)
    return tuple(name for turn in range(rounds) for name in names if turn < left[name])


def _named(need: Need) -> str:
    return f"{need.task} {need.metric} on {need.platform}"


def _listed(found: Sequence[Need]) -> str:
    names = list(dict.fromkeys(map(_named, found)))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
