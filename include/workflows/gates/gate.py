"""What a gate is: one file that says everything about it. Light, because Dag files read it at parse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from include.config import ModelDeclaration
from include.config.settings import PROJECT
from include.domain.verdicts import GateResult, Mode

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.domain.attempts import Attempts
    from include.domain.gates import (
        Availability,
        EarlierWindow,
        Evidence,
        PackedEvidence,
        Signature,
        Split,
        Timing,
        TrainingDataSummary,
    )
    from include.domain.gates.anchor import AnchorEvidence
    from include.domain.incident import Incident
    from include.workflows.evidence.canary_seen import CanarySeen
    from include.workflows.evidence.probes import Smoked
    from include.workflows.evidence.shadow_window import Shadowed

Criteria = Sequence[Mapping[str, Any]]
"""What a gate found, as the ledger keeps it: each criterion's name, verdict, bound and reason."""
RUNBOOK = "docs/runbook/{gate}.md"
"""A gate's page in the runbook."""
OWN_RUNBOOK = RUNBOOK.format(gate="own_gate")
"""The page of every gate of a team's own that has none of its own name."""


class Station(NamedTuple):
    """One station on a candidate's way. ``step`` is the task that does the work."""

    phase: str
    step: str


BUILD, TRAIN, EVALUATE = "build_training_set", "train", "evaluate"
REGISTER, SHADOW, APPROVE = "register_challenger", "shadow_window", "approval"
CANARY, PROMOTE = "canary", "promote"
STATIONS = (
    Station("Data", BUILD),
    Station("Train", TRAIN),
    Station("Judge", EVALUATE),
    Station("Register", REGISTER),
    Station("Shadow", SHADOW),
    Station("Approve", APPROVE),
    Station("Canary", CANARY),
    Station("Promote", PROMOTE),
)
"""In the order of the journey. The station of a person's approval has no step before it, only its gate."""


