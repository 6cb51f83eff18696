"""Rows of a source table that come through a Redis stream, read by a consumer group and acknowledged once they took
effect.

An entry has one field, ``row``: a JSON object with the table's columns, times as ISO 8601 texts. The stream only brings
news sooner than the table does; the table stays what is true.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
import redis

from include.config.types import SourceTable
from include.domain.intervals import instant

T = TypeVar("T")
FIELD = "row"
AT_ONCE = 1_000
CONSUMER = "slipway"
"""One consumer for each group: the ledger sees to it that one process at a time runs a view's stream, and whoever takes
it over gets what the former one had not acknowledged."""
ANSWER_S = 5.0


class RedisUnreachable(ConnectionError):
    """Redis does not answer, or refuses."""

    exit_code: ClassVar[int] = 69

    def __init__(self, stream: str, reason: str) -> None:
        super().__init__(
            f"The Redis stream {stream!r} cannot be read: {reason}. Check SLIPWAY_REDIS_URL; the rows online stay as "
            "they are until it answers."
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """Entries of a stream: their ids, to be acknowledged, their rows, and why some are none."""

    ids: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    refused: tuple[str, ...] = ()

    def __add__(self, other: Taken) -> Taken:
        return Taken(self.ids + other.ids, self.rows + other.rows, self.refused + other.refused)

    @property
    def last(self) -> str | None:
        """The id of the newest entry; None without one."""
        return max(self.ids, key=_as_numbers, default=None)


@dataclass(slots=True)
class RedisRows:
    """One stream as one group reads it."""

    url: str
    stream: str
    group: str
    _client: Any = field(default=None, repr=False)

    def begin(self, position: str | None) -> tuple[Taken, str | None]:
        """Every entry that is in the stream, and everything that is not acknowledged; and, in words, why entries after
        ``position``, the last that was taken, may be lost. None where none are.

        Raises:
            RedisUnreachable: when Redis does not answer.
        """

        def read(client: Any) -> tuple[Taken, str | None]:
            gap = self._gap(client, position)
            if self._make_group(client) and position is not None and gap is None:
                gap = "its consumer group is gone"
            everything, first = Taken(), "-"
            while entries := client.xrange(self.stream, min=first, count=AT_ONCE):
                everything += _taken(entries)
                first = f"({entries[-1][0].decode()}"
            # All of them were just read; what was never handed to the group is handed to it now.
            open_ids = self._handed(client, "0").ids + self._handed(client, ">").ids
            return Taken(open_ids, everything.rows, everything.refused), gap

        return self._asked(read)

    def news(self, position: str | None) -> tuple[Taken, str | None]:
        """The entries that were not handed to the group before, and why others may be lost, as ``begin``.

        Raises:
            RedisUnreachable: when Redis does not answer.
        """

        def read(client: Any) -> tuple[Taken, str | None]:
            gap = self._gap(client, position)
            if self._make_group(client):
                return Taken(), gap or "its consumer group is gone"
            return self._handed(client, ">"), gap

        return self._asked(read)

    def acknowledge(self, ids: Sequence[str]) -> None:
        """These entries took effect.

        Raises:
            RedisUnreachable: when Redis does not answer.
        """
        if ids:
            self._asked(lambda client: client.xack(self.stream, self.group, *ids))

    def _handed(self, client: Any, after: str) -> Taken:
        found = Taken()
        while True:
            answer = client.xreadgroup(self.group, CONSUMER, {self.stream: after}, count=AT_ONCE)
            entries = answer[0][1] if answer else []
            if not entries:
                return found
            found += _taken(entries)
            if after != ">":
                after = entries[-1][0].decode()

    def _gap(self, client: Any, position: str | None) -> str | None:
        if position is None:
            return None
        oldest = client.xrange(self.stream, count=1)
        if not oldest and not client.exists(self.stream):
            return "the stream is gone"
        if not oldest or _as_numbers(oldest[0][0].decode()) > _as_numbers(position):
            # Whoever trims a stream may have trimmed what was not read: reading the table again is cheap.
            last = client.xinfo_stream(self.stream)["last-generated-id"].decode()
            if _as_numbers(last) > _as_numbers(position):
                return f"it was trimmed past {position}, the last entry that was read"
            if _as_numbers(last) < _as_numbers(position):
                return "it began again"
        return None

    def _make_group(self, client: Any) -> bool:
        """Whether the group had to be made."""
        try:
            client.xgroup_create(self.stream, self.group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" in str(error):
                return False
            raise
        return True

    def _asked(self, action: Callable[[Any], T]) -> T:
        try:
            if self._client is None:
                self._client = redis.Redis.from_url(self.url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S)
            return action(self._client)
        except (redis.RedisError, OSError, ValueError) as error:
            raise RedisUnreachable(self.stream, " ".join(str(error).split()).rstrip(".")) from error


def in_columns(taken: Taken, source: SourceTable, schema: pa.Schema) -> tuple[pa.Table, list[str]]:
    """The rows in the table's columns and types, and why some are none: a value of another type, or no time. A column
    that the table does not have is left out, one that a row does not have is missing."""
    good: list[dict[str, Any]] = []
    refused = list(taken.refused)
    for row in taken.rows:
        try:
            good.append({each.name: _value(each, row.get(each.name)) for each in schema})
            lacks = [name for name in (source.time, source.known) if name is not None and good[-1][name] is None]
            if lacks:
                good.pop()
                refused.append(f"a row of {source.table} has no {lacks[0]}")
        except (TypeError, ValueError) as error:
            refused.append(f"a row of {source.table} is none: {error}")
    columns = {each.name: pa.array([row[each.name] for row in good], each.type) for each in schema}
    return pa.table(columns, schema=schema), refused


def _value(column: pa.Field, value: Any) -> Any:
    kind = column.type
    if value is None:
        return None
    if pa.types.is_timestamp(kind) and isinstance(value, str):
        moment: datetime = instant(value)
        return moment
    fits = (
        (pa.types.is_string(kind) and isinstance(value, str))
        or (pa.types.is_boolean(kind) and isinstance(value, bool))
        or (pa.types.is_integer(kind) and isinstance(value, int) and not isinstance(value, bool))
        or (pa.types.is_floating(kind) and isinstance(value, int | float) and not isinstance(value, bool))
    )
    if not fits:
        raise TypeError(f"{column.name} is {str(value)[:40]!r}, and must be {kind}")
    # As Arrow keeps it, or refused: an integer that does not fit must not stop the rows beside it.
    kept = pa.scalar(float(value) if pa.types.is_floating(kind) else value, kind)
    return kept.as_py()


def _taken(entries: Sequence[tuple[bytes, dict[bytes, bytes] | None]]) -> Taken:
    ids, rows, refused = [], [], []
    for number, fields in entries:
        ids.append(number.decode())
        if not fields:
            continue  # Trimmed after it was handed out: whoever looks for gaps finds it.
        try:
            row = json.loads(fields[FIELD.encode()])
            if not isinstance(row, dict):
                raise ValueError("it is no JSON object")
            rows.append(row)
        except KeyError:
            refused.append(f"entry {ids[-1]} has no field {FIELD!r}")
        except (ValueError, RecursionError) as error:
            refused.append(f"entry {ids[-1]} is no row: {error}")
    return Taken(tuple(ids), tuple(rows), tuple(refused))


def _as_numbers(number: str) -> tuple[int, int]:
    moment, _, sequence = number.partition("-")
    return int(moment), int(sequence or 0)
