"""The declared gates: what may be written, what it means when it is left out, and how it becomes a rule."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.config import gates as declared
from include.domain.gates import (
    FairnessRule,
    FirstDeployment,
    LatencyRules,
    LeakageRules,
    Measure,
    SignatureRules,
    SliceRules,
    SmokeRules,
)
from include.domain.gates.grouping import MAX_NUMBERS
from include.domain.metrics import METRICS, Task
from include.domain.metrics.registry import MADE
from include.workflows.gates import GATES

SLICES = {"metric": "brier", "by": ["carrier"], "strict": {"margin": 0.01}, "small": {"floor": 0.05}}


def test_what_is_left_out_means_the_same_in_the_declaration_and_in_the_rule():
    assert declared.SliceGate(**SLICES).rules(None) == SliceRules("brier", 0.01, 0.05, by=("carrier",))
    assert declared.LatencyGate(p50_ms_at_most=1).rules() == LatencyRules(p50_ms_at_most=1)
    assert declared.SignatureGate().rules() == SignatureRules()
    assert declared.SmokeGate().rules() == SmokeRules()
    assert declared.LeakageGate().rules() == LeakageRules()


def test_every_declared_value_reaches_the_rule():
    fairness = {
        "groups": "sex",
        "measure": "equalized_odds",
        "margin": 0.02,
        "gap_at_most": 0.1,
        "ratio_at_least": 0.8,
        "threshold": 0.3,
        "min_group_rows": 50,
    }
    gate = declared.SliceGate(
        **{
            **SLICES,
            "protected": ["sex"],
            "alpha": 0.01,
            "strict": {"margin": 0.02, "large_rows": 9},
            "small": {"floor": 0.3, "min_rows": 7, "under_support": "report"},
            "fairness": [fairness],
        }
    )
    champion = declared.ChampionGate(
        comparisons=[{"metric": "brier", "margin": 0}], beat_baseline_on="brier", first_deployment="ask"
    )
    rules = gate.rules(champion, also_by=("race", "carrier"))
    assert rules == SliceRules(
        "brier",
        margin=0.02,
        floor=0.3,
        by=("carrier", "race"),
        protected=("sex",),
        alpha=0.01,
        large_rows=9,
        min_rows=7,
        ask_under_support=False,
        fairness=(FairnessRule("sex", Measure.EQUALIZED_ODDS, 0.02, 0.1, 0.8, 0.3, 50, False),),
        first_deployment=FirstDeployment.ASK,
    )
    assert gate.columns_with(("race", "carrier")) == ("carrier", "race", "sex")
    leakage = declared.LeakageGate(auc_at_most=0.9, r2_at_most=0.8, known_strong=["x"], entities_may_repeat=False)
    assert leakage.rules() == LeakageRules(0.9, 0.8, ("x",), False)
    assert declared.SignatureGate(may_drop=["x"]).rules() == SignatureRules(("x",))
    assert declared.SmokeGate(max_difference=0.1).rules().max_difference == 0.1
    latency = {f"{name}_at_most": i + 1.0 for i, name in enumerate(("p50_ms", "p99_ms", "batch_ms_per_1k", "model_mb"))}
    latency |= {"times_champion_at_most": 5.0, "size_times_champion_at_most": 6.0}
    assert declared.LatencyGate(**latency, repeats=30).rules() == LatencyRules(**latency, repeats=30)


def test_a_latency_gate_without_any_bound_is_refused():
    with pytest.raises(ValidationError, match="no bound is given; give at least one of p50_ms_at_most"):
        declared.LatencyGate()


def test_a_slice_gate_needs_its_metric_and_its_tiers_have_defaults():
    with pytest.raises(ValidationError, match="metric"):
        declared.SliceGate(**{name: value for name, value in SLICES.items() if name != "metric"})
    rules = declared.SliceGate(metric="brier").rules(None)
    assert (rules.margin_share, rules.floor_share) == (0.1, 0.5)


def test_the_models_of_the_project_may_declare_every_gate():
    declarable = {gate.name for gate in GATES if gate.field == f"gates.{gate.name}"}
    assert len(declarable) > 6
    assert set(declared.DeclaredGates.model_fields) == {*declarable, "own"}


@pytest.mark.parametrize("task", Task)
def test_the_declaration_allows_the_measures_the_domain_has(task):
    assert set(declared.METRICS[task.value]) == {*METRICS[task], *MADE[task]}
    assert set(declared.FAIRNESS_MEASURES[task.value]) == {m.value for m in Measure if m.task is task}


def test_the_declaration_says_at_how_many_numbers_a_column_is_cut():
    assert MAX_NUMBERS == 12
