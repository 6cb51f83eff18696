"""A challenger beside online traffic: it reads the journal, answers each row from the values that the champion was
given, and writes its answers into segments of its own.

The request path does nothing for it and waits for nothing here. What a challenger does, its own process does: when that
hangs, dies or takes too much memory, it is ended and started again, and the row that it cannot get past is an error of
its own. Where it is too far behind, rows are passed over and counted, so that coverage judges what is missing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from include.adapters import files
from include.adapters.journal import Entry, Journal, JournalReader, segments
from include.adapters.scorer_process import Scorer, ScorerDied
from include.domain.journal.collected import moment_of
from include.domain.journal.records import AnswerRecord, PassedOver

ALONE_OF = 50
"""Of so many rows one is also asked alone, by its id, so that its time is comparable with the champion's."""
STATE = "positions.json"


@dataclass(frozen=True, slots=True)
class TailLimits:
    """When rows are passed over, and when a challenger is given up.

    Attributes:
        batch_rows: rows that it is asked at once.
        batch_s, row_s: how long an answer to a batch, and to one row, may take.
        behind_s, behind_bytes: how far behind it may be, in seconds of the data's clock and in bytes of the journal
            (70 MB are some 100,000 rows). Rows from before it began are behind in bytes only.
        strikes: rows that it could not get past after which it is asked no more.
    """

    batch_rows: int = 256
    batch_s: float = 5.0
    row_s: float = 1.0
    behind_s: float = 300.0
    behind_bytes: int = 70_000_000
    strikes: int = 3


@dataclass(frozen=True, slots=True)
class OnlineChallenger:
    """Who answers beside the champion of ``model``; ``digest`` is that of the file that it is judged by. Of days before
    ``since``, the beginning of its window, it is asked nothing."""

    model: str
    candidate: str
    digest: str
    form: str
    features: tuple[str, ...]
    since: datetime | None = None


@dataclass(slots=True)
class TailCounts:
    """What became of the champion's rows: each is answered, an error, or passed over."""

    answered: int = 0
    errors: int = 0
    passed_over: int = 0
    again: int = 0
    """Rows that were read again after a restart, or that somebody sent again, and were not asked twice."""
    strikes: int = 0
    gave_up: str | None = None
    """Why the challenger is asked no more; None while it is."""
    behind_s: float = 0.0


@dataclass(slots=True)
class _Known:
    """The ids of the newest rows that were answered, so that none is asked twice."""

    ids: dict[str, None] = field(default_factory=dict)
    most: int = 200_000

    def add(self, asked_id: str) -> bool:
        """Whether it is new."""
        if asked_id in self.ids:
            return False
        self.ids[asked_id] = None
        if len(self.ids) > self.most:
            del self.ids[next(iter(self.ids))]
        return True


