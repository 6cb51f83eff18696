"""What the registry remembers of the ledger, and what a rollback starts: pure decisions and one REST call."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from include import cli
from include.commands import airflow as airflow_commands
from include.domain.promotion import NO_HEAD, Epoch, EpochKind, head_mark, lost_history

AT = datetime(2013, 6, 1, tzinfo=UTC)


def history(*candidates: str) -> list[Epoch]:
    return [
        Epoch("m", n, EpochKind.PROMOTION, None, c, str(n), "d", AT, "a", "r", f"run-{n}", {}, AT)
        for n, c in enumerate(candidates, start=1)
    ]


@pytest.mark.parametrize(
    "mark",
    [
        pytest.param(None, id="a registry that was never told"),
        pytest.param(NO_HEAD, id="a person accepted a ledger without a champion"),
        pytest.param("1 a", id="a registry behind: a run died before it wrote the mark"),
        pytest.param("2 b", id="the same"),
    ],
)
def test_f071_a_mark_that_the_history_contains_is_no_loss(mark):
    assert lost_history(mark, history("a", "b")) is None


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ("3 c", "the registry has seen revision 3 with champion c, the ledger ends at 2"),
        ("2 x", "the registry has seen x as champion of revision 2, the ledger has b"),
        ("two b", "the registry's mark 'two b' is not what Slipway writes"),
        ("0 b", "the registry's mark '0 b' is not what Slipway writes"),
        ("-1 b", "the registry's mark '-1 b' is not what Slipway writes"),
        ("2", "the registry's mark '2' is not what Slipway writes"),
    ],
)
def test_f071_a_mark_that_the_history_lacks_is_a_loss_and_said_why(mark, why):
    assert lost_history(mark, history("a", "b")) == why


def test_f071_an_empty_ledger_beside_a_registry_with_a_champion_has_lost_it():
    lost = lost_history(head_mark(history("a")[0]), [])
    assert lost == "the registry has seen revision 1 with champion a, the ledger ends at 0"


def test_f071_what_was_lost_is_counted_from_the_newest_revision_that_is_left():
    lost = lost_history("5 e", history("a", "b", "c"))
    assert lost == "the registry has seen revision 5 with champion e, the ledger ends at 3"


def test_f071_of_a_mark_that_slipway_did_not_write_a_hundred_characters_are_shown():
    assert lost_history("x" * 500, history("a")) == f"the registry's mark '{'x' * 100}' is not what Slipway writes"


@dataclass
class FakeAirflow:
    """Slipway's own REST, as far as a rollback asks it: a run for each champion that is to be taken out."""

    url: str = "http://airflow"
    revision: int = 2
    asked: list[dict[str, Any]] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)

    def __enter__(self) -> FakeAirflow:
        return self

    def __exit__(self, *_: object) -> None: ...

    def dags(self) -> dict[str, bool]:
        return {"rollback_flight_delay": False}

    def slipway(self, path: str, doing: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if body is None:
            return {"champions": [{"revision": n} for n in range(1, self.revision + 1)]}
        self.asked.append(body)
        run_id = f"rollback_of_revision_{body['revision']}"
        started = run_id not in self.runs
        self.runs.add(run_id)
        return {"run_id": run_id, "started": started}

    def dag_run(self, dag_id: str, run_id: str) -> Any:
        from include.adapters.airflow_api import DagRun

        values = {"dag_id": dag_id, "run_id": run_id, "state": "queued", "conf": {}}
        empty = {name: None for name in DagRun.__dataclass_fields__ if name not in values}
        return DagRun(**values, **empty)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeAirflow:
    made = FakeAirflow()
    monkeypatch.setattr(airflow_commands, "airflow_api", lambda: made)
    return made


ROLLBACK = ["rollback", "flight_delay", "--reason", "late since 05:00", "--requested-by", "ana", "--json"]


def test_a_rollback_by_the_command_line_names_the_champion_it_means_the_reason_and_who_asks(fake, capsys):
    assert cli.main(ROLLBACK) == 0
    assert json.loads(capsys.readouterr().out)["started"] is True
    assert fake.asked == [{"reason": "late since 05:00", "revision": 2, "requested_by": "ana"}]


def test_asking_twice_takes_the_same_champion_out_once(fake, capsys):
    assert cli.main(ROLLBACK) == 0
    capsys.readouterr()
    assert cli.main(ROLLBACK) == 0
    assert json.loads(capsys.readouterr().out)["started"] is False
    fake.revision = 3
    assert cli.main(ROLLBACK) == 0
    assert json.loads(capsys.readouterr().out)["started"] is True, "another champion stands there by now"


def test_a_rollback_by_the_command_line_without_a_reason_starts_nothing(fake, capsys):
    assert cli.main(["rollback", "flight_delay"]) == 64
    assert cli.main(["rollback", "flight_delay", "--reason", "  "]) == 64
    assert fake.asked == []
    assert "--reason" in capsys.readouterr().err
