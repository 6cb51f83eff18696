"""Whatever a challenger does when it is asked, the champion's day is whole, and the challenger pays for it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from invariants import check_invariants
from journey_world import JourneyWorld, at, key
from mlflow_server import MlflowServer
from release_story import Story

from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows import tasks

SHADOW = {
    "min_rows": 100,
    "min_days": 1,
    "max_days": 4,
    "disagreement": [0.00001, 0.9],
    "p99_delta_at_most": 1.0,
}
DAY = 17


@pytest.fixture(scope="module")
def way(shared_world: JourneyWorld, mlflow_server: MlflowServer, tmp_path_factory) -> Story:
    """A champion, a challenger in its shadow, and the first day of its window published and not yet scored."""
    story = Story(shared_world, mlflow_server, tmp_path_factory.mktemp("moments"))
    shared_world.declare(shared_world.model, shadow=SHADOW)
    shared_world.first_champion()
    shared_world.next_day(16)
    reference = shared_world.open("second", DAY)
    assert shared_world.to_shadow(reference)
    shared_world.next_day(DAY, score=False)
    story.references["second"] = reference
    story.keep("before the day is scored")
    return story


@pytest.fixture
def healthy(way: Story) -> dict[str, object]:
    """What the champion answers beside a challenger that is well."""
    way.back_to("before the day is scored")
    way.world.score(DAY)
    return served(way.world)


@pytest.fixture
def sick(way: Story, healthy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator:
    """Scores the day with a challenger that is sick in this way; gives what the step told."""
    world = way.world
    way.back_to("before the day is scored")
    pid = tmp_path / "pid"

    def score(how: str, **shadow: object):
        monkeypatch.setenv("SLIPWAY_TEST_SICK", how)
        monkeypatch.setenv("SLIPWAY_TEST_SICK_PID", str(pid))
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "sick_challenger"))
        world.declare(world.model, shadow={**SHADOW, **shadow})
        facts = world.score(DAY)["facts"]
        world.children = [int(pid.read_text(encoding="utf-8"))] if pid.exists() else []
        return facts

    yield score
    world.declare(world.model, shadow=SHADOW)
    world.children = []


def log(world: JourneyWorld, role: str):
    rows = OfflineStore(settings().store).read_predictions(world.model, Interval(at(DAY), at(DAY + 1)))
    frame = rows.to_pandas().set_index("request_id").sort_index()
    return frame[frame["role"] == role]


def served(world: JourneyWorld) -> dict[str, object]:
    rows = log(world, "served")
    assert rows["error"].isna().all()
    return rows["score"].to_dict()


def failing(how: str) -> tuple[dict[str, object], str]:
    """The declaration under which the sickness shows quickly, and how its error begins in the log."""
    return {
        "hangs": ({"answer_within": "1m"}, "it had not answered after 60 seconds"),
        "segfaults": ({}, "its process was ended by SIGSEGV"),
        "aborts": ({}, "its process was ended by SIGABRT"),
        "leaves": ({}, "its process ended with 0: "),
        "eats memory": ({}, "MemoryError: Unable to allocate"),
        "raises": ({}, "ZeroDivisionError: one row in a hundred"),
        "answers NaN": ({}, "the score is no finite number"),
        "answers too few": ({}, "ValueError: 119 answers to 120 rows"),
        "answers a table": ({}, "ValueError: answers of the shape (120, 2) where 1 a row were asked for"),
    }[how]


def costs_only_the_challenger(way: Story, healthy, sick, how: str) -> None:
    shadow, error = failing(how)
    facts = sick(how, max_days=1, **shadow)
    assert (facts["rows"], facts["shadow"][0]["answered"]) == (120, 0)
    assert served(way.world) == healthy
    errors = log(way.world, "shadow")["error"]
    assert len(errors) == 120
    assert errors.str.startswith(error).all(), errors.iloc[0]
    judged = way.world.judge("shadow_gate", way.references["second"])
    assert not judged["passed"]
    assert "errors" in judged["table"]
    check_invariants(way.world)


@pytest.mark.slow
def test_f075_a_challenger_that_hangs_is_ended_and_costs_no_more_than_its_time(way, healthy, sick):
    costs_only_the_challenger(way, healthy, sick, "hangs")


@pytest.mark.parametrize(
    "how", ["segfaults", "eats memory", *(pytest.param(how, marks=pytest.mark.slow) for how in ("aborts", "leaves"))]
)
def test_f077_f192_a_challenger_that_dies_or_eats_memory_does_so_alone(way, healthy, sick, how):
    costs_only_the_challenger(way, healthy, sick, how)


@pytest.mark.parametrize("how", ["raises", "answers NaN", "answers too few", "answers a table"])
def test_f073_f076_what_is_no_answer_is_an_error_and_never_averaged_in(way, healthy, sick, how):
    costs_only_the_challenger(way, healthy, sick, how)


@pytest.mark.slow
def test_f074_a_slow_challenger_is_waited_for_after_the_champion_has_answered(way, healthy, sick):
    facts = sick("is slow")
    assert facts["shadow"][0]["answered"] == 120
    assert served(way.world) == healthy
    check_invariants(way.world)


def test_f078_a_challenger_that_changes_its_input_changes_nobody_elses(way, healthy, sick):
    facts = sick("mutates its input")
    assert facts["shadow"][0]["answered"] == 120
    assert served(way.world) == healthy
    assert log(way.world, "shadow")["score"].nunique() == 1, "it answered its own changed rows"
    check_invariants(way.world)


@pytest.mark.slow
def test_f080_a_shadow_log_that_cannot_be_written_costs_the_shadow_its_rows_and_nobody_a_prediction(
    way, healthy, monkeypatch, capsys
):
    world, candidate = way.world, way.references["second"]["candidate_id"]
    way.back_to("before the day is scored")
    write = OfflineStore.write_predictions

    def full(self, model, day, candidate_id, table, **how):
        if candidate_id == candidate:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, model, day, candidate_id, table, **how)

    with monkeypatch.context() as patch:
        patch.setattr(OfflineStore, "write_predictions", full)
        facts = world.score(DAY)["facts"]
    assert facts["shadow"][0]["answered"] == 0
    assert "No space left on device" in capsys.readouterr().out
    assert served(world) == healthy
    assert log(world, "shadow").empty
    with Ledger.open(settings().ledger_url) as ledger:
        assert ledger.shadow.window(candidate).answered == 0
    assert tasks.measure_drift(world.model, key(DAY), "drift-17")["day"] == f"2024-03-{DAY}"
    # The day scored again, once there is room, has the challenger's answers too.
    assert world.score(DAY)["facts"]["shadow"][0]["answered"] == 120
    check_invariants(world)
