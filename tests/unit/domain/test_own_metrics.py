"""A team's own metric: used wherever one of the project is, and never a number that is no measurement."""

from __future__ import annotations

import math

import numpy as np
import pytest
import yaml
from own_modules import installed_package, own_module  # noqa: F401 - a fixture
from selftest_models import BINARY, declared, with_gates
from simulated_tables import a_table, policy, simulated

from include.config import loader
from include.config.importing import NoSuchName, WrongShape
from include.config.measured_by import loss_of, metrics_of
from include.domain.comparison import PairedScores, compare
from include.domain.gates import (
    Bound,
    ChampionRules,
    ComparisonRule,
    Direction,
    Evidence,
    Mode,
    SliceRules,
    Verdict,
    champion_gate,
    slice_gate,
    threshold_gate,
)
from include.domain.losses import row_losses
from include.domain.metrics import OwnMetricFailed, Task, measure, metric_of
from include.domain.own_metrics import per_row, whole
from include.domain.simulation.outcome import PolicyKind
from include.workflows.selftest import bench

RNG = np.random.default_rng(7)
DAYS = np.arange(3000) % 12
LEVEL = RNG.standard_normal(3000)
LABELS = (LEVEL + RNG.standard_normal(3000) > 0).astype(float)
OURS, THEIRS = (1 / (1 + np.exp(-LEVEL - 0.3 * RNG.standard_normal(3000))) for _ in range(2))
EVIDENCE = Evidence(Task.BINARY, LABELS, OURS, THEIRS, np.full(3000, LABELS.mean()), DAYS)


@per_row(better="lower", low=0, high=1)
def own_brier(labels, scores):
    return (labels - scores) ** 2


@whole(better="higher", low=0, high=1)
def own_auc(labels, scores):
    return metric_of(Task.BINARY, "roc_auc").value(labels, scores)


# --- it is measured and compared as one of the project ---------------------------------------------------------------


@pytest.mark.parametrize(("own", "same"), [(own_brier, "brier"), (own_auc, "roc_auc")], ids=["per_row", "whole"])
def test_what_is_written_anew_gives_what_the_project_s_own_gives(own, same):
    assert measure(Task.BINARY, own, LABELS, OURS).value == measure(Task.BINARY, same, LABELS, OURS).value
    ours = compare(PairedScores(Task.BINARY, LABELS, OURS, THEIRS, DAYS), own, margin=0.01)
    known = compare(PairedScores(Task.BINARY, LABELS, OURS, THEIRS, DAYS), same, margin=0.01)
    assert ours.method == known.method == "jackknife over 12 days, EWC with 6 waves"
    assert (ours.difference, ours.low, ours.high) == pytest.approx((known.difference, known.low, known.high))
    assert ours.sufficient_rows == pytest.approx(known.sufficient_rows, rel=1e-6)


def test_independent_rows_of_a_whole_metric_are_compared_over_random_groups():
    found = compare(PairedScores(Task.BINARY, LABELS, OURS, THEIRS), own_auc)
    assert found.method == "jackknife over 50 random groups, Student's t"
    assert found.low < found.difference < found.high


def test_a_whole_metric_is_asked_about_once_a_day_and_not_for_thousands_of_resamples():
    asked = []

    @whole(better="lower")
    def counted(labels, scores):
        asked.append(len(labels))
        return float(np.mean(np.abs(labels - scores)))

    rules = ChampionRules((ComparisonRule(counted, 0.1),), counted, resamples=2000)
    assert champion_gate(rules, EVIDENCE, mode=Mode.BLOCKING, has_champion=True).verdict is Verdict.PASS
    assert len(asked) < 100


# --- it fails closed -------------------------------------------------------------------------------------------------


def returning(value, decorator=per_row, **more):
    @decorator(better="lower", **more)
    def cost(labels, scores):
        if isinstance(value, BaseException):
            raise value
        return value(labels) if callable(value) else value

    return cost


def writes(labels, scores):
    labels[0] = 1.0
    return scores


