"""The online store: the newest row of each entity, for requests that cannot wait for a table scan.

A row is only ever replaced by a newer one (later event time, then later available time), inside the upsert itself: so
an old backfill that finishes last, or two that race, never restore an old value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice, product
from json.encoder import encode_basestring
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    bindparam,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DisconnectionError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from include.config import bounds
from include.config.types import FeatureView
from include.domain.faults import crashpoint

T = TypeVar("T")
Kept = dict[str, tuple[datetime, datetime, str]]
"""By entity: event time and available time, in UTC without a time zone, and the features as JSON."""

ROWS_AT_ONCE = 5_000
KEYS_AT_ONCE = 1_000

METADATA = MetaData()
ONLINE = Table(
    "online_features",
    METADATA,
    Column("view", String(63), primary_key=True),
    Column("view_version", Integer, primary_key=True),
    Column("entity", String(500), primary_key=True),
    Column("event_time", DateTime, nullable=False),
    Column("available_time", DateTime, nullable=False),
    Column("features", Text, nullable=False),
    Column("run_id", String(250), nullable=False),
    Index("online_features_by_age", "view", "view_version", "event_time"),
)


class OnlineStoreUnusable(ConnectionError):
    """The online store cannot be reached, or its database is of a kind without a guarded upsert."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"The online store {url} cannot be used: {reason}. Check SLIPWAY_ONLINE_URL; "
            "the offline store is unaffected."
        )


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
class Differences:
    """How the stored rows differ from the published ones, by entity."""

    entities: int
    """How many were published."""
    missing: tuple[str, ...]
    older: tuple[str, ...]
    other: tuple[str, ...]
    """Of the same times, with other values."""
    ahead: Mapping[str, tuple[datetime, datetime]]
    """Newer than every published row: event time and available time, in UTC without a time zone."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.older or self.other or self.ahead)

    @property
    def sentence(self) -> str:
        """How many of each kind, with an example."""
        kinds = (
            ("missing", self.missing),
            ("older than what was published", self.older),
            ("of other values", self.other),
            ("newer than anything published", tuple(self.ahead)),
        )
        told = [f"{len(which):,} {kind} (for example {which[0]})" for kind, which in kinds if which]
        return f"of {self.entities:,} entities, {', '.join(told)}"


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
        offers = _offers(view, rows, run_id)
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
        wanted = _entities(entities)
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
            others = {e: _spelled_otherwise(keys) for e, keys in zip(wanted, entities, strict=True) if e not in had}
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
            engine = _engine(self.url, os.getpid())
            try:
                with engine.begin() as connection:
                    return work(connection)
            except (OperationalError, ProgrammingError):
                if inspect(engine).has_table(ONLINE.name):
                    raise
            _make_tables(engine)
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


_ENGINES: dict[tuple[str, int], Engine] = {}
_MOST_ENGINES = 8


def _engine(url: str, process: int) -> Engine:
    """One engine for each address and process: making one takes longer than reading a thousand keys. A connection must
    not be shared with a forked child, hence the process; the child leaves the parent's connections alone."""
    if (url, process) not in _ENGINES:
        while len(_ENGINES) >= _MOST_ENGINES:
            oldest = next(iter(_ENGINES))
            _ENGINES.pop(oldest).dispose(close=oldest[1] == process)
        _ENGINES[url, process] = _new_engine(url)
    return _ENGINES[url, process]


def _new_engine(url: str) -> Engine:
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        shown = parsed.render_as_string(hide_password=True)
        raise OnlineStoreUnusable(shown, f"{backend} is neither sqlite nor postgresql")
    if backend == "postgresql":
        limits = bounds.of_postgres(parsed.query, bounds.database_s())
        return create_engine(parsed, pool_pre_ping=True, connect_args=limits)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    event.listen(engine, "connect", _as_wal)
    if parsed.database and parsed.database != ":memory:":
        file = Path(parsed.database)

        def remember(_: Any, record: Any) -> None:
            record.info["file"] = file.stat().st_ino

        def check(_: Any, record: Any, __: Any) -> None:
            # A file that was removed or replaced must not be read on through the old handle.
            if not file.exists() or file.stat().st_ino != record.info["file"]:
                raise DisconnectionError

        event.listen(engine, "connect", remember)
        event.listen(engine, "checkout", check)
    return engine


def _make_tables(engine: Engine) -> None:
    try:
        METADATA.create_all(engine)
    except (OperationalError, ProgrammingError, IntegrityError):
        # Another writer was making them in the same moment.
        if not inspect(engine).has_table(ONLINE.name):
            raise


def entity_of(keys: Sequence[Any]) -> str:
    """The key values as one text: JSON, so that no two different entities share one."""
    return "[" + ",".join([_quoted(key) if type(key) is str else _encoded(key) for key in keys]) + "]"


EXACT = 2**53
"""Up to here a double represents every whole number exactly."""
PLAIN_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
MOST_SPELLINGS = 8


