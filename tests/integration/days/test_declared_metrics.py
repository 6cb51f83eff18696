"""A journey whose gates use metrics with settings: what is declared is measured, kept, judged and shown."""

from __future__ import annotations

import pytest
from journey_world import LENIENT, MODEL

from include.domain.verdicts import Verdict
from include.workflows import stores, tasks

F2 = "f_beta(beta=2, threshold=0.3)"
COST = "cost(matrix=[[0, 1], [5, 0]], threshold=0.2)"
GATES = {
    **MODEL["gates"],
    "threshold_gate": {
        "min_rows": 100,
        "criteria": [
            {"metric": {"name": "f_beta", "beta": 2, "threshold": 0.3}, "at_least": 0.5},
            {"metric": {"name": "cost", "threshold": 0.2, "matrix": [[0, 1], [5, 0]]}, "at_most": 1.0},
            {"metric": {"name": "precision", "threshold": 0.9999}, "at_least": 0.0},
        ],
    },
    "champion_gate": {
        "min_rows": 100,
        # As other journeys that must get through: at the usual level three held-out days seldom tell.
        "alpha": LENIENT["champion_gate"]["alpha"],
        "comparisons": [{"metric": {"name": "recall", "threshold": 0.3}, "margin": 0.1}],
        "beat_baseline_on": COST,
    },
}


@pytest.fixture
def judged(world):
    """The first candidate of a model, measured and judged by these gates."""
    tasks.close_journey(world.references["r"])
    drift = {**MODEL["drift"], "performance": {"metric": COST, "tolerance": 0.02, "min_rows": 100}}
    world.declare(world.model, gates=GATES, drift=drift)
    reference = world.evaluated("asked")
    tasks.evaluate(reference)
    world.judge_offline(reference)
    return reference


def results(reference, gate):
    with stores.open_ledger() as ledger:
        found = ledger.gates.latest(reference["candidate_id"])[gate]
    return {c.criterion: c for c in found.result.criteria}


def test_a_journey_is_judged_by_metrics_with_settings(judged, world):
    bounds = results(judged, "threshold_gate")
    assert list(bounds) == [F2, COST, "precision(threshold=0.9999)"]
    assert bounds[F2].verdict is bounds[COST].verdict is Verdict.PASS
    assert 0.5 <= bounds[F2].measured <= 1
    never = bounds["precision(threshold=0.9999)"]
    assert (never.verdict, never.measured) == (Verdict.INCONCLUSIVE, None)
    assert "the positive class is answered on 0 rows; at least 20 are needed" in never.reason
    against = results(judged, "champion_gate")[f"baseline {COST}"]
    assert against.verdict is Verdict.PASS, against.reason
    assert against.measured < against.baseline


def test_its_metrics_are_kept_and_have_names_that_mlflow_takes(judged, world):
    candidate = world.candidate(judged)
    measured = tasks.evaluate(judged)["metrics"]["candidate"]
    assert {F2, COST, "recall(threshold=0.3)", "brier"} <= set(measured)
    shown = world.registry.runs[str(candidate.facts.mlflow_run_id)].metrics
    assert shown["candidate_f_beta.beta_2.threshold_0.3"] == measured[F2]
    assert shown["candidate_cost.matrix_0.1.5.0.threshold_0.2"] == measured[COST]
