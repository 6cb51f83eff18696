"""Candidates that are made from what the champion answered in the past: an equal one, and some that do harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.domain.canary.live_rows import ModelAnswer
from include.domain.canary.units import place

FAILING, SLOWER = 0.05, 10.0
"""On which part of the units the first fails, and how many times slower the second is."""
RUINED = 0.05
"""Of which part of the rows the last one answers the opposite: those with the smallest values of one feature."""
_PLACES = 2**64


@dataclass(frozen=True, slots=True)
class AskedBefore:
    """One row that was asked in the past.

    Attributes:
        asked_id: the row's identity.
        unit: what it would be drawn by.
        at: when it was asked.
        champion: what the champion answered.
        features: as they were served; None where not all were kept.
    """

    asked_id: str
    unit: str
    at: datetime
    champion: ModelAnswer
    features: Mapping[str, Any] | None


def equal(rows: Sequence[AskedBefore], seed: int) -> list[ModelAnswer]:
    """The champion's answers, in the times that it took for other rows."""
    times = [row.champion.us for row in rows]
    order = np.random.default_rng(seed).permutation(len(times))
    return [replace(row.champion, us=times[int(at)]) for row, at in zip(rows, order, strict=True)]


def failing(rows: Sequence[AskedBefore], seed: int) -> list[ModelAnswer]:
    """No answer for one unit in twenty."""
    limit = round(FAILING * _PLACES)
    return [
        ModelAnswer(True, answer.us) if place("fails", row.unit) < limit else answer
        for row, answer in zip(rows, equal(rows, seed), strict=True)
    ]


def slow(rows: Sequence[AskedBefore], seed: int) -> list[ModelAnswer]:
    """The same answers, each ten times later."""
    return [
        answer if answer.us is None else replace(answer, us=round(SLOWER * answer.us)) for answer in equal(rows, seed)
    ]


def constant(rows: Sequence[AskedBefore], seed: int) -> list[ModelAnswer]:
    """The usual answer, whatever is asked."""
    known = [row.champion.score for row in rows if row.champion.score is not None]
    usual = np.median(np.asarray(known, dtype=float), axis=0) if known else np.asarray(0.0)
    score: float | tuple[float, ...] = tuple(map(float, usual)) if usual.ndim else float(usual)
    return [replace(answer, score=score) if not answer.failed else answer for answer in equal(rows, seed)]


def ruined(rows: Sequence[AskedBefore], feature: str, seed: int) -> list[ModelAnswer]:
    """The opposite where the feature is smallest."""
    values = np.asarray([_number(row, feature) for row in rows])
    limit = np.nanquantile(values, RUINED)
    scores = [row.champion.score for row in rows if isinstance(row.champion.score, float)]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    return [
        replace(answer, score=_opposite(answer.score, low, high)) if value <= limit and not answer.failed else answer
        for value, answer in zip(values, equal(rows, seed), strict=True)
    ]


def _opposite(score: float | tuple[float, ...] | None, low: float, high: float) -> float | tuple[float, ...] | None:
    """As far away as the champion's own answers go; of several classes, their probabilities in the other order."""
    if isinstance(score, tuple):
        return score[::-1]
    return None if score is None else (high if score < (low + high) / 2 else low)


def of_other_rows(rows: Sequence[AskedBefore], feature: str, seed: int) -> list[AskedBefore]:
    """The rows with one feature's values in the order of other rows, as by a wrong join."""
    order = np.random.default_rng(seed + 1).permutation(len(rows))
    return [
        replace(row, features={**(row.features or {}), feature: (rows[int(at)].features or {}).get(feature)})
        for row, at in zip(rows, order, strict=True)
    ]


def scored(scores: NDArray[Any], rows: Sequence[AskedBefore], seed: int) -> list[ModelAnswer]:
    """Scores, one a row or one a class and row, in the times that the champion took for other rows; what is no finite
    number is a failure."""
    return [_answer(score, answer.us) for score, answer in zip(scores, equal(rows, seed), strict=True)]


def _answer(score: Any, us: int | None) -> ModelAnswer:
    values = tuple(map(float, np.atleast_1d(score)))
    if not all(np.isfinite(values)):
        return ModelAnswer(True, us)
    return ModelAnswer(False, us, values if np.ndim(score) else values[0])


def numeric(rows: Sequence[AskedBefore]) -> str | None:
    """The first feature that is a number on most rows; None where features were not kept, or there is none."""
    if any(row.features is None for row in rows):
        return None
    for name in rows[0].features or {}:
        values = [_number(row, name) for row in rows[:1_000]]
        if np.isfinite(values).mean() > 0.5 and len(set(values)) > 2:
            return name
    return None


def _number(row: AskedBefore, feature: str) -> float:
    value = (row.features or {}).get(feature)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
