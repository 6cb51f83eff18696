"""Training that goes wrong: too little to learn from, killed half-way, without MLflow, or a file we do not load."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from feature_world import RESULTS, TRIP_LATE_SQL, naive
from invariants import check_invariants
from journey_world import NOW, JourneyWorld, at
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from waiting import PATIENCE_S, eventually

from include.adapters import estimators, model_files
from include.adapters.estimators import EstimatorSpec, EstimatorUnusable
from include.adapters.model_files import ModelFileRefused
from include.adapters.registry import CHAMPION, RegistryUnreachable
from include.config.settings import PROJECT, settings
from include.domain.errors import Refusal
from include.workflows import tasks

# --- too little to learn from ----------------------------------------------------------------------------------------


def refused_by_training_data(world: JourneyWorld, day: int = 13) -> str:
    """The reason of a journey's training_data_gate, which must be FAIL; closes the journey and checks the rest."""
    reference = world.open("r", day)
    tasks.build_training_set(reference)
    judged = world.judge("training_data_gate", reference)
    assert (judged["verdict"], judged["passed"]) == ("FAIL", False)
    assert tasks.close_journey(reference)["outcome"] == f"Rejected: training_data_gate: {judged['reason']}"
    assert world.runs_in_mlflow() == [], "nothing was fitted"
    check_invariants(world)
    return str(judged["reason"])


def test_f031_a_single_class_fails_before_anything_is_fitted(world):
    world.set_outcomes(1, 16, "on_time")
    assert refused_by_training_data(world) == (
        "Single class: all 648 training rows have the same label, so there is nothing to tell apart."
    )


def test_f032_five_rows_are_too_few(world):
    world.remove(RESULTS, RESULTS.c.trip_id.not_in([f"05-{k:03d}" for k in range(1, 6)] + ["10-001"]))
    assert refused_by_training_data(world) == "rows 5 is outside its bound >= 200 on 5 rows."


def test_f032_a_window_without_any_label_is_refused(world):
    world.remove(RESULTS)
    assert refused_by_training_data(world).startswith("rows 0 is outside its bound >= 200")


def test_a_journey_before_the_first_published_days_has_no_rows(world):
    assert refused_by_training_data(world, day=2).startswith("rows 0 is outside its bound >= 200")


# --- what a user wrote wrongly ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "line"),
    [
        pytest.param(
            {"path": "sklearn.linear_model.LogisticRegresion"},
            "estimator.path 'sklearn.linear_model.LogisticRegresion' cannot be imported "
            "(sklearn.linear_model has no 'LogisticRegresion'); it has: ARDRegression, BayesianRidge, ElasticNet, "
            "ElasticNetCV, GammaRegressor, HuberRegressor, Lars, LarsCV, Lasso, LassoCV, LassoLars, LassoLarsCV and "
            "more. Did you mean 'LogisticRegression'?",
            id="class does not exist",
        ),
        pytest.param(
            {"path": "sklern.linear_model.LogisticRegression"},
            "estimator.path 'sklern.linear_model.LogisticRegression' cannot be imported "
            "(No module named 'sklern'). Give the full import path of a scikit-learn estimator class. "
            "Did you mean sklearn?",
            id="module does not exist",
        ),
        pytest.param(
            {"path": "os.path.join"},
            "estimator.path 'os.path.join' is no scikit-learn estimator class.",
            id="no estimator",
        ),
        pytest.param(
            {"path": "sklearn.naive_bayes.GaussianNB", "params": {"smoothing": 1}},
            "estimator.params has 'smoothing', which GaussianNB does not take; it takes: priors, var_smoothing. "
            "Did you mean 'var_smoothing'?",
            id="unknown parameter",
        ),
        pytest.param(
            {"path": "sklearn.linear_model.LogisticRegression", "params": {"C": -1}, "impute": True},
            "estimator.params: The 'C' parameter of LogisticRegression must be a float in the range (0.0, inf]. "
            "Got -1 instead.",
            id="parameter out of range",
        ),
    ],
)
def test_an_estimator_that_cannot_be_made_is_one_line(world, estimator, line):
    world.declare(world.model, estimator=estimator)
    reference = world.open("r", 13)
    with pytest.raises(EstimatorUnusable) as refused:
        world.train(reference)
    assert isinstance(refused.value, Refusal)
    assert str(refused.value) == line
    assert world.versions_in_mlflow() == []
    assert tasks.close_journey(reference)["state"] == "failed"
    check_invariants(world)


