"""What is overdue: counted by the clock from the ledger's last record of it.

The day of the data never counts, so history that is replayed today is fresh today; and of a view whose calendar has
ended nothing is expected, unless its declaration says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

from include.adapters.ledger import Failing, Ledger, PartitionStatus, Scope
from include.config import FeatureView, ModelDeclaration, declarations
from include.domain.intervals import spoken
from include.domain.wording import count_of

STALE = "stale"
LOOKED_AT = timedelta(days=62)
"""How many days of data, back from the newest published one, are checked."""
STREAM_SILENT_AFTER = timedelta(minutes=10)
"""How long a stream that has run may be silent, at least."""
USUAL = timedelta(hours=36)
"""How long a view whose calendar goes on may publish nothing: a day, and half of one."""
SILENT_AFTER = {"housekeeping": timedelta(hours=36), "watch": timedelta(hours=1)}
"""How long a Dag that guards the others may go without a finished run; each runs more than twice in that time."""
PROJECT = "slipway"


def missing(ledger: Ledger, now: datetime, beats: Sequence[str]) -> list[Failing]:
    """Everything that is missing for longer than declared, one for each cause."""
    declared = declarations()
    found = [f for view in declared.views.values() for f in _not_published(ledger, view, now)]
    found += [f for view in declared.views.values() for f in _not_streamed(ledger, view, now)]
    for model in declared.models.values():
        found += [
            *_not_scored(ledger, model, now),
            *_not_judged(ledger, model, now),
            *_not_shadowed(ledger, model, now),
        ]
    return [*found, *silent(ledger, now, beats)]


def silent(ledger: Ledger, now: datetime, names: Sequence[str]) -> list[Failing]:
    """Which of the Dags that guard the others have not run for too long."""
    return [
        Failing(
            cause=cause_of_silence(name),
            scope=Scope.PROJECT,
            subject=PROJECT,
            kind=STALE,
            sentence=f"{PROJECT}: the Dag {name} has not run to its end for {_for(now - last)}, since {_at(last)}. "
            "Is it paused, or is the scheduler dead?",
            link=f"/dags/{name}",
        )
        for name, last in ledger.outages.expect(names, now).items()
        if now - last > SILENT_AFTER[name]
    ]


def cause_of_silence(name: str) -> str:
    return f"silent/{name}"


def _not_published(ledger: Ledger, view: FeatureView, now: datetime) -> Iterator[Failing]:
    calendar, within = view.calendar, view.freshness.published_within
    if within is None:
        if calendar.ends is not None and now.date() >= calendar.ends:
            return  # history: nothing more is scheduled
        within = USUAL
    if now.date() < calendar.starts:
        return
    newest = ledger.overview.first_publishes(view.name, view.version)
    name = f"published/{view.ref}"
    if newest is None:
        since, last = ledger.outages.expect([name], now)[name], "Nothing was ever published"
    else:
        day, since = newest
        if calendar.ends is not None and date.fromisoformat(day) >= calendar.ends - timedelta(days=1):
            return  # its calendar is complete
        last = f"The newest day is {day}, published {_at(since)}"
    if now - since > within:
        yield _stale(
            f"{STALE}/{name}",
            Scope.VIEW,
            view.ref,
            f"nothing was published for {_for(now - since)}; {spoken(within)} are allowed. {last}. "
            f"Is features_{view.slug} paused, or its source silent?",
            f"/dags/features_{view.slug}",
        )


def _not_streamed(ledger: Ledger, view: FeatureView, now: datetime) -> Iterator[Failing]:
    """A stream that has run and runs no more, or is slower than its view promises. One that never ran promised
    nothing."""
    mark = ledger.streams.of(view.name, view.version) if view.stream is not None else None
    if view.stream is None or mark is None or mark.recorded_at is None:
        return
    if view.calendar.ends is not None and mark.read_until.date() >= view.calendar.ends - timedelta(days=1):
        return  # its calendar is complete
    silent = max(STREAM_SILENT_AFTER, 10 * view.stream.every)
    if now - mark.recorded_at > silent:
        yield _stale(
            f"{STALE}/streamed/{view.ref}",
            Scope.VIEW,
            view.ref,
            f"its stream has not run for {_for(now - mark.recorded_at)}; {spoken(silent)} are allowed. Its rows online "
            f"are of {_at(mark.read_until)}. Does `slipway stream` run? {mark.holder} ran it last.",
            f"/dags/features_{view.slug}",
        )
    elif mark.p99_s is not None and mark.p99_s > view.delay.total_seconds():
        yield _stale(
            f"{STALE}/delay/{view.ref}",
            Scope.VIEW,
            view.ref,
            f"99 of 100 rows could be read within {mark.p99_s:,.0f} s of their event; {spoken(view.delay)} are "
            "promised (delay), and models learned to count on it. Is the source late, or the stream too slow? "
            f"`slipway features freshness {view.ref}` says more.",
            f"/dags/features_{view.slug}",
        )


def _not_scored(ledger: Ledger, model: ModelDeclaration, now: datetime) -> Iterator[Failing]:
    epochs = ledger.deployments.epochs(model.name)
    if not epochs:
        return
    published = _published_in_all(ledger, model)
    if not published:
        return
    scored = ledger.overview.scored(model.name, min(published))
    first_served = min(e.effective_from for e in epochs).date().isoformat()
    since = min(e.recorded_at for e in epochs)
    started = min(scored, default=None)
    waiting = {
        day: at
        for day, at in published.items()
        # Days published before the model had a champion, or before the first day it scored, need no score.
        if day >= first_served and day not in scored and (day > started if started is not None else at > since)
    }
    yield from _waiting(
        waiting, model.freshness.scored_within, now, model, "scored", "published and not scored", model.answering_dag
    )


def _not_judged(ledger: Ledger, model: ModelDeclaration, now: datetime) -> Iterator[Failing]:
    newest = ledger.overview.newest_scored(model.name)
    if newest is None:
        return
    oldest = (date.fromisoformat(newest) - LOOKED_AT).isoformat()
    scored = ledger.overview.scored(model.name, oldest)
    judged = {day for day, _ in ledger.overview.judged(model.name, oldest)}
    waiting = {day: at for day, at in scored.items() if day not in judged}
    yield from _waiting(
        waiting, model.freshness.judged_within, now, model, "judged", "scored and not judged", f"drift_{model.name}"
    )


def _waiting(
    waiting: Mapping[str, datetime],
    within: timedelta,
    now: datetime,
    model: ModelDeclaration,
    what: str,
    words: str,
    dag_id: str,
) -> Iterator[Failing]:
    late = sorted(day for day, at in waiting.items() if now - at > within)
    if not late:
        return
    longest = max(now - waiting[day] for day in late)
    days = late[0] if len(late) == 1 else f"{count_of(len(late), 'day')} from {late[0]} to {late[-1]}"
    be = "is" if len(late) == 1 else "are"
    yield _stale(
        f"{STALE}/{what}/{model.name}",
        Scope.MODEL,
        model.name,
        f"{days} {be} {words} for {_for(longest)}; {spoken(within)} are allowed. "
        f"Is {dag_id} paused, or a run of it red?",
        f"/dags/{dag_id}",
    )


def _not_shadowed(ledger: Ledger, model: ModelDeclaration, now: datetime) -> Iterator[Failing]:
    live, within = ledger.candidates.live(model.name), model.freshness.shadowed_within
    since = ledger.overview.shadow_moved(live.candidate_id) if live is not None else None
    if live is not None and since is not None and now - since > within:
        yield _stale(
            f"{STALE}/shadowed/{live.candidate_id}",
            Scope.MODEL,
            model.name,
            f"the shadow window of {live.candidate_id} got no day for {_for(now - since)}; "
            f"{spoken(within)} are allowed. Is {model.answering_dag} paused, or is nothing published?",
            f"/slipway/candidates/{quote(live.candidate_id)}",
        )


def _published_in_all(ledger: Ledger, model: ModelDeclaration) -> dict[str, datetime]:
    """The newest days that every view of the model has, and that have requests; with the time at which the last view
    was published."""
    declared = declarations()
    entity = declared.view(model.entity.view)
    newest = ledger.overview.newest_days().get((entity.name, entity.version))
    if newest is None:
        return {}
    oldest = (date.fromisoformat(newest) - LOOKED_AT).isoformat()
    spine = ledger.partitions.between(entity.name, entity.version, oldest, None)
    came = {p.day: p.recorded_at for p in spine if p.status is PartitionStatus.PUBLISHED and p.recorded_at is not None}
    for use in model.views:
        view = declared.view(use.view)
        of_view = {p.day: p.recorded_at for p in ledger.partitions.between(view.name, view.version, oldest, None)}
        came = {day: max(at, other) for day, at in came.items() if (other := of_view.get(day)) is not None}
    return came


def _stale(cause: str, scope: Scope, subject: str, sentence: str, link: str) -> Failing:
    return Failing(cause, scope, subject, STALE, f"{subject}: {sentence}", link)


def _for(age: timedelta) -> str:
    """An age as people say it, in whole hours, or minutes below two hours.

    >>> _for(timedelta(hours=37, minutes=59)), _for(timedelta(minutes=61))
    ('1d 13h', '1h 1m')
    """
    hours = timedelta(hours=age // timedelta(hours=1))
    return spoken(hours if hours >= timedelta(hours=2) else timedelta(minutes=max(1, age // timedelta(minutes=1))))


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
