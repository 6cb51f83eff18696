"""The combinations that the study compares: the one that was chosen, and it with one part changed at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.policy_lab.engine import Parts
from benchmarks.policy_lab.sensors import EitherSensor, GainSensor, LossSensor, Sensor

RUN_LENGTH_DAYS = 1460.0
"""Of each of two sensors: together at most one false alarm in two years."""
RACE = ("window", "change", "expanding", "recent", "former")


def either() -> Sensor:
    return EitherSensor(LossSensor(RUN_LENGTH_DAYS, control=True), GainSensor(RUN_LENGTH_DAYS))


def loss() -> Sensor:
    return LossSensor(RUN_LENGTH_DAYS)


def controlled() -> Sensor:
    return LossSensor(RUN_LENGTH_DAYS, control=True)


def gain() -> Sensor:
    return GainSensor(RUN_LENGTH_DAYS)


CHOSEN = Parts("chosen", either, RACE, follow_gate="mean")


def changed(name: str, **parts: Any) -> Parts:
    """The chosen combination with some parts changed."""
    return replace(CHOSEN, name=name, **parts)
