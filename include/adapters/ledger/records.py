"""What the ledger hands out: plain frozen values. Every time in them is aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from include.domain.lifecycle import LIVE, Event, JourneyRequest, State
from include.domain.promotion import Epoch, GateRecord, Override


@dataclass(frozen=True, slots=True)
class Attempt:
    """The right to write for one scope, until a newer attempt is handed out. Small enough for an XCom."""

    scope: str
    """What only one copy may do, for example a Dag run and a task: ``retrain_m/run-1/promote``."""
    token: int
    """From 1, rising by one with each attempt."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a candidate's artifact. None means not known yet, and leaves what is recorded as it is."""

    artifact_digest: str | None = None
    training_set_hash: str | None = None
    mlflow_run_id: str | None = None
    model_version: str | None = None
    """The registry's version; known once registered."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate, that is one journey."""

    candidate_id: str
    request: JourneyRequest
    state: State
    facts: Facts
    outcome: str | None
    """How the journey ended, in a sentence; None while it goes on."""
    opened_at: datetime

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def run_id(self) -> str:
        return self.request.run_id

    @property
    def is_live(self) -> bool:
        return self.state in LIVE


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of a candidate's state, or of its facts."""

    number: int
    event: Event | None
    """None for the opening."""
    from_state: State | None
    to_state: State
    actor: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Promoted:
    """The outcome of a promotion or rollback."""

    epoch: Epoch
    """The epoch that was written, now or by an earlier try of the same run; for an unchanged digest, the champion's."""
    changed: bool
    """Whether this call wrote the epoch."""
    message: str
    """One sentence for the log."""


class PartitionStatus(Enum):
    """Whether a day has rows."""

    PUBLISHED = "PUBLISHED"
    EMPTY = "EMPTY"


@dataclass(frozen=True, slots=True)
class Partition:
    """One published day of one version of a feature view."""

    view: str
    view_version: int
    day: str
    status: PartitionStatus
    rows: int
    content_hash: str
    code_hash: str
    table_version: int | None
    """The version of the stored table the day was written in; None when an empty day wrote nothing."""
    source_rows: int
    source_watermark: datetime | None
    """The newest time at which the source learned any row that was read; None without rows."""
    run_id: str
    recorded_at: datetime | None = None
    """When the ledger learned it; None before that."""


@dataclass(frozen=True, slots=True)
class ShadowDay:
    """One scored day inside a shadow window."""

    day: str
    rows: int
    """Rows the challenger was asked for."""
    answered: int
    """Rows it answered with a usable score."""


@dataclass(frozen=True, slots=True)
class ShadowWindow:
    """A challenger scoring beside one champion. When the champion changes, a new window starts."""

    candidate_id: str
    number: int
    model: str
    champion_id: str | None
    """The champion it is compared with; None when the model had none."""
    opened_from: datetime
    """Data time: the first row that counts."""
    closed_at: datetime | None
    """Data time: the first row that no longer counts; None while it is open."""
    min_rows: int
    min_days: int
    scored: tuple[ShadowDay, ...]

    @property
    def rows(self) -> int:
        return sum(d.rows for d in self.scored)

    @property
    def answered(self) -> int:
        return sum(d.answered for d in self.scored)

    @property
    def days(self) -> int:
        """Scored days that had any row."""
        return sum(d.rows > 0 for d in self.scored)

    @property
    def is_full(self) -> bool:
        """Whether it has the minimum rows AND the minimum time."""
        return self.rows >= self.min_rows and self.days >= self.min_days


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What was measured on one scored day of one model version."""

    report_id: str
    model: str
    model_version: str
    day: str
    report: Mapping[str, Any]
    run_id: str
    recorded_at: datetime


class RetrainAction(Enum):
    """What follows from a drift report."""

    RETRAIN = "retrain"
    LOG = "log"
    SUPPRESS = "suppress"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class RetrainDecision:
    """The one decision about one drift report."""

    report_id: str
    model: str
    day: str
    action: RetrainAction
    rule: str
    """The rule that matched first."""
    reason: str
    numbers: Mapping[str, Any]
    journey_run_id: str | None
    """The run it starts; None unless it retrains."""
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class GateStanding:
    """The newest attempt of one gate, and how many there were."""

    newest: GateRecord
    attempts: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything the ledger knows about one candidate, for a person."""

    candidate: Candidate
    transitions: tuple[Transition, ...]
    gates: tuple[GateStanding, ...]
    overrides: tuple[Override, ...]
    windows: tuple[ShadowWindow, ...]
    epochs: tuple[Epoch, ...]
    """The epochs in which it became champion or stopped being it."""
    report: DriftReport | None
    decision: RetrainDecision | None


@dataclass(frozen=True, slots=True)
class ModelHistory:
    """A model's champions and journeys, oldest first."""

    model: str
    champion: Epoch | None
    epochs: tuple[Epoch, ...]
    candidates: tuple[Candidate, ...]
