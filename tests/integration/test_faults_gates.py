"""Faults of training and of the gates in whole journeys: what must hold is said by the numbers of the fault list."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from invariants import check_invariants
from journey_world import MODEL, NOW, JourneyWorld
from waiting import PATIENCE_S

from include.adapters import estimators, model_files
from include.adapters.estimators import EstimatorSpec, FitDidNotConverge
from include.adapters.ledger import Ledger
from include.adapters.model_files import ModelFileRefused
from include.config.settings import PROJECT, settings
from include.domain.errors import Refusal
from include.domain.gates import GateResult
from include.domain.verdicts import Verdict
from include.workflows import tasks
from include.workflows.journey.facts import Evaluated
from include.workflows.scoring import fitted_models, training_sets

pytestmark = pytest.mark.light

HERE = Path(__file__).parent


def gates(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(MODEL["gates"]), **changes}


def result_of(reference: dict[str, Any], gate: str) -> GateResult:
    with Ledger.open(settings().ledger_url) as ledger:
        return ledger.gates.latest(reference["candidate_id"])[gate].result


def evaluated(world: JourneyWorld, run_id: str, day: int) -> dict[str, Any]:
    reference = world.open(run_id, day)
    world.train(reference)
    tasks.evaluate(reference)
    return reference


# --- the same again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(
            {"path": "sklearn.linear_model.LogisticRegression", "encode": "one_hot", "impute": True}, id="linear"
        ),
        pytest.param(
            {"path": "sklearn.ensemble.HistGradientBoostingClassifier", "params": {"max_iter": 20}}, id="boosted"
        ),
    ],
)
def test_f036_the_same_rows_parameters_and_seed_give_the_same_model_to_the_last_bit(world, estimator):
    world.declare(world.model, estimator=estimator)
    found = []
    for run_id in ("one", "other"):
        reference = evaluated(world, run_id, 13)
        page = world.page_of(run_id)
        facts = world.candidate(reference).facts
        found.append((page.metrics, page.tags["slipway.content"], facts.training_set_hash))
        tasks.close_journey(reference)
    assert found[0] == found[1]
    check_invariants(world)


FITS = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
from include.adapters import estimators, model_files
rng = np.random.default_rng(5)
columns = {"a": rng.standard_normal(900), "b": rng.standard_normal(900), "place": rng.choice(list("xyz"), 900)}
frame = pd.DataFrame({name: columns[name] for name in sys.argv[2].split(",")})
kinds = {"a": "numeric", "b": "numeric", "place": "categorical"}
label = (columns["a"] + rng.standard_normal(900) > 0).astype(int)
spec = estimators.EstimatorSpec(sys.argv[1], {}, "ordinal", False, kinds, 3)
made = estimators.fit(estimators.build(spec), estimators.as_input(frame, kinds), label)
file = Path(sys.argv[3])
model_files.untrusted_free(made, file)
scores = estimators.predict(made, estimators.as_input(frame, kinds), classes=2)
print(model_files.canonical_digest(file), scores.tobytes().hex()[:400])
"""


