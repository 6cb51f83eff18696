"""Pictures, curves, pages and figures that fail cost themselves and a remark; evidence that fails stops the step."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from journey_world import NOW, key
from light_world import LightWorld
from memory_registry import MemoryRegistry

from include.adapters import estimators, expectations
from include.adapters.registry import RegistryUnreachable
from include.config import loader
from include.workflows import stores, tasks
from include.workflows.evidence import curves_on_mlflow, disagreement, evaluation, version_reference
from include.workflows.features import data_docs
from include.workflows.journey import step as journey_step
from include.workflows.journey.fact_files import F
from include.workflows.journey.facts import Curves, Remarks
from include.workflows.pages.release import release

MADE_BY = {
    "importances", "log_figure", "log_metrics", "log_params", "log_dataset", "put_json", "roc_curve", "overlaid",
    "precision_recall_curve", "reliability", "score_histogram", "residuals", "residual_histogram",
}  # fmt: skip
"""Calls that make a by-product. The domain and the adapters have them, a workflow calls them through ``attempt``."""


class Away(Exception):
    """What nobody expected."""


def fails(*_: Any, **__: Any) -> Any:
    raise Away("it\nbroke")


def kept(reference: dict[str, Any], kind: type[F]) -> F:
    with stores.open_ledger() as ledger:
        candidate = ledger.candidates.get(reference["candidate_id"])
        return journey_step.Journey(loader.declarations().model(candidate.model), candidate, ledger).kept(kind)


@pytest.mark.moment("first champion")
def test_no_by_product_stops_a_journey_and_each_leaves_a_remark(world: LightWorld, monkeypatch, capsys):
    for name in ("log_figure", "log_metrics", "log_params", "log_dataset", "tag_of_no_use"):
        monkeypatch.setattr(MemoryRegistry, name, fails, raising=False)
    monkeypatch.setattr(estimators, "importances", fails)
    monkeypatch.setattr(evaluation, "roc_curve", fails)
    monkeypatch.setattr(version_reference, "estimate_of", fails)
    monkeypatch.setattr(disagreement, "keep", fails)
    reference = world.open("second", 17)
    assert world.to_shadow(reference)
    world.next_day(17)
    assert world.to_the_end(reference)["state"] == "champion"
    remarks = kept(reference, Remarks).by_step
    said = {step: [r.split(" could not be made (Away: it broke). ")[0] for r in of] for step, of in remarks.items()}
    assert said == {
        "train": ["The parameters on the MLflow run", "The training set on the MLflow run"],
        "evaluate": [
            "The importances, without which every feature weighs the same,",
            "The estimate of losses without labels",
            "The metrics on the MLflow run",
            "The curve roc",
            "The picture precision_recall",
            "The picture calibration",
        ],
        "shadow_window": ["The rows on which both disagree most"],
    }
    assert "Remark: The curve roc could not be made (Away: it broke). Nothing waits for it." in capsys.readouterr().out
    assert set(kept(reference, Curves).by_kind) == {"precision_recall", "calibration", "scores"}
    assert sum(len(of) for of in remarks.values()) == len(release(reference["candidate_id"], NOW).remarks)
    monkeypatch.undo()
    world.next_day(18)
    assert tasks.measure_drift(world.model, key(18), "drift-18")["report_id"], "the sensor has its reference"


def test_a_step_that_runs_again_takes_its_remark_back(world: LightWorld, monkeypatch):
    reference = world.references["r"]
    monkeypatch.setattr(curves_on_mlflow, "calibration", fails)
    tasks.evaluate(reference)
    assert list(kept(reference, Remarks).by_step) == ["evaluate"]
    monkeypatch.undo()
    tasks.evaluate(reference)
    assert kept(reference, Remarks).by_step == {}


@pytest.mark.parametrize("error", [Away("broke"), RegistryUnreachable("MLflow did not answer.")])
def test_evidence_is_no_by_product(world: LightWorld, monkeypatch, error):
    reference = world.references["r"]

    def refuses(*_: Any) -> None:
        raise error

    monkeypatch.setattr(MemoryRegistry, "log_json", refuses)
    with pytest.raises(type(error)):
        tasks.evaluate(reference)
    monkeypatch.undo()
    monkeypatch.setattr(version_reference, "profile_of", fails)
    with pytest.raises(Away):
        tasks.evaluate(reference)


@pytest.mark.parametrize("broken", ["keep", "_rendered"])
def test_a_page_of_great_expectations_that_fails_changes_no_verdict(world: LightWorld, monkeypatch, capsys, broken):
    monkeypatch.setattr(data_docs if broken == "keep" else expectations, broken, fails)
    met = expectations._result

    def unmet(declared: Any, found: Any) -> Any:
        from dataclasses import replace

        return replace(met(declared, found), outcome=expectations.ExpectationOutcome.UNMET)

    if broken == "_rendered":
        monkeypatch.setattr(expectations, "_result", unmet)
    staged = tasks.materialize("trip_plan", key(14), {}, "features-again", NOW)
    judged = tasks.audit(staged, NOW)
    assert judged["verdict"] == ("PASS" if broken == "keep" else "FAIL")
    assert "Remark: The page of Great Expectations could not be made (Away: it broke)" in capsys.readouterr().out
    kept = [file.read_text(encoding="utf-8") for file in world.root.rglob("*.json")]
    assert any("The page of Great Expectations could not be made" in text for text in kept), "it is in the receipt"


def test_every_by_product_of_a_workflow_is_made_through_attempt():
    outside = []
    for file in sorted(Path("include/workflows").rglob("*.py")):
        code = file.read_text(encoding="utf-8")
        if not any(name in code for name in MADE_BY):
            continue
        tree = ast.parse(code)
        inside = {
            id(below)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in SEAMS
            for below in ast.walk(node)
        }
        drawn = {
            id(below)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name in MADE_INSIDE
            for below in ast.walk(node)
        }
        for node in ast.walk(tree):
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if name in MADE_BY and id(node) not in inside | drawn:
                outside.append(f"{file}:{node.lineno} {name}")
    assert outside == []


SEAMS = {"attempt", "curves_of"}
MADE_INSIDE = {"_show_set", "_drawn"}
"""Functions that are called in ``attempt`` only."""
