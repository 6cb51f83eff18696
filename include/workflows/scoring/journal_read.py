"""What the journal holds of a model's day: the champion's answers and its challengers', and who may still write.

Each segment is decoded once: what was read of it is kept as columns beside the journal, with how far it goes, in one
file. So a crash between the two cannot be, and a file that is lost costs only time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.adapters.journal import Damage, JournalReader, Segment, died_here, last_written, segments, writer_of
from include.adapters.journal.segments import closed
from include.config.settings import settings
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.journal.collected import ANSWERS, Writer
from include.domain.journal.records import PassedOver, record_of
from include.workflows.scoring.journal_columns import AnswerForm, ColumnReader, columns_of, with_moment
from include.workflows.scoring.kept_columns import KeptColumns, KeptSegment

if TYPE_CHECKING:
    import pyarrow as pa

LATE_DAYS = 7
"""So many days before the collected one are looked at for answers that came after they were collected."""
ORDER = ("failed", "prediction_time", "segment", "at", "part")
"""Which of several records with one id counts: an answer before a failure, after which its caller asked again, then the
first in time; the place decides between two of one microsecond."""
KEPT = "journal-columns"
_DAY = timedelta(days=1)
_TAIL = 200_000
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(slots=True)
class SegmentRead:
    """What was read of one segment.

    Attributes:
        kept: its rows.
        days: how many rows each day has, in each role.
        writer: what it tells of its process.
        until: the latest time that it has answers of, or passes over.
        damage: what could not be read of it.
    """

    segment: Segment
    kept: KeptSegment
    days: dict[str, dict[str, int]]
    writer: Writer
    until: datetime | None
    damage: Damage


@dataclass(slots=True)
class JournalDay:
    """A day of a model in the journal.

    Attributes:
        answers: those that callers got, each once, with what the model beside it said to the same row; by the time of
            their event, then by their ids; columns as in ``journal_columns``.
        duplicates: answers of the day that another one of the same id was preferred to.
        writers: every process that has written the journal.
        damage: what could not be read, of all segments.
    """

    day: str
    answers: pa.Table
    duplicates: int
    writers: list[Writer]
    damage: Damage
    form: AnswerForm
    read: list[SegmentRead]

    def count(self, day: str, held: int) -> int:
        """How many answers another day has by now, where they are more than the log has (``held``); else at most
        that."""
        most = sum(each.days.get(day, {}).get(role, 0) for each in self.read for role in ANSWERS)
        return most if most <= held else len(_first(_rows(self.form, self.read, day, ANSWERS, slim=True))[0])


@dataclass(frozen=True, slots=True)
class AnsweredBeside:
    """What a challenger answered beside the champion's rows of a day.

    Attributes:
        until: the latest prediction time that it answered or passed over; None for none.
        silent: since its newest file was last written; None where it has none.
    """

    answers: pa.Table
    until: datetime | None
    silent: timedelta | None


def journal_of(form: AnswerForm, day: str, now: datetime) -> JournalDay:
    """Read what is new in the journal, and give the day; ``now`` is the machine's."""
    folder = settings().home / "journal"
    read, seen, damage = list(_read(folder, folder.with_name(KEPT) / form.model, form)), dict[str, Writer](), Damage()
    for each in read:
        seen.setdefault(each.writer.name, Writer(each.writer.name, timedelta(0))).join(each.writer)
        damage.add(each.damage)
    note_silence(seen, folder, now)
    answers, duplicates = _first(_rows(form, read, day, ANSWERS))
    return JournalDay(day, answers, duplicates, [seen[name] for name in sorted(seen)], damage, form, read)


def newest_in(folder: Path) -> datetime | None:
    """The latest time that any record of the journal has, by the clock of the data: at most a minute ago where a
    process serves. Only the end of each process's newest file is read. None where there is no record."""
    newest = None
    found = segments(folder)
    done = closed(found)
    for segment in found:
        if segment.name in done:
            continue
        size = segment.path.stat().st_size
        reader = JournalReader(folder, {segment.name: max(0, size - _TAIL)})
        for _, whole in reader.records_of(segment, is_closed=False):
            writer = Writer(segment.name, timedelta(0))
            for _, payload in whole:
                with contextlib.suppress(ValueError):
                    writer.saw(record_of(payload))
            newest = max((at for at in (newest, writer.last) if at is not None), default=None)
    return newest


