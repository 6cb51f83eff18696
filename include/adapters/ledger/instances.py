"""What each instance of the online service says of itself: whom it serves, how far it has written, when it was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from include.adapters.ledger.database import Database, clock, plain, upsert, words
from include.adapters.ledger.tables import instances

SILENT_AFTER = timedelta(minutes=1)
"""An instance that has said nothing for so long is not known to serve. It says something every ten seconds."""


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One service, by its host and port.

    Attributes:
        watermark: the data time before which everything that it answered is written; None before it is known.
        models: by model, ``served`` (who answers, each with ``candidate``, ``digest``, ``revision``,
            ``route_revision``, ``by`` and in how many ``workers``), and ``counts`` since the service began.
        ended_at: when it said that it ends; None while it runs, and where it was killed.
    """

    instance_id: str
    host: str
    started_at: datetime
    models: Mapping[str, Any] = field(default_factory=dict)
    watermark: datetime | None = None
    seen_at: datetime | None = None
    ended_at: datetime | None = None

    def is_seen(self, now: datetime) -> bool:
        """Whether what it said still counts."""
        return self.ended_at is None and self.seen_at is not None and now - self.seen_at < SILENT_AFTER


class Instances:
    """Keeps and finds what instances say."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def say(self, said: InstanceRecord) -> None:
        """Replace what the instance said before."""
        values = {
            "host": words("host", said.host),
            "started_at": said.started_at,
            "seen_at": clock(),
            "ended_at": None,
            "watermark": said.watermark,
            "models": plain("models", said.models),
        }
        with self._database.writing(f"instance:{said.instance_id}") as connection:
            upsert(connection, instances, {"instance_id": words("instance_id", said.instance_id)}, values)

    def end(self, instance_id: str) -> None:
        """The instance ends now; again changes nothing."""
        mine = (instances.c.instance_id == instance_id, instances.c.ended_at.is_(None))
        with self._database.writing(f"instance:{instance_id}") as connection:
            connection.execute(update(instances).where(*mine).values(ended_at=clock()))

    def all(self) -> list[InstanceRecord]:
        """Every instance that ever said something, by its name."""
        with self._database.reading() as connection:
            return instances_in(connection)


def instances_in(connection: Connection) -> list[InstanceRecord]:
    found = connection.execute(select(instances).order_by(instances.c.instance_id))
    return [
        InstanceRecord(
            instance_id=row.instance_id,
            host=row.host,
            started_at=row.started_at,
            models=row.models,
            watermark=row.watermark,
            seen_at=row.seen_at,
            ended_at=row.ended_at,
        )
        for row in found
    ]
