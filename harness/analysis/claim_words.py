"""The claims in words: the rule that decides one, why it has its verdict, what would change that, the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.claims_table import Part, Statement
from harness.analysis.kinds import Kind
from harness.analysis.model import ClaimPart, ClaimVerdict, Comparison
from harness.analysis.multiplicity import FAMILY_ERROR

KINDS: dict[Kind, str] = {
    "windows": "native Windows",
    "wsl": "WSL2",
    "container": "a container",
    "vm": "a virtual machine",
}


@dataclass(frozen=True, kw_only=True)
class Hindrance:
    """Why nothing bears on a part, and what would change that."""

    reason: str
    remedy: str


NONE = Hindrance(reason="", remedy="")


def rule(statement: Statement) -> str:
    """Return the rule that `harness.analysis.claims` applies to a statement."""
    told = [_bears(statement), _factor(statement.factor) if statement.factor else _slower(), PARTS]
    if statement.gpu:
        told.append("It is about a GPU: it has no verdict before a part that is measured on a GPU has one.")
    return " ".join(told)


def _bears(statement: Statement) -> str:
    parts = "; ".join(_measured_by(part) for part in statement.parts)
    return (
        f"What bears on it, by part: {parts}. Of each task its one primary metric counts where no other is named, "
        "against native Linux, where the two sides compare and nothing is a stand-in."
    )


def _measured_by(part: Part) -> str:
    where = "; on a GPU" if part.cuda else ""
    what = f"{part.metric} of " if part.metric else ""
    return f"{part.name}: {what}{', '.join(part.tasks)} ({_kinds(part)}{where})"


def _slower() -> str:
    return (
        "A comparison speaks for it when it is slower, also after Holm's correction over the whole matrix (p_holm "
        f"{FAMILY_ERROR:g} at most); against it when it is equivalent or faster; else it is undecided. A part is "
        "supported when a comparison speaks for it and none against, refuted when all speak against it, depends when "
        "some speak for and some against it, and else is not measured."
    )


def _factor(factor: float) -> str:
    return (
        f"The largest slowdown is set against {factor:g}. Its interval reaches from the highest lower to the highest "
        f"upper bound of all that bears on the part, at levels at which all intervals of the claim hold together with "
        f"{1 - FAMILY_ERROR:.0%} (Bonferroni). A part is supported when this interval begins at {factor:g} or above, "
        f"refuted when it ends below {factor:g}, and else not measured."
    )


PARTS = "The claim has the verdict of its measured parts; where they differ, it depends."


def no_platform(part: Part) -> Hindrance:
    """No platform of the kinds that the part is about."""
    kinds = _kinds(part)
    return Hindrance(
        reason=f"not measured beside the baseline: {kinds}",
        remedy=f"one report with {kinds} beside native Linux, of one machine",
    )


def only_stand_ins(told: str) -> Hindrance:
    """A stand-in took part in everything."""
    return Hindrance(reason=f"a stand-in took part ({told}): it decides nothing", remedy="a run on the real thing")


def no_native_linux(baseline: str) -> Hindrance:
    """The baseline is another system."""
    return Hindrance(
        reason=f"the baseline {baseline} is not native Linux",
        remedy="a run under native Linux, in one report with this one, as the baseline",
    )


def no_task(part: Part) -> Hindrance:
    """No task of the part has a comparison."""
    tasks = (f"{part.metric} of " if part.metric else "") + " or ".join(part.tasks)
    return Hindrance(reason=f"no {tasks} was measured on both sides", remedy=f"a run of {tasks} on both sides")


def no_gpu() -> Hindrance:
    """Its tasks ran on processors alone."""
    return Hindrance(reason="it was measured on no GPU", remedy="a run on a machine with an NVIDIA GPU")


def not_comparable(left: Sequence[Comparison]) -> Hindrance:
    """Nothing compares."""
    why = next((line for each in left for line in each.confounders[:1]), "see its confounders")
    return Hindrance(reason=f"the two sides do not compare ({why})", remedy=f"sides that do not differ so: {why}")


def count(answers: Sequence[bool | None]) -> str:
    """Say how many comparisons speak for, against, and not."""
    told = ((True, "for it"), (False, "against it"), (None, "undecided"))
    found = [f"{number} {word}" for answer, word in told if (number := answers.count(answer))]
    noun = "comparison" if len(answers) == 1 else "comparisons"
    return f"of {len(answers)} {noun} {', '.join(found)}"


def reached(interval: tuple[float | None, float | None], factor: float, number: int) -> str:
    """Say how the largest slowdown stands to the factor."""
    noun = "comparison" if number == 1 else "comparisons"
    low, high = (f"{bound:.3f}" if bound is not None else "unknown" for bound in interval)
    return f"the largest slowdown of {number} {noun} lies between {low} and {high}; the claim is {factor:g}"


def reason(statement: Statement, verdict: ClaimVerdict, parts: Sequence[ClaimPart]) -> str:
    """Say why a claim has its verdict: part by part, or once what holds for all parts."""
    reasons = dict.fromkeys(part.reason for part in parts)
    if len(reasons) == 1:
        return next(iter(reasons))
    told = "; ".join(f"{part.name}: {part.verdict}, {part.reason}" for part in parts)
    waits = verdict == "not measured" and any(part.verdict != "not measured" for part in parts)
    return f"no part on a GPU has a verdict; {told}" if statement.gpu and waits else told


def would_change(
    statement: Statement,
    verdict: ClaimVerdict,
    parts: Sequence[ClaimPart],
    bearing: Sequence[tuple[int, Comparison]],
    hindrances: Sequence[Hindrance],
) -> str:
    """Say what would change a claim's verdict."""
    told = {
        "supported": _unsupported(statement.factor, bearing),
        "refuted": _unrefuted(statement.factor),
        "depends": "agreement of what now speaks for it with what speaks against it",
        "not measured": "",
    }[verdict]
    undecided = [part for part in parts if part.comparisons and part.verdict == "not measured"]
    lines = [told, *(_more_blocks(part, bearing) for part in undecided), *(each.remedy for each in hindrances)]
    return "; or ".join(dict.fromkeys(line for line in lines if line))