def earlier_days(day: str) -> list[str]:
    """The days before it that are looked at for late answers, the first of them first."""
    start = Interval.of_day(day).start
    return [(start - n * _DAY).date().isoformat() for n in range(LATE_DAYS, 0, -1)]


def note_silence(seen: dict[str, Writer], folder: Path, now: datetime) -> None:
    """Note for how long each process has written nothing, and which are gone. Looked at after everything was read: what
    was written meanwhile is a reason to wait."""
    dead = died_here(folder)
    for name, at in last_written(folder).items():
        writer = seen.setdefault(name, Writer(name, timedelta(0)))
        writer.silent, writer.dead = now - at, name in dead


def shadow_of(folder: Path, form: AnswerForm, day: str, asked: pa.Array, now: datetime) -> AnsweredBeside:
    """What a challenger's own journal has of the rows ``asked``, by their ids; ``now`` is the machine's."""
    import pyarrow.compute as pc

    read = list(_read(folder, folder.parent.with_name(KEPT) / form.model / folder.name, form))
    rows = _rows(form, read, day)
    rows = rows.filter(pc.is_in(rows.column("asked_id"), value_set=asked))
    written = last_written(folder).values()
    until = max((each.until for each in read if each.until is not None), default=None)
    return AnsweredBeside(_first(rows)[0], until, now - max(written) if written else None)


# --- segments --------------------------------------------------------------------------------------------------------


def _read(folder: Path, kept_in: Path, form: AnswerForm) -> Iterator[SegmentRead]:
    """Every segment, as far as it is written by now."""
    found, keeper = segments(folder), KeptColumns(kept_in, form.text())
    done = closed(found)
    keeper.forget({each.name for each in found})
    for segment in found:
        yield _segment(segment, keeper, form, is_closed=segment.name in done)


def _segment(segment: Segment, keeper: KeptColumns, form: AnswerForm, *, is_closed: bool) -> SegmentRead:
    import pyarrow as pa

    before = keeper.of(segment)
    known = SegmentRead(segment, before, *_known(segment, before.about)) if before is not None else None
    start = before.end if before is not None else 0
    reader, columns = JournalReader(segment.path.parent, {segment.name: start}), ColumnReader(form)
    for base, whole in reader.records_of(segment, is_closed=is_closed):
        columns.take(base, whole)
    end, others = reader.positions[segment.name], columns.others
    torn = Damage(torn=reader.damage.torn, torn_bytes=reader.damage.torn_bytes)
    if known is not None and end == start:
        if torn.torn:
            torn.note(segment.name, end)
        known.damage.add(torn)
        return known
    writer, until = Writer(writer_of(segment.name), timedelta(0)), others.last
    new = columns.table()
    for record in others.records:
        writer.saw(record)
        if isinstance(record, PassedOver):
            until = record.until if until is None else max(until, record.until)
    if others.last is not None:
        writer.answered(others.last)
    damage = reader.damage
    damage.unknown += len(others.unknown)
    for at in others.unknown:
        damage.note(segment.name, at)
    rows, days = new, _counted(new)
    if known is not None:
        rows = pa.concat_tables([known.kept.read(), new], promote_options="default")
        writer.join(known.writer)
        damage.add(known.damage)
        until = max((at for at in (until, known.until) if at is not None), default=None)
        for day, roles in known.days.items():
            for role, count in roles.items():
                days.setdefault(day, {})[role] = days.get(day, {}).get(role, 0) + count
    damage.where.sort(key=lambda place: int(place.rpartition(":")[2]))  # a torn end is the last
    crashpoint("collecting.segment.read")
    kept = keeper.keep(segment, rows, end, _about(days, writer, until, damage, torn))
    crashpoint("collecting.segment.kept")
    return SegmentRead(segment, kept, days, writer, until, damage)


def _about(
    days: dict[str, dict[str, int]], writer: Writer, until: datetime | None, damage: Damage, torn: Damage
) -> dict[str, Any]:
    """What is kept beside the rows. A torn end is behind what was read, and looked at again each time."""
    times = {"began": writer.began, "marked": writer.marked, "last": writer.last, "until": until}
    return {
        "days": days,
        "ended": writer.ended,
        "times": {name: at.isoformat() for name, at in times.items() if at is not None},
        "damage": [damage.changed, damage.changed_bytes, damage.unknown],
        "where": damage.where[: len(damage.where) - torn.torn],
    }


