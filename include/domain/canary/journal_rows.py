"""Records of the journal as the rows that are counted for or against a canary."""

from __future__ import annotations

import math

from include.domain.canary.live_rows import LiveRow, ModelAnswer
from include.domain.journal.records import AnswerRecord, Beside


def live_row(record: AnswerRecord, *, decides: bool = True) -> LiveRow:
    """The row of a record that was asked by a route with a rollout.

    Args:
        decides: whether the model decides between classes; the values of a regression are no decisions.
    """
    # An error after no time in the model: values could not be looked up, or the time was over before. It is of neither.
    was_asked = record.error is None or record.us_model > 0
    own = _answer(record, record.rows, decides) if was_asked else None
    other = None if record.beside is None else _answer(record.beside, record.rows, decides)
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


def usual_us(record: AnswerRecord) -> int | None:
    """How long the champion took for a row that it was asked alone, in microseconds; None of any other record."""
    alone = record.rows == 1 and record.role == "champion" and record.error is None
    return record.us_model if alone and record.us_model > 0 else None


def _answer(said: AnswerRecord | Beside, rows: int, decides: bool) -> ModelAnswer:
    us, score = said.us_model if rows == 1 else None, said.score
    values = [] if score is None else (list(score) if isinstance(score, list) else [float(score)])
    if said.error is not None or not values or not all(math.isfinite(each) for each in values):
        return ModelAnswer(True, us)
    kept = tuple(values) if isinstance(score, list) else values[0]
    return ModelAnswer(False, us, kept, None if not decides or said.predicted is None else str(said.predicted))
