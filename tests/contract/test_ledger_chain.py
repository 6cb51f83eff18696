"""F180: what was appended is not changed unseen: the database refuses, and the chain of hashes sees the rest."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import empty_postgres
from ledger_fixtures import MODEL, NOW, an_operator, challenger, judged, promote, request, trained
from memory_ledger import MemoryLedger
from sqlalchemy import Connection, delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from include.adapters.ledger import Facts, Ledger, LedgerTampered, OverrideRequest, ledger_invariants
from include.adapters.ledger.chain_rows import TABLES
from include.adapters.ledger.schema import VERSION_TABLE
from include.adapters.ledger.tables import APPEND_ONLY, gate_results, overrides
from include.adapters.ledger.tables import chain as entries
from include.domain.authority import OPERATORS
from include.domain.chain import NO_CHAIN, ChainHead
from include.domain.lifecycle import Event
from include.domain.verdicts import Verdict


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def forged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger whose rows a test changes behind its back, so that nothing is asked of it at the end."""
    if request.param == "memory":
        with MemoryLedger() as opened:
            yield opened.ledger
    elif request.param == "sqlite":
        with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
            yield ledger
    else:
        with empty_postgres() as url, Ledger.open(url) as ledger:
            yield ledger


def without_triggers(connection: Connection, table: str) -> None:
    """What only the owner of the tables may do."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        return
    names = connection.execute(text(f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"))
    for name in list(names.scalars()):
        connection.execute(text(f"DROP TRIGGER {name}"))


def by_hand(ledger: Ledger, statement: object, table: str | None = None) -> None:
    """What somebody does in SQL; with ``table`` as its owner, who takes the triggers away first."""
    with ledger.database.engine.begin() as connection:
        if table is not None:
            without_triggers(connection, table)
        connection.execute(text(statement) if isinstance(statement, str) else statement)  # type: ignore[arg-type]


def failed(ledger: Ledger) -> str:
    """A challenger whose gate did not pass."""
    candidate = trained(ledger, "run-1")
    ledger.gates.record(
        candidate.candidate_id, judged(verdict=Verdict.FAIL), digest=candidate.facts.artifact_digest, run_id="run-1"
    )
    ledger.candidates.advance(
        candidate.candidate_id, Event.REGISTER, actor="test", reason="registered", facts=Facts(model_version="1")
    )
    return candidate.candidate_id


class TestTheDatabaseRefuses:
    def test_f180_a_row_that_replaces_another_on_sqlite(self, tmp_path: Path) -> None:
        with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
            failed(ledger)
            forge = (
                "INSERT OR REPLACE INTO gate_results SELECT candidate_id, gate, attempt, mode, 'PASS', digest, run_id, "
                "evidence, recorded_at, lap FROM gate_results"
            )
            with pytest.raises(DBAPIError, match="append-only"):
                by_hand(ledger, forge)
            assert ledger_invariants(ledger) == []

    @pytest.mark.postgres
    def test_f180_truncating_on_postgres(self) -> None:
        with empty_postgres() as url, Ledger.open(url) as ledger:
            failed(ledger)
            for table in (*APPEND_ONLY, "chain"):
                with pytest.raises(DBAPIError, match="append-only"):
                    by_hand(ledger, f"TRUNCATE {table} CASCADE")
            assert ledger_invariants(ledger) == []


class TestTheChainSees:
    def test_nothing_where_nothing_was_touched(self, forged: Ledger) -> None:
        assert forged.chain.head() == NO_CHAIN
        promote(forged, challenger(forged, "run-1", digest="d1"))
        head = forged.chain.head()
        assert head.position > 5
        assert forged.chain.broken({"a note": head}) == []

    def test_f180_a_verdict_that_was_changed(self, forged: Ledger) -> None:
        failed(forged)
        by_hand(forged, update(gate_results).values(verdict="PASS"), "gate_results")
        assert ["was changed after it was written" in line for line in forged.chain.broken()] == [True]
        assert [line[:3] for line in ledger_invariants(forged) if "changed" in line] == ["I18"]

    def test_a_verdict_that_was_removed(self, forged: Ledger) -> None:
        failed(forged)
        by_hand(forged, delete(gate_results), "gate_results")
        assert ["was removed" in line for line in forged.chain.broken()] == [True]

    def test_f180_a_verdict_that_was_slipped_in_and_promotes_no_one(self, forged: Ledger) -> None:
        candidate = failed(forged)
        with forged.database.reading() as connection:
            row = dict(connection.execute(gate_results.select()).one()._mapping)
        evidence = {**row["evidence"], "verdict": "PASS"}
        by_hand(forged, insert(gate_results).values(**row | {"attempt": 2, "verdict": "PASS", "evidence": evidence}))
        assert ["has no entry in the ledger's chain" in line for line in forged.chain.broken()] == [True]
        with pytest.raises(LedgerTampered, match=r"gate_results was not written by Slipway.*Nothing is promoted"):
            promote(forged, forged.candidates.get(candidate))
        assert forged.deployments.champion(MODEL) is None

    def test_an_override_that_was_slipped_in(self, forged: Ledger) -> None:
        candidate = failed(forged)
        values = {"candidate_id": candidate, "gate": "threshold_gate", "number": 1, "who": "me", "why": "I may"}
        by_hand(forged, insert(overrides).values(**values, expires_at=NOW.replace(year=2099), recorded_at=NOW))
        with pytest.raises(LedgerTampered, match="overrides was not written by Slipway"):
            promote(forged, forged.candidates.get(candidate))

    def test_entries_that_were_cut_off_with_their_rows_by_what_was_noted_elsewhere(self, forged: Ledger) -> None:
        challenger(forged, "run-1", digest="d1")
        noted = forged.chain.head()
        with forged.database.engine.begin() as connection:
            without_triggers(connection, "chain")
            last = connection.execute(entries.select().where(entries.c.position == noted.position)).one()
            table, key = TABLES[last.table_name], json.loads(last.row_key)
            without_triggers(connection, table.name)
            mine = (column == value for column, value in zip(table.primary_key, key, strict=True))
            connection.execute(delete(table).where(*mine))
            connection.execute(delete(entries).where(entries.c.position == noted.position))
        assert forged.chain.broken() == []
        assert ["which ends before it" in line for line in forged.chain.broken({"MLflow": noted})] == [True]

    def test_a_chain_that_was_made_again(self, forged: Ledger) -> None:
        challenger(forged, "run-1", digest="d1")
        other = ChainHead(forged.chain.head().position, "f" * 64)
        with pytest.raises(LedgerTampered, match=r"MLflow knows another entry .* the chain was made again"):
            forged.chain.require(other, "MLflow")

    def test_an_entry_that_was_changed(self, forged: Ledger) -> None:
        challenger(forged, "run-1", digest="d1")
        by_hand(forged, update(entries).where(entries.c.position == 2).values(hash="0" * 64), "chain")
        broken = forged.chain.broken()
        assert [line.split(" of ")[0] for line in broken] == ["Entry 2", "Entry 3"]


def _append_again(connection: Connection) -> None:
    """A new attempt, and then one that is there already."""
    row = dict(connection.execute(gate_results.select()).one()._mapping)
    connection.execute(insert(gate_results).values(**row | {"attempt": 2}))
    connection.execute(insert(gate_results).values(**row))


def test_what_a_transaction_takes_back_leaves_no_entry(forged: Ledger) -> None:
    candidate, before = failed(forged), forged.chain.head()
    with pytest.raises(DBAPIError, match=r"append-only|unique"), forged.database.writing() as connection:
        _append_again(connection)
    assert forged.chain.head() == before
    asked = OverrideRequest(candidate, "threshold_gate", "Known outage on 13 June", NOW.replace(year=2027))
    forged.gates.override(asked, by=an_operator("kim"), approvers=OPERATORS, now=NOW)
    assert forged.chain.head().position == before.position + 1
    assert forged.chain.broken() == []


def test_an_override_that_ends_still_fits_its_entry(forged: Ledger) -> None:
    candidate = failed(forged)
    asked = OverrideRequest(candidate, "threshold_gate", "Known outage on 13 June", NOW.replace(year=2027))
    forged.gates.override(asked, by=an_operator("kim"), approvers=OPERATORS, now=NOW)
    forged.gates.withdraw(candidate, "threshold_gate", now=NOW)
    assert forged.chain.broken() == []


def test_two_writers_at_once_have_entries_one_after_the_other(forged: Ledger) -> None:
    errors: list[BaseException] = []

    def opens(number: int) -> None:
        try:
            for turn in range(5):
                forged.candidates.open(request(f"run-{number}-{turn}", model=f"model_{number}_{turn}"))
        except BaseException as error:  # noqa: BLE001 - the test reports whatever a thread met
            errors.append(error)

    threads = [threading.Thread(target=opens, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert forged.chain.broken() == []
    assert forged.chain.head().position == 2 * 20


def test_what_was_there_before_the_chain_is_chained_by_the_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger.open(url) as ledger:
        promote(ledger, challenger(ledger, "run-1", digest="d1"))
        rows = ledger.chain.head().position
        with ledger.database.engine.begin() as connection:
            for table in APPEND_ONLY:
                connection.execute(text(f"DROP TRIGGER {table}_no_replace"))
            connection.execute(text("DROP TABLE chain"))
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0020'"))
    with Ledger.open(url) as ledger:
        assert ledger.chain.head().position == rows
        assert ledger.chain.broken() == []
        promote(ledger, challenger(ledger, "run-2", digest="d2"))
        assert ledger_invariants(ledger) == []
