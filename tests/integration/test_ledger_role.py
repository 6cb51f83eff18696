"""F180: workers on Postgres write the ledger in a role that does not own it (``deploy/ledger_role.sql``)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databases import empty_postgres
from ledger_fixtures import challenger, promote, roll_back
from sqlalchemy import make_url, text
from sqlalchemy.exc import ProgrammingError

from include.adapters.ledger import Ledger, ledger_invariants
from include.config.settings import PROJECT

pytestmark = pytest.mark.postgres
ROLE = "slipway_tasks"


@pytest.fixture
def workers() -> Iterator[Ledger]:
    """The ledger as workers open it."""
    with empty_postgres() as url, Ledger.open(url) as owned:
        with owned.database.engine.begin() as connection:
            # By the driver, which takes a percent sign for itself only beside parameters.
            connection.connection.cursor().execute((PROJECT / "deploy" / "ledger_role.sql").read_text(encoding="utf-8"))
        try:
            with Ledger.open(make_url(url).set(username=ROLE).render_as_string(hide_password=False)) as opened:
                yield opened
        finally:
            with owned.database.engine.begin() as connection:
                connection.execute(text(f"DROP OWNED BY {ROLE}"))


def test_it_takes_journeys_from_their_opening_to_their_rollback(workers: Ledger) -> None:
    promote(workers, challenger(workers, "run-1", digest="d1"))
    promote(workers, challenger(workers, "run-2", digest="d2"), days=1)
    roll_back(workers, "back", days=2)
    assert ledger_invariants(workers) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gate_results SET verdict = 'PASS'",
        "DELETE FROM deployment_history",
        "TRUNCATE chain",
        "UPDATE overrides SET who = 'me'",
        "ALTER TABLE gate_results DISABLE TRIGGER USER",
        "DROP TRIGGER gate_results_no_update ON gate_results",
        "DROP TABLE chain",
        "UPDATE ledger_version SET version_num = '0001'",
    ],
)
def test_it_can_change_nothing_that_was_appended(workers: Ledger, statement: str) -> None:
    challenger(workers, "run-1", digest="d1")
    refused = pytest.raises(ProgrammingError, match=r"permission denied|must be owner")
    with refused, workers.database.engine.begin() as connection:
        connection.execute(text(statement))
