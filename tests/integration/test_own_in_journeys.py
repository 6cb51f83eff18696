"""What a team declares of its own, in whole journeys: gates, metrics, values of rows, an encoder and its type."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from invariants import check_invariants
from journey_world import MODEL, NOW, JourneyWorld

from include.adapters.ledger import Ledger
from include.config import loader
from include.config.settings import settings
from include.domain.verdicts import GateResult, Verdict
from include.workflows import tasks
from include.workflows.pages import release
from include.workflows.release.promotion import NotRegistered

OURS = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from include.domain.gates import Direction, against_bound
from include.domain.own_metrics import per_row, whole


def knows_its_rows(evidence, *, at_least):
    kinds = set(evidence.rows.columns) >= {"trip_id", "event_time", "station", "order", "level", "mean_level_3h"}
    share = float(kinds) * float(np.isfinite(evidence.scores).mean())
    return against_bound("known", share, Direction.AT_LEAST, at_least, rows=evidence.count)


def beside_the_champion(evidence):
    if evidence.champion is None:
        share = 0.0
    else:
        share = float(np.mean((evidence.scores > 0.5) != (evidence.champion > 0.5)))
    return [against_bound("decided otherwise", share, Direction.AT_MOST, 0.9, rows=evidence.count)]


def raises(evidence):
    return evidence.rows["no such column"]


@per_row(better="lower", low=0)
def cost(labels, scores):
    return np.where(labels == 1, 2 * (1 - scores), scores)


@whole(better="higher", low=0, high=1)
def found_at_the_top(labels, scores):
    top = np.argsort(-scores, kind="stable")[: max(1, len(scores) // 5)]
    return labels[top].mean()


class Scaled(TransformerMixin, BaseEstimator):
    def fit(self, rows, labels=None):
        self.scale_ = float(np.nanstd(np.asarray(rows, dtype=float))) or 1.0
        return self

    def transform(self, rows):
        return np.asarray(rows, dtype=float) / self.scale_
"""
WORTH = (
    "SELECT row, CASE WHEN score > 0.5 THEN CASE WHEN label = 'late' THEN 2 ELSE -1 END ELSE 0 END AS value FROM scored"
)
EARLY = {"name": "knows_gate", "path": "journeys_ours.knows_its_rows", "params": {"at_least": 1.0}}
LATE = {"name": "beside_gate", "path": "journeys_ours.beside_the_champion", "after": "register_challenger"}
BREAKS = {"name": "breaks_gate", "path": "journeys_ours.raises"}


def declare(world: JourneyWorld, *own: dict[str, Any]) -> None:
    gates = copy.deepcopy(MODEL["gates"])
    gates["threshold_gate"]["criteria"].append({"metric": "journeys_ours.found_at_the_top", "at_least": 0.2})
    gates["champion_gate"] |= {
        "comparisons": [{"metric": name, "margin": 0.5} for name in ("journeys_ours.cost", "worth")],
        "beat_baseline_on": "journeys_ours.cost",
        "replay": {"days": 3},
    }
    folder = world.root / "declared" / "models"
    (folder / world.model / "worth.sql").write_text(WORTH, encoding="utf-8")
    (folder / "trusted_types.yaml").write_text("types: {journeys_ours.Scaled: of the tests}\n", encoding="utf-8")
    world.declare(
        world.model,
        gates={**gates, "smoke_gate": {"rows": 20}, "own": list(own)},
        business_metrics=[{"name": "worth", "sql": "worth.sql", "direction": "higher"}],
        preprocess=[{"columns": ["order"], "steps": ["journeys_ours.Scaled"]}],
        training={**MODEL["training"], "window_days": 4},
        drift={"performance": {"metric": "journeys_ours.cost", "tolerance": 0.02, "min_rows": 100, "unit": "row"}},
    )


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The team's module, for this process and the ones it starts."""
    folder = tmp_path_factory.mktemp("ours")
    (folder / "journeys_ours.py").write_text(OURS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))
        yield


@dataclass
class Story:
    world: JourneyWorld
    first: dict[str, Any]
    second: dict[str, Any]


