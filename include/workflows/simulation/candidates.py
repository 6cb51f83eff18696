"""The candidates of a simulation: fitted once for each as-of time and declaration, for all policies.

A candidate depends on its as-of time, not on the policy. So all policies and settings share them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.journey import TrainingWindows, training_windows
from include.domain.verdicts import Verdict
from include.workflows.evidence import journey_rows, race, training_summary
from include.workflows.gates.training_data import on as training_data_gate
from include.workflows.scoring import fitted_models
from include.workflows.scoring.row_values import reads_features
from include.workflows.simulation.replayed_candidate import (
    ReplayedCandidate,
    days_of,
    known_of,
    read_by,
    rows_of,
    split_between,
)
from include.workflows.simulation.stream import Stream

if TYPE_CHECKING:
    import numpy as np

    from include.domain.recipes import Raced


class CannotFit(Refusal, ValueError):
    """An estimator that does not take the rows."""

    def __init__(self, path: str, as_of: datetime, error: Exception) -> None:
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        super().__init__(
            f"{path} cannot be fitted as of {as_of:%Y-%m-%d}: {said}. Missing "
            "numbers are replaced with --impute, of a declared model with --set estimator.impute=true."
        )


class ReplayedCandidates:
    """All candidates of one simulation."""

    def __init__(self, progress: Callable[[str], None] = lambda _: None) -> None:
        self._made: dict[tuple[int, str, datetime, str | None, date | None, tuple[int, ...]], ReplayedCandidate] = {}
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
        judged_until: date | None = None,
    ) -> ReplayedCandidate:
        """The candidate of a journey as of the moment, fitted on the labels matured by then.

        Args:
            model: what is declared.
            stream: the past.
            as_of: the journey's time, UTC.
            changed_on: the change point of the alarm that asked for it, None where none did.
            former: the champions before the present one, the newest first; they race where the model declares it.
            judged_until: the first day that no earlier candidate of the alarm was judged on, None where none was.
        """
        admitted = [each for each in former if race.admits_former(model)][: race.FORMER_AT_MOST]
        learns = (id(stream), _what_is_learned(model), as_of, changed_on, judged_until)
        key = (*learns, tuple(id(each) for each in admitted))
        if key not in self._made:
            self._made[key] = self._fitted(model, stream, as_of, (changed_on, judged_until), admitted)
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
        alarm: tuple[str | None, date | None],
        former: Sequence[ReplayedCandidate],
    ) -> ReplayedCandidate:
        import numpy as np

        declared, delay = model.training, model.label.delay
        changed_on, judged_until = alarm
        change = date.fromisoformat(changed_on) if changed_on else None
        windows = training_windows(as_of, declared.window_days, declared.holdout_days, delay, change, judged_until)
        if race.reads_all(model):
            start = min(stream.begins, windows.train.start)
            windows = replace(windows, train=Interval(start, windows.train.end))
        train, holdout = (stream.matured(w, as_of, delay) for w in (windows.train, windows.holdout))
        features = rows_of(read_by(model, stream), train)
        label = stream.y[train].astype(np.int64) if model.is_classifier else stream.y[train]
        classes = stream.classes or []
        counts = np.bincount(label, minlength=len(classes)).tolist() if model.is_classifier else []
        keyed = stream.keyed(train)
        counted = training_summary.counted(
            features,
            label,
            holdout_rows=len(holdout),
            classes=dict(zip(classes, counts, strict=True)),
            split=split_between(stream, train, holdout),
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
                known = known_of(model, stream, train) if reads_features(model) else None
                learned = race.LearnedRows(features, label, days, changed_on, first, stream.weighed(train), known)
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
            rows_of(read_by(model, stream), rows),
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


def spec_of(model: ModelDeclaration, stream: Stream) -> estimators.EstimatorSpec:
    return fitted_models.spec_of(model, {f: stream.kinds[f] for f in model.features})


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
