"""Score a day: the champion of that day serves, every challenger whose shadow window covers it answers the same rows.

Champion and challengers are chosen by data time, from the ledger, where each day is claimed before it is answered. So a
day scored again, at any later time, gets the same answers by the same models; but for the days of a candidate that was
rolled back: scored again, they are answered by the champion that was restored.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.adapters.ledger import Fenced, Ledger, Scoring
from include.adapters.registry import ModelRegistry
from include.config import ModelDeclaration, declarations
from include.domain.errors import NotYet, Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.promotion import Epoch
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.lineage import recording, tables_touched
from include.workflows.scoring import as_trained, challenger_process, fitted_models, point_in_time_rows, shadow_days
from include.workflows.scoring.request_ids import SERVED, SHADOW, request_ids

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class NotPublished(Refusal):
    """A day of a view that the model reads was never published."""


class NotYetPublished(NotYet):
    """A day of an older version of a view, which only the champion reads, is not published. It has a Dag of its own,
    which may still be at it: waiting helps."""


class DayTakenOver(Exception):
    """The day belongs to another candidate by now: the one that was to answer it was rolled back."""


def score(model_name: str, day: str, run_id: str) -> dict[str, Any]:
    """Score one day and write the prediction log; ``skipped`` says why when there is nothing to do.

    The day is claimed in the ledger before it is answered, so that it has one server: a promotion that commits
    meanwhile begins after it, and a later scoring of it finds the same claim. Only a rollback of that candidate gives
    the day to another, at any moment until the day's answers are in the log.

    Raises:
        NotPublished: when a view of the model has no such day.
        NotYetPublished: the same, of an older version of a view that only the champion learned from.
        NotAskable: when what the champion learned from is not declared any more.
        ModelFileRefused, VersionMissing: when the champion's artifact is not what its gates judged.
    """
    model = declarations().model(model_name)
    with stores.open_ledger() as opened:
        attempt = opened.next_attempt(f"score/{model_name}/{day}")
        ledger, registry = opened.fenced(attempt), stores.registry()
        try:
            while True:
                epoch = ledger.claims.server(model_name, day)
                if epoch is None:
                    return {
                        "skipped": f"{model_name} has no champion on {day}, so there is nothing to score with.",
                        "facts": {},
                    }
                try:
                    return _scored_by(ledger, registry, model, epoch, day, run_id)
                except DayTakenOver as taken:
                    print(taken)
        except Fenced:
            return {"skipped": f"A newer run has taken {day} over and answers it; this one stopped.", "facts": {}}


def _scored_by(
    ledger: Ledger, registry: ModelRegistry, model: ModelDeclaration, champion: Epoch, day: str, run_id: str
) -> dict[str, Any]:
    """The day, served by this champion.

    Raises:
        DayTakenOver: when it is not the day's server, or no longer; nothing of it is in the log then.
        Fenced: when a newer attempt scores the day.
    """
    interval = Interval.of_day(day)
    pipeline = fitted_models.load(registry, model.name, int(str(champion.model_version)), champion.digest)
    asked = as_trained.as_learned(ledger, model, champion.to_candidate, estimators.inputs_of(pipeline))
    _require_published(ledger, model, asked, day)
    pinned = recording.pinned_now(asked)
    given = point_in_time_rows.features_for(asked, interval, interval.end, pinned)
    rows = given.to_pandas()
    if rows.empty:
        return {"skipped": f"No row of {model.entity.view} on {day}: nothing to score.", "facts": {}}
    crashpoint("scoring.prepared")
    ledger.claims.claim(model.name, day, run_id=run_id)
    require_server(ledger, champion, day)
    crashpoint("scoring.claimed")
    features = estimators.as_input(rows, fitted_models.kinds_of(asked))
    served = answers_of(model, pipeline, features)
    if served["error"].notna().any():
        raise RuntimeError(
            f"Champion {champion.to_candidate} could not answer {day}: {served['error'].dropna().iloc[0]}"
        )
    # The features first: an answer in the log always has what it was computed from.
    feature_set, changed = recording.keep_served(asked, day, given, request_ids(asked, rows))
    made = Scoring(
        model=model.name,
        day=day,
        candidate_id=champion.to_candidate,
        role=SERVED,
        model_version=str(champion.model_version),
        rows=len(rows),
        first_asked=rows["prediction_time"].min().to_pydatetime(),
        last_asked=rows["prediction_time"].max().to_pydatetime(),
        feature_set=feature_set,
        sources=recording.views_read(ledger, asked, interval, pinned),
        run_id=run_id,
    )
    crashpoint("scoring.served.kept")

    def still_mine() -> None:
        ledger.database.require_newest()
        require_server(ledger, champion, day)

    _write(asked, made, rows, served, still_mine)
    crashpoint("scoring.served.written")
    try:
        require_server(ledger, champion, day)
    except DayTakenOver:
        # Taken over between the last check and the commit: the other process has not seen these answers.
        stores.offline_store().drop_predictions(model.name, day, champion.to_candidate)
        raise
    ledger.lineage.record_scoring(made, same_features=not changed)
    crashpoint("scoring.served.recorded")
    beside = _Asked(asked, made, rows, features, not changed)
    shadows = [
        _shadow(ledger, registry, model, beside, window.candidate_id)
        for window in ledger.shadow.covering(model.name, day)
        if window.candidate_id != champion.to_candidate
    ]
    facts = {
        "day": day,
        "rows": len(rows),
        "champion": champion.to_candidate,
        "model_version": str(champion.model_version),
        "mean_score": float(served["score"].mean()),
        "shadow": shadows,
    }
    tables_touched.reads(tables_touched.view_table(declarations().view(use.view)) for use in asked.views)
    tables_touched.reads([tables_touched.registered_model(model)])
    tables_touched.writes([tables_touched.prediction_log(model)])
    print(f"{day}: {len(rows):,} rows served by {champion.to_candidate} (version {champion.model_version}).")
    return {"skipped": None, "facts": facts}


def require_server(ledger: Ledger, champion: Epoch, day: str) -> None:
    """
    Raises:
        DayTakenOver: when another candidate serves the day by now.
    """
    now = ledger.claims.server(champion.model, day)
    if now is None or now.to_candidate != champion.to_candidate:
        who = "no one" if now is None else now.to_candidate
        raise DayTakenOver(f"{day} is served by {who}, not by {champion.to_candidate} any more; it is scored again.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The requests of a day, row by row with their features, as ``model`` reads them."""

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
        if as_trained.reads_the_same(model, self.model):
            return self
        day, interval = self.made.day, Interval.of_day(self.made.day)
        pinned = recording.pinned_now(model)
        given = point_in_time_rows.features_for(model, interval, interval.end, pinned)
        there = given.to_pandas()
        features = as_trained.in_input_order(model, there, request_ids(self.model, self.rows))
        feature_set, changed = recording.keep_served(model, day, given, request_ids(model, there))
        sources = recording.views_read(ledger, model, interval, pinned)
        made = replace(self.made, feature_set=feature_set, sources=sources)
        return _Asked(model, made, self.rows, features, not changed)


