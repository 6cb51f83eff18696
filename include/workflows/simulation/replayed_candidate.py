"""One candidate of a simulation: what it learned from, and its answers, computed when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration
from include.domain.drift.maturity import shares_by_age
from include.domain.errors import Refusal
from include.domain.gates import Split, TrainingDataSummary, split_of
from include.domain.intervals import Interval
from include.domain.journey import TrainingWindows
from include.workflows.drift.reference import Reference
from include.workflows.evidence import journey_rows, version_reference
from include.workflows.evidence.baselines import LabelledRows, naive_baseline
from include.workflows.journey.by_products import ByProducts
from include.workflows.scoring.row_values import reads_features, watched_losses
from include.workflows.simulation.stream import Stream, day_name

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.domain.recipes import Raced

SINGLE = 3.4e38
"""The largest number in single precision, which many estimators compute in."""

BLOCK = 4096
"""Rows predicted ahead of the day that asks: a pipeline costs milliseconds a call and microseconds a row."""


class CannotAnswer(Refusal, ValueError):
    """A fitted estimator that refuses the rows, or does not answer them with numbers."""

    def __init__(self, path: str, as_of: datetime, features: pd.DataFrame, said: str) -> None:
        missing = {str(name): int(n) for name, n in features.isna().sum().items() if n}
        shown = ", ".join(f"{name} ({n:,})" for name, n in list(missing.items())[:5])
        why = f" Missing among {len(features):,} rows: {shown}." if missing else ""
        numbers = features.select_dtypes("number")
        large = {str(name): int(n) for name, n in (numbers.abs() > SINGLE).sum().items() if n}
        if large:
            why += f" Beyond single precision: {', '.join(f'{name} ({n:,})' for name, n in list(large.items())[:5])}."
        way_out = (
            "Missing numbers are replaced with --impute, of a declared model with --set estimator.impute=true."
            if missing
            else "Check these rows, or name another estimator."
        )
        super().__init__(f"{path} as of {as_of:%Y-%m-%d} cannot answer: {said.rstrip('.')}.{why} {way_out}")


@dataclass(slots=True, eq=False)
class ReplayedCandidate:
    """One fitted candidate, or why there is none. Its answers are computed when they are first asked for."""

    model: ModelDeclaration
    stream: Stream
    as_of: datetime
    windows: TrainingWindows
    train: np.ndarray[Any, Any]
    holdout: np.ndarray[Any, Any]
    """Rows of the stream."""
    counted: TrainingDataSummary
    """What was counted in its training set."""
    pipeline: Any
    """None when the training set's gate did not pass: nothing is fitted then."""
    raced: Raced | None = None
    """What the race of recipes found; None where nothing raced."""
    learned_until: str = ""
    """The day from which on what serves has learned from no row, ``YYYY-MM-DD``."""
    refit: Callable[[], tuple[Any, np.ndarray[Any, Any]]] | None = None
    """Fits the same recipe on all matured rows, and says on which; None where the judged pipeline serves."""
    _answers: np.ndarray[Any, Any] | None = None
    _answered: set[int] = field(default_factory=set)
    _references: dict[str, Reference] = field(default_factory=dict)
    _holdout: np.ndarray[Any, Any] | None = None
    _served: Any = None

    @property
    def name(self) -> str:
        """The as-of day."""
        return self.as_of.date().isoformat()

    @property
    def shown(self) -> np.ndarray[Any, Any]:
        """The training rows that new ones are held against: those of the declared window, and all where it learned from
        all."""
        first = journey_rows.window_from(self.model, self.windows.train.end)
        if first is None or (self.raced is not None and self.raced.recipe.value == "expanding"):
            return self.train
        return self.train[self.train >= self.stream.at(Interval.of_day(first).start)]

    def features(self, rows: np.ndarray[Any, Any] | slice) -> pd.DataFrame:
        return rows_of(read_by(self.model, self.stream), rows)

    def losses(self, rows: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The watched loss of each of the rows, which have labels, under these answers to them."""
        return losses_of(self.model, self.stream, rows, scores)

    @property
    def serving(self) -> Any:
        """The pipeline that serves: the judged one, or the same recipe fitted again, when it is first asked."""
        if self.refit is None:
            return self.pipeline
        if self._served is None:
            self._served = self.refit()
        return self._served[0]

    @property
    def learned(self) -> np.ndarray[Any, Any]:
        """The rows that what serves learned from."""
        return self.train if self.refit is None or self.serving is None else self._served[1]

    def answers(self, features: pd.DataFrame, *, serving: bool = False) -> np.ndarray[Any, Any]:
        """Scores of any rows by the judged pipeline, or by the one that serves. A class that the training rows lacked
        has the probability 0."""
        import numpy as np

        path, classes = self.model.estimator.path, len(self.stream.classes or []) if self.model.is_classifier else None
        try:
            found = estimators.predict(self.serving if serving else self.pipeline, features, classes=classes)
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001 - anybody's estimator, which may raise anything
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CannotAnswer(path, self.as_of, features, said) from None
        odd = len(found) - int(np.isfinite(found).reshape(len(found), -1).all(axis=1).sum())
        if odd:
            raise CannotAnswer(path, self.as_of, features, f"{odd:,} of {len(found):,} answers are no finite number")
        return found

    def holdout_scores(self) -> np.ndarray[Any, Any]:
        if self._holdout is None:
            self._holdout = self._predicted(self.holdout)
        return self._holdout

    def scores(self, rows: slice | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Scores of rows from the as-of time on, ``(n,)`` or ``(n, classes)``."""
        import numpy as np

        low, high = (rows.start, rows.stop) if isinstance(rows, slice) else (int(rows.min()), int(rows.max()) + 1)
        origin = self.stream.at(self.as_of)
        for block in range((low - origin) // BLOCK, (high - 1 - origin) // BLOCK + 1):
            if block not in self._answered:
                self._answered.add(block)
                span = slice(origin + block * BLOCK, min(origin + (block + 1) * BLOCK, len(self.stream.y)))
                found = self._predicted(span, serving=True)
                if self._answers is None:
                    self._answers = np.full((len(self.stream.y) - origin, *found.shape[1:]), np.nan)
                self._answers[span.start - origin : span.stop - origin] = found
        if self._answers is None:
            return np.empty(0)
        at = slice(low - origin, high - origin) if isinstance(rows, slice) else rows - origin
        return self._answers[at]

    def daily_losses(self, rows: slice, even: np.ndarray[Any, Any], first_day: int, days: int) -> np.ndarray[Any, Any]:
        """``(2, days)``: the summed loss of each day's labelled rows from the as-of time on, of all and of those
        that are ``even``, which is ``(n,)`` of the stream."""
        import numpy as np

        start = max(rows.start, self.stream.at(self.as_of))
        if start >= rows.stop:
            return np.zeros((2, days))
        labelled = np.flatnonzero(self.stream.counts[start : rows.stop]) + start
        # Not kept: of a yardstick's model only the days' sums are used again.
        scores = self._predicted(slice(start, rows.stop), serving=True)[labelled - start]
        losses = self.losses(labelled, scores) * self.stream.shares(labelled)
        at = self.stream.day[labelled] - first_day
        sums = [np.bincount(at, weights=w, minlength=days) for w in (losses, losses * even[labelled])]
        return np.stack(sums)

    def reference(self, names: Callable[[np.ndarray[Any, Any]], list[str]], model: ModelDeclaration) -> Reference:
        """What ``evaluate`` keeps of it; ``names`` gives the days of rows, ``model`` the settings of this policy."""
        drift = model.drift
        rows = (drift.pool_days > 1, drift.inputs.min_rows, drift.predictions.min_rows, drift.performance.settles_days)
        gate = model.gates.champion_gate
        naive = (gate.baseline, gate.baseline_by, gate.baseline_season)
        key = f"{drift.performance.metric}|{drift.inputs.bins}|{rows}|{naive}"
        if key not in self._references:
            self._references[key] = self._held_against(names, model)
        return self._references[key]

    def split(self) -> Split | None:
        """How training and held-out rows are separated; None when rows have no keys, or there are none."""
        return split_between(self.stream, self.train, self.holdout)

    def _held_against(self, names: Callable[[np.ndarray[Any, Any]], list[str]], model: ModelDeclaration) -> Reference:
        kinds = {f: self.stream.kinds[f] for f in model.features}
        usable = version_reference.answered(self.holdout_scores())
        if not usable.any():
            raise Refusal(f"The model as of {self.name} answers none of its held-out rows with a number.")
        rows, scores = self.holdout[usable], self.holdout_scores()[usable]
        features, days = self.features(rows), names(rows)
        y = self.stream.y[rows].astype(int) if model.is_classifier else self.stream.y[rows]
        known = known_of(model, self.stream, rows) if reads_features(model) else None
        held_out = version_reference.HeldOutRows(y, scores, days, self.stream.weighed(rows), known)
        profile = version_reference.profile_of(model, kinds, self.features(self.shown), names(self.shown), held_out)
        made = ByProducts()
        importances = made.attempt(
            "The importances, without which every feature weighs the same,",
            lambda: estimators.importances(
                self.pipeline, features, y, task=model.task, seed=model.training.seed, classes=model.class_count
            ),
        )
        estimate = made.attempt(
            "The estimate of losses without labels",
            lambda: version_reference.estimate_of(model, kinds, features, held_out),
        )
        labelled = len(self.train) + len(self.holdout)
        never = sum(
            self.stream.never_labelled(window, self.as_of, model.label.delay)
            for window in (self.windows.train, self.windows.holdout)
        )
        by_age = self.stream.lacking_by_age(
            Interval(self.windows.train.start, self.windows.holdout.end),
            self.as_of,
            model.label.delay,
            model.drift.performance.settles_days,
        )
        share = never / (never + labelled) if labelled else None
        naive = version_reference.naive_loss(model, held_out, self.baseline(model)[usable])
        return Reference(
            profile, importances or {}, estimate, share, shares_by_age(by_age), weight=model.weight, naive=naive
        )

    def baseline(self, model: ModelDeclaration) -> np.ndarray[Any, Any]:
        """The naive baseline's answers to the held-out rows, by the rows that were learned from."""
        import numpy as np

        learned, rows = self.shown, self.holdout
        y = self.stream.y[learned]
        known = LabelledRows(
            self.features(learned),
            y.astype(np.int64) if model.is_classifier else y,
            self.stream.times(learned),
            self.stream.weighed(learned),
        )
        return naive_baseline(
            model, known, LabelledRows(self.features(rows), self.stream.y[rows], self.stream.times(rows))
        )

    def _predicted(self, rows: np.ndarray[Any, Any] | slice, *, serving: bool = False) -> np.ndarray[Any, Any]:
        return self.answers(self.features(rows), serving=serving)


def split_between(stream: Stream, train: np.ndarray[Any, Any], holdout: np.ndarray[Any, Any]) -> Split | None:
    learned, held_out = stream.keyed(train), stream.keyed(holdout)
    if stream.keys is None or learned is None or held_out is None:
        return None
    return split_of(learned, held_out, list(stream.keys.columns))


def read_by(model: ModelDeclaration, stream: Stream) -> pd.DataFrame:
    """The features the model reads, in its order; the stream's own frame where that is all of them."""
    names = model.features
    return stream.features if list(stream.features.columns) == names else stream.features[names]


def known_of(model: ModelDeclaration, stream: Stream, rows: np.ndarray[Any, Any] | slice) -> pd.DataFrame:
    """The features of the rows, and where the stream has them their keys and ``event_time``."""
    features, known = rows_of(read_by(model, stream), rows), stream.keyed(rows)
    return features if known is None else journey_rows.with_known(features, known)


def losses_of(
    model: ModelDeclaration, stream: Stream, rows: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The watched loss of each of the rows, which have labels, under these answers to them."""
    return watched_losses(model, stream.y[rows], scores, lambda: known_of(model, stream, rows))


def days_of(stream: Stream, rows: np.ndarray[Any, Any] | slice) -> list[str]:
    """``YYYY-MM-DD`` of each row; text is made once a day."""
    import numpy as np

    days, index = np.unique(stream.day[rows], return_inverse=True)
    names = np.array([day_name(day) for day in days], dtype=str)
    return [str(name) for name in names[index]]


def rows_of(frame: pd.DataFrame, rows: np.ndarray[Any, Any] | slice) -> pd.DataFrame:
    """The rows; as a slice, without a copy, where they follow one another."""
    if not isinstance(rows, slice):
        if not len(rows) or rows[-1] - rows[0] + 1 != len(rows):
            return frame.iloc[rows]
        rows = slice(int(rows[0]), int(rows[-1]) + 1)
    return frame.iloc[rows]
