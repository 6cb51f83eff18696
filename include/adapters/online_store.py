"""The online store: the newest row of each entity, for requests that cannot wait for a table scan.

A row is only ever replaced by a newer one (later event time, then later available time), inside the upsert itself: so
an old backfill that finishes last, or two that race, never put an old value back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    create_engine,
    event,
    make_url,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from include.config.types import FeatureView

ROWS_AT_ONCE = 5_000
KEYS_AT_ONCE = 500

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


@dataclass(frozen=True, slots=True)
class OnlineRow:
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
        newest: dict[str, dict[str, Any]] = {}
        values = [*view.features, *view.carries]
        for batch in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
            for row in batch.to_pylist():
                entity = entity_of([row[key] for key in view.keys])
                age = (row["event_time"], row["available_time"])
                held = newest.get(entity)
                if held is None or age >= (held["event_time"], held["available_time"]):
                    newest[entity] = {
                        "view": view.name,
                        "view_version": view.version,
                        "entity": entity,
                        "event_time": row["event_time"],
                        "available_time": row["available_time"],
                        "features": json.dumps({name: _json_value(row[name]) for name in values}),
                        "run_id": run_id,
                    }
        offers = [
            {**offer, "event_time": _naive(offer["event_time"]), "available_time": _naive(offer["available_time"])}
            for _, offer in sorted(newest.items())  # one order for all writers, so that two never wait for each other
        ]
        with self._engine() as engine, engine.begin() as connection:
            upsert = _guarded_upsert(engine)
            for start in range(0, len(offers), ROWS_AT_ONCE):
                connection.execute(upsert, offers[start : start + ROWS_AT_ONCE])
        return len(offers)

    def read(self, view: FeatureView, entities: Sequence[Sequence[Any]]) -> list[OnlineRow | None]:
        """The newest row of each entity (its key values, in the view's order); None for one never seen.

        Age is not hidden: ask each row whether it ``is_stale`` at the moment of the request.
        """
        wanted = [entity_of(keys) for keys in entities]
        found: dict[str, OnlineRow] = {}
        unique = sorted(set(wanted))
        with self._engine() as engine, engine.connect() as connection:
            for start in range(0, len(unique), KEYS_AT_ONCE):
                statement = select(ONLINE).where(
                    ONLINE.c.view == view.name,
                    ONLINE.c.view_version == view.version,
                    ONLINE.c.entity.in_(unique[start : start + KEYS_AT_ONCE]),
                )
                for row in connection.execute(statement):
                    found[row.entity] = OnlineRow(
                        features=json.loads(row.features),
                        event_time=row.event_time.replace(tzinfo=UTC),
                        available_time=row.available_time.replace(tzinfo=UTC),
                        run_id=row.run_id,
                    )
        return [found.get(entity) for entity in wanted]

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        parsed = make_url(self.url)
        shown = parsed.render_as_string(hide_password=True)
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise OnlineStoreUnusable(shown, f"{backend} is neither sqlite nor postgresql")
        if backend == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed)
        if backend == "sqlite":
            event.listen(engine, "connect", _as_wal)
        try:
            METADATA.create_all(engine)
            yield engine
        except SQLAlchemyError as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise OnlineStoreUnusable(shown, reason.rstrip(".")) from error
        finally:
            engine.dispose()


def entity_of(keys: Sequence[Any]) -> str:
    """The key values as one text: JSON, so that no two different entities share one."""
    return json.dumps(list(keys), ensure_ascii=False, separators=(",", ":"), default=str)


def _guarded_upsert(engine: Engine) -> Any:
    made = sqlite.insert(ONLINE) if engine.dialect.name == "sqlite" else postgresql.insert(ONLINE)
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
    driver.execute("PRAGMA busy_timeout = 30000")
    driver.execute("PRAGMA journal_mode = WAL")


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _json_value(value: Any) -> Any:
    """JSON has no NaN: a feature that is not a number is a missing one."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