@pytest.mark.parametrize(
    ("label_sql", "line"),
    [
        pytest.param(
            "SELECT trip_id,, FROM results",
            'failed: parser error: syntax error at or near ",".',
            id="sql that fails",
        ),
        pytest.param(
            TRIP_LATE_SQL.replace("outcome AS label", "'maybe' AS label"),
            "the classes are: on_time, late.",
            id="a class nobody declared",
        ),
        pytest.param(
            TRIP_LATE_SQL.replace("known_at AS available_time", "known_at AS known"),
            "it does not give available_time; it must give trip_id, label, event_time, available_time.",
            id="a column not given",
        ),
    ],
)
def test_label_sql_that_fails_is_one_line_with_its_file(world, label_sql, line):
    world.declare(world.model, label_sql)
    reference = world.open("r", 13)
    with pytest.raises(Refusal) as refused:
        tasks.build_training_set(reference)
    assert f"models/{world.model}/label.sql" in str(refused.value)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
    assert tasks.close_journey(reference)["state"] == "failed"
    check_invariants(world)


def test_a_column_that_vanished_from_the_source_is_named_with_what_is_left(world):
    world.run("ALTER TABLE results DROP COLUMN known_at")
    reference = world.open("r", 13)
    with pytest.raises(Refusal) as refused:
        tasks.build_training_set(reference)
    assert "'results' has no column 'known_at'; it has: trip_id, starts_at, outcome" in str(refused.value)
    tasks.close_journey(reference)
    check_invariants(world)


def test_f008_an_empty_day_inside_the_window_only_costs_its_rows(world):
    world.remove(RESULTS, RESULTS.c.starts_at >= naive(at(5)), RESULTS.c.starts_at < naive(at(6)))
    reference = world.open("r", 13)
    assert tasks.build_training_set(reference)["rows"] == 648 - 108
    assert world.judge("training_data_gate", reference)["passed"]
    tasks.close_journey(reference)
    check_invariants(world)


# --- killed, and without MLflow --------------------------------------------------------------------------------------

HANGS_IN_FIT = """
import sys, time
from pathlib import Path
from include.adapters import estimators, model_files
from include.workflows import tasks

def fit(pipeline, features, label, weights=None):
    Path(sys.argv[2]).touch()
    time.sleep(3600)

estimators.fit = fit
tasks.train({"model": sys.argv[1].rpartition("-")[0].rpartition("-")[0], "candidate_id": sys.argv[1]})
"""


def test_f038_f119_killed_in_the_middle_of_the_fit_the_retry_makes_one_version(world, tmp_path):
    reference = world.open("r", 13)
    tasks.build_training_set(reference)
    world.judge("training_data_gate", reference)
    fitting = tmp_path / "fitting"
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HANGS_IN_FIT, reference["candidate_id"], str(fitting)],
        cwd=PROJECT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: fitting.exists() or child.poll() is not None)
        assert fitting.exists(), f"the fit was never reached; exit code {child.poll()}"
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(PATIENCE_S)
    world.children = [child.pid]
    assert [run.info.status for run in world.runs_in_mlflow()] == ["RUNNING"]
    assert world.candidate(reference).facts.artifact_digest is None

    tasks.train(reference)
    tasks.evaluate(reference)
    for gate in ("threshold_gate", "champion_gate"):
        world.judge(gate, reference)
    tasks.register_challenger(reference, NOW)
    tasks.open_shadow_window(reference)
    assert world.to_the_end(reference)["state"] == "champion"
    assert [run.info.status for run in world.runs_in_mlflow()] == ["FINISHED"]
    assert len(world.versions_in_mlflow()) == 1
    assert world.registry.alias(world.model, CHAMPION) == 1
    check_invariants(world)


