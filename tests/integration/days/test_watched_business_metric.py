"""A business metric, declared SQL over label, score and features, may be the loss that the drift sensor watches."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from journey_world import MODEL
from selftest_models import BINARY, MULTICLASS, REGRESSION, declared

from include.config import loader
from include.config.loader import BadDeclaration, checked_declaration
from include.domain.drift.calibration import expected_losses
from include.domain.drift.estimate_reference import classifier_reference
from include.domain.losses import row_losses
from include.domain.metrics import OwnMetricFailed
from include.workflows import tasks
from include.workflows.drift.measured_day import estimated_losses
from include.workflows.journey import fact_files, step
from include.workflows.journey.facts import ReferenceProfile
from include.workflows.scoring.row_values import reads_features, watched_loss, watched_losses
from include.workflows.scoring.served_features import FeaturesNotKept

SQL = "SELECT row, CASE WHEN label = 'fraud' THEN 100 * (1 - score) ELSE score END AS value FROM scored ORDER BY score"


def watching(tmp_path, sql, base=BINARY, **fields):
    model = deepcopy(base)
    folder = tmp_path / "declared" / "models" / base["name"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lost.sql").write_text(sql, encoding="utf-8")
    model["business_metrics"] = [{"name": "lost", "sql": "lost.sql", "direction": "lower", **fields}]
    model["drift"] = {"performance": {"metric": "lost", "tolerance": 1.0}}
    return declared(tmp_path, model)


def losses(tmp_path, sql, labels, scores, base=BINARY):
    with watching(tmp_path, sql, base) as known:
        return row_losses(watched_loss(known.model(base["name"])), np.array(labels), np.array(scores))


def test_each_row_has_the_value_of_the_sql_in_the_rows_own_order(tmp_path):
    assert losses(tmp_path, SQL, [0, 1, 0, 1], [0.9, 0.2, 0.1, 1.0]).tolist() == pytest.approx([0.9, 80, 0.1, 0])
    assert losses(tmp_path, SQL, [], []).tolist() == []


@pytest.mark.parametrize(
    ("base", "sql", "labels", "scores", "expected"),
    [
        (MULTICLASS, "SELECT row, 1 - score[3] AS value FROM scored", [2, 0], [[0.1, 0.2, 0.7], [1, 0, 0]], [0.3, 1]),
        (REGRESSION, "SELECT row, greatest(label - score, 0) AS value FROM scored", [7.5, 1], [7, 2], [0.5, 0]),
    ],
    ids=["multiclass", "regression"],
)
def test_it_is_a_loss_of_every_task(tmp_path, base, sql, labels, scores, expected):
    assert losses(tmp_path, sql, labels, scores, base) == pytest.approx(expected)


def test_what_it_will_be_is_estimated_before_labels_come(tmp_path):
    with watching(tmp_path, SQL) as known:
        found = expected_losses(watched_loss(known.model("fraud")), np.array([0.5, 0.1]), np.array([0.5, 0.2]))
    assert found == pytest.approx([0.5 * 50 + 0.5 * 0.5, 0.2 * 90 + 0.8 * 0.1])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("NULL", "lost gave 2 of 2 values that are no number"),
        ("-1", "lost gave -1, outside its range from 0 to inf"),
    ],
)
def test_a_value_that_is_no_loss_is_one_line(tmp_path, value, said):
    with pytest.raises(OwnMetricFailed, match=said):
        losses(tmp_path, f"SELECT row, {value}::DOUBLE AS value FROM scored", [0, 1], [0.2, 0.3])


def test_one_of_which_more_is_better_is_not_watched(tmp_path):
    model = deepcopy(BINARY)
    model["business_metrics"] = [{"name": "saved", "sql": "saved.sql", "direction": "higher"}]
    model["drift"] = {"performance": {"metric": "saved", "tolerance": 1.0}}
    with pytest.raises(BadDeclaration, match=r"drift\.performance\.metric is 'saved', of which more is better"):
        checked_declaration(model, tmp_path)


def test_validate_refuses_sql_that_reads_what_a_request_does_not_have(tmp_path, capsys):
    from include.cli import main

    with watching(tmp_path, "SELECT row, score * amont AS value FROM scored"):
        assert main(["validate", "--offline", str(loader.ROOT)]) != 0
    said = capsys.readouterr().out
    assert "business_metrics.0.sql" in said
    assert '"amont" not found' in said


@pytest.mark.parametrize("sql", [SQL, "SELECT row, score * amount AS value FROM scored"], ids=["alone", "a feature"])
def test_validate_takes_one_that_reads_label_score_and_features(tmp_path, capsys, sql):
    from include.cli import main

    with watching(tmp_path, sql):
        main(["validate", "--offline", str(loader.ROOT)])
    assert "lost" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sql", "reads_more"),
    [
        (SQL, False),
        ("SELECT row, label = 'fraud' AND score < 0.5 AS value FROM scored", False),
        ("SELECT row, score * amount AS value FROM scored", True),
        ("SELECT row, score * hour(event_time) AS value FROM scored", True),
    ],
)
def test_features_are_read_only_where_the_sql_names_them(tmp_path, sql, reads_more):
    with watching(tmp_path, sql) as known:
        assert reads_features(known.model("fraud")) is reads_more


def test_the_value_of_a_row_follows_from_its_own_features_also_before_its_label_comes(tmp_path):
    sql = "SELECT row, CASE WHEN label = 'fraud' THEN amount * (1 - score) ELSE score END AS value FROM scored"
    known_rows = pd.DataFrame({"amount": [10.0, 100.0, 1000.0]})
    scores, days = np.array([0.5, 0.1, 0.2]), ["2024-03-01", "2024-03-01", "2024-03-02"]
    with watching(tmp_path, sql) as known:
        model = known.model("fraud")
        assert watched_losses(model, np.array([1, 0, 1]), scores, lambda: known_rows).tolist() == [5, 0.1, 800]
        loss = watched_loss(model, lambda: known_rows)
        assert expected_losses(loss, scores, np.array([0.5, 0.2, 0.1])) == pytest.approx([2.75, 18.08, 80.18])
        # By the other day alone each row of the first is fraud, and that of the second is not.
        kept = classifier_reference(loss, days, np.array([0, 0, 1]), scores)
        assert [day.estimated for day in kept.days] == pytest.approx([(5 + 90) / 2, 0.2])
        assert [day.realised for day in kept.days] == pytest.approx([0.3, 800])


def test_features_of_other_rows_are_not_taken_for_these(tmp_path):
    with watching(tmp_path, "SELECT row, score * amount AS value FROM scored") as known:
        model = known.model("fraud")
        with pytest.raises(OwnMetricFailed, match="the features of 1 rows are known, and 2 are measured"):
            watched_losses(model, np.array([0, 1]), np.array([0.5, 0.5]), lambda: pd.DataFrame({"amount": [1.0]}))
        with pytest.raises(OwnMetricFailed, match='"amount" not found'):
            watched_losses(model, np.array([0, 1]), np.array([0.5, 0.5]))


def test_without_what_it_reads_nothing_is_estimated_and_the_reason_is_said(tmp_path):
    sql = "SELECT row, score * amount AS value FROM scored"
    scores = np.array([0.5, 0.1, 0.2])

    def gone():
        raise FeaturesNotKept("they are gone")

    with watching(tmp_path, sql) as known:
        model = known.model("fraud")
        loss = watched_loss(model, lambda: pd.DataFrame({"amount": [1.0, 2.0, 3.0]}))
        kept = classifier_reference(loss, ["2024-03-01", "2024-03-01", "2024-03-02"], np.array([0, 0, 1]), scores)
        found = estimated_losses(model, kept, pd.DataFrame(), scores, gone)
    assert np.isnan(found[0]).tolist() == [True] * 3
    assert found[2:] == (None, "lost was not estimated: they are gone.")


def test_a_version_keeps_its_losses_by_it_as_the_reference(world):
    tasks.close_journey(world.references["r"])
    folder = world.root / "declared" / "models" / world.model
    (folder / "lost.sql").write_text(
        "SELECT row, CASE WHEN label = 'late' THEN 5 * (1 - score) ELSE score END AS value FROM scored", "utf-8"
    )
    metrics = [{"name": "lost", "sql": "lost.sql", "direction": "lower"}]
    drift = {**MODEL["drift"], "performance": {"metric": "lost", "tolerance": 0.02, "min_rows": 100}}
    world.declare(world.model, business_metrics=metrics, drift=drift)
    reference = world.evaluated("asked")
    tasks.evaluate(reference)
    kept = fact_files.read(step.journey_folder(reference["candidate_id"]), ReferenceProfile)
    days = kept.profile["losses"]
    mean = sum(day["total"] for day in days) / sum(day["rows"] for day in days)
    assert kept.estimate["metric"] == "lost"
    assert 0.3 < mean < 1.5
    assert mean == pytest.approx(sum(d["rows"] * d["realised"] for d in kept.estimate["days"]) / 324)
