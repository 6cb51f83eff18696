"""Collect a day of a model that is asked online: the journal's records become the day's part of the prediction log.

The log, the served features and the ledger then say of the day what they say of one that was scored in batch, so all
that reads them stays the same. A day can be collected again and again, and each time the same records give the same
bytes. It is closed only once it is over and no process can add to it any more; then its event goes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.adapters.ledger import Fenced, Ledger, Scoring
from include.adapters.offline_store import TableMissing
from include.config import ModelDeclaration, declarations
from include.config.settings import settings
from include.domain.errors import NotYet, Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.journal.collected import may_still_come
from include.domain.promotion import Epoch
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.lineage import promised, recording, tables_touched
from include.workflows.scoring import as_trained, collected_rows, collected_words, daily, online_challenger, shadow_days
from include.workflows.scoring.journal_columns import AnswerForm
from include.workflows.scoring.journal_read import JournalDay, journal_of, newest_in, shadow_of
from include.workflows.scoring.request_ids import ALSO_SERVED, ANSWERED, SERVED, SHADOW

if TYPE_CHECKING:
    import pyarrow as pa


class DayStillOpen(NotYet):
    """The day is in the log as far as it is written, and more of it may come."""


class JournalShorter(Refusal):
    """The journal has fewer answers of a day than the log: segments were removed."""

    def __init__(self, model: str, day: str, held: int, found: int) -> None:
        super().__init__(
            f"The prediction log of {model} has {count_of(held, 'answer')} of {day}, and the journal has {found:,} of "
            "that day, so the log was left as it is. Put the missing segments back into SLIPWAY_HOME/journal, or leave "
            "the day as it was collected."
        )


class NotOnline(Refusal):
    """A model of which no journal is written."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model} is not asked online (serving.mode is batch), so there is no journal to collect. Run "
            f"score_{model} for the day."
        )


@dataclass(frozen=True, slots=True)
class _Day:
    """A day that is being collected: what was declared, what the journal has, and where it is written."""

    model: ModelDeclaration
    day: str
    run_id: str
    now: datetime
    journal: JournalDay
    ledger: Ledger
    closing: Ledger | None = None
    """Of an open day that is collected so far: the same ledger, for as long as no one collects the whole day."""

    def rows(self, answers: pa.Table) -> pa.Table:
        return collected_rows.asked_rows(self.model, answers, self.journal.form.keys)


def collect(model_name: str, day: str, run_id: str, now: datetime) -> dict[str, Any]:
    """Make the day's partitions of the prediction log from the journal, and close the day when it is over; ``skipped``
    says why where there is nothing to collect. ``now`` is the machine's time.

    The champion that the ledger has for the day serves it, as in batch. Answers of another one, on the day of a
    promotion or a rollback, are in the log as ``also_served``, and nothing is judged by them.

    Raises:
        DayStillOpen: when the day is not over, or somebody may still write of it. What is there is in the log.
        JournalShorter: when the journal has lost answers that the log has.
        NotOnline: when the model is not asked online.
        NotAskable: when what the champion learned from is not declared any more.
    """
    model = declarations().model(model_name)
    if model.serving.mode != "online":
        raise NotOnline(model_name)
    interval = Interval.of_day(day)
    if now < interval.start:
        return _nothing(f"{day} has not begun at {now:%Y-%m-%d %H:%M} UTC.")
    found = _journal(model, interval, now)
    waiting = collected_words.still_writing(found, interval, now)
    with stores.open_ledger() as opened:
        ledger = opened.fenced(opened.next_attempt(f"score/{model_name}/{day}"))
        made = _Day(model, day, run_id, now, found, ledger)
        _require_no_fewer(made)
        try:
            facts, shadows_wait = _collected(made, closes=not waiting)
        except Fenced:
            return _nothing(f"A newer run has taken {day} over and collects it; this one stopped.")
    waiting += shadows_wait
    if waiting:
        raise DayStillOpen(f"{day} of {model_name} is in the log as far as it is written, and not closed: {waiting[0]}")
    return facts


def collect_so_far(model_name: str, run_id: str, now: datetime) -> dict[str, Any]:
    """Bring what was answered of the open day so far into the log, without closing it: the day in which the newest
    record of the journal is, by the clock of the data. ``now`` is the machine's time. A run that collects the
    whole day is never disturbed; this one stops for it.

    Raises:
        JournalShorter, NotOnline, NotAskable: as ``collect``.
    """
    model = declarations().model(model_name)
    if model.serving.mode != "online":
        raise NotOnline(model_name)
    newest = newest_in(settings().home / "journal")
    if newest is None:
        return _nothing(f"The journal has no record, so {model_name} was asked nothing.")
    day = newest.date().isoformat()
    with stores.open_ledger() as opened:
        # Both before the journal is read, so that whoever begins later has read at least as much.
        closing = opened.fenced(opened.newest_attempt(f"score/{model_name}/{day}"))
        ledger = opened.fenced(opened.next_attempt(f"open/{model_name}/{day}"))
        made = _Day(model, day, run_id, now, _journal(model, Interval.of_day(day), now), ledger, closing)
        _require_no_fewer(made)
        try:
            return _collected(made, closes=False)[0]
        except Fenced:
            return _nothing(f"Another run has taken {day} over and collects it; this one stopped.")


