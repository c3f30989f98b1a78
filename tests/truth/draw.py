"""Draws a scenario's values, and says what every data set's truth is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.truth.scenarios import Scenario

Array = NDArray[np.floating[Any]]

ARMS = ("native", "native@2", "docker")
TYPICAL = 0.01  # seconds


@dataclass(frozen=True, kw_only=True)
class Draw:
    """`seconds` has the shape (data set, arm, block, step); `truth` the log of each data set's planted slowdown."""

    scenario: Scenario
    seconds: Array
    truth: Array


def draw(scenario: Scenario, sets: int, random: np.random.Generator) -> Draw:
    """Draw so many data sets."""
    shape = (sets, len(ARMS), scenario.blocks)
    truth = np.resize(np.array(scenario.effects), sets)
    scale = np.array([1.0, 1.0, scenario.uneven])
    levels = scenario.process * scale[:, None] * random.standard_normal(shape)
    levels += 0.04 * (random.random(shape) < scenario.slow_processes)
    levels += _drift(scenario, shape, random) + _boots(scenario, shape, random)
    levels[:, 2] += truth[:, None]
    steps = scenario.step * _autoregression((*shape, scenario.steps), scenario.correlation, random)
    slow = random.random(steps.shape) < scenario.slow_steps
    steps += slow * random.exponential(0.7, steps.shape)
    steps += _warming(scenario, shape, random)
    return Draw(scenario=scenario, seconds=TYPICAL * np.exp(levels[..., None] + steps), truth=truth)


def _drift(scenario: Scenario, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Return what time adds: the arms of each block follow one another in random order."""
    order = random.permuted(np.broadcast_to(np.arange(len(ARMS))[:, None], shape), axis=1)
    place = np.arange(scenario.blocks) * len(ARMS) + order
    drifted: Array = scenario.drift * place / (len(ARMS) * scenario.blocks - 1)
    return drifted


def _boots(scenario: Scenario, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Return what each boot adds to the baseline's two arms and to the platform."""
    sets, _, blocks = shape
    effects = scenario.boot * random.standard_normal((sets, 2, scenario.boots))
    by_arm = effects[:, [0, 0, 1], :]
    return np.repeat(by_arm, blocks // scenario.boots, axis=2)


def _autoregression(shape: tuple[int, ...], correlation: float, random: np.random.Generator) -> Array:
    """Return draws of variance 1 along the last axis, each correlated with the one before."""
    found = random.standard_normal(shape)
    fresh = np.sqrt(1 - correlation**2)
    for number in range(1, shape[-1]):
        found[..., number] = correlation * found[..., number - 1] + fresh * found[..., number]
    return found


def _warming(scenario: Scenario, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Return what the first steps of each invocation add; how many they are is drawn, up to twice `warming`."""
    length = random.integers(0, 2 * scenario.warming + 1, (*shape, 1))
    number = np.arange(scenario.steps)
    added: Array = np.where(number < length, np.log(3.0) * (1 - number / np.maximum(length, 1)), 0.0)
    return added
