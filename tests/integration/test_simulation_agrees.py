"""A simulation and the Dags' own workflows on the same days: the same decisions, journeys and champions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from invariants import check_invariants
from journey_world import MODEL, NOW, JourneyWorld, at, journey_world, key, registry_in_memory

from include.adapters.ledger import Ledger
from include.config import loader
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.simulation.outcome import PolicyOutcome
from include.workflows import tasks
from include.workflows.simulation.run import simulate
from include.workflows.simulation.settings import variants
from include.workflows.simulation.stream import BadStream, stored
from include.workflows.simulation.yardsticks import Yardsticks

FEW = {"min_rows": 50}


@dataclass(frozen=True)
class Past:
    """What is declared, the day of the first champion, the day after the last, and how a day from the 16th on is
    filled."""

    declared: dict[str, Any]
    first: int
    end: int
    filled: Callable[[int], dict[str, Any]]


TURNED = Past(
    {
        "drift": {
            "inputs": FEW,
            "predictions": FEW,
            "performance": {"metric": "brier", "tolerance": 0.02, "min_rows": 100, "unit": "row"},
            "retrain": {"windows": [1, 2], "cooldown_days": 2, "budget_per_month": 3},
        }
    },
    first=13,
    end=29,
    filled=lambda day: {"effect": 2.0 if day < 17 else -2.0},
)
"""What the labels are turns round on the 17th."""

HARDER = Past(
    {
        "label": {**MODEL["label"], "delay": "72h"},
        "training": {**MODEL["training"], "window_days": 3, "holdout_days": 6},
        "gates": {**MODEL["gates"], "champion_gate": {**MODEL["gates"]["champion_gate"], "replay": {"days": 3}}},
        "shadow": {**MODEL["shadow"], "mode": "advisory"},
        "drift": {
            "inputs": FEW,
            "predictions": FEW,
            "estimated": {**FEW, "run_length_days": 7},
            "performance": {
                "metric": "brier",
                "tolerance": 0.001,
                "alpha": 0.2,
                "min_rows": 100,
                "unit": "row",
                "window_days": 2,
            },
            "retrain": {"cooldown_days": 2},
        },
    },
    first=16,
    end=32,
    filled=lambda day: {"orders": (0.0, 1.0) if day < 19 else (0.5, 0.2), "labels": day < 23},
)
"""Rows are harder to answer from the 19th on, which an estimate sees before a label does; from the 23rd on no label
comes. The champion gate replays the days before both training windows."""


def by_the_dags(world: JourneyWorld, past: Past) -> list[tuple[str, str, str]]:
    """Score, drift and retrain of each day, as the Dags call them; day, action and rule of each decision."""
    world.first_champion(day=past.first)
    seen, journey = [], None
    for day in range(past.first, past.end):
        if day < 16:
            world.score(day)
        else:
            world.next_day(day, **past.filled(day))
        decision = tasks.decide(tasks.measure_drift(world.model, key(day), f"drift-{day}"))
        seen.append((f"2024-03-{day:02d}", decision["action"], decision["rule"]))
        if journey is not None and tasks.shadow_wait_is_over(journey["candidate_id"]):
            world.to_the_end(journey)
            journey = None
        if decision["action"] == "retrain":
            journey = started(world, decision)
    return seen


def started(world: JourneyWorld, decision: dict[str, Any]) -> dict[str, Any] | None:
    """The journey a decision starts, in its shadow window; None when a gate stopped it."""
    reference = tasks.open_journey(
        world.model, decision["journey_run_id"], "operator_triggered", decision["conf"], NOW, None
    )
    if world.to_shadow(reference):
        return dict(reference)
    tasks.close_journey(reference)
    return None


Both = tuple[JourneyWorld, Past, list[tuple[str, str, str]], PolicyOutcome]


@pytest.fixture(
    scope="module",
    params=[pytest.param(world, marks=pytest.mark.slow) for world in (TURNED, HARDER)],
    ids=["turned", "harder"],
)
def both(
    request: pytest.FixtureRequest,
    published_days: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Both]:
    past: Past = request.param
    folder = tmp_path_factory.mktemp("agrees")
    with registry_in_memory() as registry, journey_world(published_days, folder, registry.url) as world:
        world.declare(world.model, **past.declared)
        decisions = by_the_dags(world, past)
        model = loader.declarations().model(world.model)
        interval = Interval(at(past.first), at(past.end))
        found = simulate(
            world.model,
            variants(model, [], None),
            lambda declared: stored(declared, interval),
            interval,
            yardsticks=Yardsticks((), 0, False),
        )
        yield world, past, decisions, found.policies[0]


def test_each_day_has_the_decision_that_the_drift_dag_made(both):
    _, past, decisions, simulated = both
    assert [(d.day, d.action, d.rule) for d in simulated.decisions] == decisions
    rules = {rule for _, _, rule in decisions}
    wanted = {"5 realised_out_of_band"} if past is TURNED else {"4 estimated_out_of_band", "1 data_broke"}
    assert wanted <= rules


def test_each_journey_has_the_verdicts_and_the_end_that_the_retrain_dag_gave_it(both):
    world, _, _, simulated = both
    with Ledger.open(settings().ledger_url) as ledger:
        candidates = ledger.candidates.of(world.model)[1:]
        gates = [
            {name: record.verdict.value for name, record in ledger.gates.latest(c.candidate_id).items()}
            for c in candidates
        ]
        epochs = ledger.deployments.epochs(world.model)
    assert [j.as_of for j in simulated.journeys] == [c.request.as_of.date().isoformat() for c in candidates]
    assert [dict(j.verdicts) for j in simulated.journeys] == gates
    assert [day for day, _ in simulated.serving] == [e.effective_from.date().isoformat() for e in epochs]
    check_invariants(world)


def test_a_candidate_prepared_for_an_estimate_is_held_as_long_as_the_dags_hold_it(both):
    world, past, _, simulated = both
    if past is TURNED:  # which no estimate can see
        assert not any(d.estimated for d in simulated.decisions)
        return
    held = simulated.journeys[0]
    assert "Prepare a candidate, not to be promoted before labels mature" in held.reason
    with Ledger.open(settings().ledger_url) as ledger:
        window = ledger.shadow.window(ledger.candidates.of(world.model)[1].candidate_id)
    assert window is not None
    assert held.serves_from == window.closed_at.date().isoformat()
    assert (window.closed_at - at(int(held.as_of[-2:]))).days > MODEL["shadow"]["min_days"]


def test_a_day_that_was_never_published_is_named_with_the_dag_that_publishes_it(both):
    world, past, _, _ = both
    with pytest.raises(BadStream) as refused:
        stored(loader.declarations().model(world.model), Interval(at(past.first), at(past.end + 2)))
    assert str(refused.value).startswith("The store lacks 2 of the ")
    first, after = at(past.end).date().isoformat(), at(past.end + 2).date().isoformat()
    assert f"the first {first}. Run the Dag features_" in str(refused.value)
    assert f"with start {first} and end {after}" in str(refused.value)
