"""The candidates of a simulation: fitted once for each as-of time and declaration, for all policies.

A candidate depends on its as-of time, not on the policy. So all policies and settings share them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration
from include.domain.drift.maturity import shares_by_age
from include.domain.errors import Refusal
from include.domain.gates import Split, TrainingDataSummary, split_of
from include.domain.intervals import Interval
from include.domain.journey import TrainingWindows, training_windows
from include.domain.losses import row_losses
from include.domain.verdicts import Verdict
from include.workflows.drift.reference import Reference
from include.workflows.evidence import evaluation, journey_rows, race, training_summary
from include.workflows.gates.training_data import on as training_data_gate
from include.workflows.journey.by_products import ByProducts
from include.workflows.scoring import fitted_models
from include.workflows.scoring.row_values import watched_loss
from include.workflows.simulation.stream import Stream, day_name

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.domain.recipes import Raced

SINGLE = 3.4e38
"""The largest number in single precision, which many estimators compute in."""
BLOCK = 4096
"""Rows predicted ahead of the day that asks: a pipeline costs milliseconds a call and microseconds a row."""


class CannotFit(Refusal, ValueError):
    """An estimator that does not take the rows."""

    def __init__(self, path: str, as_of: datetime, error: Exception) -> None:
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        super().__init__(
            f"{path} cannot be fitted as of {as_of:%Y-%m-%d}: {said}. Missing "
            "numbers are replaced with --impute, of a declared model with --set estimator.impute=true."
        )


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
        return _chosen(read_by(self.model, self.stream), rows)

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
        losses = row_losses(watched_loss(self.model), self.stream.y[labelled], scores) * self.stream.shares(labelled)
        at = self.stream.day[labelled] - first_day
        sums = [np.bincount(at, weights=w, minlength=days) for w in (losses, losses * even[labelled])]
        return np.stack(sums)

    def reference(self, names: Callable[[np.ndarray[Any, Any]], list[str]], model: ModelDeclaration) -> Reference:
        """What ``evaluate`` keeps of it; ``names`` gives the days of rows, ``model`` the settings of this policy."""
        drift = model.drift
        rows = (drift.pool_days > 1, drift.inputs.min_rows, drift.predictions.min_rows, drift.performance.settles_days)
        key = f"{drift.performance.metric}|{drift.inputs.bins}|{rows}"
        if key not in self._references:
            self._references[key] = self._held_against(names, model)
        return self._references[key]

    def split(self) -> Split | None:
        """How training and held-out rows are separated; None when rows have no keys, or there are none."""
        return _split_of(self.stream, self.train, self.holdout)

    def _held_against(self, names: Callable[[np.ndarray[Any, Any]], list[str]], model: ModelDeclaration) -> Reference:
        kinds = {f: self.stream.kinds[f] for f in model.features}
        usable = evaluation.answered(self.holdout_scores())
        if not usable.any():
            raise Refusal(f"The model as of {self.name} answers none of its held-out rows with a number.")
        rows, scores = self.holdout[usable], self.holdout_scores()[usable]
        features, days = self.features(rows), names(rows)
        y = self.stream.y[rows].astype(int) if model.is_classifier else self.stream.y[rows]
        held_out = evaluation.HeldOutRows(y, scores, days, self.stream.weighed(rows))
        profile = evaluation.profile_of(model, kinds, self.features(self.shown), names(self.shown), held_out)
        made = ByProducts()
        importances = made.attempt(
            "The importances, without which every feature weighs the same,",
            lambda: estimators.importances(
                self.pipeline, features, y, task=model.task, seed=model.training.seed, classes=model.class_count
            ),
        )
        estimate = made.attempt(
            "The estimate of losses without labels",
            lambda: evaluation.estimate_of(model, kinds, features, held_out),
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
        return Reference(profile, importances or {}, estimate, share, shares_by_age(by_age), weight=model.weight)

    def _predicted(self, rows: np.ndarray[Any, Any] | slice, *, serving: bool = False) -> np.ndarray[Any, Any]:
        return self.answers(self.features(rows), serving=serving)


class ReplayedCandidates:
    """All candidates of one simulation."""

    def __init__(self, progress: Callable[[str], None] = lambda _: None) -> None:
        self._made: dict[tuple[int, str, datetime, str | None, tuple[int, ...]], ReplayedCandidate] = {}
        self._progress = progress

    def __len__(self) -> int:
        return len(self._made)

    def of(
        self,
        model: ModelDeclaration,
        stream: Stream,
        as_of: datetime,
        changed_on: str | None = None,
        former: Sequence[ReplayedCandidate] = (),
    ) -> ReplayedCandidate:
        """The candidate of a journey as of the moment, fitted on the labels matured by then.

        Args:
            model: what is declared.
            stream: the past.
            as_of: the journey's time, UTC.
            changed_on: the change point of the alarm that asked for it, None where none did.
            former: the champions before the present one, the newest first; they race where the model declares it.
        """
        admitted = [each for each in former if race.admits_former(model)][: race.FORMER_AT_MOST]
        key = (id(stream), _what_is_learned(model), as_of, changed_on, tuple(id(each) for each in admitted))
        if key not in self._made:
            self._made[key] = self._fitted(model, stream, as_of, changed_on, admitted)
        return self._made[key]

    def made_for(self, stream: Stream, model: ModelDeclaration) -> list[ReplayedCandidate]:
        """Every fitted candidate over the stream whose losses are the model's, of any policy."""
        metric = model.drift.performance.metric
        return [
            made
            for made in self._made.values()
            if made.stream is stream and made.pipeline is not None and made.model.drift.performance.metric == metric
        ]

    def _fitted(
        self,
        model: ModelDeclaration,
        stream: Stream,
        as_of: datetime,
        changed_on: str | None,
        former: Sequence[ReplayedCandidate],
    ) -> ReplayedCandidate:
        import numpy as np

        declared, delay = model.training, model.label.delay
        change = date.fromisoformat(changed_on) if changed_on else None
        windows = training_windows(as_of, declared.window_days, declared.holdout_days, delay, change)
        if race.reads_all(model):
            start = min(stream.begins, windows.train.start)
            windows = replace(windows, train=Interval(start, windows.train.end))
        train, holdout = (stream.matured(w, as_of, delay) for w in (windows.train, windows.holdout))
        features = _chosen(read_by(model, stream), train)
        label = stream.y[train].astype(np.int64) if model.is_classifier else stream.y[train]
        classes = stream.classes or []
        counts = np.bincount(label, minlength=len(classes)).tolist() if model.is_classifier else []
        keyed = stream.keyed(train)
        counted = training_summary.counted(
            features,
            label,
            holdout_rows=len(holdout),
            classes=dict(zip(classes, counts, strict=True)),
            split=_split_of(stream, train, holdout),
            flaws=training_summary.RowFlaws(
                duplicates=int(keyed.duplicated().sum()) if keyed is not None else 0,
                worth=training_summary.worth_of(stream.weighed(train), stream.weighed(holdout)),
            ),
        )
        pipeline, raced = None, None
        if training_data_gate(model, counted).verdict is Verdict.PASS:
            self._progress(f"fitting as of {as_of:%Y-%m-%d} on {len(train):,} rows")
            spec = spec_of(model, stream)
            days = np.array(days_of(stream, train), dtype=str)
            try:
                first = journey_rows.window_from(model, windows.train.end)
                learned = race.LearnedRows(features, label, days, changed_on, first, stream.weighed(train))
                entrants = [race.FormerChampion(e.name, e.serving, e.learned_until) for e in former]
                chosen = race.fitted(model, lambda: estimators.build(spec), learned, entrants)
                pipeline, raced = chosen.pipeline, chosen.raced
            except Refusal:
                raise
            except Exception as error:  # noqa: BLE001 - anybody's estimator, which may raise anything
                raise CannotFit(model.estimator.path, as_of, error) from None
        again = next((each for each in former if raced is not None and each.name == raced.former), None)
        refit = None
        until = windows.train.end.date().isoformat()
        if again is not None:
            until = again.learned_until
        elif declared.refit == "all" and pipeline is not None:
            both = np.concatenate([train, holdout])
            refit = partial(self._refitted, model, stream, both, windows, raced)
            until = windows.holdout.end.date().isoformat()
        return ReplayedCandidate(model, stream, as_of, windows, train, holdout, counted, pipeline, raced, until, refit)

    def _refitted(
        self,
        model: ModelDeclaration,
        stream: Stream,
        rows: np.ndarray[Any, Any],
        windows: TrainingWindows,
        raced: Raced | None,
    ) -> tuple[Any, np.ndarray[Any, Any]]:
        """The recipe that was judged, on the training rows and the held-out ones."""
        import numpy as np

        from include.domain.recipes import Recipe

        until = windows.holdout.end
        self._progress(f"fitting again up to {until:%Y-%m-%d}")
        first = (until - timedelta(days=model.training.window_days)).date().isoformat()
        learned = race.LearnedRows(
            _chosen(read_by(model, stream), rows),
            stream.y[rows].astype(np.int64) if model.is_classifier else stream.y[rows],
            np.array(days_of(stream, rows), dtype=str),
            raced.since if raced is not None and raced.after_change else None,
            first,
            stream.weighed(rows),
        )
        spec, recipe = spec_of(model, stream), raced.recipe if raced is not None else Recipe.WINDOW
        try:
            pipeline, chosen = race.refitted(model, lambda: estimators.build(spec), learned, recipe)
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001 - anybody's estimator, which may raise anything
            raise CannotFit(model.estimator.path, until, error) from None
        return pipeline, rows[chosen]


