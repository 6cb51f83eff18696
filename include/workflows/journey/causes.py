"""Why a journey is under way: every request it answers, in words for a person, and on the candidate's MLflow run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from include.adapters.ledger import Cause, Ledger
from include.domain.lifecycle import JourneyRequest

TAG = "slipway.causes"
NAMED = 10
"""Most requesters that one line names."""


def in_words(causes: Sequence[Cause]) -> str:
    """``drift by drift_m (3 requests), api by ada``: who asked, in the order of their first request."""
    asked = Counter((cause.request.trigger.value, cause.request.asked_by) for cause in causes)
    named = [f"{t} by {who}" + (f" ({n} requests)" if n > 1 else "") for (t, who), n in asked.items()]
    more = [f"{len(named) - NAMED} more"] if len(named) > NAMED else []
    return ", ".join([*named[:NAMED], *more])


def tag(ledger: Ledger, candidate_id: str) -> dict[str, str]:
    """What the candidate's MLflow run says of its causes; as known now, so it is set again when the journey closes."""
    return {TAG: in_words(ledger.explain(candidate_id).causes)}


def join(ledger: Ledger, run_id: str, request: JourneyRequest) -> None:
    """Keep a request that starts nothing, because the journey of ``run_id`` is under way, as one of its causes. Nothing
    is added once that journey is over."""
    live = ledger.candidates.also_asked(request, beside=run_id)
    if live is not None:
        print(f"Recorded as one of the causes of {live.candidate_id}.")
