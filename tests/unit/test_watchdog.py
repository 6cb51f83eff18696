"""The watchdog's rules, on services that are made of switches."""

from __future__ import annotations

import pytest

from include.adapters.airflow_api import AirflowUnreachable, Health
from include.workflows.watchdog import Patience, Watchdog

HEARTS = ("scheduler", "triggerer", "dag-processor")


class FakeServices:
    """Everything well, until somebody switches something."""

    def __init__(self) -> None:
        self.names = ("mlflow", "api-server", *HEARTS)
        self.codes: dict[str, int] = {}
        self.ages = dict.fromkeys(self.names, 1000.0)
        self.hearts: dict[str, str | None] = dict.fromkeys(HEARTS, "healthy")
        self.database = "healthy"
        self.api_answers = self.mlflow_up = True
        self.restarted: list[str] = []

    def exit_code(self, name):
        return self.codes.get(name)

    def age_s(self, name):
        return self.ages[name]

    def restart(self, name):
        self.restarted.append(name)
        self.codes.pop(name, None)

    def health(self):
        if not self.api_answers:
            raise AirflowUnreachable("no")
        return Health(self.database, dict(self.hearts), dict.fromkeys(HEARTS))

    def mlflow_answers(self):
        return self.mlflow_up


@pytest.fixture
def services():
    return FakeServices()


@pytest.fixture
def watchdog(services, tmp_path):
    patience = Patience(check_every_s=0, silent_for_s=0, most_restarts=2)
    return Watchdog(services, lambda line: None, lambda: 0.0, tmp_path / "watchdog.log", patience)


@pytest.fixture
def said(tmp_path):
    """What it recorded, without the times."""
    log = tmp_path / "watchdog.log"
    return lambda: [line.split(" ", 2)[2] for line in log.read_text().splitlines()] if log.exists() else []


def test_what_is_well_is_left_alone(watchdog, services):
    watchdog.look()
    assert services.restarted == []


def test_a_component_that_ended_is_restarted_and_that_is_recorded(watchdog, services, said):
    services.codes["scheduler"] = -9
    watchdog.look()
    assert services.restarted == ["scheduler"]
    assert said() == ["scheduler ended with signal 9; restarting it (1 of 2)"]


@pytest.mark.parametrize("name", HEARTS)
def test_a_component_that_lives_without_a_heartbeat_is_restarted(watchdog, services, name):
    services.hearts[name] = "unhealthy"
    watchdog.look()
    assert services.restarted == [name]


def test_a_young_component_need_not_be_healthy_yet(watchdog, services):
    services.hearts["scheduler"] = "unhealthy"
    services.ages["scheduler"] = 10
    watchdog.look()
    assert services.restarted == []


@pytest.mark.parametrize(("switch", "name"), [("api_answers", "api-server"), ("mlflow_up", "mlflow")])
def test_a_server_that_lives_but_does_not_answer_is_restarted(watchdog, services, switch, name):
    setattr(services, switch, False)
    watchdog.look()
    assert services.restarted == [name]


def test_hearts_are_not_judged_while_the_database_is_away(watchdog, services):
    services.database = "unhealthy"
    services.hearts = dict.fromkeys(HEARTS, "unhealthy")
    watchdog.look()
    assert services.restarted == []


def test_it_gives_up_after_too_many_restarts_of_one_component(watchdog, services, said, monkeypatch):
    monkeypatch.setattr(watchdog._stop, "wait", lambda seconds: False)
    for _ in range(3):
        services.codes["triggerer"] = 1
        watchdog.look()
    assert services.restarted == ["triggerer", "triggerer"]
    assert watchdog.failure == "triggerer ended with code 1, after 2 restarts within 10 minutes"
    assert said()[-1].endswith("giving up")


def test_after_it_was_stopped_nothing_is_restarted(watchdog, services):
    watchdog.start()
    watchdog.stop()
    services.codes["scheduler"] = -9
    watchdog.look()
    assert services.restarted == []
