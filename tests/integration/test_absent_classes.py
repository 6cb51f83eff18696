"""Journeys and scored days of models whose classes are written in other ways, were not learned, or do not come."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from feature_world import TRIP_LATE, TRIP_LATE_SQL
from invariants import check_invariants
from journey_world import MODEL, JourneyWorld, key

from include.adapters.ledger import Ledger
from include.config import loader
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.verdicts import Verdict
from include.workflows import stores, tasks
from include.workflows.evidence import journey_rows
from include.workflows.journey import step
from include.workflows.journey.fact_files import F
from include.workflows.journey.facts import Curves, Evaluated, ReferenceProfile
from include.workflows.scoring import matured_labels, training_sets

pytestmark = pytest.mark.light

LATE_SQL = (
    "CASE WHEN starts_at >= TIMESTAMPTZ '2024-03-10 00:00Z' AND trip_id LIKE '%5' THEN 'stuck' {more} ELSE outcome END"
)
"""A class that nobody saw before the holdout of a journey as of the 13th."""
LOST = "WHEN trip_id LIKE '%7' THEN 'lost'"


def several_classes(world: JourneyWorld, classes: list[str], more: str = "", **changes: Any) -> None:
    gates = {
        "threshold_gate": {"min_rows": 100, "criteria": [{"metric": "accuracy", "at_least": 0.3}]},
        "champion_gate": {
            "min_rows": 100,
            "comparisons": [{"metric": "accuracy", "margin": 0.2}],
            "beat_baseline_on": "accuracy",
            "mode": "advisory",  # three held-out days tell little, and these tests are about classes
        },
        "leakage_gate": {},
        "smoke_gate": {},
        **changes,
    }
    world.declare(
        world.model,
        TRIP_LATE_SQL.replace("outcome AS label", f"{LATE_SQL.format(more=more)} AS label"),
        task="multiclass",
        label={**TRIP_LATE["label"], "classes": classes},
        gates=gates,
        shadow={**MODEL["shadow"], "p99_delta_at_most": 1.0, "disagreement": [0.0, 1.0]},
        drift={**MODEL["drift"], "performance": {**MODEL["drift"]["performance"], "metric": "log_loss"}},
    )


def kept(reference: dict[str, Any], kind: type[F]) -> F:
    with Ledger.open(settings().ledger_url) as ledger:
        candidate = ledger.candidates.get(reference["candidate_id"])
        return step.Journey(loader.declarations().model(candidate.model), candidate, ledger).kept(kind)


def verdict(gate: str, reference: dict[str, Any]) -> tuple[Verdict, str]:
    with Ledger.open(settings().ledger_url) as ledger:
        result = ledger.gates.latest(reference["candidate_id"])[gate].result
    return result.verdict, result.reason


@pytest.mark.parametrize(
    ("classes", "more"),
    [
        pytest.param(["on_time", "stuck", "late"], "", id="two of three learned"),
        pytest.param(["lost", "stuck", "late", "on_time"], LOST, id="three of four learned", marks=pytest.mark.slow),
    ],
)
def test_f200_an_unlearned_class_has_the_probability_0_from_the_journey_to_the_log(world, classes, more):
    several_classes(world, classes, more)
    first = world.open("first", 13)
    assert world.to_shadow(first), "a gate stopped the first candidate"
    with Ledger.open(settings().ledger_url) as ledger:
        quality = ledger.gates.latest(first["candidate_id"])["training_data_gate"].result
    assert "None is of class stuck, which gets the probability 0." in " ".join(c.reason for c in quality.criteria)
    metrics = kept(first, Evaluated).metrics
    # 36 is what an impossible event costs: the held-out rows of the class are counted, not dropped.
    assert metrics["candidate"]["log_loss"] > 1
    assert metrics["candidate"]["accuracy"] > 0.4
    curves = kept(first, Curves).by_kind
    assert set(curves) == {"confusion", *(f"roc_of_{name}" for name in classes)}
    counted = curves["confusion"]["candidate"]
    assert counted["classes"] == classes
    assert sum(map(sum, counted["rows"])) == kept(first, Evaluated).rows
    assert sum(row[classes.index("stuck")] for row in counted["rows"]) == 0, "what was not learned is not answered"
    profile = kept(first, ReferenceProfile)
    assert set(profile.importances) == {"station", "order", "level", "mean_level_3h"}
    assert sum(profile.importances.values()) == pytest.approx(1)
    world.to_the_end(first)
    assert world.score(14)["skipped"] is None
    challenger = world.open("second", 15)
    assert world.to_shadow(challenger), "a gate stopped the second candidate"
    for day in (16, 17):
        assert world.next_day(day)["facts"]["shadow"][0]["answered"] == 120
    assert world.judge("shadow_gate", challenger)["verdict"] in ("PASS", "INCONCLUSIVE")
    log = stores.offline_store().read_predictions(world.model, Interval.of_day("2024-03-14")).to_pandas()
    columns = [f"score_{c}" for c in classes]
    assert log["error"].isna().all()
    assert (log["score_stuck"] == 0).all()
    assert np.allclose(log[columns].sum(axis=1), 1)
    assert (log["predicted"] == log[columns].idxmax(axis=1).str.removeprefix("score_")).all()
    assert set(log["predicted"]) <= set(classes) - {"stuck"}
    said = tasks.measure_drift(world.model, key(16), "drift-16")
    assert said["report_id"]
    check_invariants(world)


def test_f200_mlflow_names_the_classes_that_the_file_itself_answers_for(world):
    several_classes(world, ["on_time", "stuck", "late"], signature_gate={})
    reference = world.open("first", 13)
    world.train(reference)
    tasks.evaluate(reference)
    assert not world.judge("signature_gate", reference)["passed"]
    assert "class stuck is gone" in verdict("signature_gate", reference)[1]


WRITTEN = {
    "integers": "(outcome = 'late')::INTEGER",
    "doubles": "(outcome = 'late')::DOUBLE",
    "decimals": "(outcome = 'late')::INTEGER::DECIMAL(5, 2)",
    "booleans": "outcome = 'late'",
    "texts of numbers": "(outcome = 'late')::INTEGER::DOUBLE::VARCHAR",
    "words": "CASE WHEN outcome = 'late' THEN 'yes' ELSE 'no' END",
    "words in capitals": "CASE WHEN outcome = 'late' THEN 'TRUE' ELSE 'FALSE' END",
    "padded": "CASE WHEN outcome = 'late' THEN '1 ' ELSE ' 0' END",
}


@pytest.mark.parametrize("classes", [["0", "1"], ["no", "yes"], ["0.0", "1.0"]])
def test_f200_one_label_in_any_spelling_is_one_training_set(world, classes):
    hashes = {}
    for how, expression in WRITTEN.items():
        sql = TRIP_LATE_SQL.replace("outcome AS label", f"{expression} AS label")
        world.declare(world.model, sql, label={**TRIP_LATE["label"], "classes": classes})
        model = loader.declarations().model(world.model)
        made = training_sets.build(
            model, Interval.between("2024-03-02", "2024-03-08"), Interval.of_day("2024-03-13").start
        )
        hashes[how] = made.content_hash
        assert min(made.label_counts[c] for c in classes) > 50, how
    assert len(set(hashes.values())) == 1, hashes


@pytest.mark.parametrize(
    ("expression", "classes", "line"),
    [
        ("(outcome = 'late')::INTEGER", ["late", "on_time"], "Label 'label' has 0 ("),
        ("2 - (outcome = 'late')::INTEGER", ["0", "1"], "Label 'label' has 2 ("),
        ("upper(outcome)", ["late", "on_time"], "Did you mean 'on_time' for 'ON_TIME'?"),
        ("CASE WHEN outcome = 'late' THEN 'NaN'::DOUBLE ELSE 0 END", ["0", "1"], "Label 'label' has nan ("),
        ("CASE WHEN outcome = 'late' THEN '' ELSE '0' END", ["0", "1"], "Label 'label' has '' ("),
    ],
)
def test_f200_a_label_that_is_no_class_is_refused_and_never_a_position(world, expression, classes, line):
    sql = TRIP_LATE_SQL.replace("outcome AS label", f"{expression} AS label")
    world.declare(world.model, sql, label={**TRIP_LATE["label"], "classes": classes})
    with pytest.raises(matured_labels.BadLabels) as refused:
        tasks.build_training_set(world.open("first", 13))
    assert line in str(refused.value)
    assert f"the classes are: {', '.join(classes)}." in str(refused.value)
    assert "\n" not in str(refused.value)


def test_f200_classes_declared_anew_after_the_join_are_a_refusal(world):
    reference = world.open("first", 13)
    tasks.build_training_set(reference)
    world.declare(world.model, label={**TRIP_LATE["label"], "classes": ["punctual", "late"]})
    with pytest.raises(matured_labels.BadLabels, match="built with other classes; clear the run from open_journey on"):
        tasks.train(reference)


@pytest.mark.parametrize("outcome", ["on_time", "late"])
def test_f205_a_binary_holdout_of_one_class_reaches_its_gates(world, outcome):
    gates = copy.deepcopy(MODEL["gates"])
    gates["champion_gate"]["comparisons"] = [{"metric": "roc_auc", "margin": 0.05}, {"metric": "brier", "margin": 0.05}]
    world.declare(
        world.model,
        gates=gates
        | {
            "slice_gate": {
                "mode": "advisory",
                "by": ["station"],
                "metric": "roc_auc",
                "strict": {"margin": 0.1, "large_rows": 500},
                "small": {"floor": 0.1},
            }
        },
    )
    world.first_champion()
    for day in range(16, 19):
        world.next_day(day)
    world.set_outcomes(14, 19, outcome)
    reference = world.open("rare", 18)
    world.train(reference)
    tasks.evaluate(reference)
    assert len(set(journey_rows.frames(_journey(reference), "holdout")[1])) == 1
    metrics = kept(reference, Evaluated).metrics["candidate"]
    assert "roc_auc" not in metrics
    assert metrics["brier"] > 0
    for gate in ("threshold_gate", "champion_gate", "slice_gate"):
        world.judge(gate, reference)
    with Ledger.open(settings().ledger_url) as ledger:
        threshold = ledger.gates.latest(reference["candidate_id"])["threshold_gate"].result
    of_ranks = next(c for c in threshold.criteria if c.criterion == "roc_auc")
    assert of_ranks.verdict is Verdict.INCONCLUSIVE
    assert "one class" in of_ranks.reason
    assert threshold.verdict is not Verdict.PASS
    with Ledger.open(settings().ledger_url) as ledger:
        judged = ledger.gates.latest(reference["candidate_id"])["champion_gate"].result
    assert {c.criterion: c.verdict for c in judged.criteria}["roc_auc"] is Verdict.INCONCLUSIVE
    assert judged.verdict is not Verdict.PASS
    said = tasks.measure_drift(world.model, key(18), "drift-18")
    assert said["report_id"]
    check_invariants(world)


def _journey(reference: dict[str, Any]) -> step.Journey:
    with Ledger.open(settings().ledger_url) as ledger:
        candidate = ledger.candidates.get(reference["candidate_id"])
        return step.Journey(loader.declarations().model(candidate.model), candidate, ledger)