def _spelled_otherwise(keys: Sequence[Any]) -> list[str]:
    """The same entity with its whole numbers in another type: 7, 7.0 and the text '7' are one key."""
    spellings: list[list[Any]] = []
    for key in keys:
        plain = _builtin(key)
        if isinstance(plain, str) and PLAIN_NUMBER.fullmatch(plain):
            plain = int(plain)
        if isinstance(plain, Decimal | float) and isfinite(plain) and -EXACT <= plain <= EXACT and plain % 1 == 0:
            plain = int(plain)
        is_whole = isinstance(plain, int) and not isinstance(plain, bool)
        spellings.append([plain, str(plain), float(plain)] if is_whole else [plain])
    found = [entity_of(each) for each in islice(product(*spellings), MOST_SPELLINGS + 1)]
    return [each for each in found if each != entity_of(keys)]


def _builtin(key: Any) -> Any:
    return key.item() if isinstance(key, np.generic) else key


def _entities(entities: Sequence[Sequence[Any]]) -> list[str]:
    """``entity_of`` each of them."""
    if entities and len(entities[0]) == 1:
        return ["[" + _quoted(key) + "]" if type(key) is str else entity_of((key,)) for (key,) in entities]
    return [entity_of(keys) for keys in entities]


_quoted = encode_basestring
"""The encoder's result for texts, computed directly."""
_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def _offers(view: FeatureView, rows: pa.Table, run_id: str) -> dict[str, dict[str, Any]]:
    """The newest row of each entity as it is kept, by entity."""
    offers: dict[str, dict[str, Any]] = {}
    same = {"view": view.name, "view_version": view.version, "run_id": run_id}
    for batch in _finite(_newest(rows, view.keys)).to_batches(max_chunksize=ROWS_AT_ONCE):
        entities = _entities(list(zip(*(batch.column(key).to_pylist() for key in view.keys), strict=True)))
        features = [_json(row).decode() for row in batch.select([*view.features, *view.carries]).to_pylist()]
        times = batch.column("event_time").to_pylist(), batch.column("available_time").to_pylist()
        for entity, known, event_time, available in zip(entities, features, *times, strict=True):
            offers[entity] = {
                **same,
                "entity": entity,
                "event_time": event_time,
                "available_time": available,
                "features": known,
            }
    return offers


def compared(view: FeatureView, kept: Kept, rows: pa.Table) -> Differences:
    """The stored rows compared with the newest row of each entity of ``rows``. ``rows`` are read after ``kept``, so
    rows that are ``ahead`` do not come from a publish under way, which writes to the online store last."""
    wanted = {entity: _facts(offer) for entity, offer in _offers(view, rows, "").items()}
    both = {entity: (facts, kept[entity]) for entity, facts in wanted.items() if entity in kept}
    return Differences(
        entities=len(wanted),
        missing=tuple(entity for entity in wanted if entity not in kept),
        older=tuple(entity for entity, (facts, has) in both.items() if has[:2] < facts[:2]),
        other=tuple(entity for entity, (facts, has) in both.items() if has[:2] == facts[:2] and has != facts),
        ahead={
            entity: (has[0], has[1])
            for entity, has in kept.items()
            if entity not in wanted or has[:2] > wanted[entity][:2]
        },
    )


def _facts(offer: Mapping[str, Any]) -> tuple[datetime, datetime, str]:
    return offer["event_time"], offer["available_time"], offer["features"]


def _newest(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The newest row of each entity: the latest event time, then available time, then the last one offered."""
    if rows.num_rows < 2:
        return rows
    by = [(name, "ascending") for name in (*keys, "event_time", "available_time")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=by))
    is_last = np.zeros(rows.num_rows, bool)
    is_last[-1] = True
    for name in keys:
        codes = pc.fill_null(pc.dictionary_encode(rows.column(name)).combine_chunks().indices, -1).to_numpy()
        is_last[:-1] |= codes[1:] != codes[:-1]
    return rows.filter(pa.array(is_last))


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


def _as_wal(driver: Any, _: Any) -> None:
    driver.execute(f"PRAGMA busy_timeout = {1000 * bounds.database_s()}")
    driver.execute("PRAGMA journal_mode = WAL")


def _moments(stored: Sequence[Any]) -> list[datetime]:
    """Stored times in UTC: SQLite's texts, or the driver's own."""
    if stored and isinstance(stored[0], str):
        read = datetime.fromisoformat
        return [read(text + "+00:00") for text in stored]
    return [moment.replace(tzinfo=UTC) for moment in stored]


def _finite(rows: pa.Table) -> pa.Table:
    """The rows as they are stored: times in UTC without a time zone, and NaN as missing, because JSON has no NaN."""
    columns = []
    for column in rows.columns:
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
        elif pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us"))
        columns.append(column)
    return pa.table(columns, names=rows.column_names)


_json = msgspec.json.Encoder().encode