@pytest.mark.slow
def test_f043_mlflow_down_is_one_clear_error_in_bounded_time_and_the_retry_succeeds(world, mlflow_server):
    champion = world.first_champion()
    reference = world.open("second", 16)
    tasks.build_training_set(reference)
    world.judge("training_data_gate", reference)
    mlflow_server.kill()
    try:
        with pytest.raises(RegistryUnreachable) as failed:
            bounded(lambda: tasks.train(reference))
        assert not isinstance(failed.value, Refusal), "the task is retried"
        assert str(failed.value).startswith(f"MLflow at {mlflow_server.url} did not answer (")
        assert str(failed.value).endswith("the task can be retried as it is.")
        assert world.score(14)["facts"]["rows"] == 120, "the champion serves from this machine's copy"
        (settings().artifacts / "models" / f"{champion.facts.artifact_digest}.skops").unlink()
        with pytest.raises(RegistryUnreachable):
            bounded(lambda: world.score(15))
    finally:
        mlflow_server.start()
    assert world.score(15)["facts"]["rows"] == 120
    tasks.train(reference)
    assert len(world.runs_in_mlflow()) == 2
    tasks.close_journey(reference)
    check_invariants(world)


def bounded(call: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Call it and check that it came back, whatever became of it: MLflow's own retries would go on for an hour."""
    began = time.monotonic()
    try:
        call()
    finally:
        assert time.monotonic() - began < seconds


# --- model files -----------------------------------------------------------------------------------------------------

CLASSIFIERS: Mapping[str, Mapping[str, Any]] = {
    "sklearn.ensemble.HistGradientBoostingClassifier": {"max_iter": 5},
    "sklearn.ensemble.RandomForestClassifier": {"n_estimators": 5},
    "sklearn.ensemble.ExtraTreesClassifier": {"n_estimators": 5},
    "sklearn.ensemble.GradientBoostingClassifier": {"n_estimators": 5},
    "sklearn.ensemble.AdaBoostClassifier": {"n_estimators": 5},
    "sklearn.tree.DecisionTreeClassifier": {},
    "sklearn.linear_model.LogisticRegression": {},
    "sklearn.neighbors.KNeighborsClassifier": {},
    "sklearn.naive_bayes.GaussianNB": {},
    "sklearn.neural_network.MLPClassifier": {"max_iter": 500, "hidden_layer_sizes": [4], "tol": 0.01},
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": {},
}
REGRESSORS: Mapping[str, Mapping[str, Any]] = {
    "sklearn.ensemble.HistGradientBoostingRegressor": {"max_iter": 5},
    "sklearn.ensemble.RandomForestRegressor": {"n_estimators": 5},
    "sklearn.linear_model.Ridge": {},
    "sklearn.linear_model.PoissonRegressor": {},
}
KINDS = {"place": "categorical", "size": "numeric", "weight": "numeric"}


def rows(count: int = 200) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"place": rng.choice(["a", "b"], count), "size": rng.standard_normal(count), "weight": rng.random(count)}
    )
    return estimators.as_input(frame, KINDS), (frame["size"] + rng.standard_normal(count) > 0).to_numpy(np.int64)


