"""Shadow windows: what a challenger scored beside the champion. A day counts once, however often it is scored."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from include.adapters.ledger.candidate_rows import apply, candidate_in
from include.adapters.ledger.claims import after_claims_in
from include.adapters.ledger.database import Database, clock, day_key, next_number, upsert, utc, words
from include.adapters.ledger.errors import BadValue, NoShadowWindow
from include.adapters.ledger.records import ShadowDay, ShadowWindow
from include.adapters.ledger.tables import candidates, shadow_days, shadow_windows
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.lifecycle import Event


class ShadowRecords:
    """Opens, counts and closes shadow windows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self,
        candidate_id: str,
        *,
        champion_id: str | None,
        opened_from: datetime,
        min_rows: int,
        min_days: int,
        actor: str,
    ) -> ShadowWindow:
        """Open the candidate's window, which makes it SHADOWING; the same champion's window again is returned.

        Against another champion the window restarts: the old one closes at ``opened_from`` and its days do not count.

        Args:
            opened_from: the data time of the first row that counts, at the earliest: a day that a scoring has claimed
                is answered by the candidates of that moment, and the window begins after the last such day.

        Raises:
            IllegalTransition: when the candidate is no challenger.
        """
        opened_from, actor = utc("opened_from", opened_from), words("actor", actor)
        if min_rows < 1 or min_days < 1:
            raise BadValue(
                f"A shadow window needs at least 1 row and 1 day; min_rows is {min_rows}, min_days {min_days}."
            )
        with self._database.reading() as connection:
            model = candidate_in(connection, candidate_id).model
        with self._database.writing(f"model:{model}", f"shadow:{candidate_id}") as connection:
            newest = newest_window_in(connection, candidate_id)
            if newest is not None and newest.champion_id == champion_id:
                return newest
            opened_from = after_claims_in(connection, model, opened_from)
            if newest is not None and newest.closed_at is None:
                _close(connection, newest, max(opened_from, newest.opened_from))
                crashpoint("ledger.shadow.restarted")
            apply(connection, candidate_id, Event.SHADOW, actor, f"In shadow beside {champion_id or 'no champion'}.")
            crashpoint("ledger.shadow.advanced")
            connection.execute(
                insert(shadow_windows).values(
                    candidate_id=candidate_id,
                    number=next_number(connection, shadow_windows, "number", {"candidate_id": candidate_id}),
                    model=model,
                    champion_id=champion_id,
                    opened_from=opened_from,
                    min_rows=min_rows,
                    min_days=min_days,
                    recorded_at=clock(),
                )
            )
            return _newest(connection, candidate_id)

    def record_day(self, candidate_id: str, day: str | date, *, rows: int, answered: int) -> ShadowWindow:
        """Count a scored day in the candidate's newest window; scoring it again replaces what it counted.

        A closed window keeps what it counted, because its gate has judged that; a day before the window does not count.

        Raises:
            NoShadowWindow: when the candidate has none.
        """
        key = day_key(day)
        if not 0 <= answered <= rows:
            raise BadValue(
                f"Of {rows} rows on {key} the challenger answered {answered}; that must be between 0 and {rows}."
            )
        with self._database.writing(f"shadow:{candidate_id}") as connection:
            window = _newest(connection, candidate_id)
            counted = ShadowDay(key, rows, answered)
            if window.closed_at is None and covers(window, key) and counted not in window.scored:
                place = {"candidate_id": candidate_id, "number": window.number, "day": key}
                upsert(connection, shadow_days, place, {"rows": rows, "answered": answered, "recorded_at": clock()})
            return _newest(connection, candidate_id)

    def window(self, candidate_id: str) -> ShadowWindow | None:
        """The candidate's newest window with what it counted; None when it has none."""
        with self._database.reading() as connection:
            return newest_window_in(connection, candidate_id)

    def close(self, candidate_id: str, *, closed_at: datetime) -> ShadowWindow:
        """Close the window before the data time ``closed_at``. The first closing is final.

        Raises:
            NoShadowWindow: when the candidate has none.
        """
        closed_at = utc("closed_at", closed_at)
        with self._database.writing(f"shadow:{candidate_id}") as connection:
            window = _newest(connection, candidate_id)
            if closed_at < window.opened_from:
                raise BadValue(
                    f"The window opened from {window.opened_from.isoformat()} cannot close at {closed_at.isoformat()}."
                )
            if window.closed_at is None:
                _close(connection, window, closed_at)
            return _newest(connection, candidate_id)

    def covering(self, model: str, day: str | date) -> list[ShadowWindow]:
        """The windows in which the day's rows count: open ones of live candidates, and closed ones that held the day.

        The day is inside when its start is in ``[opened_from, closed_at)``, so a day scored again goes to the same
        challengers as before.
        """
        start = Interval.of_day(day_key(day)).start
        query = (
            select(shadow_windows)
            .join(candidates, candidates.c.candidate_id == shadow_windows.c.candidate_id)
            .where(
                shadow_windows.c.model == model,
                shadow_windows.c.opened_from <= start,
                or_(
                    and_(shadow_windows.c.closed_at.is_(None), candidates.c.live),
                    shadow_windows.c.closed_at > start,
                ),
            )
            .order_by(shadow_windows.c.candidate_id, shadow_windows.c.number)
        )
        with self._database.reading() as connection:
            return _with_days(connection, connection.execute(query))


def covers(window: ShadowWindow, day: str) -> bool:
    start = Interval.of_day(day).start
    return window.opened_from <= start and (window.closed_at is None or start < window.closed_at)


def windows_in(connection: Connection, candidate_id: str) -> list[ShadowWindow]:
    query = select(shadow_windows).where(shadow_windows.c.candidate_id == candidate_id)
    return _with_days(connection, connection.execute(query.order_by(shadow_windows.c.number)))


def newest_window_in(connection: Connection, candidate_id: str) -> ShadowWindow | None:
    found = windows_in(connection, candidate_id)
    return found[-1] if found else None


def _newest(connection: Connection, candidate_id: str) -> ShadowWindow:
    window = newest_window_in(connection, candidate_id)
    if window is None:
        raise NoShadowWindow(candidate_id)
    return window


def _close(connection: Connection, window: ShadowWindow, closed_at: datetime) -> None:
    mine = and_(shadow_windows.c.candidate_id == window.candidate_id, shadow_windows.c.number == window.number)
    connection.execute(update(shadow_windows).where(mine).values(closed_at=closed_at))


def _with_days(connection: Connection, rows: Iterable[Row[Any]]) -> list[ShadowWindow]:
    windows = []
    for row in list(rows):
        mine = and_(shadow_days.c.candidate_id == row.candidate_id, shadow_days.c.number == row.number)
        days = connection.execute(select(shadow_days).where(mine).order_by(shadow_days.c.day))
        windows.append(
            ShadowWindow(
                candidate_id=row.candidate_id,
                number=row.number,
                model=row.model,
                champion_id=row.champion_id,
                opened_from=row.opened_from,
                closed_at=row.closed_at,
                min_rows=row.min_rows,
                min_days=row.min_days,
                scored=tuple(ShadowDay(d.day, d.rows, d.answered) for d in days),
            )
        )
    return windows
