"""Answer rows before their event: at each answer time the champion answers every row that is known and not due yet,
with the features that are known then; a challenger in its shadow window answers the same rows from the same values.

Champion and challengers are those of the run's day, which is claimed as in ``daily``: a promotion begins with the next
day, so that no run is answered by two. An answer that was given is kept as it is: a run that is cleared, or replayed,
finds it and changes nothing. A run that is missed is missed: the day's closing (``daily``) fills its rows, and says so.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.adapters.ledger import Fenced, Ledger
from include.adapters.registry import ModelRegistry
from include.config import ModelDeclaration, declarations
from include.config.scored_ahead import DeclaredScore, times_of
from include.domain.ahead import AnswerTimes
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.promotion import Epoch
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.features.as_known import KnownRows
from include.workflows.lineage import tables_touched
from include.workflows.scoring import (
    ahead_counted,
    answer_rows,
    as_trained,
    challenger_process,
    daily,
    fitted_models,
    point_in_time_rows,
)
from include.workflows.scoring.request_ids import SERVED, SHADOW, request_ids

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class NotAhead(Refusal):
    """A model that declares no answers ahead."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model} declares no score, so its rows are answered once their day is over, by score_{model}. Declare "
            "score in its model.yaml to have them answered before."
        )


class NoAnswerTime(Refusal):
    """A moment at which the model does not answer."""

    def __init__(self, model: str, moment: datetime, times: AnswerTimes) -> None:
        near = times.at_or_before(moment)
        super().__init__(
            f"{moment.isoformat()} is no answer time of {model}, which answers at {times.cron} (UTC). Give one of "
            f"these, for example {near.isoformat()}."
        )


@dataclass(frozen=True, slots=True)
class _Run:
    """Runs of one day that answer together."""

    ledger: Ledger
    registry: ModelRegistry
    model: ModelDeclaration
    score: DeclaredScore
    known: KnownRows
    day: str
    moments: Sequence[datetime]
    run_id: str

    def rows(self, asked: ModelDeclaration, moments: Sequence[datetime]) -> pa.Table | None:
        """The rows of the moments with their features, as ``asked`` reads them, and ``answered_at``; None without."""
        import pyarrow as pa

        found = []
        for moment in moments:

            def source(view: Any, interval: Interval, at: datetime = moment) -> pa.Table:
                return self.known.rows(view, interval, at)

            open_for = Interval(moment + asked.entity.lead, moment + self.score.ahead)
            rows = point_in_time_rows.features_known_at(asked, open_for, moment, source)
            if rows.num_rows:
                at = pa.array([moment] * rows.num_rows, pa.timestamp("us", tz="UTC"))
                found.append(rows.append_column("answered_at", at))
        return pa.concat_tables(found).combine_chunks() if found else None


def answer_times(model: ModelDeclaration) -> AnswerTimes:
    """When the model answers ahead.

    Raises:
        NotAhead: when it does not.
    """
    if model.score is None:
        raise NotAhead(model.name)
    return times_of(model.score, [declarations().view(use.view) for use in model.views])


def score_ahead(model_name: str, moments: Sequence[datetime], run_id: str) -> dict[str, Any]:
    """Answer what is known at each of the moments; ``skipped`` says why when there is nothing to do.

    Raises:
        NotAhead, NoAnswerTime: when the model does not answer then.
        NotAskable, ModelFileRefused, VersionMissing: as ``daily.score``.
        SourceUnreachable, RowsUnusable and the like: when the rows cannot be read; none of the day's runs of this call
            has answered then.
    """
    model = declarations().model(model_name)
    times = answer_times(model)
    for moment in moments:
        if times.at_or_before(moment) != moment:
            raise NoAnswerTime(model_name, moment, times)
    if model.score is None or not moments:
        raise NotAhead(model_name)
    from include.adapters import sql_engine

    facts = []
    with stores.open_ledger() as opened, sql_engine.OpenDatabases() as databases:
        ledger = opened.fenced(opened.next_attempt(f"ahead/{model_name}/{moments[0].isoformat()}"))
        known = KnownRows(sorted(moments), databases)
        for day, of_day in _by_day(moments):
            made = _Run(ledger, stores.registry(), model, model.score, known, day, of_day, run_id)
            try:
                facts.append(_answered(made))
            except Fenced:
                return {"skipped": "A newer run answers these rows; this one stopped.", "facts": {}}
    if not any(each["rows"] for each in facts):
        why = next((each["why"] for each in facts if each["why"]), "no row is known ahead and not due yet")
        return {"skipped": f"Nothing was answered: {why}.", "facts": {"days": facts}}
    tables_touched.reads([tables_touched.registered_model(model)])
    return {"skipped": None, "facts": {"days": facts, "rows": sum(each["rows"] for each in facts)}}


def _by_day(moments: Sequence[datetime]) -> Iterator[tuple[str, list[datetime]]]:
    found: dict[str, list[datetime]] = {}
    for moment in sorted(moments):
        found.setdefault(moment.date().isoformat(), []).append(moment)
    yield from found.items()


