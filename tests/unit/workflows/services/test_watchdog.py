"""The watchdog's rules, on services that are made of switches and a clock that is turned by hand."""

from __future__ import annotations

import errno

import pytest

from include.adapters.airflow_api import AirflowUnreachable, Health
from include.workflows.services.watchdog import Patience, Watchdog

HEARTS = ("scheduler", "triggerer", "dag-processor")


class FakeServices:
    """Everything well, until somebody switches something."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.names = ("mlflow", "api-server", *HEARTS)
        self.codes: dict[str, int] = {}
        self.began = dict.fromkeys(self.names, -1000.0)
        self.hearts: dict[str, str | None] = dict.fromkeys(HEARTS, "healthy")
        self.idle: set[str] = set()
        """Those that use no processor time any more."""
        self.used = dict.fromkeys(self.names, 0.0)
        self.database = "healthy"
        self.api_answers = self.mlflow_up = True
        self.restarted: list[str] = []
        self.starts_fail: list[Exception] = []
        self.looks_fail: list[Exception] = []

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        for name in self.names:
            self.used[name] += 0.0 if name in self.idle else seconds * 0.01

    def exit_code(self, name):
        if self.looks_fail:
            raise self.looks_fail.pop()
        return self.codes.get(name)

    def age_s(self, name):
        return self.now - self.began[name]

    def cpu_s(self, name):
        return self.used[name]

    def restart(self, name):
        self.restarted.append(name)
        self.began[name] = self.now
        if self.starts_fail:
            self.codes[name] = 127
            raise self.starts_fail.pop()
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
def reported():
    """What the operator is told: a component and why, or None when it is over."""
    return []


@pytest.fixture
def watchdog(services, tmp_path, reported, monkeypatch):
    made = Watchdog(
        services,
        lambda line: None,
        lambda: 0.0,
        tmp_path / "watchdog.log",
        Patience(most_restarts=2),
        clock=lambda: services.now,
        told=lambda cause, why: reported.append((cause, why)),
    )
    monkeypatch.setattr(made._stop, "wait", lambda seconds: made._stop.is_set())
    return made


@pytest.fixture
def said(tmp_path):
    """What it recorded, without the times."""
    log = tmp_path / "watchdog.log"
    return lambda: [line.split(" ", 2)[2] for line in log.read_text().splitlines()] if log.exists() else []


def live(watchdog, services, seconds: float) -> None:
    """Look every five seconds, for so long."""
    until = services.now + seconds
    while services.now < until:
        services.pass_s(5)
        watchdog.look()


def test_what_is_well_is_left_alone(watchdog, services):
    live(watchdog, services, 3600)
    assert services.restarted == []


def test_a_component_that_ended_is_restarted_and_that_is_recorded(watchdog, services, said):
    services.codes["scheduler"] = -9
    watchdog.look()
    assert services.restarted == ["scheduler"]
    assert said() == ["scheduler ended with signal 9; it was restarted (death 1 of 2)"]


@pytest.mark.parametrize("name", HEARTS)
def test_f119_a_component_that_does_nothing_any_more_is_restarted_within_a_minute(watchdog, services, name):
    live(watchdog, services, 60)
    services.idle.add(name)
    live(watchdog, services, 30)
    services.hearts[name] = "unhealthy"  # as Airflow says 30 s later
    live(watchdog, services, 10)
    assert services.restarted == [name]


def test_f119_a_slow_scheduler_is_left_alone_for_minutes_and_never_counts_as_dead(watchdog, services):
    """On a busy machine it was restarted every 50 s, which made it slower, until everything was ended."""
    services.hearts["scheduler"] = "unhealthy"
    live(watchdog, services, 290)
    assert services.restarted == []
    live(watchdog, services, 4 * 3600)
    assert 3 <= len(services.restarted) <= 8
    assert set(services.restarted) == {"scheduler"}
    assert watchdog.given_up == {}


def test_f119_patience_grows_with_the_slowest_start_that_was_measured(watchdog, services):
    watchdog.started_after("scheduler", 170)
    services.codes["scheduler"] = 1
    watchdog.look()
    services.idle.add("scheduler")
    services.hearts["scheduler"] = "unhealthy"
    live(watchdog, services, 3 * 170)
    assert services.restarted == ["scheduler"]
    services.idle.clear()
    services.hearts["scheduler"] = "healthy"
    live(watchdog, services, 10)
    assert watchdog._of("scheduler").slowest_start_s == pytest.approx(520, abs=10)


def test_a_young_component_need_not_be_healthy_yet(watchdog, services):
    services.hearts["scheduler"] = "unhealthy"
    services.idle.add("scheduler")
    services.began["scheduler"] = services.now
    live(watchdog, services, 45)
    assert services.restarted == []


@pytest.mark.parametrize(("switch", "name"), [("api_answers", "api-server"), ("mlflow_up", "mlflow")])
def test_a_server_that_lives_but_does_not_answer_is_restarted(watchdog, services, switch, name):
    live(watchdog, services, 30)
    setattr(services, switch, False)
    services.idle.add(name)
    live(watchdog, services, 50)
    assert services.restarted == [name]


def test_hearts_are_not_judged_while_the_database_is_away(watchdog, services):
    services.database = "unhealthy"
    services.hearts = dict.fromkeys(HEARTS, "unhealthy")
    services.idle |= set(HEARTS)
    live(watchdog, services, 600)
    assert services.restarted == []


def test_f119_giving_up_on_one_component_leaves_the_others_and_is_tried_again_later(watchdog, services, said, reported):
    def dies() -> None:
        services.codes["triggerer"] = 1
        services.pass_s(1)
        watchdog.look()

    for _ in range(5):
        dies()
    assert services.restarted == ["triggerer", "triggerer"]
    why = "triggerer ended with code 1, after 2 restarts within 10 minutes"
    assert watchdog.given_up == {"triggerer": why}
    assert said()[-1] == f"{why}; it is left alone for 10 minutes, the others go on"
    assert reported == [("triggerer", why)]
    services.codes["scheduler"] = -9
    watchdog.look()
    assert services.restarted[-1] == "scheduler"
    live(watchdog, services, 620)
    assert services.restarted[-1] == "triggerer"
    live(watchdog, services, 40)
    assert (watchdog.given_up, reported[-1]) == ({}, ("triggerer", None))


def test_f119_a_start_that_fails_is_tried_again(watchdog, services, reported):
    services.starts_fail = [OSError(errno.ENOSPC, "No space left on device")]
    services.codes["scheduler"] = -9
    watchdog.look()
    assert "No space left" in reported[-1][1]
    services.pass_s(1)
    watchdog.look()
    assert services.restarted == ["scheduler", "scheduler"]
    assert services.codes == {}


def test_f119_on_a_full_disk_it_restarts_though_it_can_write_and_say_nothing(watchdog, services, tmp_path):
    def full(_line: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    watchdog.log = tmp_path / "no folder" / "watchdog.log"
    watchdog.say = full
    watchdog.told = lambda cause, why: full("")
    services.codes["scheduler"] = -9
    watchdog.look()
    assert services.restarted == ["scheduler"]


def test_f119_a_look_that_fails_ends_no_watch_and_is_told_once(services, tmp_path, reported):
    import threading

    healed = threading.Event()
    made = Watchdog(
        services,
        lambda line: None,
        lambda: 0.0,
        tmp_path / "watchdog.log",
        Patience(look_every_s=0.001),
        told=lambda cause, why: (reported.append((cause, why)), healed.set() if why is None else None),
    )
    services.looks_fail = [OSError(28, "No space left on device"), ValueError("what nobody thought of")]
    made.start()
    assert healed.wait(30)
    made.stop()
    assert reported == [("watchdog", "a look failed: ValueError: what nobody thought of"), ("watchdog", None)]


def test_f119_a_watchdog_whose_thread_died_is_started_again_and_that_is_told(services, tmp_path, reported):
    class Dead:
        def is_alive(self):
            return False

        def join(self):
            pass

    made = Watchdog(services, lambda line: None, lambda: 0.0, tmp_path / "watchdog.log")
    made.told = lambda cause, why: reported.append((cause, why))
    assert made.keep_going() is False
    made._thread = Dead()
    assert made.keep_going() is True
    assert made._thread.is_alive()
    made.stop()
    assert reported[0] == ("watchdog", "its thread had died; it was started again")
    assert made.keep_going() is False


def test_after_it_was_stopped_nothing_is_restarted(watchdog, services):
    watchdog._stop.set()
    services.codes["scheduler"] = -9
    watchdog.look()
    assert services.restarted == []


@pytest.mark.parametrize("set_by", [-3600.0, 86_400.0], ids=["back an hour", "forward a day"])
def test_f123_a_clock_that_is_set_while_it_watches_restarts_nothing_that_is_well_and_keeps_nothing_dead(
    services, tmp_path, set_by
):
    wall = {"ahead": 0.0}
    made = Watchdog(
        services,
        lambda line: None,
        lambda: services.now + wall["ahead"],
        tmp_path / "watchdog.log",
        Patience(),
        clock=lambda: services.now,
    )
    began, died = services.now, None

    def waits(seconds: float) -> bool:
        nonlocal died
        services.pass_s(seconds or 0.01)
        if services.now - began > 60:
            wall["ahead"] = set_by
        if 60 < services.now - began < 90:
            # As Airflow says when its own clock has gone ahead: every heart is old until its next beat.
            services.hearts = dict.fromkeys(HEARTS, "unhealthy" if set_by > 0 else "healthy")
        else:
            services.hearts = dict.fromkeys(HEARTS, "healthy")
        if services.now - began > 61 and died is None:
            died, services.codes["scheduler"] = services.now, -9
        return services.now - began > 600

    made._stop.wait = waits
    made._run()
    assert services.restarted == ["scheduler"]
    assert services.began["scheduler"] - died < 60


def test_f126_a_log_that_cannot_be_written_keeps_nothing_dead(watchdog, services, tmp_path):
    (tmp_path / "watchdog.log").mkdir()
    for name in services.names:
        services.codes[name] = -9
    watchdog.look()
    assert services.restarted == list(services.names)
    assert watchdog.given_up == {}
