"""Ledger and prediction log: as many answers of each scored day and candidate as the ledger says were given, and the
features they were computed from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from include.adapters.ledger import Ledger
from include.config import declarations
from include.domain.errors import NotYet, Refusal
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.lineage import promised
from include.workflows.lineage.promised import BrokenPromise
from include.workflows.pairs import PairFinding, PairState
from include.workflows.scoring import collecting, daily

PAIR = "predictions"


def compare(now: datetime) -> list[PairFinding]:
    """Every scored day of every model."""
    with stores.open_ledger() as ledger:
        return [finding for model in ledger.candidates.models() for finding in _of(ledger, model)]


def repair(now: datetime, only: str | None) -> list[PairFinding]:
    """Score the days again that lost answers or features. The same models answer the same rows, so the answers are the
    same; rows that a candidate can no longer answer still differ afterwards."""
    if only is not None:
        declarations().model(only)
    found = list[PairFinding]()
    with stores.open_ledger() as ledger:
        for model in [only] if only is not None else ledger.candidates.models():
            lost = dict.fromkeys(broken.day for _, broken in _broken(ledger, model))
            failed = {day: scored_again(model, day, now) for day in lost}
            left = {broken.day for _, broken in _broken(ledger, model)}
            for day in lost:
                if failed[day] is None and day not in left:
                    found.append(
                        PairFinding(PAIR, f"{model} {day}", PairState.AGREES, "It was scored again.", repaired=True)
                    )
            for finding in _of(ledger, model):
                why = failed.get(finding.about.split()[1]) if finding.state is PairState.DIFFERS else None
                found.append(
                    finding
                    if why is None
                    else PairFinding(PAIR, finding.about, finding.state, f"{finding.message} {why}")
                )
    return found


def scored_again(model: str, day: str, now: datetime) -> str | None:
    """Why the day could not be scored again, or collected where the model is asked online; None when it was."""
    try:
        if declarations().model(model).serving.mode == "online":
            skipped = collecting.collect(model, day, f"repair_{day}", now)["skipped"]
        else:
            skipped = daily.score(model, day, f"repair_{day}")["skipped"]
    except (Refusal, NotYet, ConnectionError) as error:
        return f"It could not be scored again: {error}"
    return None if skipped is None else f"It could not be scored again: {skipped}"


def _of(ledger: Ledger, model: str) -> Iterator[PairFinding]:
    broken = _broken(ledger, model)
    for what, each in broken:
        yield PairFinding(PAIR, f"{model} {each.day}", PairState.DIFFERS, f"{what} {each.sentence}.")
    scored = {each.day for each in ledger.lineage.scorings(model)}
    good = len(scored - {each.day for _, each in broken})
    if good:
        yield PairFinding(PAIR, model, PairState.AGREES, f"The answers of {count_of(good, 'scored day')} are there.")


def _broken(ledger: Ledger, model: str) -> list[tuple[str, BrokenPromise]]:
    store = stores.offline_store()
    answers = promised.predictions_compared(ledger, store, model)
    return answers + promised.served_compared(ledger, store, model)
