"""A business metric, declared SQL over label and score, may be the loss that the drift sensor watches."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from journey_world import MODEL
from selftest_models import BINARY, MULTICLASS, REGRESSION, declared

from include.config import loader
from include.config.loader import BadDeclaration, checked_declaration
from include.domain.drift.calibration import expected_losses
from include.domain.losses import row_losses
from include.domain.metrics import OwnMetricFailed
from include.workflows import tasks
from include.workflows.journey import fact_files, step
from include.workflows.journey.facts import ReferenceProfile
from include.workflows.scoring.row_values import watched_loss

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


def test_validate_refuses_sql_that_reads_what_days_are_watched_without(tmp_path, capsys):
    from include.cli import main

    with watching(tmp_path, "SELECT row, score * amount AS value FROM scored") as known:
        assert main(["validate", str(loader.ROOT)]) != 0
        line = known.model("fraud").file.read_text(encoding="utf-8").splitlines().index("    metric: lost") + 1
    said = capsys.readouterr().out
    assert f"model.yaml:{line}: drift.performance.metric is 'lost', and lost.sql reads more than row, label and" in said
    assert '"amount" not found' in said


def test_validate_takes_one_that_reads_label_and_score_alone(tmp_path, capsys):
    from include.cli import main

    with watching(tmp_path, SQL):
        main(["validate", str(loader.ROOT)])
    assert "lost" not in capsys.readouterr().out


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