def _answered(made: _Run) -> dict[str, Any]:
    while True:
        epoch = made.ledger.claims.server(made.model.name, made.day)
        if epoch is None:
            why = f"{made.model.name} has no champion on {made.day}"
            print(f"{why}, so no row is answered ahead.")
            return {"day": made.day, "rows": 0, "why": why, "shadow": []}
        try:
            _by_champion(made, epoch)
            break
        except daily.DayTakenOver as taken:
            print(taken)
    served = _served_at(made)
    shadows = [] if served is None else _by_challengers(made, served)
    return {
        "day": made.day,
        "runs": len(made.moments),
        "rows": 0 if served is None else len(served),
        "why": None,
        "champion": epoch.to_candidate,
        "model_version": str(epoch.model_version),
        "shadow": shadows,
    }


def _by_champion(made: _Run, champion: Epoch) -> None:
    """The champion's answers at the moments that were not answered before.

    Raises:
        DayTakenOver: when it does not serve the day any more; nothing was written then.
    """
    tables, model = stores.ahead_tables(), made.model
    answered = tables.answered(model.name)
    left = [moment for moment in made.moments if (moment, SERVED) not in answered]
    if len(left) < len(made.moments):
        again = len(made.moments) - len(left)
        print(f"{made.day}: {count_of(again, 'run')} had answered before; what was answered stays.")
    if not left:
        return
    version = int(str(champion.model_version))
    pipeline = fitted_models.load(made.registry, model.name, version, champion.digest)
    asked = as_trained.as_learned(made.ledger, model, champion.to_candidate, estimators.inputs_of(pipeline))
    given = made.rows(asked, left)
    if given is None:
        print(f"{made.day}: no row of {model.entity.view} is known ahead and not due yet.")
        return
    crashpoint("ahead.prepared")
    made.ledger.claims.claim(model.name, made.day, run_id=made.run_id)
    daily.require_server(made.ledger, champion, made.day)
    rows = given.to_pandas()
    answers = answer_rows.answers_of(model, pipeline, estimators.as_input(rows, fitted_models.kinds_of(asked)))
    if answers["error"].notna().any():
        raise RuntimeError(
            f"Champion {champion.to_candidate} could not answer {made.day}: {answers['error'].dropna().iloc[0]}"
        )

    def still_mine() -> None:
        made.ledger.database.require_newest()
        daily.require_server(made.ledger, champion, made.day)

    feature_set = _keep_features(asked, given, rows, left)
    crashpoint("ahead.served.kept")
    who = {
        "candidate_id": champion.to_candidate,
        "model_version": str(champion.model_version),
        "role": SERVED,
        "revision": champion.revision,
        "feature_set": feature_set,
    }
    table = _logged(model, rows.assign(request_id=request_ids(asked, rows)), answers, who)
    tables.write(model.name, table, left, still_mine=still_mine)
    crashpoint("ahead.served.written")
    for moment, of_run in rows.groupby("answered_at"):
        last = int((of_run["prediction_time"] == moment).sum())
        print(
            f"{moment:%Y-%m-%d %H:%M}: {count_of(len(of_run), 'row')} answered by {champion.to_candidate} (version "
            f"{champion.model_version}), {last:,} for the last time."
        )


def _served_at(made: _Run) -> pd.DataFrame | None:
    """What was served at the moments, whoever answered; None where nothing was."""
    span = Interval(made.moments[0], made.moments[-1] + made.score.ahead)
    found = stores.ahead_tables().read(made.model.name, span, made.moments[0])
    if found is None:
        return None
    rows = found.to_pandas()
    rows = rows[(rows["role"] == SERVED) & rows["answered_at"].isin(made.moments)].reset_index(drop=True)
    return rows if len(rows) else None


def _by_challengers(made: _Run, served: pd.DataFrame) -> list[dict[str, Any]]:
    """Every challenger whose window covers a row's day answers the row as it was served. Whatever it does, what was
    served stays valid: its failures are counted."""
    import pandas as pd

    days = served["event_time"].dt.strftime("%Y-%m-%d")
    covered: dict[str, set[str]] = {}
    for day in sorted(days.unique()):
        for window in made.ledger.shadow.covering(made.model.name, day):
            covered.setdefault(window.candidate_id, set()).add(day)
    answered, told = stores.ahead_tables().answered(made.model.name), []
    for candidate, its_days in sorted(covered.items()):
        left = [m for m in made.moments if candidate not in answered.get((m, SHADOW), ())]
        mine = days.isin(its_days) & served["answered_at"].isin(left) & (served["candidate_id"] != candidate)
        rows = served[mine].reset_index(drop=True)
        if len(rows):
            there = [pd.Timestamp(m).to_pydatetime() for m in rows["answered_at"].unique()]
            told.append(_by_challenger(made, candidate, rows, sorted(there)))
    return told