@pytest.mark.parametrize("path", [*CLASSIFIERS, *REGRESSORS])
def test_f046_each_estimator_is_kept_and_loaded_with_our_own_list_of_types(path, tmp_path):
    params = {**CLASSIFIERS, **REGRESSORS}[path]
    pipeline = estimators.build(EstimatorSpec(path, params, "ordinal", True, KINDS, seed=3))
    features, label = rows()
    estimators.fit(pipeline, features, label)
    file = tmp_path / "model.skops"
    assert set(model_files.untrusted_free(pipeline, file)) <= model_files.TRUSTED
    loaded = model_files.load(file, model_files.digest(file))
    classes = 2 if path in CLASSIFIERS else None
    scores = estimators.predict(loaded, features, classes=classes)
    assert np.array_equal(scores, estimators.predict(pipeline, features, classes=classes))


class Hostile(BaseEstimator):
    """A type that is on nobody's list."""

    def __init__(self, command: str = "") -> None:
        self.command = command


@pytest.mark.parametrize(
    ("step", "named"),
    [
        pytest.param(FunctionTransformer(os.system), r"\.system", id="a function that runs commands"),
        pytest.param(Hostile("rm -rf /"), r"\.Hostile", id="a class of somebody else"),
    ],
)
def test_f046_f129_a_file_that_wants_another_type_is_not_loaded_whatever_it_claims_to_trust(step, named, tmp_path):
    file = tmp_path / "model.skops"
    skops.io.dump(Pipeline([("step", step)]), file)
    with pytest.raises(ModelFileRefused, match=rf"wants to construct \S*{named}, which is not on Slipway's list"):
        model_files.load(file, model_files.digest(file))


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path(os.environ["SLIPWAY_TEST_MARKER"]),)


def test_f129_a_pickle_is_refused_unread(tmp_path, monkeypatch):
    marker = tmp_path / "exploded"
    monkeypatch.setenv("SLIPWAY_TEST_MARKER", str(marker))
    file = tmp_path / "model.skops"
    file.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelFileRefused, match=r"model\.skops is no readable skops file"):
        model_files.load(file, model_files.digest(file))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "link"),
    [("../../outside", False), ("/etc/passwd", False), ("a\\..\\..\\b", False), ("schema.json", True)],
)
def test_f133_a_model_file_with_a_path_out_of_it_or_a_link_is_refused_unread(tmp_path, name, link):
    file = tmp_path / "model.skops"
    with zipfile.ZipFile(file, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = (0o120777 if link else 0o100644) << 16
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(ModelFileRefused, match="a link or a path out of the archive"):
        model_files.load(file, model_files.digest(file))


def test_f070_what_a_model_was_made_with_is_held_against_what_is_here():
    here = {line.partition("==")[0]: line.partition("==")[2] for line in model_files.library_versions()}
    assert model_files.unmet("\n".join(model_files.library_versions())) == []
    assert (
        model_files.unmet(f"scikit-learn=={here['scikit-learn'].rpartition('.')[0]}.99 # another patch\n\n-c x") == []
    )
    assert model_files.unmet("scikit-learn==0.1\nno-such-library==1; python_version > '3'") == [
        f"scikit-learn is {here['scikit-learn']}, the model was made with 0.1",
        "no-such-library is not installed",
    ]


def test_f130_a_file_with_another_digest_is_refused_unread(tmp_path):
    pipeline = estimators.build(EstimatorSpec("sklearn.naive_bayes.GaussianNB", {}, "ordinal", True, KINDS, seed=3))
    file = tmp_path / "model.skops"
    model_files.untrusted_free(estimators.fit(pipeline, *rows()), file)
    with pytest.raises(ModelFileRefused, match="but the gates judged 000000000000: the artifact was replaced"):
        model_files.load(file, "0" * 64)


def test_f046_boosted_trees_go_the_whole_way_through_the_registry(world):
    world.declare(world.model, estimator=BOOSTED)
    assert world.first_champion().facts.model_version == "1"
    check_invariants(world)


BOOSTED = {
    "path": "sklearn.ensemble.HistGradientBoostingClassifier",
    "params": {"max_iter": 20, "min_samples_leaf": 10},
}
