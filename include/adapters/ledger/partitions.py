"""Which days of which feature views are published: the current one of each, and every publish there was."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select

from include.adapters.ledger.database import Database, clock, day_key, days_between, next_number, upsert, utc, words
from include.adapters.ledger.errors import BadValue
from include.adapters.ledger.records import Partition, PartitionStatus
from include.adapters.ledger.tables import partition_history, partitions
from include.domain.faults import crashpoint


class Partitions:
    """Records and finds published partitions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, published: Iterable[Partition], table_version_now: Callable[[], int | None] | None = None
    ) -> list[Partition]:
        """Make each partition the current one of its day, all or none, and append it to the history.

        A partition equal to the current one in all but its run and as-of time changes nothing, and the current one is
        returned. Of two publishes of one day the one that the table took last is valid, whichever is recorded last;
        ``table_version_now`` distinguishes that from a table that was removed and made again, whose versions start
        again.

        Raises:
            BadValue: when status and rows contradict one another.
        """
        wanted = sorted((_checked(p) for p in published), key=lambda p: (p.view, p.view_version, p.day))
        keys = {f"partitions:{p.view}:{p.view_version}" for p in wanted}
        with self._database.writing(*keys) as connection:
            return [_record(connection, p, table_version_now) for p in wanted]

    def get(self, view: str, view_version: int, day: str | date) -> Partition | None:
        """The current partition of the day; None when the day was never published."""
        with self._database.reading() as connection:
            return _current(connection, {"view": view, "view_version": view_version, "day": day_key(day)})

    def between(
        self, view: str, view_version: int, start: str | date | None = None, end: str | date | None = None
    ) -> list[Partition]:
        """The current partitions of the days in ``[start, end)``, in order; None leaves that side open."""
        query = select(partitions).where(
            partitions.c.view == view,
            partitions.c.view_version == view_version,
            *days_between(partitions.c.day, start, end),
        )
        with self._database.reading() as connection:
            return [_partition_of(row) for row in connection.execute(query.order_by(partitions.c.day))]

    def newest_table_version(self, view: str, view_version: int) -> int | None:
        """The highest version of the view's table that wrote one of its current days; None before the first publish."""
        query = select(func.max(partitions.c.table_version)).where(
            partitions.c.view == view, partitions.c.view_version == view_version
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def newest_as_of(self, view: str, view_version: int) -> datetime | None:
        """The latest moment as of which the source was read for any day of the view; None before the first publish."""
        query = select(func.max(partitions.c.source_as_of)).where(
            partitions.c.view == view, partitions.c.view_version == view_version
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def definitions(self, view: str, view_version: int) -> dict[str, int]:
        """The code hashes that current partitions of the view were made with, and how many days each made."""
        query = (
            select(partitions.c.code_hash, func.count())
            .where(partitions.c.view == view, partitions.c.view_version == view_version)
            .group_by(partitions.c.code_hash)
        )
        with self._database.reading() as connection:
            return {code_hash: int(days) for code_hash, days in connection.execute(query)}

    def history(self, view: str, view_version: int, day: str | date) -> list[Partition]:
        """Every publish of the day, oldest first."""
        same = and_(
            partition_history.c.view == view,
            partition_history.c.view_version == view_version,
            partition_history.c.day == day_key(day),
        )
        query = select(partition_history).where(same).order_by(partition_history.c.number)
        with self._database.reading() as connection:
            return [_partition_of(row) for row in connection.execute(query)]

    def views(self) -> list[tuple[str, int]]:
        """Every view and version that ever had a day published."""
        query = select(partitions.c.view, partitions.c.view_version).distinct()
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(partitions.c.view, partitions.c.view_version))
            return [(view, int(version)) for view, version in found]


def _checked(partition: Partition) -> Partition:
    if (partition.status is PartitionStatus.EMPTY) != (partition.rows == 0) or partition.rows < 0:
        raise BadValue(
            f"Partition {partition.view} {partition.day} is {partition.status.value} with {partition.rows} rows; "
            "EMPTY means 0 rows and PUBLISHED at least 1."
        )
    watermark = partition.source_watermark
    return replace(
        partition,
        view=words("view", partition.view),
        day=day_key(partition.day),
        run_id=words("run_id", partition.run_id),
        source_watermark=None if watermark is None else utc("source_watermark", watermark),
        source_as_of=None if partition.source_as_of is None else utc("source_as_of", partition.source_as_of),
    )


def _record(connection: Connection, new: Partition, table_version_now: Callable[[], int | None] | None) -> Partition:
    key = {"view": new.view, "view_version": new.view_version, "day": new.day}
    current = _current(connection, key)
    if current is not None and _same(current, new):
        return current
    if table_version_now is not None and current is not None and new.table_version is not None:
        published = current.table_version
        if published is not None and new.table_version < published <= (table_version_now() or 0):
            return current
    stamped = replace(new, recorded_at=clock())
    values = {name: value for name, value in asdict(stamped).items() if name not in key}
    values["status"] = new.status.value
    upsert(connection, partitions, key, values)
    crashpoint("ledger.partition.current")
    number = next_number(connection, partition_history, "number", key)
    connection.execute(insert(partition_history).values(**key, number=number, **values))
    return stamped


def _same(current: Partition, new: Partition) -> bool:
    """Whether nothing is new but the run and its as-of time; a hash that was not kept before is new."""
    return (
        replace(new, run_id=current.run_id, recorded_at=current.recorded_at, source_as_of=current.source_as_of)
        == current
    )


def _current(connection: Connection, key: dict[str, Any]) -> Partition | None:
    row = connection.execute(select(partitions).filter_by(**key)).one_or_none()
    return None if row is None else _partition_of(row)


def _partition_of(row: Row[Any]) -> Partition:
    return Partition(
        view=row.view,
        view_version=row.view_version,
        day=row.day,
        status=PartitionStatus(row.status),
        rows=row.rows,
        content_hash=row.content_hash,
        code_hash=row.code_hash,
        table_version=row.table_version,
        source_rows=row.source_rows,
        source_watermark=row.source_watermark,
        run_id=row.run_id,
        recorded_at=row.recorded_at,
        source_hash=row.source_hash,
        source_as_of=row.source_as_of,
        files=row.files,
    )
