"""What is known of one request while it is answered, and the records that are written of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from include.domain.journal.records import AnswerRecord, Beside
from include.domain.serving.requests import AskedRow, NotAnswered
from include.domain.serving.route import ServedModel
from include.serving.canary import Draw
from include.serving.lookups import FoundRow
from include.serving.scores import ModelSaid, predicted_of


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one request beside its rows."""

    began: float
    """When it was taken in, by ``time.perf_counter``."""
    deadline_s: float
    """From then."""
    trace: str | None = None
    unit: str | None = None
    """The value of the header that arms are chosen by, where they are chosen by one."""
    tells: bool = True
    """Whether the caller may know who answered while a candidate has a share."""

    def passed_s(self) -> float:
        """How long ago it was taken in, in seconds."""
        return time.perf_counter() - self.began

    def in_time(self) -> None:
        """
        Raises:
            NotAnswered: when the deadline is over.
        """
        if self.left_s() < 0:
            raise self.late()

    def left_s(self) -> float:
        """Seconds until the deadline; below 0 when it is over."""
        return self.deadline_s - self.passed_s()

    def late(self) -> NotAnswered:
        """What is said when the deadline is over."""
        return NotAnswered(504, f"there is no answer within {self.deadline_s * 1000:g} ms")


@dataclass(frozen=True, slots=True)
class BegunRequest:
    """A request whose values are there, and whose scores are not."""

    request_id: str
    served: ServedModel
    at: datetime
    asked: list[AskedRow]
    rows: list[FoundRow]
    terms: Terms
    draw: Draw | None


@dataclass(frozen=True, slots=True)
class AskedBeside:
    """What the candidate was given, and what it said; ``said`` is None where time was over before."""

    features: list[dict[str, Any]]
    said: ModelSaid | None


def records_of(begun: BegunRequest, said: ModelSaid, beside: AskedBeside | None) -> list[AnswerRecord]:
    """A record of each row: what the champion said, and beside it the candidate where that was asked."""
    served, draw, terms = begun.served, begun.draw, begun.terms
    us_total = round(terms.passed_s() * 1e6)
    made = []
    for i, row in enumerate(begun.rows):
        score = said.scores[i] if said.error is None else None
        made.append(
            AnswerRecord(
                asked_id=f"{begun.request_id}#{i}" if len(begun.rows) > 1 else begun.request_id,
                request_id=begun.request_id,
                model=served.model,
                prediction_time=begun.at,
                candidate=served.candidate,
                digest=served.digest,
                revision=served.revision,
                route_revision=served.route_revision,
                by=served.by,
                keys=row.keys,
                event_time=row.event_time,
                row=i,
                rows=len(begun.rows),
                score=score,
                predicted=None if score is None else predicted_of(score, served),
                error=said.error,
                us_total=us_total,
                us_model=said.us,
                features=_kept(row.features, served.omit),
                omitted=served.omit,
                given=row.given,
                views=row.views,
                trace=terms.trace,
                **({} if draw is None else _arm_fields(draw, i)),
            )
        )
    if draw is not None and beside is not None:
        for place, i in enumerate(draw.asked):
            made[i] = _both(made[i], draw, beside, place)
    return made


def _kept(features: dict[str, Any], omit: list[str]) -> dict[str, Any]:
    return {name: value for name, value in features.items() if name not in omit} if omit else features


def _arm_fields(draw: Draw, i: int) -> dict[str, Any]:
    row = draw.rows[i]
    return {
        "arm": "canary" if row.in_canary else "champion",
        "unit": row.unit,
        "bucket": row.bucket,
        "number": draw.canary.arm.number,
        "share_ppm": draw.share_ppm,
    }


def _both(champion: AnswerRecord, draw: Draw, beside: AskedBeside, place: int) -> AnswerRecord:
    """The record of a row of the candidate's share: whom the caller got, and what the other said."""
    served, said = draw.canary.served, beside.said
    given = beside.features[place] if beside.features else {}
    there = champion.features
    differ = {n: v for n, v in given.items() if n not in champion.omitted and (n not in there or there[n] != v)}
    if said is None:
        return msgspec.structs.replace(champion, canary_features=differ)
    score = said.scores[place] if said.error is None else None
    predicted = None if score is None else predicted_of(score, served)
    if champion.error is not None or said.error is not None:
        other = Beside(served.candidate, served.digest, "canary", served.by, score, predicted, said.error, said.us)
        return msgspec.structs.replace(champion, beside=other, canary_features=differ)
    other = Beside(
        champion.candidate,
        champion.digest,
        "champion",
        champion.by,
        champion.score,
        champion.predicted,
        None,
        champion.us_model,
    )
    return msgspec.structs.replace(
        champion,
        candidate=served.candidate,
        digest=served.digest,
        role="canary",
        by=served.by,
        score=score,
        predicted=predicted,
        us_model=said.us,
        beside=other,
        canary_features=differ,
    )


def whose_failure(record: AnswerRecord) -> str:
    """``canary``, ``champion`` or ``both``; ``not asked`` where the candidate was not; empty where no one failed."""
    if record.arm == "canary" and record.beside is None:
        return "not asked"
    canary = record.beside is not None and record.beside.role == "canary" and record.beside.error is not None
    if record.error is not None:
        return "both" if canary else "champion"
    return "canary" if canary else ""