def _known(segment: Segment, about: Any) -> tuple[dict[str, dict[str, int]], Writer, datetime | None, Damage]:
    times = {name: datetime.fromisoformat(at) for name, at in about["times"].items()}
    writer = Writer(
        writer_of(segment.name),
        timedelta(0),
        times.get("began"),
        times.get("marked"),
        times.get("last"),
        about["ended"],
    )
    changed, size, unknown = about["damage"]
    damage = Damage(changed=changed, changed_bytes=size, unknown=unknown, where=list(about["where"]))
    return dict(about["days"]), writer, times.get("until"), damage


# --- rows ------------------------------------------------------------------------------------------------------------


def _rows(
    form: AnswerForm, read: Sequence[SegmentRead], day: str, roles: Collection[str] = (), *, slim: bool = False
) -> pa.Table:
    """The rows of a day in these roles, or in any, with their ``moment`` and the name of their ``segment``; ``slim``
    with no more columns than tell which of several answers counts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = []
    for each in read:
        there = each.days.get(day, {})
        if not any(there.get(role) for role in roles or there):
            continue
        rows = with_moment(each.kept.read(("role_of_record", "event_time", "asked_id", *ORDER) if slim else None))
        if len(each.days) > 1 or any(role not in roles for role in there if roles):
            mine = pc.equal(_days(rows), _number(day))
            if roles:
                mine = pc.and_(mine, pc.is_in(rows.column("role_of_record"), value_set=pa.array(sorted(roles))))
            rows = rows.filter(mine)
        name = pa.DictionaryArray.from_arrays(pa.array([0] * len(rows), pa.int32()), pa.array([each.segment.name]))
        parts.append(rows.append_column("segment", name))
    if not parts:
        empty = with_moment(columns_of(form, []))
        return empty.append_column("segment", pa.array([], pa.dictionary(pa.int32(), pa.string())))
    return pa.concat_tables(parts, promote_options="default")


def _first(rows: pa.Table) -> tuple[pa.Table, int]:
    """Of several answers with one id the first in ``ORDER``, so that the order of reading does not decide, by their
    moments and ids; and how many were left out."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows.unify_dictionaries().combine_chunks()
    ids = pc.dictionary_encode(rows.column("asked_id").combine_chunks()).indices.to_numpy()
    several, left_out = np.bincount(ids)[ids] > 1 if len(ids) else np.zeros(0, bool), 0
    by = [("moment", "ascending"), ("asked_id", "ascending")]
    order = pc.sort_indices(rows, by).to_numpy()
    if several.any():
        places = np.flatnonzero(several)
        contested = rows.select([*ORDER]).take(pa.array(places)).append_column("id", pa.array(ids[places]))
        contested = contested.set_column(2, "segment", contested.column("segment").cast(pa.string()))
        by_id = pc.sort_indices(contested, [(name, "ascending") for name in ("id", *ORDER)])
        # A record has one row, or one for each of its parts: with its part 0 a record begins, with its id its first.
        contested = contested.take(by_id)
        who, begins = contested.column("id").to_numpy(), contested.column("part").to_numpy() == 0
        is_first = begins & np.append(True, who[1:] != who[:-1])
        keeps = np.ones(len(rows), bool)
        # Every part is where its record's part 0 is: they have the same time and place.
        keeps[places[by_id.to_numpy()]] = is_first[np.maximum.accumulate(np.where(begins, np.arange(len(who)), 0))]
        left_out = int((begins & ~is_first).sum())
        order = order[keeps[order]]
    return rows.take(pa.array(order)), left_out


def _days(rows: pa.Table) -> pa.ChunkedArray:
    """The day of each ``moment``, counted from 1970."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.cast(pc.floor_temporal(rows.column("moment"), unit="day"), pa.date32()).cast(pa.int32())


def _number(day: str) -> int:
    return date.fromisoformat(day).toordinal() - _EPOCH


def _counted(rows: pa.Table) -> dict[str, dict[str, int]]:
    """How many rows each day has, in each role."""
    import pyarrow as pa

    counted: dict[str, dict[str, int]] = {}
    days = pa.table({"day": _days(with_moment(rows)), "role": rows.column("role_of_record")})
    for each in days.group_by(["day", "role"]).aggregate([([], "count_all")]).to_pylist():
        day = date.fromordinal(each["day"] + _EPOCH).isoformat()
        counted.setdefault(day, {})[each["role"]] = each["count_all"]
    return counted
