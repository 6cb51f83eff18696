"""The outbox: notices to people, whether each was sent, and which could not be sent.

A key names the event, so each event has one notice, by the first writer. Sending is separate: a notice waits
(``PENDING``), is taken by one process at a time (``SENDING``), and is ``SENT`` only after the message was handed over.
A process that is killed in between leaves it in ``SENDING``, and it is taken again when its lease is over: a person may
be notified twice, with the same key in both messages, but never not at all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from include.adapters.ledger.database import MAX_TEXT, Database, clock
from include.adapters.ledger.tables import notices
from include.domain.faults import crashpoint

LEASE = timedelta(minutes=5)
"""How long one process may take to send one notice; afterwards it counts as killed."""
LONGEST_WAIT = timedelta(hours=6)
"""Longest time between two tries. A notice that is due later than that was written while the clock was wrong: it is due
now."""


class NoticeState(Enum):
    """How far a notice has come."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    GIVEN_UP = "given_up"
    """Every try failed: it is not tried again unless somebody asks for it."""


class Scope(Enum):
    """What a notice is about."""

    MODEL = "model"
    VIEW = "view"
    PROJECT = "project"
    """Slipway itself: housekeeping, the services."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One event that one person is notified of."""

    key: str
    """What happened, for example ``promoted/flight_delay/7``: the same event is reported once."""
    scope: Scope
    subject: str
    """The name of the model or the view; ``slipway`` for the project."""
    kind: str
    role: str | None
    """Which of the subject's owners; None when it has only one."""
    told: str
    """The name or address of who is notified."""
    sentence: str
    link: str
    """The path of the page, below Slipway's address."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A notice with what became of it."""

    notice: Notice
    state: NoticeState
    tries: int
    """How often sending was begun."""
    due_at: datetime
    """When it may be tried next; while it is being sent, when its lease is over."""
    sent_at: datetime | None
    error: str | None
    """Why the last try failed, in a line; None where none did."""
    recorded_at: datetime


class Notices:
    """Keeps the notices, sent and unsent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, notice: Notice, now: datetime) -> bool:
        """Write it down as pending; False when it was written before."""
        with self._database.writing(f"notices:{notice.key}") as connection:
            return put_in(connection, notice, now)

    def take(self, key: str, now: datetime) -> Posted | None:
        """Take it for sending, for the time of a lease; None when it is not due, or another process has it."""
        with self._database.writing(f"notices:{key}") as connection:
            row = connection.execute(select(notices).where(notices.c.key == key, _is_due(now))).first()
            if row is None:
                return None
            taken = {"state": NoticeState.SENDING.value, "tries": row.tries + 1, "due_at": now + LEASE}
            connection.execute(update(notices).where(notices.c.key == key).values(**taken))
            return _posted(connection.execute(select(notices).where(notices.c.key == key)).one())

    def sent(self, key: str, told: str, now: datetime) -> None:
        """It was handed over to ``told``. An older try may report that too, because it is true."""
        values = {"state": NoticeState.SENT.value, "told": told, "sent_at": now, "error": None}
        with self._database.writing(f"notices:{key}") as connection:
            connection.execute(
                update(notices).where(notices.c.key == key, notices.c.sent_at.is_(None)).values(**values)
            )

    def not_sent(self, key: str, tries: int, error: str, again_at: datetime | None) -> None:
        """Try number ``tries`` failed; the next is due at ``again_at``, None for no other. Does nothing when a later
        try has it."""
        values: dict[str, Any] = {"state": NoticeState.GIVEN_UP.value, "error": error[:MAX_TEXT]}
        if again_at is not None:
            values |= {"state": NoticeState.PENDING.value, "due_at": again_at}
        mine = and_(notices.c.key == key, notices.c.tries == tries, notices.c.state == NoticeState.SENDING.value)
        with self._database.writing(f"notices:{key}") as connection:
            connection.execute(update(notices).where(mine).values(**values))

    def try_again(self, key: str, now: datetime) -> bool:
        """Make one that was given up pending again, with all its tries; False when there is none."""
        given_up = and_(notices.c.key == key, notices.c.state == NoticeState.GIVEN_UP.value)
        values = {"state": NoticeState.PENDING.value, "tries": 0, "due_at": now}
        with self._database.writing(f"notices:{key}") as connection:
            again = connection.execute(update(notices).where(given_up).values(**values)).rowcount > 0
            crashpoint("ledger.notice.again")
            return again

    def due(self, now: datetime, most: int) -> list[str]:
        """The keys that may be taken now, longest due first."""
        query = select(notices.c.key).where(_is_due(now)).order_by(notices.c.due_at, notices.c.key).limit(most)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def unsent(self) -> list[Posted]:
        """Every notice that was not delivered, oldest first."""
        query = select(notices).where(notices.c.state != NoticeState.SENT.value)
        with self._database.reading() as connection:
            return [_posted(r) for r in connection.execute(query.order_by(notices.c.recorded_at, notices.c.key))]

    def get(self, key: str) -> Posted | None:
        with self._database.reading() as connection:
            row = connection.execute(select(notices).where(notices.c.key == key)).first()
        return None if row is None else _posted(row)

    def of(self, subject: str) -> list[Notice]:
        """What was sent about it, oldest first."""
        query = select(notices).where(notices.c.subject == subject, notices.c.state == NoticeState.SENT.value)
        with self._database.reading() as connection:
            return [_notice(r) for r in connection.execute(query.order_by(notices.c.recorded_at, notices.c.key))]


def put_in(connection: Connection, notice: Notice, now: datetime) -> bool:
    """As ``Notices.put``, inside a transaction that writes more."""
    if connection.execute(select(notices.c.key).where(notices.c.key == notice.key)).first() is not None:
        return False
    values = {**asdict(notice), "scope": notice.scope.value, "sentence": notice.sentence[:MAX_TEXT]}
    new = {"state": NoticeState.PENDING.value, "tries": 0, "due_at": now, "recorded_at": clock()}
    connection.execute(insert(notices).values(**values, **new))
    crashpoint("ledger.notice.written")
    return True


def _is_due(now: datetime) -> Any:
    """Pending and due, or taken by a process whose lease is over.

    A clock that was set back delays no new notice, and none for days: the first try is always due, and every other one
    after at most ``LONGEST_WAIT``.
    """
    waiting = (NoticeState.PENDING.value, NoticeState.SENDING.value)
    first = and_(notices.c.state == NoticeState.PENDING.value, notices.c.tries == 0)
    when = or_(first, notices.c.due_at <= now, notices.c.due_at > now + LONGEST_WAIT)
    return and_(or_(*(notices.c.state == state for state in waiting)), when)


def _notice(row: Row[Any]) -> Notice:
    return Notice(row.key, Scope(row.scope), row.subject, row.kind, row.role, row.told, row.sentence, row.link)


def _posted(row: Row[Any]) -> Posted:
    state = NoticeState(row.state)
    return Posted(_notice(row), state, row.tries, row.due_at, row.sent_at, row.error, row.recorded_at)
