"""Whether a candidate was prepared for an estimate, and until when it is held: it is not promoted before matured labels
confirm the estimate.

Its shadow window stays open until the labels of the alarm's day, and of a window of days from it on, have matured.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from include.adapters.ledger import Candidate, Ledger
from include.config import ModelDeclaration
from include.domain.intervals import Interval

HOLD = "hold_promotion"
"""The key in a decision's numbers: whether its candidate must wait until matured labels confirm the alarm."""


def alarm_day(ledger: Ledger, candidate: Candidate) -> str | None:
    """The day whose estimate asked for this candidate; None when it may be promoted without waiting for labels."""
    report_id = candidate.request.report_id
    decision = ledger.drift.decision(report_id) if report_id else None
    return decision.day if decision is not None and decision.numbers.get(HOLD) else None


def open_until(ledger: Ledger, model: ModelDeclaration, candidate: Candidate) -> datetime | None:
    """The data time until which the candidate's shadow window stays open at least; None when nothing holds it."""
    day = alarm_day(ledger, candidate)
    return None if day is None else labels_tell_at(model, day)


def labels_tell_at(model: ModelDeclaration, alarm: str) -> datetime:
    """When the labels of the alarm's day, and of a window of days from it on, have matured."""
    return Interval.of_day(alarm).end + timedelta(days=model.drift.performance.window_days - 1) + model.label.delay
