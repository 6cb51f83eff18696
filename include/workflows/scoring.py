"""Score a day: the champion of that day serves, every challenger whose shadow window covers it answers the same rows.

Which champion and which challengers is a question of data time, answered by the ledger. So a day scored again, at any
later time, gets the same answers by the same models.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.adapters.ledger import Scoring
from include.adapters.registry import Registry
from include.config import ModelDeclaration, declarations
from include.domain.errors import NotYet, Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.wording import count_of
from include.workflows import common, datasets, learned, models, provenance, shadowing, training_set
from include.workflows.requests import SERVED, SHADOW, request_ids

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class NotPublished(Refusal):
    """A day of a view that the model reads was never published."""


class NotYetPublished(NotYet):
    """A day of an older version of a view, which only the champion reads, is not published. It has a Dag of its own,
    which may still be at it: waiting helps."""


def score(model_name: str, day: str, run_id: str) -> dict[str, Any]:
    """Score one day and write the prediction log; ``skipped`` says why when there is nothing to do.

    Raises:
        NotPublished: when a view of the model has no such day.
        NotYetPublished: the same, of an older version of a view that only the champion learned from.
        NotAskable: when what the champion learned from is not declared any more.
        ModelFileRefused, VersionMissing: when the champion's artifact is not what its gates judged.
    """
    model = declarations().model(model_name)
    interval = Interval.of_day(day)
    with common.open_ledger() as ledger:
        champion = ledger.deployments.champion_at(model_name, interval.start)
        if champion is None:
            return {
                "skipped": f"{model_name} has no champion on {day}, so there is nothing to score with.",
                "facts": {},
            }
        registry = common.registry()
        pipeline = models.load(registry, model_name, int(str(champion.model_version)), champion.digest)
        asked = learned.as_learned(ledger, model, champion.to_candidate, estimators.inputs_of(pipeline))
        _require_published(ledger, model, asked, day)
        pinned = provenance.pinned_now(asked)
        given = training_set.features_for(asked, interval, interval.end, pinned)
        rows = given.to_pandas()
        if rows.empty:
            return {"skipped": f"No row of {model.entity.view} on {day}: nothing to score.", "facts": {}}
        features = estimators.as_input(rows, models.kinds_of(asked))
        served = answers_of(model, pipeline, features)
        if served["error"].notna().any():
            raise RuntimeError(
                f"Champion {champion.to_candidate} could not answer {day}: {served['error'].dropna().iloc[0]}"
            )
        # The features first: an answer in the log always has what it was computed from.
        feature_set, changed = provenance.keep_served(asked, day, given, request_ids(asked, rows))
        made = Scoring(
            model=model_name,
            day=day,
            candidate_id=champion.to_candidate,
            role=SERVED,
            model_version=str(champion.model_version),
            rows=len(rows),
            first_asked=rows["prediction_time"].min().to_pydatetime(),
            last_asked=rows["prediction_time"].max().to_pydatetime(),
            feature_set=feature_set,
            sources=provenance.views_read(ledger, asked, interval, pinned),
            run_id=run_id,
        )
        crashpoint("scoring.served.kept")
        _write(asked, day, rows, served, champion.to_candidate, str(champion.model_version), SERVED)
        ledger.lineage.record_scoring(made, same_features=not changed)
        shadows = [
            _shadow(ledger, registry, model, _Asked(asked, made, rows, features, not changed), w.candidate_id)
            for w in ledger.shadow.covering(model_name, day)
        ]
        facts = {
            "day": day,
            "rows": len(rows),
            "champion": champion.to_candidate,
            "model_version": str(champion.model_version),
            "mean_score": float(served["score"].mean()),
            "shadow": shadows,
        }
        datasets.reads(datasets.view_table(declarations().view(use.view)) for use in asked.views)
        datasets.reads([datasets.registered_model(model)])
        datasets.writes([datasets.prediction_log(model)])
        print(f"{day}: {len(rows):,} rows served by {champion.to_candidate} (version {champion.model_version}).")
        return {"skipped": None, "facts": facts}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What somebody was asked of a day: the requests, row by row with their features, as ``model`` reads them."""

    model: ModelDeclaration
    made: Scoring
    rows: pd.DataFrame
    features: pd.DataFrame
    kept_before: bool
    """Whether the very same features were kept before."""

    def as_read_by(self, model: ModelDeclaration, ledger: Any) -> _Asked:
        """The same requests with their features as another model reads them, which are kept too.

        Raises:
            TableMissing: when one of its views was never published. NotAskable: when a request has no row in them.
        """
        if learned.same(model, self.model):
            return self
        day, interval = self.made.day, Interval.of_day(self.made.day)
        pinned = provenance.pinned_now(model)
        given = training_set.features_for(model, interval, interval.end, pinned)
        there = given.to_pandas()
        features = learned.aligned(model, there, request_ids(self.model, self.rows))
        feature_set, changed = provenance.keep_served(model, day, given, request_ids(model, there))
        sources = provenance.views_read(ledger, model, interval, pinned)
        made = replace(self.made, feature_set=feature_set, sources=sources)
        return _Asked(model, made, self.rows, features, not changed)


