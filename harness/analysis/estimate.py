"""One ratio with its interval: t on the logs of replicates, paired where the two sides share them, else Welch's.

Within one boot the invocation is the replicate. In simulation, t on the logs of per-invocation medians covers 0.94 to
0.97 at a nominal 0.95, while pooling the samples of several invocations covers 0.6 (design, Statistics). Over several
boots the boot is (`harness.analysis.boots`).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.power import TTestPower

from harness.agent.messages import Better
from harness.analysis.model import Verdict

Values = NDArray[np.floating[Any]]

LEVEL = 0.95
POWER = 0.8
EQUIVALENCE = 0.01  # a difference within 1% is never worth a verdict
_LARGEST_LOG = 700.0  # exp of more overflows a double


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A cost ratio on the log scale.

    The interval is None with fewer than two replicates, which `blocks` counts (of an unpaired estimate the smaller
    side's). `spread` is the standard deviation of the log differences, of an unpaired estimate that of the difference
    of one replicate a side. `freedom` are Welch's degrees of freedom, None for a paired estimate. `error` is the
    standard error of `log_ratio`.
    """

    log_ratio: float
    low: float | None
    high: float | None
    spread: float | None
    blocks: int
    freedom: float | None = None
    error: float | None = None

    @property
    def ratio(self) -> float:
        """Cost over cost: above 1 the second side is worse."""
        return exponential(self.log_ratio)

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The ratio's interval."""
        if self.low is None or self.high is None:
            return (None, None)
        return (exponential(self.low), exponential(self.high))

    @property
    def t_freedom(self) -> float | None:
        """Degrees of freedom of the t behind the interval; None where there is no interval."""
        if self.low is None:
            return None
        return self.blocks - 1.0 if self.freedom is None else self.freedom

    @property
    def resolved(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low is not None and self.high is not None and not self.low <= 0.0 <= self.high


def paired(baseline: Values, platform: Values, *, better: Better = "lower", level: float = LEVEL) -> Estimate:
    """Estimate the cost ratio platform / baseline from values of the same blocks, all above 0.

    The log differences are taken as draws of a normal distribution: Student's t with n - 1 degrees of freedom
    ("The probable error of a mean", Biometrika 6, 1908), as scipy.stats.ttest_1samp(logs, 0).confidence_interval
    gives it, which the tests hold; here without a test for each of thousands of comparisons. For a metric of which
    more is better the ratio is inverted, so that above 1 is worse whatever the unit.
    """
    logs = _costs(platform, better) - _costs(baseline, better)
    mean, blocks = float(logs.mean()), len(logs)
    if blocks < 2:
        return Estimate(log_ratio=mean, low=None, high=None, spread=None, blocks=blocks)
    spread = float(logs.std(ddof=1))
    error = spread / math.sqrt(blocks)
    half = _critical(level, blocks - 1) * error
    return Estimate(log_ratio=mean, low=mean - half, high=mean + half, spread=spread, blocks=blocks, error=error)


def unpaired(baseline: Values, platform: Values, *, better: Better = "lower", level: float = LEVEL) -> Estimate:
    """Estimate the cost ratio from independent values: Welch's t on logs (scipy.stats.ttest_ind, equal_var=False)."""
    ours, theirs = _costs(baseline, better), _costs(platform, better)
    mean, blocks = float(theirs.mean() - ours.mean()), min(len(ours), len(theirs))
    if blocks < 2:
        return Estimate(log_ratio=mean, low=None, high=None, spread=None, blocks=blocks)
    spread = math.sqrt(float(ours.var(ddof=1) + theirs.var(ddof=1)))
    if spread == 0.0:  # scipy has no interval without variance
        return Estimate(log_ratio=mean, low=mean, high=mean, spread=0.0, blocks=blocks, error=0.0)
    test = stats.ttest_ind(theirs, ours, equal_var=False)
    low, high = map(float, test.confidence_interval(level))
    freedom = float(test.df)
    error = (high - low) / 2 / _critical(level, freedom)
    return Estimate(log_ratio=mean, low=low, high=high, spread=spread, blocks=blocks, freedom=freedom, error=error)


def geometric_mean(values: Values) -> float:
    """Return the geometric mean of values above 0."""
    return exponential(float(np.log(values).mean()))


def margin(noise_floor: float | None) -> float:
    """Return the half width, on the log scale, of what counts as equal: ±max(1%, noise floor)."""
    return math.log1p(max(EQUIVALENCE, noise_floor or 0.0))


def verdict(estimate: Estimate, noise_floor: float | None) -> Verdict:
    """Judge by effect: `equivalent` when the interval lies inside the margin, `slower` or `faster` when outside.

    An interval that reaches over an edge of the margin, or none at all, is `inconclusive`: never a difference. At 95%
    the first rule is two one-sided tests of equivalence at 2.5% each (Schuirmann, Journal of Pharmacokinetics and
    Biopharmaceutics 15, 1987), the second a minimum-effect test (Murphy and Myors, Journal of Applied Psychology 84,
    1999).
    """
    if estimate.low is None or estimate.high is None:
        return "inconclusive"
    edge = margin(noise_floor)
    if estimate.low > edge:
        return "slower"
    if estimate.high < -edge:
        return "faster"
    return "equivalent" if -edge <= estimate.low and estimate.high <= edge else "inconclusive"


def p_value(estimate: Estimate, noise_floor: float | None, looks: int = 1) -> float | None:
    """Return the p-value of the hypothesis that the difference lies within the margin; None without an interval.

    Two-sided t, from the nearer edge of the margin: below 0.05 exactly when a verdict at 95% says slower or faster.
    Of a run that looks several times it is multiplied by their number (Bonferroni), which holds for whatever rule
    stopped it and however small p is; the level of the interval (`harness.analysis.sequential`) is for 95% alone.
    """
    freedom = estimate.t_freedom
    if estimate.error is None or freedom is None:
        return None
    beyond = abs(estimate.log_ratio) - margin(noise_floor)
    if estimate.error == 0.0:
        return 0.0 if beyond > 0 else 1.0
    return min(1.0, 2 * looks * float(stats.t.sf(beyond / estimate.error, freedom)))


def minimal_effect(estimate: Estimate, level: float = LEVEL) -> float | None:
    """Return the smallest relative slowdown that this many replicates detect at power 80%, two-sided at 1 - level.

    From the paired t test's power function (Cohen's d times the spread); of an unpaired estimate (t of the level + t
    of the power) times the standard error, at Welch's degrees of freedom (Bloom, "Minimum Detectable Effects",
    Evaluation Review 19, 1995). None with fewer than three replicates.
    """
    if estimate.freedom is not None:
        return _welch_effect(estimate, estimate.freedom, level)
    effect = _detectable(estimate.blocks, level)
    if effect is None or estimate.spread is None:
        return None
    return exponential(effect * estimate.spread) - 1.0


@lru_cache(maxsize=256)
def _detectable(blocks: int, level: float) -> float | None:
    """Return Cohen's d that a paired t test of n blocks detects; None where the solver finds none."""
    if blocks < 3:
        return None
    test, alpha = TTestPower(), 1 - level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a failure to converge is found by the check below
        effect = float(np.squeeze(test.solve_power(nobs=blocks, alpha=alpha, power=POWER)))
        reached = float(test.power(effect, blocks, alpha))
    return effect if abs(reached - POWER) < 0.01 else None


def _welch_effect(estimate: Estimate, freedom: float, level: float) -> float | None:
    if estimate.blocks < 3 or estimate.error is None:
        return None
    return exponential((_critical(level, freedom) + float(stats.t.ppf(POWER, freedom))) * estimate.error) - 1.0


def widened(low: float, high: float, *, level: float, to: float, freedom: float) -> tuple[float, float]:
    """Return a ratio's interval of confidence `level` as it is at the level `to`: the same t, another quantile.

    By the form of Student's interval on the log scale, middle ± quantile · error: what `paired` and `unpaired` give at
    `to`, which the tests hold.
    """
    middle, half = (math.log(high) + math.log(low)) / 2, (math.log(high) - math.log(low)) / 2
    half *= _critical(to, freedom) / _critical(level, freedom)
    return exponential(middle - half), exponential(middle + half)


@lru_cache(maxsize=256)
def _critical(level: float, freedom: float) -> float:
    """Return the two-sided critical value of Student's t."""
    return float(stats.t.ppf(0.5 + level / 2, freedom))


def _costs(values: Values, better: Better) -> Values:
    """Return the logs of the values as costs: more is worse."""
    costs: Values = (-1.0 if better == "higher" else 1.0) * np.log(np.asarray(values, dtype=float))
    return costs


def exponential(log: float) -> float:
    """Return exp(log), kept within a double: JSON has no infinity."""
    return math.exp(min(max(log, -_LARGEST_LOG), _LARGEST_LOG))
