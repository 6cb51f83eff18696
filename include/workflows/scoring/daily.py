"""Score a day: the champion of that day serves, every challenger whose shadow window covers it answers the same rows.

Champion and challengers are chosen by data time, from the ledger, where each day is claimed before it is answered. So a
day scored again, at any later time, gets the same answers by the same models; but for the days of a candidate that was
rolled back: scored again, they are answered by the champion that was restored.

Of a model that answers ahead (``ahead``) this closes the day: the log gets the answers that were given in time, and
rows without one are filled, marked as answered afterwards.
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
from include.workflows.lineage import promised, recording, tables_touched
from include.workflows.scoring import (
    ahead_counted,
    as_trained,
    challenger_process,
    fitted_models,
    point_in_time_rows,
    shadow_days,
)
from include.workflows.scoring.ahead_counted import Counted
from include.workflows.scoring.answer_rows import answers_of, answers_with, as_table, no_answers
from include.workflows.scoring.request_ids import ALSO_SERVED, SERVED, SHADOW, request_ids

if TYPE_CHECKING:
    import pandas as pd


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
    counted = None
    if model.score is not None:
        requests = request_ids(asked, rows)
        counted = ahead_counted.of_day(model, interval, requests, rows["prediction_time"], champion)
        given = counted.as_served(asked, given, champion.to_candidate)
        rows = given.to_pandas()
    crashpoint("scoring.prepared")
    ledger.claims.claim(model.name, day, run_id=run_id)
    require_server(ledger, champion, day)
    crashpoint("scoring.claimed")
    features = estimators.as_input(rows, fitted_models.kinds_of(asked))
    served = _completed(counted, champion.to_candidate, features, lambda some: answers_of(model, pipeline, some))
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
    if counted is not None:
        _write_others(ledger, asked, made, rows, counted, still_mine)
    beside = _Asked(asked, made, rows, features, not changed, counted)
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
    if counted is not None:
        facts["answered"] = counted.facts
        print(f"{day}: {counted.sentence}")
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
    counted: Counted | None = None
    """What was answered ahead; None of a model that does not."""

    def as_read_by(self, model: ModelDeclaration, ledger: Any, candidate_id: str) -> _Asked:
        """The same requests with their features as another model reads them, which are kept too.

        Raises:
            TableMissing: when one of its views was never published. NotAskable: when a request has no row in them.
        """
        if as_trained.reads_the_same(model, self.model):
            return self
        day, interval = self.made.day, Interval.of_day(self.made.day)
        pinned = recording.pinned_now(model)
        given = point_in_time_rows.features_for(model, interval, interval.end, pinned)
        if self.counted is not None:
            given = self.counted.as_served(model, given, candidate_id)
        there = given.to_pandas()
        features = as_trained.in_input_order(model, there, request_ids(self.model, self.rows))
        feature_set, changed = recording.keep_served(model, day, given, request_ids(model, there))
        sources = recording.views_read(ledger, model, interval, pinned)
        made = replace(self.made, feature_set=feature_set, sources=sources)
        return _Asked(model, made, self.rows, features, not changed, self.counted)


def _shadow(
    ledger: Any, registry: ModelRegistry, model: ModelDeclaration, asked: _Asked, candidate_id: str
) -> dict[str, Any]:
    """Let a challenger answer the same requests. Whatever it does, the champion's answers stay valid: its failures are
    counted."""
    facts, day, rows = ledger.candidates.get(candidate_id).facts, asked.made.day, asked.rows
    try:
        pipeline = fitted_models.load(registry, model.name, int(str(facts.model_version)), str(facts.serving_digest))
        theirs = as_trained.as_learned(ledger, model, candidate_id, estimators.inputs_of(pipeline))
        asked = asked.as_read_by(theirs, ledger, candidate_id)

        def ask(features: pd.DataFrame) -> pd.DataFrame:
            scores = challenger_process.scores_of(
                fitted_models.copy_of(str(facts.serving_digest)),
                str(facts.serving_digest),
                features,
                kinds=fitted_models.kinds_of(theirs),
                classes=model.class_count,
                timeout_s=model.shadow.answer_within.total_seconds(),
            )
            return answers_with(model, scores, len(features))

        answers = _completed(asked.counted, candidate_id, asked.features, ask)
    except Exception as error:  # noqa: BLE001 - a challenger may raise anything; it must only cost itself
        traceback.print_exc()
        failed = error
        answers = _completed(asked.counted, candidate_id, asked.features, lambda some: no_answers(model, some, failed))
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


def _completed(
    counted: Counted | None, candidate_id: str, features: pd.DataFrame, ask: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """The candidate's answers to a day's rows: those that were given ahead, and what ``ask`` says to the others."""
    if counted is None:
        return ask(features)
    return counted.completed(candidate_id, lambda some: ask(features[some].reset_index(drop=True)))


def _write_others(
    ledger: Any,
    model: ModelDeclaration,
    made: Scoring,
    rows: pd.DataFrame,
    counted: Counted,
    still_mine: Callable[[], None],
) -> None:
    """Answers that counted and that another champion gave: they were served, and nothing is judged by them."""
    for candidate_id, theirs in counted.others.groupby("candidate_id"):
        there = counted.requests.isin(theirs.index)
        answers = counted.of_another(str(candidate_id))
        asked = rows[there].reset_index(drop=True).assign(prediction_time=answers["answered_at"])
        also = replace(
            made,
            candidate_id=str(candidate_id),
            role=ALSO_SERVED,
            model_version=str(theirs["model_version"].iloc[0]),
            rows=len(theirs),
            first_asked=asked["prediction_time"].min().to_pydatetime(),
            last_asked=asked["prediction_time"].max().to_pydatetime(),
            feature_set=promised.NOT_KEPT,
            sources=(),
        )
        _write(model, also, asked, answers, still_mine)
        crashpoint("scoring.also.written")
        ledger.lineage.record_scoring(also, same_features=True)
        crashpoint("scoring.also.recorded")


def _write(
    model: ModelDeclaration, made: Scoring, rows: pd.DataFrame, answers: pd.DataFrame, still_mine: Callable[[], None]
) -> None:
    keys = declarations().view(model.entity.view).keys
    requests = request_ids(model, rows)
    asked = rows[[*keys, "event_time", "prediction_time"]].reset_index(drop=True)
    table = as_table(
        asked.assign(
            request_id=requests,
            prediction_id=[f"{made.candidate_id}|{r}" for r in requests],
            candidate_id=made.candidate_id,
            model_version=made.model_version,
            role=made.role,
        ).join(answers.reset_index(drop=True))
    )
    store = stores.offline_store()
    store.write_predictions(model.name, made.day, made.candidate_id, table, still_mine=still_mine)


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