class ShadowTail:
    """Follows one journal for one challenger. ``step`` is called again and again by one thread."""

    def __init__(
        self,
        challenger: OnlineChallenger,
        journal: Path,
        own: Journal,
        scorer: Scorer,
        now: Callable[[], datetime],
        limits: TailLimits | None = None,
    ) -> None:
        """Go on where an earlier process stopped.

        Args:
            journal: the folder that the service writes.
            own: the challenger's own journal, in a folder of its own.
            scorer: asks the challenger's process.
            now: the clock of the data.
            limits: left out, the usual ones.
        """
        self.challenger, self.counts, self._own, self._scorer = challenger, TailCounts(), own, scorer
        self._now, self._limits, self._began = now, limits or TailLimits(), now()
        self._known, self._needs = _Known(), frozenset(challenger.features)
        kept = _state(own.folder / STATE)
        self._reader = JournalReader(journal, kept["journal"])
        for entry in JournalReader(own.folder, kept["written"]).all():  # written, and its position not kept any more
            if isinstance(entry.record, AnswerRecord):
                self._known.add(entry.record.asked_id)

    def step(self) -> int:
        """Work off one batch; how many records were read, 0 when there is nothing new."""
        entries = self._reader.read(self._limits.batch_rows)
        if not entries:
            self.counts.behind_s = 0.0
            return 0
        if self._is_too_far_behind(entries):
            self._pass_over(entries)
        else:
            self._answer(self._new(entries))
        self._keep()
        return len(entries)

    def _new(self, entries: Sequence[Entry]) -> list[AnswerRecord]:
        """The champion's answers that were not seen yet; a row that it could not answer itself is asked of no one."""
        found = []
        for entry in entries:
            record = entry.record
            if not isinstance(record, AnswerRecord) or record.model != self.challenger.model:
                continue
            if record.role != "champion" or record.error is not None or record.candidate == self.challenger.candidate:
                continue
            if self.challenger.since is not None and moment_of(record) < self.challenger.since:
                continue
            if self._known.add(record.asked_id):
                found.append(record)
            else:
                self.counts.again += 1
        return found

    def _is_too_far_behind(self, entries: Sequence[Entry]) -> bool:
        times = [e.record.prediction_time for e in entries if isinstance(e.record, AnswerRecord)]
        self.counts.behind_s = max(0.0, (self._now() - min(times)).total_seconds()) if times else 0.0
        far = self._reader.unread_bytes() > self._limits.behind_bytes
        # The first day of its window began before it: those rows are worked off, or that day would never be whole.
        behind = [each for each in times if each >= self._began]
        return far or (bool(behind) and (self._now() - min(behind)).total_seconds() > self._limits.behind_s)

    def _pass_over(self, entries: Sequence[Entry]) -> None:
        """Count everything up to the newest record without asking anything."""
        since = until = None
        rows = 0
        while entries:
            for record in self._new(entries):
                since = record.prediction_time if since is None else min(since, record.prediction_time)
                until = record.prediction_time if until is None else max(until, record.prediction_time)
                rows += 1
            entries = self._reader.read(5_000)
        if since is not None and until is not None:
            reason = f"{self.challenger.candidate} was too far behind"
            self._own.append([PassedOver(self.challenger.model, since, until, rows, reason)])
            self.counts.passed_over += rows

    def _answer(self, records: Sequence[AnswerRecord]) -> None:
        if not records:
            return
        asked: list[AnswerRecord] = []
        told: dict[str, ShadowAnswer] = {}
        for record in records:
            if not self._needs <= record.features.keys():
                lacking = [name for name in self.challenger.features if name not in record.features]
                told[record.asked_id] = ShadowAnswer(error=f"the record has no value of {', '.join(lacking[:3])}")
            else:
                asked.append(record)
        told |= self._told(asked)
        self._own.append([self._written(record, told[record.asked_id]) for record in records])
        errors = sum(each.error is not None for each in told.values())
        self.counts.errors += errors
        self.counts.answered += len(records) - errors

    def _told(self, records: Sequence[AnswerRecord]) -> dict[str, ShadowAnswer]:
        """Its answers; where its process dies or hangs on a batch, halves are asked, and a single row twice."""
        found: dict[str, ShadowAnswer] = {}
        parts = [list(records)] if records else []
        while parts:
            part = parts.pop(0)
            if self.counts.gave_up is not None:
                found |= {each.asked_id: ShadowAnswer(error=self.counts.gave_up) for each in part}
                continue
            try:
                found |= self._ask(part)
            except ScorerDied as why:
                if len(part) > 1:
                    middle = len(part) // 2
                    parts[:0] = [part[:middle], part[middle:]]
                else:
                    found |= self._ask_again(part[0], str(why))
        return found

    def _ask_again(self, record: AnswerRecord, why: str) -> dict[str, ShadowAnswer]:
        try:
            return self._ask([record])
        except ScorerDied:
            self.counts.strikes += 1
            if self.counts.strikes >= self._limits.strikes:
                self.counts.gave_up = f"it is asked no more, after {self.counts.strikes} rows like the last: {why}"
            return {record.asked_id: ShadowAnswer(error=why)}

    def _ask(self, records: Sequence[AnswerRecord]) -> dict[str, ShadowAnswer]:
        rows = [self._asked(record.features) for record in records]
        alone = [i for i, record in enumerate(records) if is_asked_alone(record.asked_id)]
        within = self._limits.row_s if len(records) == 1 else self._limits.batch_s
        said = self._scorer.ask(rows, alone, within)
        each = zip(records, said["scores"], said["errors"], said["answers"], strict=True)
        return {record.asked_id: ShadowAnswer(score, error, us or 0) for record, score, error, us in each}

    def _asked(self, served: Mapping[str, Any]) -> Mapping[str, Any]:
        """What it is asked: the values that it reads, which are mostly all that there are."""
        if len(served) == len(self._needs):
            return served
        return {name: served[name] for name in self.challenger.features}

    def _written(self, record: AnswerRecord, told: ShadowAnswer) -> AnswerRecord:
        return AnswerRecord(
            asked_id=record.asked_id,
            request_id=record.request_id,
            model=record.model,
            prediction_time=record.prediction_time,
            candidate=self.challenger.candidate,
            digest=self.challenger.digest,
            revision=record.revision,
            route_revision=record.route_revision,
            keys=record.keys,
            event_time=record.event_time,
            row=record.row,
            rows=record.rows,
            arm=record.arm,
            role="shadow",
            by="packed" if self.challenger.form == "packed" else "pipeline",
            unit=record.unit,
            bucket=record.bucket,
            score=told.score,
            error=told.error,
            us_model=told.us,
        )

    def _keep(self) -> None:
        """Keep how far it came, after what it wrote. A process that ends in between finds its answers again."""
        written = {each.name: each.path.stat().st_size for each in segments(self._own.folder)}
        files.write_json(self._own.folder / STATE, {"journal": self._reader.positions, "written": written})


@dataclass(frozen=True, slots=True)
class ShadowAnswer:
    """What the challenger said to one row; ``us`` is 0 where the row was not asked alone."""

    score: float | list[float] | None = None
    error: str | None = None
    us: int = 0


def unread_bytes(own: Path, journal: Path) -> int | None:
    """How much of the journal a challenger has not worked off; None where it has begun nothing yet."""
    kept = _state(own / STATE)["journal"]
    return JournalReader(journal, kept).unread_bytes() if kept else None


def is_asked_alone(asked_id: str) -> bool:
    """One row of fifty, the same ones after a restart."""
    return zlib.crc32(asked_id.encode()) % ALONE_OF == 0


def _state(file: Path) -> Mapping[str, Mapping[str, int]]:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {"journal": dict(kept["journal"]), "written": dict(kept["written"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"journal": {}, "written": {}}


__all__ = ["ALONE_OF", "OnlineChallenger", "ShadowTail", "TailCounts", "TailLimits", "is_asked_alone", "unread_bytes"]