def _shadow(
    ledger: Any, registry: Registry, model: ModelDeclaration, asked: _Asked, candidate_id: str
) -> dict[str, Any]:
    """Let a challenger answer the same requests. Whatever it does, the champion's answers stand: its failures are
    counted."""
    facts, day, rows = ledger.candidates.get(candidate_id).facts, asked.made.day, asked.rows
    try:
        pipeline = models.load(registry, model.name, int(str(facts.model_version)), str(facts.artifact_digest))
        theirs = learned.as_learned(ledger, model, candidate_id, estimators.inputs_of(pipeline))
        asked = asked.as_read_by(theirs, ledger)
        answers = answers_of(model, pipeline, asked.features.copy())
    except Exception as error:  # noqa: BLE001 - a challenger may raise anything; it must only cost itself
        traceback.print_exc()
        answers = no_answers(model, rows, error)
    _write(asked.model, day, rows, answers, candidate_id, str(facts.model_version), SHADOW)
    version = str(facts.model_version)
    shadowed = replace(asked.made, candidate_id=candidate_id, model_version=version, role=SHADOW)
    ledger.lineage.record_scoring(shadowed, same_features=asked.kept_before)
    answered = int(answers["error"].isna().sum())
    window = shadowing.count_day(ledger, model, candidate_id, day, len(rows), answered)
    print(
        f"{day}: {answered:,} of {len(rows):,} rows answered in shadow by {candidate_id}; {window.days} of "
        f"{count_of(window.min_days, 'day')}."
    )
    return {
        "candidate_id": candidate_id,
        "answered": answered,
        "days": window.days,
        "closed": window.closed_at is not None,
    }


def answers_of(model: ModelDeclaration, pipeline: Any, features: pd.DataFrame) -> pd.DataFrame:
    """score and predicted of each row; error where the score is no finite number. Raises what the model raises."""
    import numpy as np
    import pandas as pd

    scores = estimators.predict(pipeline, features, classifier=model.is_classifier)
    if len(scores) != len(features):
        raise ValueError(f"{len(scores)} answers to {len(features)} rows")
    classes = model.label.classes or []
    usable = np.isfinite(scores).reshape(len(scores), -1).all(axis=1)
    if scores.ndim == 2:
        predicted = [classes[i] for i in np.where(usable[:, None], scores, 0.0).argmax(axis=1)]
        columns = {"score": scores.max(axis=1), **{f"score_{c}": scores[:, i] for i, c in enumerate(classes)}}
    elif model.is_classifier:
        predicted, columns = [classes[int(s > 0.5)] for s in scores], {"score": scores}
    else:
        predicted, columns = [f"{s:.6g}" for s in scores], {"score": scores}
    return pd.DataFrame(
        {
            **{name: np.where(usable, values, np.nan) for name, values in columns.items()},
            "predicted": [p if ok else None for p, ok in zip(predicted, usable, strict=True)],
            "error": [None if ok else "the score is no finite number" for ok in usable],
        }
    )


def no_answers(model: ModelDeclaration, rows: pd.DataFrame, error: Exception) -> pd.DataFrame:
    """What the log holds of a challenger that raised: an error for each row it was asked."""
    import numpy as np
    import pandas as pd

    message = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    nothing = np.full(len(rows), np.nan)
    classes = model.label.classes or [] if model.task == "multiclass" else []
    columns = {"score": nothing, **{f"score_{c}": nothing for c in classes}}
    return pd.DataFrame({**columns, "predicted": [None] * len(rows), "error": [message] * len(rows)})


def _write(
    model: ModelDeclaration,
    day: str,
    rows: pd.DataFrame,
    answers: pd.DataFrame,
    candidate_id: str,
    version: str,
    role: str,
) -> None:
    keys = declarations().view(model.entity.view).keys
    requests = request_ids(model, rows)
    asked = rows[[*keys, "event_time", "prediction_time"]].reset_index(drop=True)
    table = _table(
        asked.assign(
            request_id=requests,
            prediction_id=[f"{candidate_id}|{r}" for r in requests],
            candidate_id=candidate_id,
            model_version=version,
            role=role,
            **{str(name): answers[name].to_numpy() for name in answers.columns},
        )
    )
    common.offline_store().write_predictions(model.name, day, candidate_id, table)


TEXT = ("request_id", "prediction_id", "candidate_id", "model_version", "role", "predicted", "error")
TIMES = ("event_time", "prediction_time")


def _table(frame: pd.DataFrame) -> pa.Table:
    """With declared types, so that a day whose every error is missing has the same columns as one with errors."""
    import pyarrow as pa

    def column(name: str) -> pa.Array:
        values = frame[name]
        if name in TIMES:
            # Without its zone for the way: asking a Series with one for its values is deprecated in pandas 3.1.
            naive = pa.array(values.dt.tz_convert(None).to_numpy(), pa.timestamp("us"), from_pandas=True)
            return naive.cast(pa.timestamp("us", tz="UTC"))
        kind = pa.float64() if name.startswith("score") else pa.string() if name in TEXT else None
        return pa.array(values.to_numpy(), kind, from_pandas=True)

    return pa.table({str(name): column(str(name)) for name in frame.columns})


def _require_published(ledger: Any, model: ModelDeclaration, asked: ModelDeclaration, day: str) -> None:
    declared = {use.view for use in model.views}
    for use in asked.views:
        view = declarations().view(use.view)
        if ledger.partitions.get(view.name, view.version, day) is None:
            line = (
                f"{view.ref} has no published {day}, so {model.name} cannot be scored. Run "
                f"features_{view.slug} for it first."
            )
            if use.view in declared:
                raise NotPublished(line)
            raise NotYetPublished(f"{line} The champion learned from it, and its Dag may be paused or still at it.")
