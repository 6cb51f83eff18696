"""Opening the ledger, and journeys from their opening to their end."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_fixtures import (
    AN_INCIDENT,
    AS_OF,
    MODEL,
    an_open_incident,
    challenger,
    champion,
    promote,
    request,
)
from sqlalchemy import insert, inspect, text, update

from include.adapters.ledger import (
    BadLedgerUrl,
    Ledger,
    LedgerTooNew,
    LedgerUnavailable,
    ledger_invariants,
)
from include.adapters.ledger.chain_rows import leave_out_in
from include.adapters.ledger.database import Database, make_engine
from include.adapters.ledger.schema import REVISIONS, VERSION_TABLE, alembic_config
from include.adapters.ledger.tables import APPEND_ONLY, metadata
from include.domain.incident import Closing, Incident, Stage
from include.domain.incident_log import IncidentCause
from include.domain.lifecycle import Event

OPEN = "import sys; from include.adapters.ledger import Ledger; Ledger.open(sys.argv[1]).close()"


def test_the_migrations_make_the_declared_tables(ledger: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with ledger.database.reading() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_the_release_knows_every_migration(ledger: Ledger) -> None:
    from alembic.script import ScriptDirectory

    with ledger.database.reading() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
    assert tuple(s.revision for s in scripts.walk_revisions())[::-1] == REVISIONS


def test_a_champion_of_before_there_were_routes_has_one_after_the_upgrade(ledger_url: str, ledger: Ledger) -> None:
    from alembic import command

    promote(ledger, challenger(ledger, "run-1", digest="d1"))
    with ledger.database.writing() as connection:
        leave_out_in(connection)
        for table in ("chain", "rollout_events", "rollouts", "routes", "instances", "segments"):
            connection.execute(text(f"DROP TABLE {table}"))
        on_postgres = connection.dialect.name == "postgresql"
        for table in set(APPEND_ONLY) - {"rollout_events", "rollouts"}:
            name = f"{table}_no_truncate ON {table}" if on_postgres else f"{table}_no_replace"
            connection.execute(text(f"DROP TRIGGER {name}"))
        if connection.dialect.name == "postgresql":
            connection.execute(text("DROP FUNCTION slipway_route_changed()"))
        command.stamp(alembic_config(connection), "0017", purge=True)
    with Ledger.open(ledger_url) as upgraded:
        route, head = upgraded.routes.of(MODEL), upgraded.deployments.champion(MODEL)
        assert route is not None
        assert head is not None
        assert (route.route_revision, route.revision, route.champion_id) == (1, 1, head.to_candidate)


def test_opening_a_current_ledger_does_not_import_alembic(ledger_url: str, ledger: Ledger) -> None:
    check = f"{OPEN}; assert 'alembic' not in sys.modules"
    subprocess.run([sys.executable, "-c", check, ledger_url], check=True)


def test_many_threads_may_open_a_new_ledger_at_once(ledger_url: str) -> None:
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            Ledger.open(ledger_url).close()
        except BaseException as error:  # noqa: BLE001 - the test reports whatever a thread met
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_several_processes_may_open_a_new_ledger_at_once(ledger_url: str) -> None:
    openers = [subprocess.Popen([sys.executable, "-c", OPEN, ledger_url], stderr=subprocess.PIPE) for _ in range(4)]
    assert [(p.communicate()[1], p.returncode) for p in openers] == [(b"", 0)] * 4
    with Ledger.open(ledger_url) as opened:
        assert inspect(opened.database.engine).has_table("candidates")


def test_f127_a_ledger_of_a_newer_release_is_refused(ledger_url: str, ledger: Ledger) -> None:
    with ledger.database.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(LedgerTooNew, match=f"schema 9999; this release knows up to {REVISIONS[-1]}"):
        Ledger.open(ledger_url)


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:secret@h/db", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_cannot_hold_a_ledger_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadLedgerUrl, match=r"use sqlite:///path/to/ledger\.db or postgresql") as caught:
        Ledger.open(url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database " * 100)
    with pytest.raises(LedgerUnavailable, match="file is not a database") as caught:
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert "\n" not in str(caught.value)


def test_a_ledger_that_stays_locked_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_DATABASE_TIMEOUT_S", "1")
    file = tmp_path / "ledger.db"
    with Ledger.open(f"sqlite:///{file}") as ledger, closing(sqlite3.connect(file, isolation_level=None)) as holder:
        first = ledger.candidates.open(request("run-1"))
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match=r"did not answer within 1 s or failed: database is locked"):
            ledger.candidates.close(first.candidate_id, Event.FAIL, outcome="x", actor="x")
        assert ledger.candidates.get(first.candidate_id) == first


def test_a_server_that_does_not_answer_is_one_clear_line() -> None:
    with pytest.raises(LedgerUnavailable, match="refused") as caught:
        Ledger.open("postgresql+psycopg://u:secret@127.0.0.1:1/none")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


# --- journeys --------------------------------------------------------------------------------------------------------


def test_f127_an_older_ledgers_journeys_keep_the_request_that_opened_them(ledger_url: str) -> None:
    from alembic import command

    engine = make_engine(ledger_url)
    with Database(engine).writing("schema") as connection:
        command.upgrade(alembic_config(connection), "0005")
        row = {"candidate_id": "c-1", "model": MODEL, "run_id": "run-1", "as_of": AS_OF, "trigger_kind": "api"}
        row |= {"reason": "as it was", "requested_by": "ada", "state": "failed", "live": False, "opened_at": AS_OF}
        connection.execute(insert(metadata.tables["candidates"]).values(**row))
    engine.dispose()
    with Ledger.open(ledger_url) as upgraded:
        (cause,) = upgraded.history(MODEL).causes
    assert (cause.number, cause.request.reason, cause.recorded_at) == (1, "as it was", AS_OF)


# --- incidents -------------------------------------------------------------------------------------------------------


def test_incidents_in_the_decisions_of_an_older_ledger_are_taken_over_as_the_last_decision_left_them(
    ledger_url: str,
) -> None:
    from alembic import command

    over = replace(AN_INCIDENT, opened_on="2013-03-01", stage=Stage.RECOVERING)
    over = over.closed("2013-03-20", Closing.RECOVERED, "Back.")
    dated = replace(AN_INCIDENT, changed_on="2013-05-25", asked=True)
    late = replace(AN_INCIDENT, opened_on="2013-04-05")
    days = {"2013-03-01": replace(AN_INCIDENT, opened_on="2013-03-01"), "2013-03-20": over, "2013-04-01": None}
    days |= {"2013-04-05": late, "2013-06-01": AN_INCIDENT, "2013-06-02": dated}
    engine = make_engine(ledger_url)
    with Database(engine).writing("schema") as connection:
        leave_out_in(connection)
        command.upgrade(alembic_config(connection), "0013")
        for day, incident in days.items():
            row = {"report_id": day, "model": MODEL, "day": day, "recorded_at": AS_OF}
            report = row | {"model_version": "1", "report": {}, "run_id": day}
            connection.execute(insert(metadata.tables["drift_reports"]).values(**report))
            numbers = {"incident": incident.as_json() if incident else None}
            decision = row | {"action": "log", "rule": "0", "reason": "quiet", "numbers": numbers}
            connection.execute(insert(metadata.tables["retrain_decisions"]).values(**decision))
    engine.dispose()
    with Ledger.open(ledger_url) as upgraded:
        newest, closed = upgraded.incidents.of(MODEL)
        seen = upgraded.incidents.before(MODEL, "2013-06-03").states[IncidentCause.PERFORMANCE]
        events = [(e.kind.value, e.day, e.why) for e in upgraded.incidents.events(closed.incident_id)]
    assert Incident.from_json(seen) == Incident.from_json(newest.state) == dated
    assert (newest.judged_on, newest.opened_on) == ("2013-06-02", "2013-06-01")
    assert Incident.from_json(closed.state) == over
    assert events == [
        ("opened", "2013-03-01", "Taken over from the decision about 2013-03-01."),
        ("closed", "2013-03-20", "Taken over from the decision about 2013-03-20."),
    ]


# --- fencing ---------------------------------------------------------------------------------------------------------


def test_the_invariants_name_what_was_broken_by_hand(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        first = champion(ledger, "run-1")
        with ledger.database.writing() as connection:
            connection.execute(update(metadata.tables["candidates"]).values(state="retired"))
        assert [line[:2] for line in ledger_invariants(ledger)] == ["I1", "I7"]
        assert first.candidate_id in ledger_invariants(ledger)[0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stage": "recovering"}, "it is recovering, and its newest event left it open."),
        ({"judged_on": "2013-05-01"}, "it was judged on 2013-05-01, before it was opened."),
    ],
)
def test_an_incident_that_is_not_where_its_events_left_it_is_named(ledger_url: str, values: dict, said: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        key = an_open_incident(ledger)
        assert ledger_invariants(ledger) == []
        with ledger.database.writing() as connection:
            connection.execute(update(metadata.tables["incidents"]).values(**values))
        assert ledger_invariants(ledger) == [f"I17 {key}: {said}"]
