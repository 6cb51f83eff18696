"""The values that the ledger returns: plain and frozen. Every time in them is aware and in UTC."""

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
    """The work that only one copy may do, for example a Dag run and a task: ``retrain_m/run-1/promote``."""
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
    served_digest: str | None = None
    """The file that was fitted again to serve; None where the judged artifact itself is to serve."""

    @property
    def serving_digest(self) -> str | None:
        """The digest of the file that serves, or is to."""
        return self.served_digest or self.artifact_digest


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
class Cause:
    """One request that a journey answers: the one that opened it (number 1), or one that came while it was under
    way."""

    candidate_id: str
    number: int
    request: JourneyRequest
    """As it was asked; its run is its own, and not the journey's unless it opened it."""
    state: State
    """The candidate's state when it was asked for."""
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
    source_hash: str | None = None
    """A hash of the day's own source rows, without look-back; None in records of releases that did not keep it."""
    source_as_of: datetime | None = None
    """The moment as of which the source was read: later rows were not seen. None in records of older releases."""
    files: str | None = None
    """Which files of the table held the day when it was published (``offline_store.Held.files``): when the files are
    the same, the content is the same. None in records of older releases, and of a day without rows."""


@dataclass(frozen=True, slots=True)
class ViewRead:
    """Which state of a feature view something was made from."""

    view: str
    view_version: int
    table_version: int
    code_hash: str | None
    """The definition's semantic hash; None when the ledger has no publish of it."""
    watermark: datetime | None
    """The newest moment at which the source had learned any row of the days that were read; None when no day has a
    time."""

    @property
    def known_as(self) -> str:
        """``view v1, table version 7``."""
        return f"{self.view} v{self.view_version}, table version {self.table_version}"


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What a candidate learned from (``train``) or was judged on (``holdout``)."""

    candidate_id: str
    part: str
    content_hash: str
    label_hash: str
    start: datetime
    end: datetime
    as_of: datetime
    rows: int
    sources: tuple[ViewRead, ...]
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scoring:
    """One day of one candidate's answers in the prediction log, and what they were computed from."""

    model: str
    day: str
    candidate_id: str
    role: str
    """``served`` or ``shadow``."""
    model_version: str
    rows: int
    first_asked: datetime
    """The earliest prediction time of the rows."""
    last_asked: datetime
    feature_set: str
    """The table of served features that holds the values the answers were computed from."""
    sources: tuple[ViewRead, ...]
    run_id: str
    recorded_at: datetime | None = None


class StopKind(Enum):
    """What can stop a journey."""

    GATE = "gate"
    """A blocking gate that did not pass, or the step that such a gate prevented."""
    ERROR = "error"
    """A step that was refused or broke."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One step that failed, in one lap of a journey."""

    candidate_id: str
    number: int
    lap: int
    """From 1; one more each time the run was cleared and the journey opened again."""
    step: str
    """The task, such as ``promote`` or ``champion_gate``."""
    kind: StopKind
    said: str | None
    """Why, in a line; None when the step succeeded since."""
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """Who serves one day of a model: taken before the day is answered, and never changed by a later promotion."""

    model: str
    day: str
    number: int
    """From 1. A second one is only made when the first one's candidate was rolled back."""
    candidate_id: str
    revision: int
    """The deployment revision that made the candidate champion of the day."""
    run_id: str
    recorded_at: datetime


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
class DriftReportRecord:
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
class DriftSummary:
    """One judged day, small enough to show many: no histograms, of each judged feature only its effect."""

    report_id: str
    day: str
    model_version: str
    flags: Mapping[str, Any]
    realised: Mapping[str, Any]
    estimated: Mapping[str, Any]
    """What was expected of the day's rows before their labels were known; empty when nothing was estimated."""
    effects: Mapping[str, float]
    unjudged: Mapping[str, str]
    """Why each other feature was not judged."""
    action: str | None
    """None while nothing was decided."""
    rule: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class JudgedOn:
    """A candidate that a gate has judged, the days of one part of its training set, and whom it met."""

    candidate: Candidate
    start: datetime
    end: datetime
    champion: str | None
    """The candidate id of the champion when the gate judged it first; None while there was none."""


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
    report: DriftReportRecord | None
    decision: RetrainDecision | None
    causes: tuple[Cause, ...]
    """Every request for it, the one that opened it first."""


@dataclass(frozen=True, slots=True)
class ModelHistory:
    """A model's champions and journeys, oldest first."""

    model: str
    champion: Epoch | None
    epochs: tuple[Epoch, ...]
    candidates: tuple[Candidate, ...]
    causes: tuple[Cause, ...]
    """Of all journeys."""
