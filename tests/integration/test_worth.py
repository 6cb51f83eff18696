"""What a promotion was worth, judged afterwards: on rows served since whose labels are known, beside the champion it
replaced."""

from __future__ import annotations

import json

import pytest
from feature_world import at
from journey_world import MODEL, JourneyWorld

from include.adapters.ledger import Ledger
from include.cli import main
from include.config.settings import settings
from include.domain.promotion import Epoch
from include.workflows.explain.worth import NoPromotion, worth

pytestmark = pytest.mark.light

LOST = {"metric": "lost", "margin": 0.1}
LOST_SQL = {"name": "lost", "sql": "lost.sql", "direction": "lower"}
SQUARE = "SELECT row, pow(score - (label = 'late')::INT, 2) AS value FROM scored"
TURNED = -2.0
"""The effect of the order turned around: what made late makes punctual."""


@pytest.fixture
def replaced(world) -> JourneyWorld:
    """A world that turned on day 16, and a champion that learned from it and serves after two days in shadow."""
    world.declare(world.model, shadow={**MODEL["shadow"], "disagreement": [0.0, 0.9], "p99_delta_at_most": 1.0})
    world.first_champion()
    for day in range(16, 24):
        world.next_day(day, score=False, effect=TURNED)
    reference = world.open("cure", 24)
    assert world.to_shadow(reference)
    for day in (24, 25):
        world.next_day(day, effect=TURNED)
    world.to_the_end(reference)
    assert champions(world)[-1].to_candidate == world.candidate(reference).candidate_id
    return world


def test_a_cure_shows_in_the_realised_loss(replaced):
    start = served_since(replaced)
    for day in range(start, start + 7):
        replaced.next_day(day, effect=TURNED)
    found = worth(replaced.model, until=at(start + 7))
    assert found.better is True
    assert found.with_it < found.without
    assert 0 < found.gain_low < found.gain < found.gain_high
    assert (found.metric, found.days) == ("brier", 7)
    assert "better by" in found.reason

    # By what each row is worth too: declared as the same square, and four times of it where the feature is known.
    by_it = {**MODEL["gates"], "champion_gate": {**MODEL["gates"]["champion_gate"], "comparisons": [LOST]}}
    folder = replaced.root / "declared" / "models" / replaced.model
    for factor, sql in ((1.0, SQUARE), (4.0, f'SELECT row, 4 * value AS value FROM ({SQUARE} WHERE "order" < 99)')):
        (folder / "lost.sql").write_text(sql, encoding="utf-8")
        replaced.declare(replaced.model, gates=by_it, business_metrics=[LOST_SQL])
        valued = worth(replaced.model, until=at(start + 7))
        assert (valued.metric, valued.better) == ("lost", True)
        assert valued.gain == pytest.approx(factor * found.gain)


@pytest.mark.slow
def test_a_world_that_turns_back_makes_the_promotion_a_loss(replaced):
    start = served_since(replaced)
    for day in range(start, start + 7):
        replaced.next_day(day, effect=-TURNED)
    found = worth(replaced.model, until=at(start + 7))
    assert found.better is False
    assert found.gain_high < 0


@pytest.mark.slow
def test_too_few_days_are_not_judged(replaced, capsys):
    start = served_since(replaced)
    replaced.next_day(start, effect=TURNED)
    found = worth(replaced.model, until=at(start + 1))
    assert found.better is None
    assert "not judged: 1 matured day since then; at least 5 are needed" in found.reason
    capsys.readouterr()
    assert main(["worth", replaced.model, "--until", at(start + 1).isoformat(), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["better"] is None


def test_a_model_that_replaced_nothing_has_no_worth(world):
    world.first_champion()
    with pytest.raises(NoPromotion, match="no model has replaced another one yet"):
        worth(world.model)


def champions(world: JourneyWorld) -> list[Epoch]:
    with Ledger.open(settings().ledger_url) as ledger:
        return ledger.deployments.epochs(world.model)


def served_since(world: JourneyWorld) -> int:
    return (champions(world)[-1].effective_from - at(0)).days
