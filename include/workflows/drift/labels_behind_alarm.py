"""The hold on a candidate that was prepared for an estimate (docs/statistics.md, 6): it is not promoted before matured
labels confirm the estimate.

Its shadow window stays open until the labels of the alarm's day, and of a window of days from it on, have matured.
Then the shadow gate, which for such a candidate is blocking even if declared advisory, checks the labels.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from include.config import ModelDeclaration
from include.domain.intervals import Interval
from include.domain.losses import DayLoss
from include.domain.verdicts import CriterionResult, Verdict
from include.workflows.drift import reference as references
from include.workflows.journey.step import Journey

CRITERION = "labels behind the alarm"


def labels_show_it(journey: Journey, champion_id: str | None, alarm: str, as_of: datetime) -> CriterionResult:
    """Whether the champion is out of its band on the labels that had matured by ``as_of``, the end of a day."""
    epochs = journey.ledger.deployments.epochs(journey.model.name)
    epoch = next((e for e in reversed(epochs) if e.to_candidate == champion_id), None)
    if epoch is None:
        reason = f"There was no champion beside the candidate whose labels could show the alarm of {alarm}."
        return _result(Verdict.INCONCLUSIVE, None, 0, reason)
    day = Interval.of_day(as_of - timedelta(days=1))
    kept = references.reference_of(epoch)
    losses, _, unmeasured = references.matured(kept.as_weighed(journey.model), epoch, day)
    if unmeasured is not None:
        prepared = f"This candidate was prepared for an estimate of {alarm}"
        return _result(Verdict.INCONCLUSIVE, None, 0, f"{prepared}; labels cannot tell. {unmeasured}")
    level = journey.ledger.incidents.accepted(journey.model.name, epoch.to_candidate, as_of.date())
    reference, losses = kept.at_level(level, losses, journey.model.label.delay)
    return shown_by(journey.model, reference, losses, alarm)


def shown_by(
    model: ModelDeclaration, reference: references.Reference, losses: tuple[DayLoss, ...], alarm: str
) -> CriterionResult:
    """Whether a champion's matured losses show the alarm that an estimate raised on a day. Reads nothing."""
    found = references.realised(model, reference, losses)
    newest = max((loss.day for loss in losses), default=None)
    prepared = f"This candidate was prepared for an estimate of {alarm}"
    if newest is None or newest < alarm:
        seen = f"the newest matured label is of {newest}" if newest else "no label has matured"
        return _result(Verdict.INCONCLUSIVE, found.risk, found.rows, f"{prepared}, and {seen}.")
    if found.out_of_band is True:
        return _result(Verdict.PASS, found.risk, found.rows, f"{prepared}, and labels show it. {found.reason}")
    # Too few rows to prove it are no contradiction: only labels within the usual range are one.
    recent, usual = found.recent_risk, found.reference_risk
    if found.out_of_band is False and recent is not None and usual is not None and recent <= usual + found.tolerance:
        return _result(Verdict.FAIL, found.risk, found.rows, f"{prepared}, and labels contradict it. {found.reason}")
    return _result(Verdict.INCONCLUSIVE, found.risk, found.rows, f"{prepared}; labels cannot tell yet. {found.reason}")


def _result(verdict: Verdict, risk: float | None, rows: int, reason: str) -> CriterionResult:
    return CriterionResult(CRITERION, verdict, risk, "realised performance out of band", rows, reason)