def _require_no_fewer(made: _Day) -> None:
    held = sum(
        each.rows
        for each in made.ledger.lineage.scorings(made.model.name, made.day, _after(made.day))
        if each.role in ANSWERED
    )
    if held > len(made.journal.answers):
        raise JournalShorter(made.model.name, made.day, held, len(made.journal.answers))


def _journal(model: ModelDeclaration, interval: Interval, now: datetime) -> JournalDay:
    """
    Raises:
        TableMissing: when there are answers, and the entity's view was never published.
    """
    try:
        return journal_of(AnswerForm.of(model, collected_rows.key_types(model, interval)), interval.days[0], now)
    except TableMissing:
        found = journal_of(AnswerForm.of(model, {}), interval.days[0], now)
        if len(found.answers):
            raise
        return found


def _collected(made: _Day, *, closes: bool) -> tuple[dict[str, Any], list[str]]:
    """The day in log and ledger: the facts of its event, and what its closing waits for."""
    ledger, model, day = made.ledger, made.model, made.day
    for sentence in collected_words.of_the_journal(made.journal, model, ledger):
        print(sentence)
    if not len(made.journal.answers):
        return _nothing(f"The journal has no answer of {model.name} on {day}."), []
    while True:
        epoch = ledger.claims.server(model.name, day)
        if epoch is None:
            return _nothing(f"{model.name} has no champion on {day}, so none of its answers is judged."), []
        try:
            return _collected_of(made, epoch, closes=closes)
        except daily.DayTakenOver as taken:
            print(taken)


def _collected_of(made: _Day, champion: Epoch, *, closes: bool) -> tuple[dict[str, Any], list[str]]:
    """The day as this champion's.

    Raises:
        DayTakenOver: when it is not the day's server, or no longer.
        Fenced: when a newer attempt collects the day.
    """
    ledger, model, day = made.ledger, made.model, made.day
    by_candidate = _by_candidate(made.journal.answers)
    served = by_candidate.pop(champion.to_candidate, None)
    crashpoint("collecting.read")
    if served is not None:  # a day that is claimed has answers of whoever claimed it
        ledger.claims.claim(model.name, day, run_id=made.run_id)
    daily.require_server(ledger, champion, day)
    scored, shadows, wait = None, list[dict[str, Any]](), list[str]()
    if served is not None:
        scored, kept_before = _write_served(made, champion, served)
    for candidate in sorted(by_candidate):
        _write_also(made, candidate, by_candidate[candidate], champion)
    if scored is not None and served is not None:
        beside = _Beside(served, scored, kept_before)
        for window in ledger.shadow.covering(model.name, day):
            if window.candidate_id not in (champion.to_candidate, *by_candidate):
                facts, waits_for = _shadow(made, beside, window.candidate_id, closes=closes and not wait)
                shadows.append(facts)
                wait += waits_for
    others = {candidate: len(answers) for candidate, answers in sorted(by_candidate.items())}
    print("\n".join(collected_words.collected(day, champion, 0 if served is None else len(served), others)))
    if scored is None or served is None:
        return _nothing(f"{champion.to_candidate} answered nothing on {day}, so nothing of it is judged."), wait
    tables_touched.writes([tables_touched.prediction_log(model)])
    scores = [score for score in _scores(served) if score is not None]
    facts = {
        "day": day,
        "rows": len(served),
        "champion": champion.to_candidate,
        "model_version": str(champion.model_version),
        "mean_score": sum(scores) / len(scores) if scores else None,
        "shadow": shadows,
        "also_served": others,
        "gone": [each.name for each in collected_words.gone(made.journal)],
    }
    return {"skipped": None, "facts": facts}, wait


def _write_served(made: _Day, champion: Epoch, answers: pa.Table) -> tuple[Scoring, bool]:
    """Features, answers and what they were made from, in this order; whether the same features were kept before."""
    ledger, model, day = made.ledger, made.model, made.day
    inputs = collected_rows.inputs_of(answers)
    learned = as_trained.as_learned(ledger, model, champion.to_candidate, inputs)
    kept = collected_rows.kept_features(learned, made.rows(answers), answers, inputs)
    versions = {use.name: use.version for use in learned.views}
    # The features first: an answer in the log always has what it was computed from.
    feature_set, changed = stores.offline_store().write_served(
        model.name, day, kept, versions, still_mine=lambda: _require_mine(made, champion)
    )
    crashpoint("collecting.served.kept")
    scored = replace(
        _scoring(made, answers, SERVED, str(champion.model_version)),
        feature_set=feature_set,
        sources=recording.views_read(ledger, learned, Interval.of_day(day), recording.pinned_now(learned)),
    )
    _write(made, scored, answers, lambda: _require_mine(made, champion))
    crashpoint("collecting.served.written")
    try:
        daily.require_server(ledger, champion, day)
    except daily.DayTakenOver:
        # Taken over between the last check and the commit: the other process has not seen these answers.
        stores.offline_store().drop_predictions(model.name, day, champion.to_candidate)
        raise
    ledger.lineage.record_scoring(scored, same_features=not changed)
    crashpoint("collecting.served.recorded")
    return scored, not changed