def _shadow(
    ledger: Any, registry: ModelRegistry, model: ModelDeclaration, asked: _Asked, candidate_id: str
) -> dict[str, Any]:
    """Let a challenger answer the same requests. Whatever it does, the champion's answers stay valid: its failures are
    counted."""
    facts, day, rows = ledger.candidates.get(candidate_id).facts, asked.made.day, asked.rows
    try:
        pipeline = fitted_models.load(registry, model.name, int(str(facts.model_version)), str(facts.serving_digest))
        theirs = as_trained.as_learned(ledger, model, candidate_id, estimators.inputs_of(pipeline))
        asked = asked.as_read_by(theirs, ledger)
        scores = challenger_process.scores_of(
            fitted_models.copy_of(str(facts.serving_digest)),
            str(facts.serving_digest),
            asked.features,
            kinds=fitted_models.kinds_of(theirs),
            classes=model.class_count,
            timeout_s=model.shadow.answer_within.total_seconds(),
        )
        answers = answers_with(model, scores, len(rows))
    except Exception as error:  # noqa: BLE001 - a challenger may raise anything; it must only cost itself
        traceback.print_exc()
        answers = no_answers(model, rows, error)
    version = str(facts.model_version)
    shadowed = replace(asked.made, candidate_id=candidate_id, model_version=version, role=SHADOW)
    answered = int(answers["error"].isna().sum())
    try:
        _write(asked.model, shadowed, rows, answers, ledger.database.require_newest)
    except OSError as error:
        # The champion's answers are in the log. Only the challenger's are lost, and count as not answered.
        print(f"{day}: what {candidate_id} answered in shadow could not be kept ({error}); it counts as not answered.")
        answered = 0
    else:
        crashpoint("scoring.shadow.written")
        ledger.lineage.record_scoring(shadowed, same_features=asked.kept_before)
    crashpoint("scoring.shadow.recorded")
    window = shadow_days.count_day(ledger, model, candidate_id, day, len(rows), answered)
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
    return answers_with(model, estimators.predict(pipeline, features, classes=model.class_count), len(features))


