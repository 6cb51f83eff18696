"""Outages: which part of the machinery did not work, from when to when. And the heartbeats of the Dags that guard it.

An outage has a cause, such as ``features_weather/publish``. While it lasts no one is notified twice; another failure
with the same cause (another day of the same view) joins it as an item. It ends when every item of it has ended. The
notice of its beginning and of its end are written in the same transaction, so neither can be lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from include.adapters.ledger.database import MAX_TEXT, Database, clock, next_number, upsert
from include.adapters.ledger.notices import Notice, Scope, put_in
from include.adapters.ledger.tables import beats, outage_items, outages

TOLD_AGAIN_AFTER = timedelta(days=1)
"""When a new item joins an outage that was last reported this long ago, it is reported again: a failure a month later
must be noticed although the first day was never repaired."""
WHOLE = ""
"""The item of an outage that has no parts."""


@dataclass(frozen=True, slots=True)
class Failing:
    """Something does not work."""

    cause: str
    scope: Scope
    subject: str
    kind: str
    """``failed`` or ``stale``."""
    sentence: str
    link: str
    item: str = WHOLE
    """Which part of it, such as the day; empty when it has none."""
    had: str | None = None
    """The ledger's records of that part when it failed, for comparison by the watch; None when there are none to
    compare."""


@dataclass(frozen=True, slots=True)
class Told:
    """Who is to be notified of an outage."""

    name: str
    """A name or an address."""
    role: str | None
    """Which of the subject's owners; None when it has only one."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage."""

    cause: str
    number: int
    scope: Scope
    subject: str
    kind: str
    sentence: str
    """What failed first."""
    link: str
    recorded_at: datetime
    ended_at: datetime | None
    items: Mapping[str, str | None]
    """Its items that have not ended, by name, with the ledger's records of each when it last failed; empty when it has
    no items."""


class Outages:
    """Keeps what does not work, and since when."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def fails(self, failing: Failing, told: Told | None, now: datetime) -> str | None:
        """Open the outage, or join the one that is open. The key of the notice this made; None when nothing is new.

        Args:
            told: None where the declaration names no one.
        """
        with self._database.writing(f"outages:{failing.cause}") as connection:
            found = _open(connection, failing.cause)
            number = (
                next_number(connection, outages, "number", {"cause": failing.cause}) if found is None else found.number
            )
            again = ""
            if found is None:
                whole = {"scope": failing.scope.value, "subject": failing.subject, "kind": failing.kind}
                connection.execute(
                    insert(outages).values(
                        cause=failing.cause,
                        number=number,
                        **whole,
                        sentence=failing.sentence[:MAX_TEXT],
                        link=failing.link,
                        told_at=now,
                        recorded_at=clock(),
                    )
                )
            joins = self._item_begins(connection, failing, number)
            if found is not None:
                if not joins or now - found.told_at < TOLD_AGAIN_AFTER:
                    return None
                again = f"/{failing.item}"
                here = (outages.c.cause == failing.cause, outages.c.number == number)
                connection.execute(update(outages).where(*here).values(told_at=now))
            if told is None:
                return None
            key = f"{failing.kind}/{failing.cause}/{number}{again}"
            return key if put_in(connection, _notice(key, failing, failing.kind, failing.sentence, told), now) else None

    @staticmethod
    def _item_begins(connection: Connection, failing: Failing, number: int) -> bool:
        key = {"cause": failing.cause, "number": number, "item": failing.item}
        here = [outage_items.c[name] == value for name, value in key.items()]
        row = connection.execute(select(outage_items).where(*here)).first()
        if row is None:
            connection.execute(insert(outage_items).values(**key, had=failing.had, recorded_at=clock()))
        else:
            connection.execute(update(outage_items).where(*here).values(ended_at=None, had=failing.had))
        return row is None or row.ended_at is not None

    def works(self, cause: str, item: str, sentence: str, told: Told | None, now: datetime) -> str | None:
        """The item works again; an outage without items ends.

        Returns:
            The key of the notice that it is over; None while another item does not work, and when nothing was open.
        """
        with self._database.reading() as connection:
            if _open(connection, cause) is None:  # nearly always: without waiting for a writer
                return None
        with self._database.writing(f"outages:{cause}") as connection:
            found = _open(connection, cause)
            if found is None:
                return None
            here = (outage_items.c.cause == cause, outage_items.c.number == found.number)
            ending = (*here, outage_items.c.item.in_((item, WHOLE)), outage_items.c.ended_at.is_(None))
            connection.execute(update(outage_items).where(*ending).values(ended_at=now))
            left = select(func.count()).select_from(outage_items).where(*here, outage_items.c.ended_at.is_(None))
            if connection.execute(left).scalar():
                return None
            whole = (outages.c.cause == cause, outages.c.number == found.number)
            connection.execute(update(outages).where(*whole).values(ended_at=now))
            if told is None:
                return None
            key = f"over/{cause}/{found.number}"
            over = Failing(cause, Scope(found.scope), found.subject, found.kind, sentence, found.link)
            return key if put_in(connection, _notice(key, over, "over", sentence, told), now) else None

    def open(self) -> list[Outage]:
        """Every outage that lasts, oldest first."""
        query = select(outages).where(outages.c.ended_at.is_(None)).order_by(outages.c.recorded_at, outages.c.cause)
        with self._database.reading() as connection:
            found = connection.execute(query).all()
            items = connection.execute(
                select(outage_items.c.cause, outage_items.c.item, outage_items.c.had)
                .join(outages, (outages.c.cause == outage_items.c.cause) & (outages.c.number == outage_items.c.number))
                .where(outages.c.ended_at.is_(None), outage_items.c.ended_at.is_(None), outage_items.c.item != WHOLE)
                .order_by(outage_items.c.item)
            ).all()
        return [_outage(row, {i.item: i.had for i in items if i.cause == row.cause}) for row in found]

    def beat(self, name: str, now: datetime) -> None:
        """What guards has just run to its end."""
        with self._database.writing(f"beats:{name}") as connection:
            first = connection.execute(select(beats.c.first_at).where(beats.c.name == name)).scalar()
            upsert(connection, beats, {"name": name}, {"first_at": first or now, "last_at": now})

    def expect(self, names: Collection[str], now: datetime) -> dict[str, datetime]:
        """When each had its last heartbeat. One without any counts from the first time it was asked for."""
        with self._database.reading() as connection:
            last = {r.name: r.last_at for r in connection.execute(select(beats))}
        for name in names:
            if name not in last:
                self.beat(name, now)
                last[name] = now
        return {name: last[name] for name in names}


def _open(connection: Connection, cause: str) -> Row[Any] | None:
    query = select(outages).where(outages.c.cause == cause, outages.c.ended_at.is_(None))
    return connection.execute(query.order_by(outages.c.number.desc())).first()


def _notice(key: str, failing: Failing, kind: str, sentence: str, told: Told) -> Notice:
    return Notice(key, failing.scope, failing.subject, kind, told.role, told.name, sentence, failing.link)


def _outage(row: Row[Any], items: Mapping[str, str | None]) -> Outage:
    return Outage(
        cause=row.cause,
        number=row.number,
        scope=Scope(row.scope),
        subject=row.subject,
        kind=row.kind,
        sentence=row.sentence,
        link=row.link,
        recorded_at=row.recorded_at,
        ended_at=row.ended_at,
        items=items,
    )
