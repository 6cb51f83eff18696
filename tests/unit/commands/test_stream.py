"""``slipway stream``: whose time it takes, which views, and what is said of a tick that fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from include import cli
from include.adapters.data_clock import DataClock, NoClock, SetClock
from include.commands.stream import Ticker
from include.config import declarations
from include.workflows.features.streaming import Ticked, open_at
from include.workflows.services.components import STREAM
from include.workflows.services.startup import start_streams

JUNE = datetime(2013, 6, 22, tzinfo=UTC)


def test_a_clock_of_the_data_begins_where_it_is_told_and_goes_on_at_its_speed():
    seconds = [100.0]
    clock = DataClock.read("2013-06-22T00:00Z@60", lambda: seconds[0])
    assert clock.now() == JUNE
    seconds[0] += 2
    assert clock.now() == JUNE + timedelta(minutes=2)
    assert DataClock.read("2013-06-22", lambda: 0.0).speed == 1


def test_without_one_it_is_the_machines_time():
    assert abs(DataClock.read(None).now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_clock_that_a_replay_sets_stands_until_then_and_never_goes_back(tmp_path):
    noon = datetime(2013, 6, 22, 12, tzinfo=UTC)
    replay = SetClock(tmp_path / "made" / "clock", noon)
    clock = DataClock.read(replay.name)
    assert clock.now() == noon
    replay.set(noon + timedelta(seconds=30))
    replay.set(noon)
    assert clock.now() == noon + timedelta(seconds=30)
    assert SetClock(tmp_path / "made" / "clock", noon).now == noon + timedelta(seconds=30), "a replay goes on"


def test_a_clock_of_a_replay_that_never_ran_is_refused(tmp_path):
    with pytest.raises(NoClock, match="A replay makes it"):
        DataClock.read(f"file:{tmp_path / 'clock'}")
    (tmp_path / "clock").touch()
    with pytest.raises(NoClock, match="no time in it"):
        DataClock.read(f"file:{tmp_path / 'clock'}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("noon", "The clock 'noon' is none: 'noon' is not a date or time"),
        ("2013-06-22@fast", "The clock '2013-06-22@fast' is none"),
        ("2013-06-22@0", "has the speed 0; give more than 0"),
        ("2013-06-22@-1", "has the speed -1; give more than 0"),
        ("2013-06-22@nan", "has the speed nan; give more than 0"),
        ("2013-06-22@1e9", "has the speed 1e9; give more than 0 and at most 100000"),
    ],
)
def test_a_clock_that_is_none_is_refused_in_one_line(text, said):
    with pytest.raises(NoClock) as refused:
        DataClock.read(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_view_without_a_stream_and_one_that_is_not_declared_are_refused(monkeypatch, capsys):
    plain = declarations().view("origin_weather").model_copy(update={"stream": None})
    known = SimpleNamespace(view=lambda name: plain, views={"origin_weather": plain})
    with monkeypatch.context() as patch:
        patch.setattr("include.config.declarations", lambda: known)
        assert cli.main(["stream", "origin_weather", "--once"]) == 64
        assert cli.main(["stream", "--once"]) == 64
    told = capsys.readouterr().err
    assert "The view 'origin_weather' declares no stream" in told
    assert "No view declares a stream" in told
    assert cli.main(["stream", "nowhere", "--once"]) not in (0, 1)


def test_a_failure_is_said_once_and_once_when_it_is_over(capsys):
    class Failing:
        def __init__(self) -> None:
            gone, done = ConnectionError("gone"), Ticked("level", JUNE)
            self.view, self.begun, self.answers = SimpleNamespace(ref="level"), 0, [gone, gone, done, done]

        def tick(self, now: datetime) -> Ticked:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def begin_again(self) -> None:
            self.begun += 1

    stream = Failing()
    ticker = Ticker(stream)  # type: ignore[arg-type]
    assert [ticker.tick(JUNE) for _ in range(4)] == [False, False, True, True]
    assert capsys.readouterr().err.splitlines() == [
        "2013-06-22 00:00:00 level: gone",
        "2013-06-22 00:00:00 level: works again",
    ]
    assert stream.begun == 2


# --- as a child of `slipway up` --------------------------------------------------------------------------------------


def started(environment: dict[str, str], now: datetime) -> list[str]:
    names: list[str] = []
    services = SimpleNamespace(environment=environment, start=names.append)
    start_streams(services, lambda line: None, now)  # type: ignore[arg-type]
    return names


def test_it_is_started_where_the_calendar_of_a_view_goes_on_or_the_data_has_its_own_clock():
    assert started({}, JUNE) == [STREAM]
    assert started({}, datetime(2026, 1, 1, tzinfo=UTC)) == []
    assert started({"SLIPWAY_CLOCK": "2013-06-22T00:00Z@60"}, datetime(2026, 1, 1, tzinfo=UTC)) == [STREAM]


def test_a_view_is_streamed_while_its_calendar_goes_on():
    view = declarations().view("origin_weather")
    first, end = (datetime(year, 1, 1, tzinfo=UTC) for year in (2013, 2014))
    tick = timedelta(microseconds=1)
    assert [open_at(view, at) for at in (first - tick, first, end - tick, end)] == [False, True, True, False]
    assert not open_at(view.model_copy(update={"stream": None}), JUNE)
