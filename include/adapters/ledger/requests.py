"""What the ledger is asked to change about a champion or a gate: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.domain.incident_log import IncidentEventKind


@dataclass(frozen=True, slots=True)
class PromotionRequest:
    """That a candidate become champion of its model."""

    model: str
    candidate_id: str
    expected_revision: int
    """The revision it was compared under; 0 for a model without a champion."""
    digest: str
    """Of the artifact as the registry holds it now."""
    effective_from: datetime
    """The data time from which it scores, at the earliest: a day that was claimed by a scoring keeps its champion, so
    it begins after the last of them."""
    actor: str
    reason: str
    run_id: str
    """A retry by the same run finds the epoch of its first try."""
    twin_digest: str | None = None
    """Of the twin that was judged, as the registry holds it now; None where the judged artifact itself serves."""


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """That the previous good champion of a model be champion again."""

    model: str
    reason: str
    run_id: str
    """A retry by the same run finds the epoch of its first try."""
    effective_from: datetime | None = None
    """The data time from which the restored one is champion, at the earliest; None, and anything before the champion's
    own time, is the first day after the last claimed one."""
    bad_candidate: str | None = None
    """The champion to take out; None takes out the present champion. When it is out already, that epoch is the answer,
    so that an automatic and a manual rollback make one."""


@dataclass(frozen=True, slots=True)
class OverrideRequest:
    """That one candidate be let past one gate that did not pass it."""

    candidate_id: str
    gate: str
    why: str
    expires_at: datetime
    """First moment at which it no longer holds."""


@dataclass(frozen=True, slots=True)
class IncidentRequest:
    """What a person does about an incident."""

    incident_id: str
    kind: IncidentEventKind
    """ACKNOWLEDGED, SNOOZED or ACCEPTED."""
    why: str
    until: str | None = None
    """With SNOOZED, the first day of data on which it reminds again."""
