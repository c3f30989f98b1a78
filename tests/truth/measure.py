"""How often each analysis is right: coverage, false alarms and power, summed up over the bundles of a scenario."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from zlib import crc32

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from tests.truth.analyses import Answers, Array, hasty, pooled, reported
from tests.truth.draw import draw
from tests.truth.scenarios import EDGE, Scenario

BUNDLE = 100  # data sets of one bundle, which is one family of comparisons
FAST = Path("/dev/shm")  # noqa: S108 - where there is one, each fsync of the journal costs nothing
COVERAGE, FALSE_ALARMS = (0.94, 0.97), 0.05  # the goals
POWERS = (1.02, 1.05, 1.10)


@dataclass(frozen=True, kw_only=True)
class Share:
    """So many of so many."""

    hits: int = 0
    of: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(hits=self.hits + other.hits, of=self.of + other.of)

    @property
    def value(self) -> float:
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval: what the number of data sets leaves open."""
        if not self.of:
            return 0.0, 1.0
        low, high = proportion_confint(self.hits, self.of, method="wilson")
        return float(low), float(high)

    def within(self, low: float, high: float) -> bool:
        """Whether the share is within the goal, as far as so many data sets can tell."""
        return self.interval[1] >= low and self.interval[0] <= high


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one analysis reached in one scenario."""

    coverage: Share = Share()
    tail: Share = Share()  # coverage of p95, of scenarios with ten blocks or more
    alarms: Share = Share()  # data sets within the margin that were called slower or faster
    families: Share = Share()  # bundles with any such data set after Holm
    power: tuple[Share, ...] = (Share(),) * len(POWERS)  # of POWERS: data sets called slower or faster
    blocks: Share = Share()  # blocks of all data sets

    def __add__(self, other: Score) -> Score:
        power = tuple(one + more for one, more in zip(self.power, other.power, strict=True))
        sums = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return Score(**{**sums, "power": power})

    @property
    def misses(self) -> tuple[str, ...]:
        """Return the goals that are missed."""
        met = {
            "coverage": self.coverage.within(*COVERAGE),
            "coverage of p95": self.tail.within(COVERAGE[0], 1.0),  # too wide is allowed: see docs/truth.md
            "false alarms": self.alarms.within(0.0, FALSE_ALARMS),
            "false alarms after Holm": self.families.within(0.0, FALSE_ALARMS),
        }
        return tuple(goal for goal, is_met in met.items() if not is_met)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of the analysis and of the wrong ones. `hasty` and `unstopped` are of scenarios that may stop."""

    right: Score = Score()
    unstopped: Score = Score()  # the same data sets, all blocks of each
    pooled: Score = Score()
    hasty: Score = Score()

    def __add__(self, other: Scores) -> Scores:
        return Scores(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


def measured(scenario: Scenario, number: int, sets: int = BUNDLE) -> Scores:
    """Draw, write and analyse one bundle; the same scenario and number give the same data."""
    random = np.random.default_rng([crc32(scenario.name.encode()), number])
    drawn = draw(scenario, sets, random)
    with tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as name:
        folder = Path(name)
        answers = reported(folder / "run", drawn)
        found = Scores(right=score(answers, drawn.truth), pooled=score(pooled(drawn, answers.blocks), drawn.truth))
        if scenario.precision is None:
            return found
        all_blocks = reported(folder / "all", replace(drawn, scenario=replace(scenario, precision=None)))
        return replace(found, unstopped=score(all_blocks, drawn.truth), hasty=score(hasty(drawn), drawn.truth))


def score(answers: Answers, truth: Array) -> Score:
    """Compare answers with the truth."""
    alike = truth <= EDGE
    tailed = (answers.tail[:, 0] <= truth) & (truth <= answers.tail[:, 1])
    covered = (answers.low <= truth) & (truth <= answers.high)
    return Score(
        coverage=_share(covered),
        tail=_share(tailed[~np.isnan(answers.tail[:, 0])]),
        alarms=_share(answers.called[alike]),
        families=Share(hits=int(answers.family[alike].any()), of=1) if alike.any() else Share(),
        power=tuple(_share(answers.called[np.isclose(truth, math.log(power))]) for power in POWERS),
        blocks=Share(hits=int(answers.blocks.sum()), of=len(truth)),
    )


def total(scores: Sequence[Scores]) -> Scores:
    """Sum up the bundles of a scenario."""
    return sum(scores, Scores())


def _share(hits: Array) -> Share:
    return Share(hits=int(hits.sum()), of=len(hits))
