"""Counts the scored days of a shadow window, and closes it in data time."""

from __future__ import annotations

from include.adapters.ledger import Ledger, ShadowWindow
from include.config import ModelDeclaration
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.shadow import Window, window_state
from include.workflows.journey import estimate_hold


def count_day(
    ledger: Ledger, model: ModelDeclaration, candidate_id: str, day: str, rows: int, answered: int
) -> ShadowWindow:
    """Count a scored day, and close the window at the end of the day that filled it or was its last; if an estimate
    asked for the candidate, not before labels could confirm the estimate."""
    window = ledger.shadow.record_day(candidate_id, day, rows=rows, answered=answered)
    crashpoint("scoring.shadow.counted")
    end = Interval.of_day(max(d.day for d in window.scored)).end
    matured = sum(Interval.of_day(d.day).end + model.label.delay <= end for d in window.scored)
    state = window_state(model.shadow.rules(), rows=window.answered, days=window.days, matured_days=matured)
    if window.closed_at is None and state is not Window.OPEN:
        held = estimate_hold.open_until(ledger, model, ledger.candidates.get(candidate_id))
        if held is None or end >= held:
            window = ledger.shadow.close(candidate_id, closed_at=end)
    return window