def _split_of(stream: Stream, train: np.ndarray[Any, Any], holdout: np.ndarray[Any, Any]) -> Split | None:
    learned, held_out = stream.keyed(train), stream.keyed(holdout)
    if stream.keys is None or learned is None or held_out is None:
        return None
    return split_of(learned, held_out, list(stream.keys.columns))


def spec_of(model: ModelDeclaration, stream: Stream) -> estimators.EstimatorSpec:
    return fitted_models.spec_of(model, {f: stream.kinds[f] for f in model.features})


def read_by(model: ModelDeclaration, stream: Stream) -> pd.DataFrame:
    """The features the model reads, in its order; the stream's own frame where that is all of them."""
    names = model.features
    return stream.features if list(stream.features.columns) == names else stream.features[names]


def days_of(stream: Stream, rows: np.ndarray[Any, Any] | slice) -> list[str]:
    """``YYYY-MM-DD`` of each row; text is made once a day."""
    import numpy as np

    days, index = np.unique(stream.day[rows], return_inverse=True)
    names = np.array([day_name(day) for day in days], dtype=str)
    return [str(name) for name in names[index]]


def _what_is_learned(model: ModelDeclaration) -> str:
    """The part of a declaration that a fitted candidate depends on."""
    return json.dumps(
        {
            "features": model.features,
            "label": model.label.model_dump(mode="json"),
            "estimator": model.estimator.model_dump(mode="json"),
            "preprocess": [group.model_dump(mode="json") for group in model.preprocess],
            "training": model.training.model_dump(mode="json", exclude={"schedule", "price", "timeout"}),
            "holdout": model.gates.threshold_gate.min_rows,
            "metric": model.drift.performance.metric,
        },
        sort_keys=True,
        default=str,
    )


def _chosen(frame: pd.DataFrame, rows: np.ndarray[Any, Any] | slice) -> pd.DataFrame:
    """The rows; as a slice, without a copy, where they follow one another."""
    if not isinstance(rows, slice):
        if not len(rows) or rows[-1] - rows[0] + 1 != len(rows):
            return frame.iloc[rows]
        rows = slice(int(rows[0]), int(rows[-1]) + 1)
    return frame.iloc[rows]
