"""What counts as ready while the services start, on components that are made of answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from include.adapters.airflow_api import Health
from include.workflows.services import startup

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEARTS = ("scheduler", "dag-processor", "triggerer")


class Starting:
    """Everything answers; ``beat`` says when the hearts beat last, by how often that was asked."""

    def __init__(self, beat: Callable[[int], datetime]) -> None:
        self.beat = beat
        self.asked = 0
        self.stop = threading.Event()
        self.children: dict[str, object] = {}
        self.starts_s: dict[str, float] = {}
        self.logs = "/nowhere"

    def mlflow_answers(self) -> bool:
        return True

    def age_s(self, name: str) -> float:
        return float(self.asked)

    def cpu_s(self, name: str) -> float:
        return 0.0

    def health(self) -> Health:
        beat = self.beat(self.asked).isoformat()
        self.asked += 1
        if self.asked > 50:
            self.stop.set()
        return Health("healthy", dict.fromkeys(HEARTS, "healthy"), dict.fromkeys(HEARTS, beat))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup.time, "sleep", lambda seconds: None)


def ready_after(beat: Callable[[int], datetime]) -> int:
    """How often the hearts were asked for until everything was ready."""
    services = Starting(beat)
    startup.wait_until_healthy(services, lambda line: None, BEGAN.timestamp())
    assert set(services.starts_s) == {startup.MLFLOW, *startup.AIRFLOW}
    return services.asked


def test_a_heart_that_has_beaten_since_the_start_is_ready():
    assert ready_after(lambda asked: BEGAN + timedelta(seconds=5)) == 1


def test_a_heart_of_an_earlier_life_is_not_ready_though_airflow_calls_it_healthy():
    with pytest.raises(startup.StopRequested):
        ready_after(lambda asked: BEGAN - timedelta(seconds=5))


def test_f123_a_heart_that_beats_is_ready_though_the_clock_was_set_back_during_the_start():
    """It waited for a heartbeat after the start's beginning, which was an hour away, and gave up."""
    assert ready_after(lambda asked: BEGAN - timedelta(hours=1) + timedelta(seconds=5 * (asked // 3))) == 4
