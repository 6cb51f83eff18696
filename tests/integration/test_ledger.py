"""Opening the ledger, and journeys from their opening to their end."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from ledger_fixtures import (
    AS_OF,
    MODEL,
    an_operator,
    challenger,
    champion,
    digest_of,
    judged,
    promote,
    request,
    trained,
)
from sqlalchemy import delete, insert, inspect, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from include.adapters.ledger import (
    BadLedgerUrl,
    BadValue,
    Candidate,
    CandidateChanged,
    Facts,
    Fenced,
    JourneyUnderWay,
    Ledger,
    LedgerTooNew,
    LedgerUnavailable,
    RequestChanged,
    UnknownCandidate,
    ledger_invariants,
)
from include.adapters.ledger.database import Database, make_engine
from include.adapters.ledger.schema import REVISIONS, VERSION_TABLE, alembic_config
from include.adapters.ledger.tables import APPEND_ONLY, metadata
from include.domain.lifecycle import Event, IllegalTransition, State

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


@pytest.mark.parametrize("name", APPEND_ONLY)
def test_what_is_append_only_cannot_be_changed_or_deleted(ledger: Ledger, name: str) -> None:
    from test_ledger_records import everything_once

    everything_once(ledger)
    table = metadata.tables[name]
    for change in (delete(table), update(table).values(recorded_at=AS_OF)):
        with pytest.raises(DBAPIError, match="append-only"), ledger.database.writing() as connection:
            connection.execute(change)


# --- journeys --------------------------------------------------------------------------------------------------------


def test_opening_the_same_journey_again_returns_its_candidate(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("run-1"))
    assert first.candidate_id == f"flight_delay-20130601-{digest_of('run-1')[7:13]}"
    assert ledger.candidates.open(request("run-1")) == first
    assert ledger.candidates.of(MODEL) == [first]
    assert ledger.candidates.of_run(MODEL, "run-1") == first
    assert len(ledger.explain(first.candidate_id).transitions) == 1


def test_f112_a_second_journey_is_refused_with_the_first_ones_name(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("run-1"))
    with pytest.raises(JourneyUnderWay, match=f"run run-1, candidate {first.candidate_id}"):
        ledger.candidates.open(request("run-2"))
    assert ledger.candidates.live(MODEL) == first
    assert ledger.candidates.of_run(MODEL, "run-2") is None


def asked(ledger: Ledger, candidate: Candidate) -> list[tuple[int, str, str, str]]:
    causes = ledger.explain(candidate.candidate_id).causes
    return [(c.number, c.request.run_id, c.request.trigger.value, c.state.value) for c in causes]


def test_f105_who_asks_while_a_journey_is_under_way_is_kept_as_one_of_its_causes(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("run-1"))
    for _ in range(2):
        with pytest.raises(JourneyUnderWay, match="This request is recorded as one of its causes"):
            ledger.candidates.open(request("drift-run", report_id="report-7"))
    trained(ledger, "run-1")
    assert ledger.candidates.also_asked(request("later", report_id="report-8"), beside="run-1") is not None
    causes = ledger.explain(first.candidate_id).causes
    assert asked(ledger, first) == [
        (1, "run-1", "api", "opened"),
        (2, "drift-run", "drift", "opened"),
        (3, "later", "drift", "trained"),
    ]
    assert [c.request.report_id for c in causes] == [None, "report-7", "report-8"]
    assert ledger.history(MODEL).causes == causes
    assert ledger.candidates.of(MODEL) == [ledger.candidates.get(first.candidate_id)]


def test_f105_nothing_is_added_to_a_journey_that_is_over_or_was_never_meant(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("run-1"))
    assert ledger.candidates.also_asked(request("other"), beside="run-0") is None
    ledger.candidates.close(first.candidate_id, Event.FAIL, outcome="broke", actor="test")
    assert ledger.candidates.also_asked(request("other"), beside="run-1") is None
    second = ledger.candidates.open(request("run-2"))
    third = ledger.candidates.open(request("run-3"), supersede=True, by=an_operator("otto"))
    assert [asked(ledger, c) for c in (first, second, third)] == [
        [(1, run, "api", "opened")] for run in ("run-1", "run-2", "run-3")
    ]


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


def test_a_journey_of_another_model_may_have_the_same_run_id(ledger: Ledger) -> None:
    ledger.candidates.open(request("scheduled__2013-06-01"))
    other = ledger.candidates.open(request("scheduled__2013-06-01", model="air_time"))
    assert ledger.candidates.of_run("air_time", "scheduled__2013-06-01") == other


def test_a_newer_journey_may_supersede_the_one_under_way(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    second = ledger.candidates.open(request("run-2"), supersede=True, by=an_operator("otto"))
    assert ledger.candidates.live(MODEL) == second
    replaced = ledger.candidates.get(first.candidate_id)
    assert replaced.state is State.SUPERSEDED
    assert replaced.outcome == f"Superseded by {second.candidate_id}: Realised Brier score is out of band"
    with pytest.raises(IllegalTransition, match="'register' may not happen to a candidate that is superseded"):
        ledger.candidates.advance(first.candidate_id, Event.REGISTER, actor="test", reason="late")


def test_f113_the_same_run_id_with_another_request_is_refused(ledger: Ledger) -> None:
    ledger.candidates.open(request("run-1"))
    with pytest.raises(RequestChanged, match="Run run-1 was opened with trigger api and now asks for drift"):
        ledger.candidates.open(request("run-1", report_id="report-7"))
    with pytest.raises(RequestChanged, match="as_of"):
        ledger.candidates.open(request("run-1", as_of=AS_OF.replace(day=2)))


def test_running_a_whole_journey_again_changes_nothing(ledger: Ledger) -> None:
    candidate = champion(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, None, outcome="Promoted.", actor="journey")
    before = ledger.explain(candidate.candidate_id)
    again = challenger(ledger, "run-1")
    promote(ledger, again, expected=0)
    ledger.candidates.close(candidate.candidate_id, None, outcome="Promoted again.", actor="journey")
    assert ledger.explain(candidate.candidate_id) == before


def test_a_rejected_journey_that_is_cleared_goes_on_where_it_was_closed(ledger: Ledger) -> None:
    candidate = challenger(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, Event.REJECT, outcome="champion_gate failed.", actor="journey")
    assert ledger.candidates.live(MODEL) is None
    reopened = ledger.candidates.reopen(candidate.candidate_id, actor="ann", reason="override given")
    assert (reopened.state, reopened.outcome) == (State.CHALLENGER, None)
    assert ledger.candidates.open(request("run-1")) == reopened


def test_running_a_failed_journey_again_reopens_it(ledger: Ledger) -> None:
    candidate = trained(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, Event.FAIL, outcome="MLflow did not answer.", actor="journey")
    assert ledger.candidates.open(request("run-1")).state is State.TRAINED


def test_a_closed_journey_is_not_reopened_while_another_is_under_way(ledger: Ledger) -> None:
    candidate = trained(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, Event.FAIL, outcome="Out of memory.", actor="journey")
    ledger.candidates.open(request("run-2"))
    with pytest.raises(JourneyUnderWay, match="run-2"):
        ledger.candidates.reopen(candidate.candidate_id, actor="ann", reason="again")
    with pytest.raises(JourneyUnderWay, match="run-2"):
        ledger.candidates.open(request("run-1"))


def test_the_first_outcome_of_a_journey_stands(ledger: Ledger) -> None:
    candidate = trained(ledger, "run-1")
    ledger.candidates.close(candidate.candidate_id, Event.REJECT, outcome="threshold_gate failed.", actor="journey")
    closed = ledger.candidates.close(candidate.candidate_id, Event.FAIL, outcome="Something else.", actor="journey")
    assert (closed.state, closed.outcome) == (State.REJECTED, "threshold_gate failed.")


def test_a_fact_may_be_completed_but_not_changed_once_registered(ledger: Ledger) -> None:
    candidate = challenger(ledger, "run-1")
    other = Facts(artifact_digest=digest_of("another artifact"))
    with pytest.raises(CandidateChanged, match="artifact_digest"):
        ledger.candidates.advance(candidate.candidate_id, Event.TRAIN, actor="test", reason="again", facts=other)


def test_training_again_before_registering_replaces_the_digest(ledger: Ledger) -> None:
    candidate = trained(ledger, "run-1")
    other = Facts(artifact_digest=digest_of("another artifact"))
    again = ledger.candidates.advance(candidate.candidate_id, Event.TRAIN, actor="test", reason="again", facts=other)
    assert again.facts.artifact_digest == other.artifact_digest
    assert again.facts.training_set_hash == candidate.facts.training_set_hash


def test_an_unknown_candidate_is_named(ledger: Ledger) -> None:
    with pytest.raises(UnknownCandidate, match="There is no candidate 'nobody'"):
        ledger.candidates.get("nobody")
    with pytest.raises(UnknownCandidate):
        ledger.gates.record("nobody", judged(), digest=None, run_id="run-1")


def test_only_a_promotion_makes_a_champion(ledger: Ledger) -> None:
    candidate = challenger(ledger, "run-1")
    with pytest.raises(BadValue, match="written by promote"):
        ledger.candidates.advance(candidate.candidate_id, Event.PROMOTE, actor="ann", reason="I say so")


def test_a_journey_under_way_is_not_closed_without_saying_how(ledger: Ledger) -> None:
    candidate = challenger(ledger, "run-1")
    with pytest.raises(BadValue, match="is still challenger; close it by reject, fail or supersede"):
        ledger.candidates.close(candidate.candidate_id, None, outcome="Done.", actor="journey")
    with pytest.raises(BadValue, match="not by 'promote'"):
        ledger.candidates.close(candidate.candidate_id, Event.PROMOTE, outcome="Done.", actor="journey")


def test_the_database_itself_refuses_a_second_live_candidate(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    ledger.candidates.open(request("run-2"), supersede=True, by=an_operator("otto"))
    table = metadata.tables["candidates"]
    with pytest.raises(IntegrityError), ledger.database.writing() as connection:
        connection.execute(update(table).where(table.c.candidate_id == first.candidate_id).values(live=True))


@pytest.mark.parametrize(
    ("reason", "message"),
    [("", "reason is empty"), ("x" * 5000, "5000 characters"), ("a\x00b", "NUL"), ("\ud800", "half a character")],
)
def test_f111_a_reason_no_database_can_keep_is_refused(ledger: Ledger, reason: str, message: str) -> None:
    candidate = trained(ledger, "run-1")
    with pytest.raises(BadValue, match=message):
        ledger.candidates.advance(candidate.candidate_id, Event.REGISTER, actor="test", reason=reason)


def test_f111_sql_and_emoji_in_a_reason_are_kept_literally(ledger: Ledger) -> None:
    reason = "'; DROP TABLE candidates; -- {{ ds }} $(rm) ../ 🛬 <script>"
    candidate = trained(ledger, "run-1")
    ledger.candidates.advance(candidate.candidate_id, Event.REGISTER, actor="test", reason=reason)
    assert ledger.explain(candidate.candidate_id).transitions[-1].reason == reason


# --- fencing ---------------------------------------------------------------------------------------------------------


def test_f040_a_copy_that_is_no_longer_the_newest_may_not_write(ledger: Ledger) -> None:
    first, second = (ledger.next_attempt("retrain_flight_delay/run-1/train") for _ in range(2))
    candidate = ledger.fenced(second).candidates.open(request("run-1"))
    late = ledger.fenced(first)
    with pytest.raises(
        Fenced, match="Attempt 1 of retrain_flight_delay/run-1/train may not write: the newest attempt is 2"
    ):
        late.candidates.advance(candidate.candidate_id, Event.TRAIN, actor="late", reason="late")
    with pytest.raises(Fenced):
        late.gates.record(candidate.candidate_id, judged(), digest=None, run_id="run-1")
    assert late.candidates.get(candidate.candidate_id) == candidate
    assert ledger.gates.latest(candidate.candidate_id) == {}


def test_an_attempt_that_was_never_handed_out_is_refused(ledger: Ledger) -> None:
    from include.adapters.ledger import Attempt

    with pytest.raises(Fenced, match="newest attempt is 0"):
        ledger.fenced(Attempt("scope", 1)).candidates.open(request("run-1"))


def test_attempts_of_other_scopes_do_not_fence_one_another(ledger: Ledger) -> None:
    mine = ledger.next_attempt("mine")
    ledger.next_attempt("yours")
    assert ledger.fenced(mine).candidates.open(request("run-1")).is_live


def test_the_invariants_name_what_was_broken_by_hand(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        first = champion(ledger, "run-1")
        with ledger.database.writing() as connection:
            connection.execute(update(metadata.tables["candidates"]).values(state="retired"))
        assert [line[:2] for line in ledger_invariants(ledger)] == ["I1", "I7"]
        assert first.candidate_id in ledger_invariants(ledger)[0]
