"""The anchor of a model: the champion that small losses are counted from.

Each promotion may cost up to a margin. A series of candidates, each a little worse than the champion before it, so ends
anywhere, though every step was within its margin. So a candidate is compared with the anchor too, on the same rows, and
must be within the *same* margin of it: margins are cumulative (D'Agostino, Massaro and Sullivan 2003, "Non-inferiority
trials: design concepts and issues", Statistics in Medicine 22; Everson-Stewart and Emerson 2010, "Bio-creep in
non-inferiority clinical trials", Statistics in Medicine 29). The comparison is paired, on days that neither has learned
from, so the world may have changed: then the anchor is worse on these days too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.domain.gates.evidence import Evidence

YEAR = timedelta(days=365)
"""How far back the anchor may lie: then it is the champion of a year ago."""


@dataclass(frozen=True, slots=True)
class AnchorStep:
    """One promotion of a model's history.

    Attributes:
        candidate_id: who became champion.
        since: from when on it served, UTC.
        moved: whether the anchor moved to it: it was the first, it was shown to be better than the anchor before, or a
            person let it past the gate or accepted the level that it had come to.
    """

    candidate_id: str
    since: datetime
    moved: bool


def anchor_of(history: Sequence[AnchorStep], as_of: datetime) -> str | None:
    """The anchor as of a moment: the newest champion that the anchor moved to, or the one of a year ago, whichever is
    newer; None without a champion.

    Args:
        history: the promotions in their order, without those that were rolled back.
        as_of: UTC.

    >>> from datetime import UTC
    >>> at = datetime(2013, 1, 1, tzinfo=UTC)
    >>> crept = [AnchorStep(f"c{n}", at + n * timedelta(days=100), n == 0) for n in range(4)]
    >>> anchor_of(crept, at + timedelta(days=310)), anchor_of(crept, at + timedelta(days=480))
    ('c0', 'c1')
    """
    for step in reversed(history):
        if step.moved or step.since <= as_of - YEAR:
            return step.candidate_id
    return history[0].candidate_id if history else None


@dataclass(frozen=True, slots=True, eq=False)
class AnchorEvidence:
    """The anchor on the rows that a candidate is judged on.

    Attributes:
        candidate_id: whose; None where there is no anchor beside the champion, and nothing is compared.
        evidence: the rows, with the anchor's scores in the champion's place; None where it could not be asked.
        missing: why it could not be asked, which is INCONCLUSIVE; None where it was.
        attempts: candidates that were judged against this anchor since it is no longer champion, this one included:
            each has alpha divided by their number.
    """

    candidate_id: str | None = None
    evidence: Evidence | None = None
    missing: str | None = None
    attempts: int = 1


NO_ANCHOR = AnchorEvidence()
"""Where the champion itself is the anchor."""
