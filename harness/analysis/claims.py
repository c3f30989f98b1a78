"""The claims on trial: which comparisons bear on each, and what they say together.

Of each task the one metric that speaks for it (`harness.analysis.primary`, fixed before anything is measured), or the
one that the part names, bears on a claim, where the two sides compare and nothing is a stand-in. `claim_words.rule`
says in words what this module does.

Many comparisons bear on a claim, so one that is slower by chance must not support it: a comparison speaks for a claim
only when it is slower after Holm's correction over the whole matrix (`p_holm`). Refuting needs no correction: it takes
every comparison to be equivalent or faster, and the chance that all err is no larger than that of one (an
intersection-union test: Berger, "Multiparameter Hypothesis Testing and Acceptance Sampling", Technometrics 24, 1982).

A claim of a factor is about the largest slowdown, and the largest of many estimates is too large. So all intervals are
widened until they hold together (Bonferroni, over comparisons and looks). Then the largest slowdown, whichever it is,
lies between the highest of their lower and the highest of their upper bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.analysis import claim_words as words
from harness.analysis.claims_table import STATEMENTS, Part, Statement
from harness.analysis.compare import interval_level, looks
from harness.analysis.estimate import widened
from harness.analysis.kinds import GENERAL, Kind, kind, stand_ins
from harness.analysis.model import Claim, ClaimPart, ClaimVerdict, Comparison
from harness.analysis.multiplicity import FAMILY_ERROR
from harness.analysis.primary import primary_of
from harness.results.bundle import Manifest

Numbered = tuple[int, Comparison]
Interval = tuple[float | None, float | None]
NOT_MEASURED: ClaimVerdict = "not measured"


@dataclass(frozen=True, kw_only=True)
class Court:
    """What is known of a run beside its comparisons. `level` is that of their intervals, drawn at each of `looks`."""

    kinds: Mapping[str, Kind]
    stand_ins: Mapping[str, str]
    level: float
    looks: int


def claims(manifest: Manifest, comparisons: Sequence[Comparison]) -> tuple[Claim, ...]:
    """Judge every claim by the comparisons of one run."""
    court = Court(
        kinds={name: kind(manifest, name) for name in manifest.platforms},
        stand_ins=stand_ins(manifest),
        level=interval_level(manifest),
        looks=looks(manifest),
    )
    primary = list(_primary(comparisons))

    def speaking(part: Part) -> Sequence[Numbered]:
        return list(enumerate(comparisons)) if part.metric else primary

    return tuple(_claim(statement, speaking, court) for statement in STATEMENTS)


def speaks_for(each: Comparison) -> bool | None:
    """Whether a comparison speaks for "slower" or against it; None where it is undecided."""
    if each.verdict == "slower":
        return True if each.p_holm is not None and each.p_holm <= FAMILY_ERROR else None
    return None if each.verdict == "inconclusive" else False


def verdict_of(answers: Iterable[bool | None]) -> ClaimVerdict:
    """Put what comparisons say together: for it and none against; all against; both."""
    said = set(answers)
    if True in said:
        return "depends" if False in said else "supported"
    return "refuted" if said == {False} else NOT_MEASURED


def against_factor(interval: Interval, factor: float) -> ClaimVerdict:
    """Set the interval of the largest slowdown against the factor that a claim says is reached."""
    low, high = interval
    if low is not None and low >= factor:
        return "supported"
    return "refuted" if high is not None and high < factor else NOT_MEASURED


def largest(bearing: Sequence[Comparison], count: int, court: Court) -> Interval:
    """Return the interval of the largest slowdown, of `count` whose intervals are to hold together.

    A bound is None where none can be given: where a comparison has no interval, its slowdown may be of any size.
    """
    intervals = [_together(each, count, court) for each in bearing]
    lows = [low for low, _ in intervals if low is not None]
    highs = [high for _, high in intervals if high is not None]
    return (max(lows, default=None), max(highs) if highs and len(highs) == len(intervals) else None)


def _together(each: Comparison, count: int, court: Court) -> Interval:
    low, high = each.ci95
    if low is None or high is None or each.freedom is None:
        return (None, None)
    to = max(court.level, 1 - FAMILY_ERROR / (count * court.looks))
    return widened(low, high, level=court.level, to=to, freedom=each.freedom)


def _claim(statement: Statement, speaking: Callable[[Part], Sequence[Numbered]], court: Court) -> Claim:
    sifted = [_sifted(part, speaking(part), court) for part in statement.parts]
    bearing = [each for chosen, _ in sifted for each in chosen]
    parts = [
        _part(part, chosen, hindrance, statement.factor, len(bearing), court)
        for part, (chosen, hindrance) in zip(statement.parts, sifted, strict=True)
    ]
    verdict = _of_parts(statement, parts)
    return Claim(
        id=statement.id,
        statement=statement.text,
        verdict=verdict,
        rule=words.rule(statement),
        reason=words.reason(statement, verdict, parts),
        would_change=words.would_change(statement, verdict, parts, bearing, [hindrance for _, hindrance in sifted]),
        evidence=tuple(words.sentence(each, speaks_for(each), statement.factor) for _, each in bearing),
        comparisons=tuple(number for number, _ in bearing),
        decisive=None if verdict == NOT_MEASURED else _decisive(bearing, statement.factor),
        factor=statement.factor,
        largest_ci95=largest([each for _, each in bearing], len(bearing), court) if statement.factor else (None, None),
        parts=tuple(parts),
    )


def _of_parts(statement: Statement, parts: Sequence[ClaimPart]) -> ClaimVerdict:
    """Put the parts together; a claim about a GPU has no verdict before a part on a GPU has one."""
    both = list(zip(statement.parts, parts, strict=True))
    found = {judged.verdict for _, judged in both} - {NOT_MEASURED}
    on_gpu = any(part.cuda and judged.verdict != NOT_MEASURED for part, judged in both)
    if not found or (statement.gpu and not on_gpu):
        return NOT_MEASURED
    return found.pop() if len(found) == 1 else "depends"


def _part(
    part: Part, chosen: Sequence[Numbered], hindrance: words.Hindrance, factor: float | None, count: int, court: Court
) -> ClaimPart:
    answers = [speaks_for(each) for _, each in chosen]
    interval = largest([each for _, each in chosen], count, court)
    verdict = verdict_of(answers) if factor is None else against_factor(interval, factor)
    told = words.count(answers) if factor is None else words.reached(interval, factor, len(chosen))
    return ClaimPart(
        name=part.name,
        verdict=verdict,
        comparisons=tuple(number for number, _ in chosen),
        decisive=None if verdict == NOT_MEASURED else _decisive(chosen, factor),
        reason=told if chosen else hindrance.reason,
    )


def _decisive(bearing: Sequence[Numbered], factor: float | None) -> int | None:
    """Return the place of the largest slowdown among those that speak; for a factor every one does."""
    spoke = [(each.slowdown, number) for number, each in bearing if factor or speaks_for(each) is not None]
    return max(spoke)[1] if spoke else None


def _primary(comparisons: Sequence[Comparison]) -> Iterator[Numbered]:
    """Yield, in their order, the comparisons that speak for a task on its platform, stack and device."""
    groups: dict[tuple[str, ...], list[Numbered]] = {}
    for number, each in enumerate(comparisons):
        groups.setdefault((each.platform, each.stack, each.task, each.device), []).append((number, each))
    chosen = (one for key, group in groups.items() for one in primary_of(key[2], group, _described))
    yield from sorted(chosen, key=lambda one: one[0])


def _described(one: Numbered) -> tuple[str, Mapping[str, object]]:
    return one[1].metric, one[1].dims


def _sifted(part: Part, speaking: Sequence[Numbered], court: Court) -> tuple[list[Numbered], words.Hindrance]:
    """Return what bears on a part; where nothing does, the sieve that kept the last of it back, in words."""
    if GENERAL in court.stand_ins:
        return [], words.only_stand_ins(court.stand_ins[GENERAL])
    left = list(speaking)
    for keeps, hindrance in _sieves(part, court):
        kept = [one for one in left if keeps(one[1])]
        if not kept:
            return [], hindrance([each for _, each in left])
        left = kept
    return left, words.NONE


def _sieves(
    part: Part, court: Court
) -> Iterator[tuple[Callable[[Comparison], bool], Callable[[Sequence[Comparison]], words.Hindrance]]]:
    """Yield what must hold for a comparison to bear on a part, and how it is said that it holds for none."""
    kinds, stood_in = court.kinds, court.stand_ins

    def stand_in(each: Comparison) -> str:
        return "; ".join(stood_in[name] for name in (each.baseline, each.platform) if name in stood_in)

    yield lambda each: kinds.get(each.platform) in part.kinds, lambda _: words.no_platform(part)
    yield lambda each: not stand_in(each), lambda left: words.only_stand_ins(stand_in(left[0]))
    yield lambda each: kinds.get(each.baseline) == "linux", lambda left: words.no_native_linux(left[0].baseline)
    yield lambda each: _of_task(each, part) and part.metric in ("", each.metric), lambda _: words.no_task(part)
    yield lambda each: not part.cuda or each.device.startswith("cuda"), lambda _: words.no_gpu()
    yield lambda each: each.comparable, words.not_comparable


def _of_task(each: Comparison, part: Part) -> bool:
    return any(fnmatchcase(each.task.partition("[")[0], glob) for glob in part.tasks)
