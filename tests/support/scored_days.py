"""Days that were claimed and scored, for tests of the ledger."""

from __future__ import annotations

from datetime import timedelta

from ledger_fixtures import AS_OF, MODEL

from include.adapters.ledger import (
    Claim,
    Ledger,
    Scoring,
)

SERVED = "served"


def day(after: int) -> str:
    return (AS_OF + timedelta(days=after)).date().isoformat()


def claimed(ledger: Ledger, after: int, run_id: str = "score") -> Claim:
    claim = ledger.claims.claim(MODEL, day(after), run_id=run_id)
    assert claim is not None
    return claim


def scoring(candidate_id: str, after: int) -> Scoring:
    moment = AS_OF + timedelta(days=after)
    return Scoring(MODEL, day(after), candidate_id, SERVED, "1", 10, moment, moment, "set", (), "score")
