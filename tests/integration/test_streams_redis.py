"""News by Redis: known sooner than the table has them, acknowledged when they took effect, and never silently lost."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from feature_world import READINGS, STATION_LEVEL, STATION_LEVEL_SQL, World, a_world, naive
from feature_world import at as at_
from test_streams import DELAY, MINUTE, Streamed, level, verified

from include.adapters.redis_rows import RedisRows, RedisUnreachable
from include.workflows import stores

GROUP = "slipway:station_level:v1"


@pytest.fixture
def client() -> Iterator[Any]:
    url = os.environ.get("SLIPWAY_TEST_REDIS")
    if url is None:
        pytest.skip("SLIPWAY_TEST_REDIS is not set")
    with redis.Redis.from_url(url) as opened:
        yield opened


@pytest.fixture
def stream(client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a stream of this test's own."""
    monkeypatch.setenv("SLIPWAY_REDIS_URL", os.environ["SLIPWAY_TEST_REDIS"])
    name = f"slipway-test-{uuid.uuid4().hex}"
    yield name
    client.delete(name)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str) -> World:
    made = a_world(tmp_path, monkeypatch)
    news = {"every": "10s", "lateness": "15m", "source": {"readings": f"redis:{stream}"}}
    made.declare_view(STATION_LEVEL, STATION_LEVEL_SQL, delay=DELAY, stream=news)
    made.fill(3, 4)
    made.remove(READINGS, READINGS.c.read_at >= naive(at_(3, 12)))
    return made


@pytest.fixture
def streamed(world: World) -> Iterator[Streamed]:
    with stores.open_ledger() as ledger:
        yield Streamed(world, ledger)


def add(client: Any, stream: str, hour: float, value: Any, station: str = "north", **changes: Any) -> str:
    read_at = at_(3, hour)
    row = {"station": station, "read_at": read_at.isoformat(), "level": value}
    row |= {"known_at": (read_at + timedelta(minutes=5)).isoformat(), **changes}
    entry: str = client.xadd(stream, {"row": json.dumps(row)}).decode()
    return entry


def open_entries(client: Any, stream: str) -> int:
    pending: int = client.xpending(stream, GROUP)["pending"]
    return pending


def test_an_event_is_online_before_the_table_has_it_and_is_acknowledged(world, streamed, client, stream):
    streamed.tick(at_(3, 12.3))
    assert level(world) == (3 * 10 + 11, 11)
    entry = add(client, stream, 12, 500.0)
    streamed.tick(at_(3, 12.4))
    assert level(world) == (500.0, 12)
    assert open_entries(client, stream) == 0
    assert streamed.mark().positions == {stream: entry}


def test_f174_twice_out_of_order_late_from_the_future_and_for_an_unknown_key(world, streamed, client, stream):
    streamed.tick(at_(3, 12.3))
    for _ in range(2):
        add(client, stream, 13, 600.0)
        add(client, stream, 12, 500.0)
    add(client, stream, 12, 7.0, "nowhere")
    add(client, stream, 20, 1.0)
    streamed.tick(at_(3, 13.2))
    assert level(world) == (600.0, 13)
    assert level(world, "nowhere") == (7.0, 12)
    # The table gets the same rows in the end, and the day that is published agrees with every row that was pushed.
    for hour, value, station in ((12, 500.0, "north"), (13, 600.0, "north"), (12, 7.0, "nowhere")):
        made = {"station": station, "read_at": naive(at_(3, hour)), "level": value}
        world.insert(READINGS, [made | {"known_at": made["read_at"] + 5 * MINUTE}])
    world.run_day("station_level", 3)
    found = verified(world, 3)
    assert (found.different, found.extra) == (0, 0), found.examples


@pytest.mark.parametrize("point", ["taken", "pushed", "kept"])
def test_f174_what_was_not_acknowledged_comes_again_to_the_next_process(
    world, streamed, client, stream, monkeypatch, point
):
    streamed.tick(at_(3, 12.3))
    add(client, stream, 12, 500.0)

    class Killed(BaseException):
        pass

    def die(name: str) -> None:
        if name == f"features.stream.{point}":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("include.workflows.features.streaming.crashpoint", die)
        with pytest.raises(Killed):
            streamed.tick(at_(3, 12.4))
    assert open_entries(client, stream) == 1
    streamed.restarted().tick(at_(3, 12.5))
    assert level(world) == (500.0, 12)
    assert open_entries(client, stream) == 0


def test_an_entry_that_is_no_row_is_named_and_holds_up_nothing(world, streamed, client, stream):
    streamed.tick(at_(3, 12.3))
    client.xadd(stream, {"row": "{"})
    client.xadd(stream, {"rows": "{}"})
    client.xadd(stream, {"row": "[1]"})
    add(client, stream, 12, "warm")
    add(client, stream, 12, 1.0, known_at=None)
    add(client, stream, 12, 1.0, read_at="noon")
    add(client, stream, 12, 500.0)
    done = streamed.tick(at_(3, 12.4))
    assert level(world) == (500.0, 12)
    assert open_entries(client, stream) == 0
    told = "\n".join(done.remarks)
    for each in ("no field 'row'", "it is no JSON object", "level is 'warm', and must be double", "has no known_at"):
        assert each in told
    assert len(done.remarks) == 6


def gone(client: Any, stream: str) -> None:
    client.delete(stream)


def group_gone(client: Any, stream: str) -> None:
    client.xgroup_destroy(stream, GROUP)


def trimmed(client: Any, stream: str) -> None:
    add(client, stream, 12, 500.0)
    client.xtrim(stream, maxlen=0)
    add(client, stream, 12, 8.0, "nowhere")


@pytest.mark.parametrize(
    ("loss", "said"),
    [(gone, "the stream is gone"), (group_gone, "its consumer group is gone"), (trimmed, "it was trimmed past")],
)
def test_f175_what_redis_lost_is_noticed_and_read_from_the_table(world, streamed, client, stream, loss, said):
    add(client, stream, 11, 3 * 10 + 11.0)
    streamed.tick(at_(3, 12.3))
    loss(client, stream)
    made = {"station": "north", "read_at": naive(at_(3, 12)), "level": 500.0}
    world.insert(READINGS, [made | {"known_at": made["read_at"] + 5 * MINUTE}])
    done = streamed.tick(at_(3, 12.4))
    assert any(said in remark for remark in done.remarks), done.remarks
    assert level(world) == (500.0, 12)
    add(client, stream, 12, 9.0, "south")
    quiet = streamed.tick(at_(3, 12.5))
    assert quiet.remarks == ()
    assert level(world, "south") == (9.0, 12)


def test_f175_redis_that_does_not_answer_is_one_line_and_nothing_changes(world, streamed, monkeypatch, client, stream):
    streamed.tick(at_(3, 12.3))
    before = streamed.mark()
    lost = RedisRows("redis://127.0.0.1:1/0", stream, GROUP)
    with pytest.raises(RedisUnreachable, match="cannot be read") as refused:
        lost.news(None)
    assert "\n" not in str(refused.value)
    monkeypatch.setenv("SLIPWAY_REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(RedisUnreachable):
        streamed.restarted().tick(at_(3, 12.4))
    assert streamed.mark() == before
