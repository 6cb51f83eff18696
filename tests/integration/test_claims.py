"""A day has one server: what breaks that is found, and days from before there were claims get theirs."""

from __future__ import annotations

import runpy
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_fixtures import AS_OF, MODEL, challenger, champion, promote
from scored_days import claimed, day, scoring
from sqlalchemy import insert, text

from include.adapters.ledger import (
    Conflict,
    Ledger,
    Scoring,
    ledger_invariants,
    schema,
    tables,
)

SERVED = "served"


def test_a_day_that_two_have_served_is_found(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        first = champion(ledger, "run-1")
        second = challenger(ledger, "run-2")
        promote(ledger, second, days=2)
        claimed(ledger, 2)
        for who in (first, second):
            values = {**row_of(scoring(who.candidate_id, 2)), "recorded_at": AS_OF}
            with ledger.database.writing() as connection:
                connection.execute(insert(tables.scorings).values(**values))
        both = ", ".join(sorted([first.candidate_id, second.candidate_id]))
        assert ledger_invariants(ledger) == [f"I13 {MODEL} {day(2)}: served by 2: {both}."]
        with ledger.database.writing() as connection:
            connection.execute(tables.scorings.delete().where(tables.scorings.c.candidate_id == second.candidate_id))
        assert ledger_invariants(ledger) == [
            f"I13 {MODEL} {day(2)}: served by {first.candidate_id}, which never claimed it."
        ]


def test_the_days_scored_before_there_were_claims_are_claimed_as_they_were_answered(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        first = champion(ledger, "run-1")
        second = challenger(ledger, "run-2")
        promote(ledger, second, days=2)
        for who, after in ((first, 1), (first, 2), (second, 2), (second, 3)):
            values = {**row_of(scoring(who.candidate_id, after)), "recorded_at": AS_OF + timedelta(days=after)}
            with ledger.database.writing() as connection:
                connection.execute(insert(tables.scorings).values(**values))
        migrated(ledger)
        found = [(c.day, c.candidate_id, c.revision) for c in ledger.claims.of(MODEL)]
        assert found == [
            (day(1), first.candidate_id, 1),
            (day(2), second.candidate_id, 2),
            (day(3), second.candidate_id, 2),
        ]
        with pytest.raises(Conflict):
            promote(ledger, challenger(ledger, "run-3"), expected=1)
        assert promote(ledger, ledger.candidates.of(MODEL)[-1]).epoch.effective_from == AS_OF + timedelta(days=4)


def migrated(ledger: Ledger) -> None:
    """Run the migration on the ledger as it was before claims: what it meets in a home of an earlier release."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    versions = Path(schema.__file__).with_name("migrations") / "versions"
    migration = runpy.run_path(str(versions / "0007_scoring_claims.py"))
    with ledger.database.writing() as connection:
        connection.execute(text("DROP TABLE scoring_claims"))
        with Operations.context(MigrationContext.configure(connection)):
            migration["upgrade"]()


def row_of(made: Scoring) -> dict[str, object]:
    names = ("model", "day", "candidate_id", "role", "model_version", "rows", "first_asked", "last_asked")
    return {**{name: getattr(made, name) for name in names}, "feature_set": "set", "sources": [], "run_id": "score"}
