"""``slipway selftest`` of whole models: every gate stops what it is for, and a gate that is weakened is found out."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selftest_models import BINARY, MULTICLASS, REGRESSION, declared, with_gates

from include.adapters import estimators
from include.adapters.offline_store import OfflineStore
from include.cli import main
from include.config.settings import settings
from include.domain.selftest import Matrix, SeedOutcome
from include.domain.verdicts import CriterionResult, GateResult, Verdict
from include.domain.weights import counted_rows
from include.workflows import gates, tasks
from include.workflows.scoring import answer_rows, fitted_models
from include.workflows.selftest import bench, defects, seeds
from include.workflows.selftest import world as worlds

OPTIONAL = ("leakage_gate", "slice_gate", "latency_gate", "signature_gate", "smoke_gate", "packed_gate")
BARE = with_gates(BINARY, **dict.fromkeys(OPTIONAL))
"""Only the gates that every model has: quick to test."""
LIVE = ("error on 5 % of rows", "10 times slower live", "one feature swapped", "one slice inverted")
"""Candidates that are bad live alone: for models that are asked online, in ``test_live_seeds.py``."""


def selftest_of(root: Path, model: dict[str, Any]) -> Matrix:
    with declared(root, model):
        found = bench.run(model["name"])
        assert not settings().home.exists(), "a selftest writes nothing"
        return found


def outcomes(found: Matrix) -> dict[str, SeedOutcome]:
    return {seed.name: seed.outcome(found.gates) for seed in found.seeds}


# --- gates that hold --------------------------------------------------------------------------------------------------


def test_every_seeded_candidate_is_stopped_by_the_gate_meant_for_it_and_the_honest_twin_passes(tmp_path):
    found = selftest_of(tmp_path, BINARY)
    assert found.problems == []
    assert outcomes(found) == {
        seed.name: SeedOutcome.NOT_APPLICABLE if seed.name in LIVE else SeedOutcome.STOPPED for seed in seeds.SEEDS
    }
    assert {cell.verdict for cell in found.honest.values()} == {Verdict.PASS}
    assert "rows and labels made from the declaration" in found.rows


@pytest.mark.parametrize(("model", "missing"), [(REGRESSION, 13), (MULTICLASS, 13)], ids=["regression", "multiclass"])
def test_other_tasks_are_tested_by_what_applies_to_them(model, missing, tmp_path):
    found = selftest_of(tmp_path, model)
    assert found.problems == []
    assert found.count(SeedOutcome.NOT_APPLICABLE) == missing
    assert found.count(SeedOutcome.STOPPED) == len(seeds.SEEDS) - missing


@pytest.mark.slow
@pytest.mark.parametrize("model", ["air_time", "flight_delay"])
def test_the_gates_of_the_projects_own_models_hold(model, tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    found = bench.run(model, stored=False)
    assert found.problems == []
    assert found.count(SeedOutcome.MISSED) == 0
    assert not (tmp_path / "home").exists(), "a selftest writes nothing"


def test_the_same_selftest_says_the_same_again(tmp_path):
    one, other = selftest_of(tmp_path, BARE), selftest_of(tmp_path, BARE)
    assert one == other


def test_a_candidate_that_raises_reaches_no_gate_after_evaluate_and_is_stopped_in_shadow(tmp_path):
    [error] = [seed for seed in selftest_of(tmp_path, BARE).seeds if seed.name == "error on 0.5 % of rows"]
    assert error.broke == "ValueError: a row that this candidate cannot answer (seeded)"
    assert not {"threshold_gate", "champion_gate"} & set(error.cells)
    assert error.cells["shadow_gate"].verdict is Verdict.INCONCLUSIVE


def test_a_packed_form_that_is_off_by_a_unit_is_stopped_by_its_gate_alone(tmp_path):
    others = ("leakage_gate", "slice_gate", "latency_gate", "signature_gate", "smoke_gate")
    found = selftest_of(tmp_path, with_gates(BINARY, **dict.fromkeys(others)))
    [seed] = [seed for seed in found.seeds if seed.name == "packed form off by a unit"]
    assert found.problems == []
    assert seed.stopped_by(found.gates) == ["packed_gate"]
    assert seed.cells["packed_gate"].verdict is Verdict.FAIL


def test_a_gate_that_only_advises_sees_and_stops_nothing(tmp_path):
    advisory = {**BINARY["gates"]["latency_gate"], "mode": "advisory"}
    found = selftest_of(tmp_path, with_gates(BARE, latency_gate=advisory))
    assert found.problems == []
    assert outcomes(found)["10 times slower"] is SeedOutcome.SEEN


# --- gates that were weakened -----------------------------------------------------------------------------------------


def test_a_bound_of_zero_is_found_out(tmp_path):
    bounds = {"min_rows": 500, "criteria": [{"metric": "roc_auc", "at_least": 0.0}]}
    found = selftest_of(tmp_path, with_gates(BARE, threshold_gate=bounds))
    assert any(problem.startswith("threshold_gate let 'inverted' pass: roc_auc 0.") for problem in found.problems)


@pytest.mark.parametrize("which", [0, 1], ids=["the first comparison", "the second comparison"])
def test_a_margin_that_tolerates_everything_is_found_out(which, tmp_path):
    wide = copy.deepcopy(BARE["gates"]["champion_gate"])
    wide["comparisons"].append({"metric": "log_loss", "margin": 0.03})
    wide["comparisons"][which]["margin"] = 50.0
    found = selftest_of(tmp_path, with_gates(BARE, champion_gate=wide))
    assert outcomes(found)["worse than champion"] is SeedOutcome.MISSED


def test_a_floor_that_lets_a_slice_be_ruined_is_found_out(tmp_path):
    wide = {**BINARY["gates"]["slice_gate"], "strict": {"margin": 5.0}, "small": {"floor": 5.0}, "fairness": []}
    wide["strict"]["large_rows"] = 1
    found = selftest_of(tmp_path, with_gates(BARE, slice_gate=wide))
    assert outcomes(found)["one slice ruined"] is SeedOutcome.MISSED
    uncovered = "slice_gate is blocking, and stops no seeded candidate meant for it: nothing shows that it can fail."
    assert uncovered in found.problems


@pytest.mark.parametrize(
    "name",
    [
        "training_data_gate",
        "threshold_gate",
        "champion_gate",
        *(pytest.param(gate, marks=pytest.mark.slow) for gate in ("slice_gate", "signature_gate", "leakage_gate")),
    ],
)
def test_a_gate_that_always_passes_is_found_out_and_is_uncovered(name, tmp_path, monkeypatch):
    honest = gates.named(name, None)
    assert honest is not None

    def passes(model: Any, subject: Any) -> GateResult:
        good = CriterionResult("anything", Verdict.PASS, 1.0, "anything", 1, "It is always good.")
        return GateResult(name, honest.judge(model, subject).mode, (good,))

    blind = tuple(replace(gate, judge=passes) if gate.name == name else gate for gate in gates.GATES)
    monkeypatch.setattr(gates, "GATES", blind)
    key = honest.field.removeprefix("gates.")
    extra = {key: BINARY["gates"][key]} if honest.absence is not None else {}
    found = selftest_of(tmp_path, with_gates(BARE, **extra))
    assert any(problem.startswith(f"{name} let ") for problem in found.problems)
    assert any(problem.startswith(f"{name} is blocking, and stops no seeded") for problem in found.problems)


def test_a_shadow_gate_that_forgives_errors_covers_less_and_says_so(tmp_path):
    found = selftest_of(tmp_path, {**BARE, "shadow": {**BARE["shadow"], "errors_at_most": 0.05}})
    assert outcomes(found)["error on 0.5 % of rows"] is SeedOutcome.NOT_APPLICABLE


def test_scoring_that_hides_a_challengers_errors_is_found_out(tmp_path, monkeypatch):
    """The selftest goes through scoring itself, so what scoring loses shows."""
    honest = answer_rows.answers_of

    def hiding(model: Any, pipeline: Any, features: Any) -> Any:
        answers = honest(model, pipeline, features)
        return answers.assign(error=None, score=answers["score"].fillna(0.5))

    monkeypatch.setattr(answer_rows, "answers_of", hiding)
    assert outcomes(selftest_of(tmp_path, BARE))["NaN on 1 % of rows"] is SeedOutcome.MISSED


def test_a_gate_so_strict_that_no_honest_candidate_passes_is_a_problem_too(tmp_path):
    bounds = {"min_rows": 500, "criteria": [{"metric": "roc_auc", "at_least": 0.9999}]}
    [problem] = selftest_of(tmp_path, with_gates(BARE, threshold_gate=bounds)).problems
    assert problem.startswith("threshold_gate is FAIL for the honest twin: roc_auc 0.9")


# --- real rows --------------------------------------------------------------------------------------------------------

ENOUGH = {"window_days": 9, "holdout_days": 3, "min_rows": 700, "seed": 3}


def test_real_feature_rows_are_taken_where_the_store_has_enough_and_nothing_is_changed(world, monkeypatch):
    world.declare(
        world.model,
        training=ENOUGH,
        shadow={"min_rows": 200, "min_days": 3, "max_days": 4, "disagreement": [1e-6, 0.2], "p99_delta_at_most": 0.5},
    )
    monkeypatch.setattr(bench.worlds, "FEWEST", 100)
    before, versions = world.rows_of_ledger(), world.table_versions()
    found = bench.run(world.model)
    assert "real feature rows published until 2024-03-16, labels made" in found.rows
    assert found.problems == []
    assert (world.rows_of_ledger(), world.table_versions()) == (before, versions)
    assert world.versions_in_mlflow() == []


def test_rows_are_made_where_the_store_has_too_few_and_the_reason_is_said(world):
    world.declare(world.model, training={**ENOUGH, "min_rows": 50_000})
    assert "labels made from the declaration (the last 5 published days have 600 rows" in bench.run(world.model).rows


def test_the_newest_day_of_a_view_is_the_newest_with_rows(world):
    store = OfflineStore(settings().store)
    assert store.newest_day(world.declared.view("trip_plan")) == "2024-03-15"


# --- the command and the task ----------------------------------------------------------------------------------------


def test_the_command_prints_the_matrix_and_ends_with_0_where_the_gates_hold(tmp_path, capsys):
    with declared(tmp_path, BARE):
        assert main(["selftest", "fraud"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].split() == ["candidate", "training_data", "threshold", "champion", "shadow", "outcome"]
    assert shown[-1] == "selftest of fraud: the gates hold (12 of 12 bad candidates stopped, 17 not applicable)."


def test_the_command_ends_with_1_where_a_gate_let_one_pass_and_says_so_as_json(tmp_path, capsys):
    bounds = {"min_rows": 500, "criteria": [{"metric": "roc_auc", "at_least": 0.0}]}
    with declared(tmp_path, with_gates(BARE, threshold_gate=bounds)):
        assert main(["selftest", "--made-rows", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["passed"] is False
    [model] = said["models"]
    inverted = next(seed for seed in model["seeds"] if seed["seed"] == "inverted")
    assert inverted["outcome"] == "missed"
    assert inverted["gates"]["threshold_gate"]["verdict"] == "PASS"
    assert "(made rows were asked for)" in model["rows"]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["selftest", "frauds"], "There is no model 'frauds'; declared are: fraud. Did you mean 'fraud'?"),
        (["selftest", "fraud", "cost"], "unrecognized arguments: cost. See `slipway --help`."),
    ],
)
def test_bad_input_is_one_line_and_code_64(argv, line, tmp_path, capsys):
    with declared(tmp_path, BARE):
        assert main(argv) == 64
    assert capsys.readouterr().err == f"slipway: {line}\n"


def test_without_a_usable_model_there_is_nothing_to_test(tmp_path, capsys):
    with declared(tmp_path):
        assert main(["selftest"]) == 64
    assert "No model can be used, so there is nothing to test" in capsys.readouterr().err


def test_an_estimator_that_cannot_be_fitted_is_one_line(tmp_path, capsys):
    broken = {**BARE, "estimator": {"path": "sklearn.linear_model.LogisticRegresion"}}
    with declared(tmp_path, broken):
        assert main(["selftest", "fraud"]) == 64
    assert "estimator.path 'sklearn.linear_model.LogisticRegresion' cannot be imported" in capsys.readouterr().err


def test_the_task_hands_back_the_matrix_and_what_is_wrong(tmp_path, capsys):
    with declared(tmp_path, BARE):
        found = tasks.selftest("fraud")
    assert found["passed"]
    assert found["problems"] == []
    assert found["table"].endswith("the gates hold (12 of 12 bad candidates stopped, 17 not applicable).")
    assert "fraud: miscalibrated" in capsys.readouterr().out


# --- rows that count differently --------------------------------------------------------------------------------------


def test_a_weighted_model_is_fitted_judged_and_ruined_by_its_weights(tmp_path):
    """The column of the weight is a number of the entity's view; made rows get made weights."""
    bare = dict.fromkeys(("leakage_gate", "latency_gate", "signature_gate", "smoke_gate", "packed_gate"))
    weighted = {**with_gates(BINARY, **bare), "weight": "amount"}
    with declared(tmp_path, weighted) as known:
        model = known.model(weighted["name"])
        made = worlds.world_of(model, worlds.rows_for(model, stored=False), 2.0)
        judged = bench.SeededSubject(tested := bench.Bench(made, tmp_path), tested.twin)
        learned, held_out = made.train, made.holdout
        expected = estimators.build(fitted_models.spec_of(model)).fit(
            learned.features, learned.y, estimator__sample_weight=learned.weight / learned.weight.mean()
        )
        assert made.twin.predict_proba(held_out.features) == pytest.approx(expected.predict_proba(held_out.features))
        assert (held_out.weight.min() > 0.5, held_out.weight.max() < 1.5) == (True, True)
        assert judged.scored().weight is held_out.weight
        assert judged.shadowed().evidence.weight == pytest.approx(held_out.weight)
        assert judged.training_data().worth == (counted_rows(learned.weight), counted_rows(held_out.weight))
        # What is meant to be worse by so many margins is worse by them as the gates measure it.
        bad = defects.MAKERS["worse than champion"](made, tested.twin, tmp_path)
        seen = tested.evidence(bad)
        ours, theirs = (np.average((s - seen.y) ** 2, weights=seen.weight) for s in (seen.candidate, seen.champion))
        assert ours - theirs == pytest.approx(defects.MARGINS * 0.01, rel=1e-3)
        found = bench.run(model.name)
    assert found.problems == []
    assert {cell.verdict for cell in found.honest.values()} == {Verdict.PASS}
