"""Pushing rows to the online store, and reading them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec
import pyarrow as pa
from sqlalchemy import (
    Connection,
    String,
    and_,
    bindparam,
    func,
    make_url,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError

from include.adapters.online_store.engines import ONLINE, OnlineStoreUnusable, engine_of, make_tables, table_was_missing
from include.adapters.online_store.offers import ROWS_AT_ONCE, Kept, offers_of
from include.config.types import FeatureView
from include.domain.entity_names import entities_of, spelled_otherwise
from include.domain.faults import crashpoint

T = TypeVar("T")
KEYS_AT_ONCE = 1_000


class OnlineRow(NamedTuple):
    """The newest known row of one entity. A feature that was missing is None."""

    features: Mapping[str, Any]
    event_time: datetime
    available_time: datetime
    run_id: str

    def is_stale(self, at: datetime, ttl: timedelta) -> bool:
        """Whether the row is too old to be used at ``at``: its event time is ``ttl`` or more before."""
        return self.event_time <= at - ttl


@dataclass(frozen=True, slots=True)
class OnlineStore:
    """The store at ``url`` (SQLite or Postgres). Tables are made on first use."""

    url: str

    def push(self, view: FeatureView, rows: pa.Table, run_id: str) -> int:
        """Offer ``rows`` (keys, features, carried columns, both times); the number of entities offered.

        Only the newest row of each entity is sent, and it lands only where nothing newer is.

        Raises:
            OnlineStoreUnusable: when the database does not answer.
        """
        offers = offers_of(view, rows, run_id)
        # One order for all writers, so that two never wait for each other.
        ordered = [offer for _, offer in sorted(offers.items())]

        def write(connection: Connection) -> None:
            connection.execute(select(ONLINE.c.view).limit(1))  # a missing table is noticed before a batch is under way
            upsert = _guarded_upsert(connection)
            for start in range(0, len(ordered), ROWS_AT_ONCE):
                connection.execute(upsert, ordered[start : start + ROWS_AT_ONCE])
                crashpoint("online.push.written")

        self._done(write)
        return len(ordered)

    def read(self, view: FeatureView, entities: Sequence[Sequence[Any]]) -> list[OnlineRow | None]:
        """The newest row of each entity (its key values, in the view's order); None for one never seen.

        Age is not hidden: ask each row whether it ``is_stale`` at the moment of the request.
        """
        wanted = entities_of(entities)
        unique = list(dict.fromkeys(wanted))

        def look_up(connection: Connection, sought: list[str]) -> list[Any]:
            is_sqlite = connection.dialect.name == "sqlite"
            rows: list[Any] = []
            for start in range(0, len(sought), KEYS_AT_ONCE):
                some = sought[start : start + KEYS_AT_ONCE]
                asked = {
                    "view": view.name,
                    "version": view.version,
                    "entities": json.dumps(some) if is_sqlite else some,
                }
                rows += connection.execute(LOOK_UP_SQLITE if is_sqlite else LOOK_UP, asked).all()
            return rows

        rows = self._done(lambda connection: look_up(connection, unique))
        if len(rows) < len(unique):
            # A key is the same in every type that can hold it; the type in which the view's are stored is not checked
            # before.
            had = {row[0] for row in rows}
            others = {e: spelled_otherwise(keys) for e, keys in zip(wanted, entities, strict=True) if e not in had}
            more = {row[0]: row for row in self._done(lambda c: look_up(c, sorted(set().union(*others.values()))))}
            for entity, spellings in others.items():
                rows += [(entity, *more[each][1:]) for each in spellings if each in more][:1]
        # One text parsed at once: a parser started for each row costs more than the rows do.
        features = msgspec.json.decode("[" + ",".join([row[1] for row in rows]) + "]")
        events, knowns = _moments([row[2] for row in rows]), _moments([row[3] for row in rows])
        found = {
            row[0]: OnlineRow(values, event_time, available_time, row[4])
            for row, values, event_time, available_time in zip(rows, features, events, knowns, strict=True)
        }
        return [found.get(entity) for entity in wanted]

    def kept(self, view: FeatureView, since: datetime) -> Kept:
        """What is kept with an event time after ``since``, by entity: event time, available time, features.

        Raises:
            OnlineStoreUnusable: when the database does not answer.
        """
        columns = ONLINE.c.entity, ONLINE.c.event_time, ONLINE.c.available_time, ONLINE.c.features
        mine = ONLINE.c.view == view.name, ONLINE.c.view_version == view.version
        query = select(*columns).where(*mine, ONLINE.c.event_time > since.astimezone(UTC).replace(tzinfo=None))
        found = self._done(lambda connection: connection.execute(query).all())
        return {entity: (event_time, available, features) for entity, event_time, available, features in found}

    def forget(self, view: FeatureView, rows: Mapping[str, tuple[datetime, datetime]]) -> int:
        """Remove the rows of these entities that still have exactly these two times, as ``Differences.ahead`` has
        them; returns how many. One that was replaced meanwhile stays."""
        doomed = ONLINE.delete().where(
            ONLINE.c.view == view.name,
            ONLINE.c.view_version == view.version,
            ONLINE.c.entity == bindparam("doomed"),
            ONLINE.c.event_time == bindparam("at"),
            ONLINE.c.available_time == bindparam("known"),
        )
        asked = [{"doomed": entity, "at": at, "known": known} for entity, (at, known) in sorted(rows.items())]
        return sum(self._done(lambda connection: [connection.execute(doomed, one).rowcount for one in asked]))

    def _done(self, work: Callable[[Connection], T]) -> T:
        """``work`` in one transaction; where the tables are missing, they are made and it is done again."""
        shown = make_url(self.url).render_as_string(hide_password=True)
        try:
            engine = engine_of(self.url, os.getpid())
            try:
                with engine.begin() as connection:
                    return work(connection)
            except (OperationalError, ProgrammingError) as error:
                # The statement's own words, not a look: another writer may have made the tables meanwhile.
                if not table_was_missing(error):
                    raise
            make_tables(engine)
            with engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise OnlineStoreUnusable(shown, reason.rstrip(".")) from error


_ASKED = and_(ONLINE.c.view == bindparam("view"), ONLINE.c.view_version == bindparam("version"))
LOOK_UP = select(
    ONLINE.c.entity, ONLINE.c.features, ONLINE.c.event_time, ONLINE.c.available_time, ONLINE.c.run_id
).where(_ASKED, ONLINE.c.entity.in_(bindparam("entities", expanding=True)))
LOOK_UP_SQLITE = select(
    ONLINE.c.entity,
    ONLINE.c.features,
    # As the texts they are stored as: reading a thousand of them one by one takes as long as finding the rows.
    type_coerce(ONLINE.c.event_time, String),
    type_coerce(ONLINE.c.available_time, String),
    ONLINE.c.run_id,
).where(
    _ASKED,
    # One parameter instead of a thousand.
    ONLINE.c.entity.in_(select(func.json_each(bindparam("entities", type_=String)).table_valued("value").c.value)),
)


def _guarded_upsert(connection: Connection) -> Any:
    made = sqlite.insert(ONLINE) if connection.dialect.name == "sqlite" else postgresql.insert(ONLINE)
    offered = made.excluded
    newer = or_(
        offered.event_time > ONLINE.c.event_time,
        and_(offered.event_time == ONLINE.c.event_time, offered.available_time >= ONLINE.c.available_time),
    )
    return made.on_conflict_do_update(
        index_elements=[ONLINE.c.view, ONLINE.c.view_version, ONLINE.c.entity],
        set_={name: offered[name] for name in ("event_time", "available_time", "features", "run_id")},
        where=newer,
    )


def _moments(stored: Sequence[Any]) -> list[datetime]:
    """Stored times in UTC: SQLite's texts, or the driver's own."""
    if stored and isinstance(stored[0], str):
        read = datetime.fromisoformat
        return [read(text + "+00:00") for text in stored]
    return [moment.replace(tzinfo=UTC) for moment in stored]
