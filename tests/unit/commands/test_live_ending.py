"""What a live replay says at its end, and when its code is not 0."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from include.commands.live import _broken, _told, said_of
from include.config import ModelDeclaration, read_declarations
from include.config.settings import PROJECT
from include.workflows.explain.live import LiveAgainstBatch
from include.workflows.services.live_demonstration import ONLINE, declare_online
from include.workflows.services.live_traffic import AnsweredBy, JournalSeen, LiveCounts

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


def held(same: bool | None = True, difference: float = 0.0) -> LiveAgainstBatch:
    bounds = (None, None) if same is None else (difference - 0.001, difference + 0.001)
    return LiveAgainstBatch(
        "m", "2013-06-01", "2013-06-08", "brier", 100, 99, 98, 90, 0.15, 0.15, difference, *bounds, same, "no label"
    )


def counted(**counts) -> SimpleNamespace:
    return SimpleNamespace(counts=LiveCounts(asked=100, seconds=864.0, **counts), port=8100)


def test_a_replay_in_which_all_held_has_nothing_to_say():
    assert _broken(counted(), [held()], []) == []


@pytest.mark.parametrize(
    ("traffic", "found", "lost", "says"),
    [
        (counted(refused=Counter({504: 2})), held(), [], "2 requests got no answer ({504: 2})"),
        (counted(), held(), ["q1", "q2"], "2 acknowledged rows are not in the log, for example q1"),
        (counted(), held(same=False, difference=0.01), [], "m: brier live is not that of batch"),
        (counted(), held(same=None), [], "m: brier live and in batch could not be compared (no label)"),
    ],
)
def test_each_thing_that_was_promised_and_did_not_hold_is_named(traffic, found, lost, says):
    assert _broken(traffic, [found], lost) == [says]


def test_a_connection_that_was_lost_and_asked_again_breaks_nothing():
    assert _broken(counted(broken=3), [held()], []) == []


def test_the_end_shows_live_beside_batch_the_ages_and_who_answered(tmp_path):
    seen = JournalSeen(tmp_path, lambda: NOON)
    seen.ages["origin_weather"] = [3600.0, 5400.0, 7200.0]
    seen.missing["origin_weather stale"] = 4
    seen.by[1] = AnsweredBy("first", 1, NOON, NOON, 100)
    outcome = SimpleNamespace(days=["2013-06-01"] * 10)
    lines = _told(outcome, counted(broken=1), seen, [held()], 100, [], 3600.0)
    text = "\n".join(lines)
    assert "0.1500" in text
    assert "98 of 99" in text
    assert "1.5 h" in text
    assert "4 stale" in text
    assert "2013-06-01 12:00" in text
    assert "100 requests, 0 without an answer; 1 connection ended without one, and the request was sent again." in text
    assert "10 days of the data in 60 minutes: 240 times as fast as they were, 1,000 times while" in text


def test_what_cannot_be_compared_is_never_called_the_same():
    assert said_of(held(same=None)) == "brier live and in batch could not be compared: no label."
    assert said_of(held()) == "brier live is that of batch, within what these days scatter."
    assert "not that of batch" in said_of(held(same=False))


def test_the_example_is_online_in_the_live_replays_own_declarations_only(tmp_path):
    declared = read_declarations(declare_online(tmp_path))
    assert declared.broken == {}
    assert modes(declared.models) == {"air_time": "batch", ONLINE: "online"}
    assert set(modes(read_declarations(PROJECT / "include").models).values()) == {"batch"}


def modes(models: dict[str, ModelDeclaration]) -> dict[str, str]:
    return {name: model.serving.mode for name, model in models.items()}
