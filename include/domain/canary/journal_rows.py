"""A record of the journal as the row that is counted for or against a canary."""

from __future__ import annotations

import math

from include.domain.canary.live_rows import LiveRow, ModelAnswer
from include.domain.journal.records import AnswerRecord, Beside


def live_row(record: AnswerRecord) -> LiveRow:
    """The row of a record that was asked by a route with a rollout."""
    alone, theirs = record.rows == 1, record.beside
    own = _answer(record, alone)
    other = None if theirs is None else _answer(theirs, alone)
    canary, champion = (own, other) if record.role == "canary" else (other, own)
    return LiveRow(
        asked_id=record.asked_id,
        unit=record.unit,
        revision=record.route_revision,
        share_ppm=record.share_ppm,
        is_canary=record.arm == "canary",
        canary=canary,
        champion=champion,
    )


def _answer(said: AnswerRecord | Beside, alone: bool) -> ModelAnswer:
    score = said.score
    values = [] if score is None else (list(score) if isinstance(score, list) else [float(score)])
    failed = said.error is not None or not values or not all(math.isfinite(each) for each in values)
    if failed:
        return ModelAnswer(True, said.us_model if alone else None)
    kept = tuple(values) if isinstance(score, list) else values[0]
    decided = None if isinstance(said.predicted, float) or said.predicted is None else str(said.predicted)
    return ModelAnswer(False, said.us_model if alone else None, kept, decided)
