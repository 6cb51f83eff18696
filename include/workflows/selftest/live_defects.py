"""Candidates that are bad for those who are answered by them live, and the traffic on which they are tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.adapters import estimators
from include.config import ModelDeclaration
from include.domain.canary.live_rows import ModelAnswer
from include.domain.canary.plan import CanaryPlan
from include.domain.canary.replay import PastRow, replayed
from include.workflows.evidence.canary_seen import CanarySeen
from include.workflows.selftest.candidates import Altered, Scores, SeededCandidate
from include.workflows.selftest.world import World

FAILING_SHARE, SLOWER_LIVE = 0.05, 10.0
LEAST_SLICE = 0.02
"""The slice that is inverted has at least this share of the rows: of fewer the 99th percentile sees nothing."""
_SALT = "selftest"
_USUAL_US = 200.0
_BEGINS = datetime(2024, 1, 1, tzinfo=UTC)


class Misfed:
    """A pipeline that is given one feature's values in the order of other rows, as by a wrong join."""

    def __init__(self, pipeline: Any, feature: str) -> None:
        self._pipeline, self._feature = pipeline, feature
        self.classes_ = getattr(pipeline, "classes_", None)

    def predict(self, rows: pd.DataFrame) -> Any:
        return self._pipeline.predict(swapped(rows, self._feature))

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        return self._pipeline.predict_proba(swapped(rows, self._feature))


def swapped(rows: pd.DataFrame, feature: str) -> pd.DataFrame:
    """The rows with the feature's values of others, always the same."""
    order = np.random.default_rng(3).permutation(len(rows))
    return rows.assign(**{feature: rows[feature].iloc[order].set_axis(rows.index)})


def failing(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """It gives no number on one row in twenty."""
    marks = pd.util.hash_pandas_object(world.holdout.features, index=False).to_numpy()
    last = np.quantile(marks.astype(float), FAILING_SHARE)

    def change(scores: Scores, rows: pd.DataFrame) -> Scores:
        scores[pd.util.hash_pandas_object(rows, index=False).to_numpy().astype(float) <= last] = np.nan
        return scores

    return replace(twin, scorer=Altered(world.twin, world.model, change))


def slow(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    return replace(twin, pace=SLOWER_LIVE)


def misfed(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """Of all features, the one whose wrong values move the answers most."""
    rows, classes = twin.held_out, world.model.class_count
    honest = estimators.predict(world.twin, rows, classes=classes)

    def moved(feature: str) -> float:
        return float(np.abs(estimators.predict(world.twin, swapped(rows, feature), classes=classes) - honest).mean())

    return replace(twin, scorer=Misfed(world.twin, max(rows.columns, key=moved)))


def inverted_slice(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """In the rows with the smallest values of the first numeric feature, at least one in twenty, it answers the
    opposite; as far away as it can be, for a regression."""
    rows = twin.held_out
    numeric = next((name for name in rows if pd.api.types.is_numeric_dtype(rows[name])), None)
    marks = rows[numeric].rank(pct=True) if numeric else pd.Series(np.linspace(0, 1, len(rows)), index=rows.index)
    limit = None if numeric is None else rows[numeric].quantile(max(LEAST_SLICE, FAILING_SHARE))
    spread = float(np.ptp(world.train.y)) or 1.0

    def change(scores: Scores, asked: pd.DataFrame) -> Scores:
        inside = (marks.to_numpy() <= FAILING_SHARE) if limit is None else (asked[numeric] <= limit).to_numpy()
        if world.model.task == "regression":
            scores[inside] += spread
        elif scores.ndim == 1:
            scores[inside] = np.where(scores[inside] > 0.5, 0.0, 1.0)
        else:
            scores[inside] = scores[inside][:, ::-1]
        return scores

    return replace(twin, scorer=Altered(world.twin, world.model, change))


# --- the traffic -----------------------------------------------------------------------------------------------------


def seen_of(model: ModelDeclaration, champion: list[ModelAnswer], canary: list[ModelAnswer]) -> CanarySeen:
    """What the held-out rows come to, asked again and again, each time by other units, until a step ends the canary or
    the last one has passed."""
    if model.canary is None:
        return CanarySeen(None, None)
    plan = model.canary.plan(model.shadow)
    steps = replayed(plan, _rows(plan, champion, canary), salt=_SALT)
    return CanarySeen(plan, None, judged=steps[-1].result if steps else None)


def _rows(plan: CanaryPlan, champion: list[ModelAnswer], canary: list[ModelAnswer]) -> Iterator[PastRow]:
    needed = [int(1.3 * step.min_rows / step.share) + 1_000 for step in plan.steps]
    apart = max(step.min_time * 1.2 / asked for step, asked in zip(plan.steps, needed, strict=True))
    for i in range(sum(needed)):
        at = i % len(champion)
        yield PastRow(f"q{i}", f"u{i}", _BEGINS + i * apart, champion[at], canary[at])


def answers(scores: NDArray[np.float64], pace: float, seed: int) -> list[ModelAnswer]:
    """Scores as a service gives them, with times that scatter as a service's do."""
    us = pace * _USUAL_US * np.random.default_rng(seed).gamma(4.0, 0.25, len(scores))
    good = [bool(np.isfinite(score).all()) for score in scores]
    found = []
    for score, is_good, time in zip(scores, good, us, strict=True):
        value = tuple(map(float, score)) if scores.ndim == 2 else float(score)
        found.append(ModelAnswer(False, int(time), value) if is_good else ModelAnswer(True, int(time)))
    return found