def _unsupported(factor: float | None, bearing: Iterable[tuple[int, Comparison]]) -> str:
    if factor:
        return f"a largest slowdown that is below {factor:g} for sure would refute it"
    lows = [(low, each) for _, each in bearing if each.verdict == "slower" and (low := each.ci95[0]) is not None]
    if not lows:
        return ""
    low, weakest = min(lows, key=lambda one: one[0])
    return (
        "a comparison that is equivalent or faster would make it depend; the nearest to that is "
        f"{_what(weakest)} on {weakest.platform}, from {low:.3f}"
    )


def _unrefuted(factor: float | None) -> str:
    if factor:
        return f"a workload that is {factor:g} times as slow for sure; others than these were not measured"
    return "a comparison that is slower for sure would make it depend"


def _more_blocks(part: ClaimPart, bearing: Iterable[tuple[int, Comparison]]) -> str:
    seen = [each.mde for number, each in bearing if number in part.comparisons and each.mde is not None]
    effect = f" (now differences of {max(seen):.1%} and more show)" if seen else ""
    return f"more blocks of {part.name}{effect}"


def sentence(each: Comparison, answer: bool | None, factor: float | None) -> str:
    """Return a comparison as evidence."""
    low, high = each.ci95
    interval = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    ratio = f"{each.slowdown:.3f}{interval} times {each.baseline}"
    told = {True: "for it", False: "against it", None: "undecided"}[answer]
    verdict = each.verdict if factor else f"{each.verdict}: {told}"
    return f"{_what(each)}: {each.platform} costs {ratio} ({verdict})"


def _what(each: Comparison) -> str:
    dims = ", ".join(f"{name} {value}" for name, value in sorted(each.dims.items()))
    return f"{each.task}, {each.metric}{f' ({dims})' if dims else ''} on {each.device}"


def _kinds(part: Part) -> str:
    return " or ".join(name for kind, name in KINDS.items() if kind in part.kinds)