class Severity(Enum):
    """How much a lack matters."""

    HIGH = "high"
    """A known way to be bad reaches production unseen, or no one is notified."""
    MEDIUM = "medium"
    """A gate sees less than it could."""
    LOW = "low"
    """Worth a thought."""

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that a declaration lacks. ``field`` is where it would be declared."""

    severity: Severity
    field: str
    what: str
    way_out: str

    def as_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity.value,
            "field": self.field,
            "what": self.what,
            "way_out": self.way_out,
        }


def more_where_critical(model: ModelDeclaration, otherwise: Severity) -> Severity:
    """HIGH in the tier ``critical``, LOW in ``experimental``, ``otherwise`` in between."""
    if model.tier == "critical":
        return Severity.HIGH
    return Severity.LOW if model.tier == "experimental" else otherwise


@dataclass(frozen=True, slots=True)
class Lacking:
    """Why a seeded bad candidate does not apply to a model. ``declare`` is what to declare against it; None when
    nothing can be declared."""

    why: str
    declare: str | None = None


@dataclass(frozen=True, slots=True)
class SeedFor:
    """A seeded bad candidate that a gate is meant to stop.

    Attributes:
        seed: its name, as in ``selftest/seeds.py``.
        shows_in: a pattern of the criteria it must show in; None where any criterion of the gate may stop it.
        applies: None when the gate of this model is meant for it, else why it is not.
    """

    seed: str
    shows_in: str | None = None
    applies: Callable[[ModelDeclaration], Lacking | None] = lambda model: None


class Subject(Protocol):
    """The candidate a gate is asked about, and all that can be measured of it.

    A journey, a selftest and a simulation each have their own: the judge is the same. Everything is measured when a
    gate asks for it.
    """

    @property
    def model(self) -> ModelDeclaration: ...
    @property
    def has_champion(self) -> bool:
        """Whether there is a champion to compare with; without one it is a first deployment."""

    def training_data(self) -> TrainingDataSummary: ...
    def learned(self) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
        """Features and labels of the training rows; a class as its position."""

    def availability(self) -> Availability | None: ...
    def split(self) -> Split | None: ...
    def scored(self) -> Evidence:
        """Candidate, champion and baseline on the held-out rows."""

    def columns(self, names: Iterable[str]) -> Mapping[str, pd.Series[Any]]:
        """Columns of the held-out rows, by name; one that is not there is left out."""

    def held_out(self) -> pd.DataFrame:
        """The held-out rows: the features, and where they are known the keys and ``event_time``."""

    def incident(self) -> Incident | None:
        """What the candidate is meant to cure; None where no alarm asked for it."""

    def new_support(self) -> str | None:
        """What a person asked to learn from though the model was not trained on such rows: the open incident's finding
        in words; None where there is none, or no person asked."""

    def attempts(self) -> Attempts:
        """The chain of candidates judged on days that overlap, of which this one is the newest."""

    def earlier_window(self) -> EarlierWindow: ...
    def anchor(self) -> AnchorEvidence:
        """The champion that small losses are counted from, on the held-out rows."""

    def timings(self) -> tuple[Timing | None, Timing | None]:
        """Candidate and champion on one machine."""

    def signatures(self) -> tuple[Signature | None, Signature | None]:
        """What callers send and read, and what the candidate takes and gives."""

    def smoked(self) -> Smoked: ...
    def packed(self) -> PackedEvidence:
        """The packed form of the file that is to serve, held against its pipeline; a journey keeps an equal one."""

    def shadowed(self) -> Shadowed: ...
    def canary(self) -> CanarySeen:
        """What live traffic said of it in its newest rollout."""

    def said(self) -> Mapping[str, str]:
        """The verdicts of the gates that have judged it, by gate."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of a journey.

    Attributes:
        name: its task's id.
        after: the step whose outcome it judges, of ``STATIONS``.
        asks: its question, for people.
        field: where its declaration is, such as ``gates.latency_gate``.
        mode: how the model declares it; None where it is not declared, and then it is not run.
        judge: the verdict on a candidate. It reads what it needs of the subject and nothing else.
        looks_at: the parts of a seeded candidate it reads (``selftest/candidates.py``); when all of them are the honest
        candidate's, its verdict is the same as for that one. Empty for a gate that no seeded candidate can meet.
        seeds: the bad candidates it is meant to stop.
        replayable: whether a simulation of the past can run it; a machine, an artifact or a person cannot be replayed.
        signal: whether its verdict depends on how much the features tell of the label.
        absence: what its absence means, and how much that matters, None where that is no lack; None for a gate that is
            always there.
        lacks: what else its declaration lacks.
        advisory: how severe it is that it only advises; None where that is no lack.
        own: whether a team declares it by an import path.
        may_differ: whether it can say something else of the same candidate, given what it said; a gate whose rows are
        pinned can only where its bounds have changed since.
        helps: what helps against what it found, a sentence each, for the model's name and the journey's as-of time;
        nothing where only a person can tell.
    """

    name: str
    after: str
    asks: str
    field: str
    mode: Callable[[ModelDeclaration], Mode | None]
    judge: Callable[[ModelDeclaration, Subject], GateResult]
    looks_at: tuple[str, ...] = ()
    seeds: tuple[SeedFor, ...] = ()
    replayable: bool = True
    signal: bool = False
    absence: Callable[[ModelDeclaration], tuple[Severity, str] | None] | None = None
    lacks: Callable[[ModelDeclaration], Iterable[Lack]] = lambda model: ()
    advisory: Callable[[ModelDeclaration], Severity | None] = lambda model: more_where_critical(model, Severity.MEDIUM)
    own: bool = False
    may_differ: Callable[[ModelDeclaration, Criteria], bool] = lambda model, criteria: True
    helps: Callable[[str, datetime, Criteria], Iterable[str]] = lambda model, as_of, criteria: ()

    @property
    def runbook(self) -> str:
        page = RUNBOOK.format(gate=self.name)
        return OWN_RUNBOOK if self.own and not (PROJECT / page).is_file() else page


def title(gate: str) -> str:
    """
    >>> title("champion_gate"), title("approval")
    ('Champion gate', 'Approval')
    """
    return gate.replace("_", " ").capitalize()
