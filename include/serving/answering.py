"""One request from its rows to its reply: values looked up, scores, the journal, and only then the answer.

Where a candidate has a share, it is asked the rows of its share too, after the champion or beside it. The caller gets
its answer where it gave one in time, and else the champion's.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

from include.adapters.boot_clock import boot_id, boot_seconds
from include.adapters.journal import JournalUnwritable
from include.domain.faults import crashpoint
from include.domain.journal.records import AnswerRecord, Record, Why
from include.domain.packed.reader import Packed
from include.domain.serving.requests import AskedRequest, NotAnswered
from include.domain.serving.route import ServedModel
from include.serving.asking import AsksCandidates
from include.serving.canary import ArmCounts, Draw, LoadedArm, drawn
from include.serving.counters import AGE, AGES, Counters, bucket_of, labelled
from include.serving.lookups import FoundRow, LooksUp, looked_up
from include.serving.models import LoadedModel
from include.serving.recorded import AskedBeside, BegunRequest, Terms, records_of, whose_failure
from include.serving.scores import ModelSaid, finite, packed_scores, us_since


class WritesDown(Protocol):
    """Where answers are written down."""

    def append(self, records: Sequence[Record]) -> None: ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row's answer."""

    score: float | list[float]
    predicted: str
    missing: Mapping[str, Why]
    """By view, why its values were missing."""
    served_by: str = ""
    arm: str = "champion"


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A whole request's answer, after it was written down."""

    request_id: str
    served: ServedModel
    predictions: list[Prediction]
    counted: bool
    """Whether it is in the journal."""
    drawn: bool = False
    """Whether a candidate had a share."""
    tells: bool = True
    """Whether the caller may know who answered while one has."""

    @property
    def served_by(self) -> list[str]:
        """Who answered its rows, each once; none where the caller may not know."""
        if self.drawn and not self.tells:
            return []
        return list(dict.fromkeys(each.served_by for each in self.predictions))


