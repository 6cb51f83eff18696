"""Records of the journal as rows of live traffic."""

from __future__ import annotations

from include.domain.canary.live_rows import LiveRow, ModelAnswer
from include.domain.journal.records import AnswerRecord, Beside


def live_row(record: AnswerRecord, *, decides: bool = True) -> LiveRow | None:
    """The row that a record tells of; None where no candidate had a share when it was asked.

    Args:
        decides: whether the model decides between classes; a regression's values are not compared as decisions.
    """
    if record.number is None or record.arm not in ("champion", "canary"):
        return None
    # An error after no time in the model: values could not be looked up, or the time was over before. It is of neither.
    was_asked = record.error is None or record.us_model > 0
    caller = _answer(record, record.rows, decides=decides) if was_asked else None
    other = None if record.beside is None else _answer(record.beside, record.rows, decides=decides)
    in_canary = record.role == "canary"
    return LiveRow(
        asked_id=record.asked_id,
        unit=record.unit,
        revision=record.route_revision,
        share_ppm=record.share_ppm,
        is_canary=record.arm == "canary",
        canary=caller if in_canary else other,
        champion=other if in_canary else caller,
    )


def usual_us(record: AnswerRecord) -> int | None:
    """How long the champion took for a row that it was asked alone, in microseconds; None of any other record."""
    alone = record.rows == 1 and record.role == "champion" and record.error is None
    return record.us_model if alone and record.us_model > 0 else None


def _answer(said: AnswerRecord | Beside, rows: int, *, decides: bool) -> ModelAnswer:
    score = tuple(said.score) if isinstance(said.score, list) else said.score
    return ModelAnswer(
        failed=said.error is not None,
        us=said.us_model if rows == 1 else None,
        score=score,
        predicted=None if not decides or said.predicted is None else str(said.predicted),
    )
