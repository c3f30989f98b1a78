"""Under which conditions the analysis is put to the proof. Nothing here was measured: every value is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

NONE = 0.0
# Half of the data sets compare a thing with itself (A/A); the others have a planted slowdown.
EFFECTS = (NONE, NONE, NONE, math.log(1.02), math.log(1.05), math.log(1.10))
EDGE = math.log(1.01)  # the largest difference that is called equivalent
LOOKS = (5, 8, 12, 20)  # harness.runner.schedule's, written again


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How a run's values come about; standard deviations are of logs, so 0.01 is about 1%.

    A value is typical × effect × boot × drift × process × step; `process` is drawn for every invocation, a step's part
    follows an autoregression of order 1 with `correlation`. With `precision` every data set is a task that the stopping
    rule may stop; with `boots` the blocks are spread over so many boots a side, which `apart` puts into different ones.
    """

    name: str
    blocks: int = 8
    process: float = 0.01
    uneven: float = 1.0  # the platform's standard deviations over the baseline's
    steps: int = 40
    step: float = 0.02
    correlation: float = 0.5
    drift: float = 0.0  # what the last invocation of the run costs more than the first
    slow_steps: float = 0.0  # share of steps that take up to several times as long
    slow_processes: float = 0.0  # share of invocations that are 4% slower as a whole
    warming: int = 0  # steps at the start, not declared as warm-up, that fall from 3 times the cost
    precision: float | None = None
    boots: int = 1
    boot: float = 0.0
    apart: bool = False
    effects: tuple[float, ...] = EFFECTS

    @property
    def difference(self) -> float:
        """The standard deviation of the difference of two invocations' levels."""
        return self.process * math.hypot(1.0, self.uneven)


def stopping(name: str, ratio: float, **changes: float) -> Scenario:
    """Return a scenario in which ±2% is asked for, `ratio` times the standard deviation of one block's difference."""
    process = 0.02 / ratio / math.sqrt(2)
    return Scenario(name=name, blocks=LOOKS[-1], process=process, steps=10, step=0.005, precision=0.02, **changes)  # type: ignore[arg-type]  # numbers of Scenario


SCENARIOS = (
    Scenario(name="5 blocks", blocks=5),
    Scenario(name="8 blocks"),
    Scenario(name="20 blocks", blocks=20),
    Scenario(name="strong autocorrelation", correlation=0.95, steps=60, step=0.03),
    Scenario(name="drift of 5%", drift=0.05, blocks=12),
    Scenario(name="slow steps and processes", slow_steps=0.03, slow_processes=0.1, blocks=12),
    Scenario(name="platform three times as noisy", uneven=3.0),
    Scenario(name="undeclared warm-up", warming=12, steps=60),
    Scenario(name="difference of exactly 1%", effects=(EDGE,), process=0.004, blocks=12),
    Scenario(name="5 boots of both", blocks=15, boots=5, boot=0.02),
    Scenario(name="4 boots each, apart", blocks=12, boots=4, boot=0.02, apart=True),
    stopping("stops at once", 2.5),
    stopping("stops at any look", 0.6),
    stopping("hardly ever stops", 0.35),
    stopping("stops; drift, slow steps, slow processes", 0.7, drift=0.05, slow_steps=0.03, slow_processes=0.05),
)
