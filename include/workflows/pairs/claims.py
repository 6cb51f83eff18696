"""Scoring claims and prediction log: each claimed day has only the answers of the candidate that claimed it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from include.adapters.ledger import Claim, Ledger
from include.config import declarations
from include.domain.intervals import Interval
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.pairs import PairFinding, PairState
from include.workflows.pairs.predictions import scored_again

PAIR = "claims"
ANSWERED_WITHIN = timedelta(days=1)
"""A scoring claims its day before it answers it, and one that answers ahead claims it when the day begins. A claim this
much older than its day's end without an answer in the log is of a run that ended in between."""


def compare(now: datetime) -> list[PairFinding]:
    """Every day of every model that was claimed, or has served answers."""
    with stores.open_ledger() as ledger:
        return [finding for model in ledger.candidates.models() for finding in _of(ledger, model, now)]


def repair(now: datetime, only: str | None) -> list[PairFinding]:
    """Score the days again. The candidate that claimed a day answers it, and answers of others are removed."""
    if only is not None:
        declarations().model(only)
    found = list[PairFinding]()
    with stores.open_ledger() as ledger:
        for model in [only] if only is not None else ledger.candidates.models():
            wrong = dict(_wrong(ledger, model, now))
            failed = {day: scored_again(model, day, now) for day in wrong}
            left = dict(_wrong(ledger, model, now))
            for day, was in wrong.items():
                if day not in left:
                    line = f"{was} It was scored again."
                    found.append(PairFinding(PAIR, f"{model} {day}", PairState.AGREES, line, repaired=True))
                else:
                    line = " ".join([left[day], *filter(None, [failed[day]])])
                    found.append(PairFinding(PAIR, f"{model} {day}", PairState.DIFFERS, line))
            found += [finding for finding in _of(ledger, model, now) if finding.state is PairState.AGREES]
    return found


def _of(ledger: Ledger, model: str, now: datetime) -> Iterator[PairFinding]:
    wrong = dict(_wrong(ledger, model, now))
    for day, line in wrong.items():
        yield PairFinding(PAIR, f"{model} {day}", PairState.DIFFERS, line)
    good = sum(claim.day not in wrong for claim in ledger.claims.of(model))
    if good:
        line = f"{count_of(good, 'claimed day')} answered by whoever claimed them."
        yield PairFinding(PAIR, model, PairState.AGREES, line)


def _wrong(ledger: Ledger, model: str, now: datetime) -> Iterator[tuple[str, str]]:
    """The days that differ, and how."""
    # The log first: a day that is claimed and answered between the two reads is in neither, or in both.
    served = stores.offline_store().servers_held(model)
    claims = {claim.day: claim for claim in ledger.claims.of(model)}
    for day in sorted({*served, *claims}):
        line = _how(claims.get(day), served.get(day, set()), now)
        if line is not None:
            yield day, line


def _how(claim: Claim | None, servers: set[str], now: datetime) -> str | None:
    named = " and ".join(sorted(servers))
    if claim is None:
        return f"Its served answers are of {named}, and no scoring claimed the day."
    if not servers:
        waits = now - max(claim.recorded_at, Interval.of_day(claim.day).end) <= ANSWERED_WITHIN
        return None if waits else f"{claim.candidate_id} claimed it (run {claim.run_id}), and it has no served answer."
    if servers == {claim.candidate_id}:
        return None
    return f"{claim.candidate_id} claimed it (run {claim.run_id}), and its served answers are of {named}."