BROKEN = {
    "raises": (returning(ZeroDivisionError("division by zero")), "cost raised ZeroDivisionError: division by zero"),
    "exits": (returning(SystemExit(0)), "cost raised SystemExit: 0"),
    "gives one number for rows": (returning(0.3), "cost returned the shape (); (3000,) is due, a value each row"),
    "gives a column": (returning(lambda y: np.zeros((len(y), 1))), "cost returned the shape (3000, 1)"),
    "gives NaN": (returning(lambda y: np.where(y == 1, np.nan, 0)), "values that are no number"),
    "gives words": (returning("good"), "cost returned str instead of numbers"),
    "leaves its range": (returning(lambda y: y - 1, low=0), "cost gave -1, outside its range from 0 to inf"),
    "gives nothing": (returning(lambda y: None, whole), "cost returned NoneType instead of a number"),
    "gives infinity": (returning(math.inf, whole), "cost gave a value that is no number"),
    "gives rows for a whole": (returning(lambda y: y, whole), "cost returned ndarray instead of a number"),
    "writes": (per_row(better="lower")(writes), "writes raised ValueError: assignment destination is read-only"),
}


@pytest.mark.parametrize(("metric", "says"), BROKEN.values(), ids=BROKEN)
def test_one_that_is_no_measurement_is_inconclusive_in_every_gate_and_says_why(metric, says):
    assert says in str(measure(Task.BINARY, metric, LABELS, OURS).reason)
    bounds = [Bound(metric, Direction.AT_MOST, 1e9)]
    bounded = threshold_gate(bounds, EVIDENCE, mode=Mode.BLOCKING, min_rows=10)
    rules = ChampionRules((ComparisonRule(metric, 1e9),), metric)
    compared = champion_gate(rules, EVIDENCE, mode=Mode.BLOCKING, has_champion=True)
    for result in (bounded, compared):
        assert {c.verdict for c in result.criteria} == {Verdict.INCONCLUSIVE}
        assert says in result.reason


def test_a_slice_on_which_it_breaks_is_never_taken_for_a_thin_one():
    @per_row(better="lower")
    def breaks_on_some(labels, scores):
        return 1 / 0 if len(labels) < 2000 else (labels - scores) ** 2

    rules = SliceRules(breaks_on_some, 0.1, 0.1, by=("place",), ask_under_support=False)
    place = np.where(np.arange(3000) < 600, "north", "south")
    result = slice_gate(rules, EVIDENCE, {"place": place}, mode=Mode.BLOCKING, has_champion=True)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "place=north" in result.reason
    assert "raised ZeroDivisionError" in result.reason


def test_one_that_has_no_value_without_one_of_the_days_is_inconclusive():
    @whole(better="lower")
    def needs_all(labels, scores):
        return float(np.mean(scores)) if len(labels) == 3000 else math.nan

    found = compare(PairedScores(Task.BINARY, LABELS, OURS, THEIRS, DAYS), needs_all)
    assert (found.difference, found.reason) == (None, "leaving out one day has no value")


@pytest.mark.parametrize(
    ("better", "low", "high", "says"),
    [("least", 0, 1, "better is 'least'; give lower or higher"), ("lower", 1, 1, "low must be below high")],
)
def test_a_decorator_that_makes_no_sense_raises_when_the_module_is_imported(better, low, high, says):
    with pytest.raises(ValueError, match=says):
        per_row(better=better, low=low, high=high)


# --- the declaration -------------------------------------------------------------------------------------------------

MODULE = """
    import numpy as np
    from include.domain.own_metrics import per_row, whole

    @per_row(better="lower", low=0)
    def cost(labels, scores): return np.where(labels == 1, 2 * (1 - scores), scores)

    @per_row(better="higher")
    def gain(labels, scores): return -cost.per_row(labels, scores)

    @whole(better="lower", low=0)
    def spread(labels, scores): return float(np.std(labels - scores))

    def bare(labels, scores): return scores
"""


@pytest.fixture
def ours(own_module):  # noqa: F811
    own_module("metrics_ours", MODULE)


def compared_on(name, **more):
    champion = {**BINARY["gates"]["champion_gate"], "comparisons": [{"metric": name, "margin": 0.05}]}
    return with_gates(BINARY, champion_gate=champion, **more)


def watching(name):
    return {**BINARY, "drift": {"performance": {"metric": name, "tolerance": 0.01}}}


def test_it_is_known_by_the_name_it_is_declared_with(ours, tmp_path):
    with declared(tmp_path, compared_on("metrics_ours.cost")) as known:
        assert {name: str(m) for name, m in metrics_of(known.model("fraud")).items()} == {
            "metrics_ours.cost": "metrics_ours.cost"
        }


