"""What is known of one step of a rollout when it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from include.domain.canary.harm import Harmed
from include.domain.canary.mismatch import Exposed
from include.domain.canary.wires import Wired


@dataclass(frozen=True, slots=True)
class Paired:
    """Both models on the same rows of the canary's share, answered by both with numbers.

    Attributes:
        rows: how many.
        mean_delta: mean ``|canary - champion|`` score.
        p99_delta: its 99th percentile; None where it was not measured.
        decisions_differ: the share of rows decided differently; None for a regression, or where not measured.
    """

    rows: int
    mean_delta: float
    p99_delta: float | None = None
    decisions_differ: float | None = None


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """What was counted.

    Attributes:
        number: which rollout of the candidate.
        step: which, from 0.
        elapsed: how long its share has been open, without the time it was held.
        rows: rows of the canary's share in this step that both models were asked.
        canary: units of the canary's share in this step: how many failed, and how many there were.
        champion: the same of the champion's.
        failed: units that failed for the first time in the rollout, by share.
        slow: units answered slowly for the first time, by share; None where the champion's times are not known.
        exposed: units answered for the first time in the rollout, by share.
        wired: what the hard wire says.
        paired: both models on the same rows; None where nothing was compared.
    """

    number: int
    step: int
    elapsed: timedelta
    rows: int
    canary: tuple[int, int]
    champion: tuple[int, int]
    failed: tuple[Harmed, ...]
    slow: tuple[Harmed, ...] | None
    exposed: tuple[Exposed, ...]
    wired: Wired
    paired: Paired | None