class Answerer:
    """Answers requests, by one thread: one after the other where the model answers at once."""

    def __init__(
        self,
        lookup: LooksUp,
        journal: WritesDown,
        counters: Counters,
        now: Callable[[], datetime],
        lease_clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self._lookup, self._journal, self._counters, self._now = lookup, journal, counters, now
        self._lease_clock, self._boot = lease_clock, boot_id()
        self._arms = ArmCounts(counters)
        self._candidates = AsksCandidates(lookup)
        self.unwritten = False
        """Whether the last answer could not be written down: then no candidate is asked, as it would not be counted."""
        self._last: datetime | None = None
        self._open: list[datetime] = []
        """When those were taken in that wait for a pipeline."""

    def share(self, canary: LoadedArm | None) -> int:
        """The share of the candidate that is in force in this worker now, in millionths."""
        if canary is None or self.unwritten:
            return 0
        return canary.arm.share_at(self._boot, self._lease_clock())

    def draw(self, asked: AskedRequest, model: LoadedModel, terms: Terms) -> Draw | None:
        """The arm of each row; None where no candidate has a share."""
        canary = model.canary
        share = self.share(canary)
        if canary is None or not share:
            return None
        return drawn(canary, share, model.served.unit, asked, terms.unit)

    @staticmethod
    def at_once(model: LoadedModel, draw: Draw | None) -> bool:
        """Whether everyone who is asked answers in this process."""
        return isinstance(model.form, Packed) and (
            draw is None or not draw.asked or isinstance(draw.canary.form, Packed)
        )

    def answer(
        self, asked: AskedRequest, model: LoadedModel, terms: Terms, draw: Draw | None = None
    ) -> AnsweredRequest:
        """The answer of packed models, written down.

        Raises:
            NotAnswered: when a view's policy refuses it, the champion does not answer its rows, the deadline is over,
                or it cannot be written down and that is refused.
        """
        begun = self._begun(asked, model, terms, draw)
        before = time.perf_counter()
        try:
            scores = packed_scores(cast(Packed, model.form), [row.features for row in begun.rows])
            said: ModelSaid | NotAnswered = ModelSaid(scores, None, us_since(before))
        except NotAnswered as refused:
            said = refused
        said = _in_time(said, terms)
        beside = self._candidates.at_once(begun, before - terms.began) if _asks(draw, said) else None
        return self._ended(begun, said, beside)

    async def answer_slowly(
        self, asked: AskedRequest, model: LoadedModel, terms: Terms, draw: Draw | None = None
    ) -> AnsweredRequest:
        """The answer where a pipeline is asked, written down; other requests go on meanwhile.

        Raises:
            NotAnswered: as ``answer``.
        """
        begun = self._begun(asked, model, terms, draw)
        self._open.append(begun.at)
        waiting: asyncio.Task[AskedBeside] | None = None
        try:
            before = time.perf_counter()
            rows = [row.features for row in begun.rows]
            if draw is not None and draw.asked and not isinstance(draw.canary.form, Packed):
                waiting = asyncio.ensure_future(self._candidates.slowly(begun))
                await asyncio.sleep(0)  # its process begins now, and the champion is not waited for
            try:
                if isinstance(model.form, Packed):
                    said: ModelSaid | NotAnswered = ModelSaid(packed_scores(model.form, rows), None, us_since(before))
                else:
                    found = await model.form.scores(rows, terms.deadline_s - (before - terms.began))
                    said = ModelSaid(found, None, us_since(before))
            except NotAnswered as refused:
                said = refused
            said = _in_time(said, terms)
            beside = None
            if waiting is not None:
                beside = await waiting
            elif _asks(draw, said):
                beside = self._candidates.at_once(begun, before - terms.began)
            return self._ended(begun, said, beside)
        finally:
            self._open.remove(begun.at)
            if waiting is not None:
                waiting.cancel()

    def written_until(self, now: datetime) -> datetime:
        """The time before which every answer is written: now, or when the oldest began that is under way."""
        return min([now, *self._open])

    # --- the champion's values, the candidate's, and its scores ------------------------------------------------------

    def _begun(self, asked: AskedRequest, model: LoadedModel, terms: Terms, draw: Draw | None) -> BegunRequest:
        served, at = model.served, self._prediction_time()
        rows = [looked_up(self._lookup, row, served, at) for row in asked.rows]
        crashpoint("serve.looked_up")
        terms.in_time()
        return BegunRequest(asked.request_id or secrets.token_hex(16), served, at, asked.rows, rows, terms, draw)

    # --- written down, and answered ----------------------------------------------------------------------------------

    def _ended(self, begun: BegunRequest, said: ModelSaid | NotAnswered, beside: AskedBeside | None) -> AnsweredRequest:
        served, terms = begun.served, begun.terms
        crashpoint("serve.scored")
        if isinstance(said, NotAnswered):
            self._failed(begun, said, beside)
            raise said
        records = records_of(begun, said, beside)
        counted = self._written(records, served)
        crashpoint("serve.journaled")
        self._count(begun.rows, served)
        self._count_arms(begun, records)
        predictions = [
            Prediction(
                cast("float | list[float]", record.score),
                str(record.predicted),
                {name: view.missing for name, view in row.views.items() if view.missing},
                record.candidate,
                record.arm,
            )
            for record, row in zip(records, begun.rows, strict=True)
        ]
        return AnsweredRequest(begun.request_id, served, predictions, counted, begun.draw is not None, terms.tells)

    def _failed(self, begun: BegunRequest, refused: NotAnswered, beside: AskedBeside | None) -> None:
        """Write down that the champion failed, while a candidate has a share: its failures are compared with these."""
        if begun.draw is None:
            return
        records = records_of(begun, ModelSaid(error=refused.message), beside)
        try:
            self._journal.append(records)
        except JournalUnwritable:
            self.unwritten = True
            self._counters.add(labelled("slipway_journal_failed_total", model=begun.served.model), len(records))
        self._count_arms(begun, records)

    def _prediction_time(self) -> datetime:
        """The one reading of the clock; it never goes back in this process."""
        at = self._now()
        if self._last is not None and at < self._last:
            at = self._last
        self._last = at
        return at

    def _written(self, records: Sequence[Record], served: ServedModel) -> bool:
        try:
            self._journal.append(records)
            self.unwritten = False
            return True
        except JournalUnwritable as error:
            self.unwritten = True
            self._counters.add(labelled("slipway_journal_failed_total", model=served.model), len(records))
            if served.on_journal_full == "refuse":
                raise NotAnswered(503, "the answer cannot be written down, so it is not given") from error
            return False

    def _count_arms(self, begun: BegunRequest, records: Sequence[AnswerRecord]) -> None:
        if begun.draw is not None:
            self._arms.rows(begun.draw, begun.terms.passed_s(), [whose_failure(each) for each in records])

    def _count(self, rows: list[FoundRow], served: ServedModel) -> None:
        self._counters.add(labelled("slipway_rows_total", model=served.model), len(rows))
        for row in rows:
            for view, how in row.views.items():
                if how.missing:
                    name = labelled("slipway_missing_total", model=served.model, view=view, why=how.missing)
                    self._counters.add(name)
                elif how.age_s is not None and how.age_s >= 0:
                    le = bucket_of(how.age_s, AGES)
                    self._counters.add(labelled(f"{AGE}_bucket", model=served.model, view=view, le=le))
                    self._counters.add(labelled(f"{AGE}_sum", model=served.model, view=view), how.age_s)
                    self._counters.add(labelled(f"{AGE}_count", model=served.model, view=view))


def _asks(draw: Draw | None, said: ModelSaid | NotAnswered) -> bool:
    """Whether the candidate is asked after the champion: also where that failed, but not where time is over."""
    return draw is not None and bool(draw.asked) and not (isinstance(said, NotAnswered) and said.status == 504)


def _in_time(said: ModelSaid | NotAnswered, terms: Terms) -> ModelSaid | NotAnswered:
    """What the champion said, or why that is no answer."""
    if isinstance(said, NotAnswered):
        return said
    try:
        finite(said.scores)
        terms.in_time()
    except NotAnswered as refused:
        return refused
    return said
