"""Each seeded bad candidate really has its defect, and nothing else that its gate could stop it for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
from selftest_models import BINARY, MULTICLASS, REGRESSION, declared, with_gates

from include.adapters import estimators, model_files
from include.config import declarations
from include.domain.gates.leakage import strength
from include.domain.metrics import Task, measure
from include.workflows.selftest import candidates, seeds, world
from include.workflows.selftest.candidates import SeededCandidate
from include.workflows.selftest.defects import MAKERS


@dataclass
class Made:
    """A world, its honest twin, and a folder for files."""

    world: world.World
    twin: SeededCandidate
    folder: Path

    def bad(self, name: str) -> SeededCandidate:
        return MAKERS[name](self.world, self.twin, self.folder)

    def scores(self, of: SeededCandidate) -> np.ndarray:
        return estimators.predict(of.scorer, of.held_out, classes=self.world.model.class_count)

    def measured(self, of: SeededCandidate, metric: str, rows: np.ndarray | None = None) -> float:
        y, scores = self.world.holdout.y.astype(float), self.scores(of)
        rows = np.ones(len(y), dtype=bool) if rows is None else rows
        value = measure(Task(self.world.model.task), metric, y[rows], scores[rows]).value
        assert value is not None
        return value

    def champion(self) -> SeededCandidate:
        return self.bad("champion wired twice")


def made_of(root: Path, model: dict) -> Iterator[Made]:
    with declared(root, model):
        known = declarations().model(model["name"])
        made = world.world_of(known, world.rows_for(known, stored=False), 2.0)
        yield Made(made, candidates.honest(made, root), root)


@pytest.fixture(scope="module")
def fraud(tmp_path_factory) -> Iterator[Made]:
    yield from made_of(tmp_path_factory.mktemp("fraud"), BINARY)


@pytest.fixture(scope="module")
def cost(tmp_path_factory) -> Iterator[Made]:
    yield from made_of(tmp_path_factory.mktemp("cost"), REGRESSION)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> Iterator[Made]:
    yield from made_of(tmp_path_factory.mktemp("kinds"), MULTICLASS)


def untouched(bad: SeededCandidate, twin: SeededCandidate) -> set[str]:
    return {f.name for f in fields(SeededCandidate) if getattr(bad, f.name) is getattr(twin, f.name)}


def test_every_seed_has_a_maker_and_every_maker_a_seed():
    assert [seed.name for seed in seeds.SEEDS] == list(MAKERS)


def test_the_same_seed_gives_the_same_candidate_again(fraud):
    again = world.world_of(fraud.world.model, world.rows_for(fraud.world.model, stored=False), 2.0)
    assert np.array_equal(again.holdout.y, fraud.world.holdout.y)
    assert np.array_equal(fraud.scores(fraud.bad("labels shuffled")), fraud.scores(fraud.bad("labels shuffled")))


def test_the_honest_twin_is_as_good_as_the_champion_and_another_model(fraud):
    assert abs(fraud.measured(fraud.twin, "brier") - fraud.measured(fraud.champion(), "brier")) < 0.005
    assert not np.array_equal(fraud.scores(fraud.twin), fraud.scores(fraud.champion()))


# --- training rows ---------------------------------------------------------------------------------------------------


def test_one_label_only(fraud):
    assert len(np.unique(fraud.bad("one label only").label)) == 1


@pytest.mark.parametrize(("of", "metric", "better_than"), [("fraud", "brier", 0.1), ("cost", "mae", 9.0)])
def test_a_leaked_label_tells_everything_by_one_feature_and_looks_splendid(of, metric, better_than, request):
    made = request.getfixturevalue(of)
    bad, task = made.bad("leaked label"), Task(made.world.model.task)
    alone = [strength(task, bad.label.astype(float), bad.features[f]) for f in bad.features]
    assert max(alone) > 0.99
    assert sum(a > 0.95 for a in alone) == 1
    assert made.measured(bad, metric) < better_than


def test_a_late_feature_is_late_in_every_row_and_nothing_else_is_touched(fraud):
    bad = fraud.bad("late feature")
    assert [count for count in bad.availability.late.values() if count] == [len(bad.features)]
    assert untouched(bad, fraud.twin) == {f.name for f in fields(SeededCandidate)} - {"availability"}


def test_shuffled_labels_are_the_same_labels_on_other_rows_and_teach_nothing(fraud):
    bad = fraud.bad("labels shuffled")
    assert sorted(bad.label) == sorted(fraud.twin.label)
    assert (bad.label != fraud.twin.label).mean() > 0.2
    assert fraud.measured(bad, "roc_auc") < fraud.measured(fraud.twin, "roc_auc") - 0.15


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["fraud", "cost", "kinds"])
def test_a_constant_answers_every_row_alike_by_the_mean_label(of, request):
    made = request.getfixturevalue(of)
    scores = made.scores(made.bad("constant"))
    assert (scores == scores[0]).all()
    if of != "kinds":
        assert scores[0] == pytest.approx(made.world.train.y.mean())


def test_inverted_ranks_upside_down(fraud, cost, kinds):
    assert fraud.measured(fraud.bad("inverted"), "roc_auc") == pytest.approx(1 - fraud.measured(fraud.twin, "roc_auc"))
    turned = np.corrcoef(cost.scores(cost.bad("inverted")), cost.scores(cost.twin))[0, 1]
    assert turned == pytest.approx(-1)
    assert kinds.measured(kinds.bad("inverted"), "accuracy") < kinds.measured(kinds.twin, "accuracy") - 0.2


@pytest.mark.parametrize(("of", "metric", "margin"), [("fraud", "brier", 0.01), ("cost", "mae", 2.0)])
def test_worse_than_champion_is_worse_by_three_margins_and_no_more(of, metric, margin, request):
    made = request.getfixturevalue(of)
    worse_by = made.measured(made.bad("worse than champion"), metric) - made.measured(made.champion(), metric)
    assert worse_by == pytest.approx(3 * margin, rel=0.01)


def test_the_champion_wired_twice_is_the_champion_to_the_last_bit(fraud):
    assert fraud.bad("champion wired twice").scorer is fraud.world.champion


def test_nan_stands_in_one_row_of_a_hundred_and_in_the_same_ones_for_whoever_asks(fraud):
    bad = fraud.bad("NaN on 1 % of rows")
    hit = np.isnan(fraud.scores(bad))
    assert hit.mean() == pytest.approx(0.01, abs=0.0005)
    every_third = bad.held_out.iloc[::3]
    assert np.array_equal(np.isnan(estimators.predict(bad.scorer, every_third, classes=2)), hit[::3])


def test_an_error_is_raised_on_one_row_in_two_hundred(fraud):
    bad = fraud.bad("error on 0.5 % of rows")
    failed, few = 0, 25
    for start in range(0, len(bad.held_out), few):
        try:
            estimators.predict(bad.scorer, bad.held_out.iloc[start : start + few], classes=2)
        except ValueError:
            failed += 1
    rows = round(0.005 * len(bad.held_out))
    assert 0.7 * rows <= failed <= rows + 1
    with pytest.raises(ValueError, match="cannot answer"):
        fraud.scores(bad)


@pytest.mark.parametrize(
    ("of", "column", "metric", "least"), [("fraud", "region", "brier", 0.08), ("cost", "age", "mae", 15.0)]
)
def test_a_ruined_slice_is_ruined_and_every_other_slice_is_the_twins(of, column, metric, least, request):
    made = request.getfixturevalue(of)
    bad = made.bad("one slice ruined")
    changed = made.scores(bad) != made.scores(made.twin)
    values = bad.held_out[column]
    assert 0.1 < changed.mean() < 0.5
    assert made.measured(bad, metric, changed) - made.measured(made.twin, metric, changed) > least
    inside, outside = values[changed], values[~changed]
    assert not outside.isin(set(inside)).any()
    if of == "cost":
        assert not outside.between(inside.min(), inside.max()).any()


def test_one_group_is_decided_against_altogether_and_the_other_rows_are_the_twins(fraud):
    bad = fraud.bad("one group worse")
    scores, own = fraud.scores(bad), fraud.scores(fraud.twin)
    lowered = scores != own
    assert bad.held_out["sex"][lowered].nunique() == 1
    assert (scores[bad.held_out["sex"] == bad.held_out["sex"][lowered].iloc[0]] <= 0.5).all()
    assert (own[lowered] > 0.5).mean() > 0.1


def test_one_group_of_a_regression_is_answered_far_off(cost):
    bad = cost.bad("one group worse")
    group = bad.held_out["sex"][cost.scores(bad) != cost.scores(cost.twin)]
    inside = (bad.held_out["sex"] == group.iloc[0]).to_numpy()
    assert group.nunique() == 1
    assert cost.measured(bad, "mae", inside) > 2 * cost.measured(cost.twin, "mae", inside)


def test_miscalibrated_ranks_as_well_with_probabilities_that_are_off(fraud, kinds):
    bad = fraud.bad("miscalibrated")
    assert fraud.measured(bad, "roc_auc") == pytest.approx(fraud.measured(fraud.twin, "roc_auc"), abs=1e-9)
    assert fraud.measured(bad, "ece") > 0.2
    assert np.allclose(kinds.scores(kinds.bad("miscalibrated")).sum(axis=1), 1)
    assert kinds.measured(kinds.bad("miscalibrated"), "accuracy") == kinds.measured(kinds.twin, "accuracy")


# --- time, size, signature, file -------------------------------------------------------------------------------------


def with_times(made: Made) -> Made:
    """The twin as the bench has it once its times were taken."""
    file = made.twin.artifact[0]
    timing, _ = candidates.timed(made.world, made.twin.scorer, file, made.folder, time.perf_counter)
    return replace(made, twin=replace(made.twin, timing=timing))


def test_ten_times_slower_by_the_clock_that_the_gate_reads(fraud):
    made = with_times(fraud)
    own, slow = made.twin.timing, made.bad("10 times slower").timing
    assert slow.p50_ms > 9 * own.p50_ms
    assert slow.batch_ms_per_1k > 9 * own.batch_ms_per_1k
    assert slow.model_bytes == own.model_bytes


@pytest.mark.parametrize(
    ("latency", "p50_ms", "batch_ms"),
    [({"p50_ms_at_most": 500, "repeats": 20}, 5000, 0), ({"batch_ms_per_1k_at_most": 900, "repeats": 20}, 0, 9000)],
)
def test_where_only_a_budget_bounds_time_it_takes_ten_times_that(latency, p50_ms, batch_ms, tmp_path):
    for made in made_of(tmp_path, with_gates(BINARY, latency_gate=latency)):
        timing = with_times(made).bad("10 times slower").timing
        assert timing.p50_ms >= p50_ms
        assert timing.batch_ms_per_1k >= batch_ms


def test_fifty_times_larger_is_a_file_of_that_size(fraud):
    made = with_times(fraud)
    own, large = made.twin.timing, made.bad("50 times larger").timing
    assert large.model_bytes >= 50 * own.model_bytes
    assert large.p50_ms == own.p50_ms


def names(of: SeededCandidate) -> dict[str, str]:
    return {c.name: c.type for c in of.signature.inputs}


def test_a_dropped_a_renamed_and_a_retyped_column_are_what_mlflow_would_write_of_such_a_model(fraud):
    own = names(fraud.twin)
    assert set(own) - set(names(fraud.bad("column dropped"))) == {"claims_before"}
    assert set(names(fraud.bad("column renamed"))) ^ set(own) == {"claims_before", "claims_before_v2"}
    retyped = names(fraud.bad("column retyped"))
    assert {n: (own[n], retyped[n]) for n in own if own[n] != retyped[n]} == {"amount": ("double", "string")}


def test_columns_that_may_be_dropped_are_not_the_ones_that_are(tmp_path):
    for made in made_of(tmp_path, with_gates(BINARY, signature_gate={"may_drop": ["claims_before"]})):
        assert "known_customer" not in names(made.bad("column dropped"))


def test_swapped_classes_are_the_same_answers_in_another_order(fraud, kinds):
    assert fraud.bad("classes swapped").signature.classes == ("fraud", "honest")
    assert np.allclose(fraud.scores(fraud.bad("classes swapped")), 1 - fraud.scores(fraud.twin))
    assert kinds.bad("classes swapped").signature.classes == ("travel", "home", "car")


def test_a_tampered_artifact_differs_in_one_byte_from_the_digest_it_goes_by(fraud):
    file, digest = fraud.bad("artifact tampered").artifact
    own, changed = fraud.twin.artifact[0].read_bytes(), file.read_bytes()
    assert digest == fraud.twin.artifact[1] != model_files.digest(file)
    assert sum(a != b for a, b in zip(own, changed, strict=True)) == 1


# --- rows ------------------------------------------------------------------------------------------------------------


def test_made_rows_have_every_feature_of_the_declaration_in_its_kind(fraud):
    features = fraud.world.train.features
    assert list(features.columns) == fraud.world.model.features
    assert {str(features[f].dtype) for f in ("amount", "known_customer")} == {"float64"}
    assert features["region"].nunique() == 3
    assert len(features) >= fraud.world.model.training.min_rows


def test_training_rows_end_before_the_first_held_out_one(fraud):
    assert fraud.world.split.train_ends < fraud.world.split.holdout_starts
    assert fraud.world.split.shared_rows == 0


def test_labels_are_neither_certain_nor_left_to_chance(fraud, cost):
    assert 0.7 < fraud.measured(fraud.twin, "roc_auc") < 0.97
    assert 0.5 < cost.measured(cost.twin, "r2") < 0.99