def _write_also(made: _Day, candidate: str, answers: pa.Table, champion: Epoch) -> None:
    """Answers of another champion of the day. Their features stay in the journal."""
    version = str(made.ledger.candidates.get(candidate).facts.model_version)
    scored = _scoring(made, answers, ALSO_SERVED, version)
    _write(made, scored, answers, lambda: _require_mine(made, champion))
    crashpoint("collecting.also.written")
    made.ledger.lineage.record_scoring(scored, same_features=True)
    crashpoint("collecting.also.recorded")


@dataclass(frozen=True, slots=True)
class _Beside:
    """The champion's rows of a day, beside which challengers answered."""

    answers: pa.Table
    scored: Scoring
    kept_before: bool


def _shadow(made: _Day, beside: _Beside, candidate: str, *, closes: bool) -> tuple[dict[str, Any], list[str]]:
    """A challenger's answers to the champion's rows; its day is counted once the day is closed. What it has not
    answered has no row, and lowers its coverage."""
    import pyarrow.compute as pc

    ledger, model, day = made.ledger, made.model, made.day
    asked = beside.answers.filter(pc.is_null(beside.answers.column("error")))
    folder, form = online_challenger.own_folder(candidate), made.journal.form
    found = shadow_of(folder, form, day, asked.column("asked_id").combine_chunks(), made.now)
    answers = found.answers.filter(pc.equal(found.answers.column("candidate"), candidate))
    held = sum(e.rows for e in ledger.lineage.scorings(model.name, day, _after(day), candidate) if e.role == SHADOW)
    window = ledger.shadow.window(candidate)
    if len(answers) and len(answers) >= held:
        version = str(ledger.candidates.get(candidate).facts.model_version)
        scored = replace(
            _scoring(made, answers, SHADOW, version),
            feature_set=beside.scored.feature_set,
            sources=beside.scored.sources,
        )
        _write(made, scored, answers, lambda: _require_newest(made))
        crashpoint("collecting.shadow.written")
        ledger.lineage.record_scoring(scored, same_features=beside.kept_before)
        crashpoint("collecting.shadow.recorded")
    elif held:
        print(f"{day}: the journal of {candidate} has fewer answers than the log ({held:,}), which is left as it is.")
    answered = answers.column("error").null_count
    there = pc.is_in(asked.column("asked_id"), value_set=answers.column("asked_id").combine_chunks())
    missing = asked.filter(pc.invert(there))
    newest = pc.max(missing.column("prediction_time")).as_py()
    waits = may_still_come(newest, found.until, found.silent)
    if closes and not waits:
        window = shadow_days.count_day(ledger, model, candidate, day, len(asked), answered)
    facts = {
        "candidate_id": candidate,
        "answered": answered,
        "days": window.days if window else 0,
        "closed": bool(window and window.closed_at is not None),
    }
    print(f"{day}: {answered:,} of {count_of(len(asked), 'row')} answered in shadow by {candidate}.")
    return facts, [f"{candidate} may still answer {count_of(len(missing), 'row')}."] if waits else []


def _scoring(made: _Day, answers: pa.Table, role: str, version: str) -> Scoring:
    import pyarrow.compute as pc

    times = pc.min_max(answers.column("prediction_time")).as_py()
    return Scoring(
        model=made.model.name,
        day=made.day,
        candidate_id=answers.column("candidate")[0].as_py(),
        role=role,
        model_version=version,
        rows=len(answers),
        first_asked=times["min"],
        last_asked=times["max"],
        feature_set=promised.NOT_KEPT,
        sources=(),
        run_id=made.run_id,
    )


def _write(made: _Day, scored: Scoring, answers: pa.Table, still_mine: Callable[[], None]) -> None:
    table = collected_rows.logged(
        made.model, made.rows(answers), answers, version=scored.model_version, role=scored.role
    )
    store = stores.offline_store()
    store.write_predictions(made.model.name, made.day, scored.candidate_id, table, still_mine=still_mine)


def _require_newest(made: _Day) -> None:
    made.ledger.database.require_newest()
    if made.closing is not None:
        made.closing.database.require_newest()


def _require_mine(made: _Day, champion: Epoch) -> None:
    _require_newest(made)
    daily.require_server(made.ledger, champion, made.day)


def _scores(answers: pa.Table) -> list[float | None]:
    """As the log's column ``score`` has them: of several classes that of the likeliest."""
    scores = answers.column("score").to_pylist()
    return [max(each) if isinstance(each, list) else each for each in scores]


def _by_candidate(answers: pa.Table) -> dict[str, pa.Table]:
    import pyarrow.compute as pc

    who = answers.column("candidate")
    names = who.unique().to_pylist()
    return {name: answers if len(names) == 1 else answers.filter(pc.equal(who, name)) for name in names}


def _after(day: str) -> str:
    return Interval.of_day(day).end.date().isoformat()


def _nothing(why: str) -> dict[str, Any]:
    return {"skipped": why, "facts": {}}