@pytest.mark.parametrize("path", ["sklearn.ensemble.RandomForestClassifier"])
def test_f037_another_hash_seed_and_another_order_of_columns_change_nothing(tmp_path, path):
    said = []
    for seed, order in (("0", "a,b,place"), ("4242", "place,b,a")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(PROJECT)}
        argv = [sys.executable, "-W", "ignore", "-c", FITS, path, order, str(tmp_path / f"{seed}.skops")]
        done = subprocess.run(
            argv, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
        said.append(done.stdout)
    assert said[0] == said[1]
    assert len(said[0].split()[0]) == 64


def test_two_models_that_differ_have_different_content(tmp_path):
    rows, label = pd.DataFrame({"a": np.arange(60.0)}), np.arange(60) % 2
    found = []
    for depth in (1, 2):
        spec = EstimatorSpec(
            "sklearn.tree.DecisionTreeClassifier", {"max_depth": depth}, "ordinal", False, {"a": "numeric"}, 1
        )
        file = tmp_path / f"{depth}.skops"
        model_files.untrusted_free(estimators.fit(estimators.build(spec), rows, label), file)
        found.append(model_files.canonical_digest(file))
    assert found[0] != found[1]


# --- a fit that goes wrong -------------------------------------------------------------------------------------------


def test_f042_a_fit_that_did_not_converge_is_a_failure_and_nothing_is_kept(world):
    params = {"solver": "saga", "max_iter": 1, "tol": 1e-12}
    world.declare(
        world.model,
        estimator={
            "path": "sklearn.linear_model.LogisticRegression",
            "params": params,
            "encode": "one_hot",
            "impute": True,
        },
    )
    reference = world.open("r", 13)
    advised = r"^LogisticRegression did not converge on 648 rows: .*Bring its numbers to like scale with preprocess: "
    with pytest.raises(FitDidNotConverge, match=advised):
        world.train(reference)
    assert world.candidate(reference).facts.artifact_digest is None
    assert tasks.close_journey(reference)["state"] == "failed"
    check_invariants(world)


def test_f042_f051_a_metric_that_is_nan_is_never_not_worse(world, monkeypatch):
    world.first_champion()
    world.next_day(16)
    reference = world.open("r", 17)
    world.train(reference)
    real = estimators.predict
    asked = []

    def runs_away(pipeline: Any, features: Any, *, classes: int | None) -> Any:
        asked.append(len(features))
        scores = real(pipeline, features, classes=classes)
        if len(asked) == 1:  # the candidate is asked first
            scores[0] = np.nan
        return scores

    monkeypatch.setattr(estimators, "predict", runs_away)
    tasks.evaluate(reference)
    monkeypatch.undo()
    for gate in ("threshold_gate", "champion_gate"):
        judged = world.judge(gate, reference)
        assert (judged["verdict"], judged["passed"]) == ("INCONCLUSIVE", False)
        assert "1 of 324" in judged["reason"]
    with pytest.raises(Refusal, match="is not registered: threshold_gate is INCONCLUSIVE"):
        tasks.register_challenger(reference, NOW)
    tasks.close_journey(reference)
    check_invariants(world)


@pytest.mark.light(False)
def test_f047_a_fit_over_its_time_is_killed_with_what_it_started(world, tmp_path):
    pids = tmp_path / "pids"
    world.declare(
        world.model,
        estimator={
            "path": "slow_estimators.HangsWithChildren",
            "params": {"pids": str(pids)},
            "encode": "one_hot",
            "impute": True,
        },
    )
    reference = world.open("r", 13)
    tasks.build_training_set(reference)
    world.judge("training_data_gate", reference)
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins"), str(HERE)]),
    }
    argv = [sys.executable, "-W", "ignore", "-c", TRAINS_FOR_TWO_SECONDS, json.dumps(reference)]
    done = subprocess.run(argv, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode != 0
    assert "train took longer than its limit and was ended, with every process it had started." in done.stderr
    world.children = [int(pid) for pid in pids.read_text().split()]
    assert len(world.children) == 2
    assert world.candidate(reference).facts.artifact_digest is None
    assert tasks.close_journey(reference)["state"] == "failed"
    check_invariants(world)


TRAINS_FOR_TWO_SECONDS = """
import json, sys
from datetime import timedelta
from airflow.sdk.execution_time.timeout import timeout
from slipway_airflow.steps import shown, within
from include.adapters import estimators, model_files
from include.workflows import tasks
real = estimators.fit

def fit(pipeline, features, label, weights=None):
    with timeout(2):  # as Airflow does for a task with an execution_timeout; its time starts where it matters here
        return real(pipeline, features, label, weights)

estimators.fit = fit

def train(reference):
    return tasks.train(reference)

within(timedelta(minutes=2), shown(train))(json.loads(sys.argv[1]))
"""

# --- evidence that is not there --------------------------------------------------------------------------------------


def test_f034_training_rows_that_are_judged_on_too_stop_the_journey_before_the_fit(world, monkeypatch):
    real = training_sets.build
    first: list[Any] = []

    def twice_the_same(model: Any, interval: Any, *how: Any, **more: Any) -> Any:
        first.append(interval)
        return real(model, first[0], *how, **more)

    monkeypatch.setattr(training_sets, "build", twice_the_same)
    reference = world.open("r", 13)
    tasks.build_training_set(reference)
    judged = world.judge("training_data_gate", reference)
    assert (judged["verdict"], judged["passed"]) == ("FAIL", False)
    assert judged["reason"] == "648 of 648 held-out rows were to be learned from, too."
    tasks.close_journey(reference)
    check_invariants(world)


def test_f033_a_feature_that_is_the_label_is_named_and_nothing_is_fitted(world, monkeypatch):
    world.declare(world.model, gates=gates(leakage_gate={}))
    from include.workflows.evidence import journey_rows

    real = journey_rows.frames_of

    def leaks(journey: Any, made: Any) -> Any:
        features, label, days = real(journey, made)
        return features.assign(level=label.astype(float)), label, days

    monkeypatch.setattr(journey_rows, "frames_of", leaks)
    reference = world.open("r", 13)
    tasks.build_training_set(reference)
    assert not world.judge_after("build_training_set", reference)
    [named] = [c for c in result_of(reference, "leakage_gate").criteria if c.verdict is Verdict.FAIL]
    assert named.reason.startswith("Alone, level (1.0000) tells the classes apart beyond 0.99")
    tasks.close_journey(reference)
    check_invariants(world)


def test_f053_a_champion_that_cannot_be_loaded_blocks_and_is_no_first_deployment(world, monkeypatch):
    world.first_champion()
    world.next_day(16)
    reference = world.open("second", 17)
    world.train(reference)

    def corrupt(registry: Any, model: str, version: int, digest: str) -> Any:
        raise ModelFileRefused("model.skops is no readable skops file (BadZipFile: bad magic number).")

    monkeypatch.setattr(fitted_models, "load", corrupt)
    tasks.evaluate(reference)
    judged = world.judge("champion_gate", reference)
    assert (judged["verdict"], judged["passed"]) == ("INCONCLUSIVE", False)
    assert "there are no scores of the champion on these rows" in judged["table"]
    assert "first_deployment" not in judged["table"]
    monkeypatch.undo()
    with pytest.raises(Refusal, match=r"is not registered: .*champion_gate is INCONCLUSIVE"):
        tasks.register_challenger(reference, NOW)
    tasks.close_journey(reference)
    check_invariants(world)


def test_f048_scores_that_evaluate_did_not_keep_leave_every_gate_closed(world):
    reference = evaluated(world, "r", 13)
    (settings().artifacts / "journeys" / reference["candidate_id"] / Evaluated.FILE).unlink()
    for gate in ("threshold_gate", "champion_gate"):
        with pytest.raises(Refusal, match=r"an earlier step of .* has not run here"):
            world.judge(gate, reference)
    with pytest.raises(Refusal, match="has not judged the candidate"):
        tasks.register_challenger(reference, NOW)
    tasks.close_journey(reference)
    check_invariants(world)


@pytest.mark.parametrize("empty", [{}, {"criteria": []}])
def test_f048_a_gate_without_a_criterion_cannot_be_declared(world, empty):
    from include.config import read_declarations

    world.declare(world.model, gates=gates(threshold_gate=empty))
    [broken] = read_declarations(world.root / "declared").broken.values()
    assert "gates.threshold_gate.criteria" in str(broken)