def test_an_installed_package_offers_one_by_its_entry_point(ours, tmp_path):
    points = "[slipway.metrics]\nclaim_cost = metrics_ours:cost\n"
    installed_package(tmp_path / "own", "claim-metrics", points)
    for name in ("claim_cost", "claim-metrics:claim_cost"):
        with declared(tmp_path, compared_on(name)) as known:
            assert metrics_of(known.model("fraud"))[name].per_row is not None


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            compared_on("roc_acu"),
            "gates.champion_gate.comparisons.0.metric is 'roc_acu'; a binary model is measured by",
        ),
        (compared_on("mae"), "gates.champion_gate.comparisons.0.metric is 'mae'"),
        (
            watching("mae"),
            "drift.performance.metric is 'mae'; a binary model's loss is one of brier, log_loss",
        ),
        (watching("roc_auc"), "drift.performance.metric is 'roc_auc'"),
    ],
)
def test_a_name_that_nothing_has_is_refused_when_the_declaration_is_read(tmp_path, model, says):
    with pytest.raises(ValueError, match="metric") as raised, declared(tmp_path, model):
        pass
    assert says in str(raised.value)
    assert "one of your own by its import path" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("metrics_ours.costs", NoSuchName, "Did you mean 'cost'?"),
        ("metrics_ours.bare", WrongShape, "is function and no metric; a metric is a function decorated with per_row"),
        ("metrics_ours.gain", WrongShape, "what is watched is a loss: decorated with per_row, better lower"),
        ("metrics_ours.spread", WrongShape, "is no loss of each row"),
    ],
)
def test_validate_names_one_that_cannot_be_watched_with_its_line(ours, tmp_path, capsys, name, error, says):
    from include.cli import main

    with declared(tmp_path, watching(name)) as known:
        with pytest.raises(error):
            loss_of(known.model("fraud"))
        assert main(["validate", "--offline", str(loader.ROOT)]) != 0
        lines = known.model("fraud").file.read_text(encoding="utf-8").splitlines()
    said = capsys.readouterr().out
    assert f"model.yaml:{lines.index(f'    metric: {name}') + 1}: drift.performance.metric '{name}'" in said
    assert says in said


def test_validate_names_one_that_a_gate_cannot_use(ours, tmp_path, capsys):
    from include.cli import main

    with declared(tmp_path, compared_on("metrics_ours.bare")):
        assert main(["validate", "--offline", str(loader.ROOT)]) != 0
    assert "gates.champion_gate.comparisons.0.metric 'metrics_ours.bare' is function and no metric" in (
        capsys.readouterr().out
    )


# --- where it is used ------------------------------------------------------------------------------------------------


def test_a_loss_of_the_team_s_own_is_watched_and_started_by_like_any_other(ours):
    found = simulated(
        a_table(110, turns_on=50), "drift.performance.metric=metrics_ours.cost", "drift.performance.tolerance=0.02"
    )
    declared_policy = policy(found, PolicyKind.DECLARED)
    assert declared_policy.metric == "metrics_ours.cost"
    assert any("metrics_ours.cost" in d.reason for d in declared_policy.decisions if d.action == "retrain")
    assert any(j.serves_from for j in declared_policy.journeys)


def test_a_loss_without_a_value_is_one_line(ours):
    with pytest.raises(OwnMetricFailed, match="cost raised"):
        row_losses(returning(RuntimeError("no table of costs")), LABELS, OURS)
    assert row_losses(own_brier, np.empty(0), np.empty(0)).tolist() == []


def test_the_selftest_makes_candidates_that_are_worse_by_it(ours, tmp_path):
    others = ("leakage_gate", "slice_gate", "latency_gate", "signature_gate", "smoke_gate", "packed_gate")
    model = compared_on("metrics_ours.cost", **dict.fromkeys(others))
    model["gates"].pop("leakage", None)
    with declared(tmp_path, model):
        found = bench.run("fraud")
    assert found.problems == []
    seeded = next(seed for seed in found.seeds if seed.name == "worse than champion")
    assert seeded.cells["champion_gate"].verdict is not Verdict.PASS


def test_judge_takes_one_in_its_file_of_gates(ours, tmp_path, capsys):
    import pandas as pd

    from include.cli import main

    pd.DataFrame({"y": LABELS.astype(int), "p": OURS, "day": DAYS}).to_csv(tmp_path / "rows.csv", index=False)
    gates = {"threshold_gate": {"criteria": [{"metric": "metrics_ours.cost", "at_most": 0.9}]}}
    (tmp_path / "gates.yaml").write_text(yaml.safe_dump(gates), encoding="utf-8")
    files = ["--gates", str(tmp_path / "gates.yaml"), "--data", str(tmp_path / "rows.csv")]
    assert main(["judge", *files, "--label", "y", "--candidate", "p", "--first-deployment"]) == 0
    assert "metrics_ours.cost" in capsys.readouterr().out
