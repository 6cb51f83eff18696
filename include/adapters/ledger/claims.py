"""Which candidate serves which day. A scoring claims its day before it answers it, so that a day has one server, and a
promotion, a rollback and a shadow window begin after the days that were claimed.

A claim is never changed. Only when its candidate was rolled back, a new one takes the day over.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select

from include.adapters.ledger.database import Database, clock, day_key, days_between, next_number, words
from include.adapters.ledger.epochs import epochs_in
from include.adapters.ledger.records import Claim
from include.adapters.ledger.tables import scoring_claims
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.promotion import Epoch, rolled_back, server_at


class Claims:
    """Claims days, and says who serves them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def server(self, model: str, day: str | date) -> Epoch | None:
        """The epoch whose champion serves the day: as claimed, else the one that ``claim`` would choose; None when the
        model has no champion on that day. Nothing is written."""
        with self._database.reading() as connection:
            return _server_in(connection, model, day_key(day))

    def claim(self, model: str, day: str | date, *, run_id: str) -> Claim | None:
        """Claim the day for the champion it has now, unless it is claimed; the claim that holds from now on.

        Claiming again, by a retry or by a later run, finds the same claim, even if the champion has changed. A claim
        whose candidate was rolled back is replaced by one of the champion that the rollback restored. It locks the
        model, so that it happens before or after a whole promotion or rollback.

        Returns None when the model has no champion on that day.
        """
        key, run_id = day_key(day), words("run_id", run_id)
        with self._database.writing(f"model:{model}") as connection:
            newest, epoch = newest_claim_in(connection, model, key), _server_in(connection, model, key)
            if epoch is None or (newest is not None and newest.candidate_id == epoch.to_candidate):
                return newest
            place = {"model": model, "day": key}
            made = Claim(
                model=model,
                day=key,
                number=next_number(connection, scoring_claims, "number", place),
                candidate_id=epoch.to_candidate,
                revision=epoch.revision,
                run_id=run_id,
                recorded_at=clock(),
            )
            connection.execute(
                insert(scoring_claims).values(
                    **place,
                    number=made.number,
                    candidate_id=made.candidate_id,
                    revision=made.revision,
                    run_id=made.run_id,
                    recorded_at=made.recorded_at,
                )
            )
            crashpoint("ledger.claim.written")
        crashpoint("ledger.claim.committed")
        return made

    def of(self, model: str, start: str | date | None = None, end: str | date | None = None) -> list[Claim]:
        """The claims that hold, of the days in ``[start, end)``, in order; None leaves that side open."""
        with self._database.reading() as connection:
            found = claims_in(connection, model, start, end)
        return list({claim.day: claim for claim in found}.values())


def _server_in(connection: Connection, model: str, day: str) -> Epoch | None:
    history, claim = epochs_in(connection, model), newest_claim_in(connection, model, day)
    if claim is not None and claim.candidate_id not in rolled_back(history):
        return history[claim.revision - 1]
    return server_at(history, Interval.of_day(day).start)


def after_claims_in(connection: Connection, model: str, earliest: datetime) -> datetime:
    """The first data time at or after ``earliest`` that lies after every claimed day."""
    last = connection.execute(select(func.max(scoring_claims.c.day)).where(scoring_claims.c.model == model)).scalar()
    return earliest if last is None else max(earliest, Interval.of_day(last).end)


def newest_claim_in(connection: Connection, model: str, day: str) -> Claim | None:
    mine = and_(scoring_claims.c.model == model, scoring_claims.c.day == day)
    row = connection.execute(
        select(scoring_claims).where(mine).order_by(scoring_claims.c.number.desc()).limit(1)
    ).one_or_none()
    return None if row is None else claim_of(row)


def claims_in(
    connection: Connection, model: str, start: str | date | None = None, end: str | date | None = None
) -> Iterable[Claim]:
    """Every claim, in the order of days and numbers."""
    query = select(scoring_claims).where(
        scoring_claims.c.model == model, *days_between(scoring_claims.c.day, start, end)
    )
    rows = connection.execute(query.order_by(scoring_claims.c.day, scoring_claims.c.number))
    return [claim_of(row) for row in rows]


def claim_of(row: Row[Any]) -> Claim:
    return Claim(
        model=row.model,
        day=row.day,
        number=row.number,
        candidate_id=row.candidate_id,
        revision=row.revision,
        run_id=row.run_id,
        recorded_at=row.recorded_at,
    )