def answers_with(model: ModelDeclaration, scores: Any, rows: int) -> pd.DataFrame:
    """As ``answers_of``, of scores that a model gave to so many rows.

    Raises:
        ValueError: when they are not one for each row, or not one for each class.
    """
    import numpy as np
    import pandas as pd

    if len(scores) != rows:
        raise ValueError(f"{len(scores)} answers to {rows} rows")
    classes = model.label.classes or []
    width = len(classes) if len(classes) > 2 else 1
    if scores.ndim not in (1, 2) or (scores.shape[1] if scores.ndim == 2 else 1) != width:
        raise ValueError(f"answers of the shape {scores.shape} where {width} a row were asked for")
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

    named = str(error) if isinstance(error, challenger_process.ChallengerFailed) else f"{type(error).__name__}: {error}"
    message = named.splitlines()[0][:200]
    nothing = np.full(len(rows), np.nan)
    classes = model.label.classes or [] if model.task == "multiclass" else []
    columns = {"score": nothing, **{f"score_{c}": nothing for c in classes}}
    return pd.DataFrame({**columns, "predicted": [None] * len(rows), "error": [message] * len(rows)})


def _write(
    model: ModelDeclaration, made: Scoring, rows: pd.DataFrame, answers: pd.DataFrame, still_mine: Callable[[], None]
) -> None:
    keys = declarations().view(model.entity.view).keys
    requests = request_ids(model, rows)
    asked = rows[[*keys, "event_time", "prediction_time"]].reset_index(drop=True)
    table = _table(
        asked.assign(
            request_id=requests,
            prediction_id=[f"{made.candidate_id}|{r}" for r in requests],
            candidate_id=made.candidate_id,
            model_version=made.model_version,
            role=made.role,
            **{str(name): answers[name].to_numpy() for name in answers.columns},
        )
    )
    store = stores.offline_store()
    store.write_predictions(model.name, made.day, made.candidate_id, table, still_mine=still_mine)


TEXT = ("request_id", "prediction_id", "candidate_id", "model_version", "role", "predicted", "error")
TIMES = ("event_time", "prediction_time")


def _table(frame: pd.DataFrame) -> pa.Table:
    """With declared types, so that a day whose every error is missing has the same columns as one with errors."""
    import pyarrow as pa

    def column(name: str) -> pa.Array:
        values = frame[name]
        if name in TIMES:
            # Converted without its time zone: the values of a Series with one are deprecated in pandas 3.1.
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