def _by_challenger(made: _Run, candidate: str, rows: pd.DataFrame, moments: list[datetime]) -> dict[str, Any]:
    model, facts = made.model, made.ledger.candidates.get(candidate).facts
    feature_set = str(rows["feature_set"].iloc[0])
    try:
        pipeline = fitted_models.load(
            made.registry, model.name, int(str(facts.model_version)), str(facts.serving_digest)
        )
        theirs = as_trained.as_learned(made.ledger, model, candidate, estimators.inputs_of(pipeline))
        asked, feature_set = _as_read_by(made, theirs, rows, moments)
        kinds = fitted_models.kinds_of(theirs)
        scores = challenger_process.scores_of(
            fitted_models.copy_of(str(facts.serving_digest)),
            str(facts.serving_digest),
            estimators.as_input(asked, kinds),
            kinds=kinds,
            classes=model.class_count,
            timeout_s=model.shadow.answer_within.total_seconds(),
        )
        answers = answer_rows.answers_with(model, scores, len(rows))
    except Exception as error:  # noqa: BLE001 - a challenger may raise anything; it must only cost itself
        traceback.print_exc()
        answers = answer_rows.no_answers(model, rows, error)
    who = {
        "candidate_id": candidate,
        "model_version": str(facts.model_version),
        "role": SHADOW,
        "feature_set": feature_set,
    }
    there = answers["error"].isna().sum()
    try:
        table = _logged(model, rows, answers, who)
        stores.ahead_tables().write(model.name, table, moments, still_mine=made.ledger.database.require_newest)
    except OSError as error:
        print(
            f"{made.day}: what {candidate} answered in shadow could not be kept ({error}); the closing asks it again."
        )
        there = 0
    crashpoint("ahead.shadow.written")
    print(f"{made.day}: {there:,} of {count_of(len(rows), 'row')} answered in shadow by {candidate}.")
    return {"candidate_id": candidate, "answered": int(there), "rows": len(rows)}


def _as_read_by(
    made: _Run, theirs: ModelDeclaration, rows: pd.DataFrame, moments: Sequence[datetime]
) -> tuple[pd.DataFrame, str]:
    """The features of the rows as the model reads them, row by row, and the feature set that has them: those that were
    kept, where the champion read the same."""
    import pandas as pd

    champions = {str(c): theirs for c in rows["candidate_id"].unique()}
    for candidate in champions:
        facts = made.ledger.candidates.get(candidate).facts
        pipeline = fitted_models.load(
            made.registry, made.model.name, int(str(facts.model_version)), str(facts.serving_digest)
        )
        champions[candidate] = as_trained.as_learned(made.ledger, made.model, candidate, estimators.inputs_of(pipeline))
    place = pd.MultiIndex.from_arrays([rows["answered_at"], rows["request_id"]])
    if all(as_trained.reads_the_same(theirs, each) for each in champions.values()):
        feature_set = str(rows["feature_set"].iloc[0])
        kept = ahead_counted.kept_features(made.model.name, [feature_set], moments[0], moments[-1])
        return kept.loc[place].reset_index(drop=True), feature_set
    given = made.rows(theirs, moments)
    if given is None:
        raise as_trained.NotAskable(f"No row of {theirs.entity.view} is known ahead.")
    frame = given.to_pandas()
    feature_set = _keep_features(theirs, given, frame, moments)
    found = frame.set_index([frame["answered_at"], pd.Index(request_ids(theirs, frame), name="request_id")])
    lost = place.difference(found.index)
    if len(lost):
        raise as_trained.NotAskable(
            f"{count_of(len(lost), 'row')} of {len(rows):,} are not in {theirs.entity.view}, for example {lost[0][1]}."
        )
    return found.loc[place].reset_index(drop=True), feature_set


def _keep_features(model: ModelDeclaration, given: pa.Table, rows: pd.DataFrame, moments: Sequence[datetime]) -> str:
    import pyarrow as pa

    from include.adapters.offline_store import SERVED_PREFIX

    columns = {"request_id": pa.array(request_ids(model, rows), pa.string())}
    columns |= {"answered_at": given.column("answered_at")}
    columns |= {f"{SERVED_PREFIX}{name}": given.column(name) for name in model.features}
    read = {use.name: use.version for use in model.views}
    return stores.ahead_tables().keep_features(model.name, pa.table(columns), moments, read)


def _logged(model: ModelDeclaration, rows: pd.DataFrame, answers: pd.DataFrame, who: dict[str, Any]) -> pa.Table:
    """The answers as the table has them."""
    keys = declarations().view(model.entity.view).keys
    about = ["request_id", *keys, "event_time", "prediction_time", "answered_at"]
    revision = {"revision": rows["revision"].to_numpy()} if "revision" in rows else {}
    return answer_rows.as_table(rows[about].reset_index(drop=True).assign(**revision, **who).join(answers))