@pytest.fixture(scope="module")
def story(ours: None, shared_world: JourneyWorld) -> Iterator[Story]:
    """A first champion, and a successor that passed every gate, the team's own among them, and was promoted."""
    world = shared_world
    declare(world, EARLY, LATE)
    first = world.open("first", 13)
    assert world.to_shadow(first)
    world.to_the_end(first)
    for day in range(16, 20):
        world.next_day(day)
    second = world.open("second", 20)
    assert world.to_shadow(second), results(second)
    for day in (20, 21):
        world.next_day(day)
    assert world.to_the_end(second)["state"] == "champion"
    yield Story(world, first, second)
    check_invariants(world)


def results(reference: dict[str, Any]) -> dict[str, GateResult]:
    with Ledger.open(settings().ledger_url) as ledger:
        return {gate: record.result for gate, record in ledger.gates.latest(reference["candidate_id"]).items()}


def test_its_gates_judge_in_their_places_on_the_journey_s_own_rows(story):
    judged = results(story.second)
    assert [gate for gate in judged if gate in ("champion_gate", "knows_gate", "smoke_gate", "beside_gate")] == [
        "champion_gate", "knows_gate", "smoke_gate", "beside_gate",
    ]  # fmt: skip
    known = judged["knows_gate"].criteria[0]
    assert (known.verdict, known.measured, known.rows) == (Verdict.PASS, 1.0, judged["champion_gate"].criteria[0].rows)
    assert 0 < judged["beside_gate"].criteria[0].measured < 0.9


def test_the_champion_is_compared_by_the_team_s_metric_and_by_what_rows_are_worth_on_both_windows(story):
    found = {c.criterion: c for c in results(story.second)["champion_gate"].criteria}
    expected = [
        "journeys_ours.cost",
        "worth",
        "replay journeys_ours.cost",
        "replay worth",
        "baseline journeys_ours.cost",
    ]
    assert list(found) == expected
    assert all(c.champion is not None for name, c in found.items() if not name.startswith("baseline"))
    assert -1 <= found["worth"].measured <= 2


def test_what_was_measured_is_on_the_release_page_and_on_the_run(story):
    view = release.release(story.second["candidate_id"], NOW)
    assert set(view.measured["journeys_ours.cost"]) == {"candidate", "champion", "baseline"}
    assert set(view.measured["worth"]) == {"candidate", "champion", "baseline"}
    judge = next(phase for phase in view.phases if phase.name == "Judge")
    assert "knows_gate" in [gate.gate for gate in judge.gates]
    register = next(phase for phase in view.phases if phase.name == "Register")
    assert [gate.gate for gate in register.gates] == ["smoke_gate", "beside_gate"]
    assert next(g for g in view.gates if g.gate == "knows_gate").asks == "What does journeys_ours.knows_its_rows say?"
    run = next(r for r in story.world.runs_in_mlflow() if r.data.tags["slipway.run_id"] == "second")
    assert run.data.metrics["candidate_journeys_ours.cost"] == pytest.approx(
        view.measured["journeys_ours.cost"]["candidate"]
    )


def test_the_sensor_watches_the_team_s_loss(story, capsys):
    tasks.measure_drift(story.world.model, "2024-03-21T00:00:00", "drift-21")
    said = capsys.readouterr().out
    assert "journeys_ours.cost 0." in said
    assert " matured rows of 6 days since 2024-03-16" in said


def test_one_that_raises_waits_for_a_person_and_nothing_is_registered_past_it(ours, world):
    declare(world, BREAKS)
    reference = world.open("first", 13)
    world.train(reference)
    tasks.evaluate(reference)
    judged = world.judge("breaks_gate", reference)
    assert (judged["verdict"], judged["passed"]) == ("INCONCLUSIVE", False)
    assert "journeys_ours.raises raised KeyError: 'no such column'" in judged["reason"]
    assert judged["table"].endswith("docs/runbook/own_gate.md")
    for gate in ("threshold_gate", "champion_gate"):
        world.judge(gate, reference)
    with pytest.raises(NotRegistered, match="breaks_gate"):
        tasks.register_challenger(reference, NOW)
    tasks.approve(reference, "breaks_gate", "ada", "we looked at it by hand", NOW)
    assert tasks.register_challenger(reference, NOW)["version"] == 1
    loader.declarations.cache_clear()
