"""A process that is killed while it tells somebody, and what an earlier release told."""

from __future__ import annotations

import json

import pytest
from forking import KILLED
from ledger_fixtures import MODEL, NOW, champion

from include.adapters.ledger import Ledger, NoticeState, Scope
from include.adapters.ledger.notices import LEASE
from include.workflows.alerts import outbox
from include.workflows.pages import notices


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A ledger where the workflow finds it, and a function that tells and gives what was sent."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_LEDGER_URL", url)
    monkeypatch.setenv("SLIPWAY_URL", "https://slipway.example.org/")
    with Ledger.open(url) as ledger:
        yield ledger, tmp_path


def tell(kind: str, run_id: str, task_id: str = "threshold_gate") -> str:
    return notices.tell(MODEL, kind, run_id, task_id, notices.to_file, NOW)


def lines(folder) -> list[dict]:
    file = folder / notices.FILE
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("point", ["notices.put", "notices.taken", "notices.handed"])
def test_f189_killed_between_claiming_and_sending_somebody_is_told_at_least_once(told, forking, point):
    ledger, folder = told
    champion(ledger, "one")
    arguments = (MODEL, "promoted", "one", "promote")
    pid = forking.start("test_notices_of_killed_processes:tell_in_a_child", *arguments, FAULT_CRASH=point)
    assert forking.wait(pid) == KILLED, forking.said(pid)
    (left,) = ledger.notices.unsent()
    assert left.state is (NoticeState.PENDING if point == "notices.put" else NoticeState.SENDING)
    outbox.sweep(ledger, notices.to_file, NOW + LEASE)
    outbox.sweep(ledger, notices.to_file, NOW + 2 * LEASE)
    assert {line["key"] for line in lines(folder)} == {f"promoted/{MODEL}/1"}
    assert len(lines(folder)) == (2 if point == "notices.handed" else 1)
    assert ledger.notices.unsent() == []


def tell_in_a_child(*what: str) -> None:
    notices.tell(*what, notices.to_file, NOW)


def test_what_an_earlier_release_told_is_not_told_again(ledger_url):
    from sqlalchemy import text

    from include.adapters.ledger import schema
    from include.adapters.ledger.database import make_engine

    engine = make_engine(ledger_url)
    with engine.begin() as connection:
        from alembic import command

        command.upgrade(schema.alembic_config(connection), "0006")
        values = "'promoted/m/1', 'm', 'promoted', 'ada', 'm: promoted v1.', '/m', '2013-07-01'"
        connection.execute(text(f"INSERT INTO notices VALUES ({values})"))
    engine.dispose()
    with Ledger.open(ledger_url) as ledger:
        (kept,) = ledger.notices.of("m")
        assert (kept.key, kept.scope, kept.told, kept.link) == ("promoted/m/1", Scope.MODEL, "ada", "/m")
        assert ledger.notices.unsent() == []
        assert ledger.notices.put(kept, NOW) is False
