"""``slipway readiness``: what a declaration covers and lacks, each lack with a severity and a way out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from selftest_models import BINARY, MULTICLASS, REGRESSION, declared, with_gates

from include.cli import main
from include.config import ModelDeclaration, declarations, declared_models
from include.domain.verdicts import Mode
from include.workflows.gates.gate import Severity
from include.workflows.selftest import readiness, seeds
from include.workflows.selftest.readiness import ReadinessReport


@pytest.fixture
def report(tmp_path):
    """Reports on a declaration."""

    def of(model: dict[str, Any]) -> ReadinessReport:
        with declared(tmp_path, model):
            return readiness.report_on(declarations().model(model["name"]))

    return of


def lacks(found: ReadinessReport) -> dict[str, Severity]:
    return {lack.field: lack.severity for lack in found.lacks}


def test_every_gate_of_the_journey_is_shown_with_its_mode_and_the_seeded_failures_it_is_meant_for(report):
    found = report(BINARY)
    assert list(found.gates) == [
        "training_data_gate",
        "leakage_gate",
        "threshold_gate",
        "champion_gate",
        "slice_gate",
        "latency_gate",
        "signature_gate",
        "smoke_gate",
        "packed_gate",
        "shadow_gate",
    ]
    assert found.stops("slice_gate") == ["one slice ruined", "one of forty slices", "one group worse"]
    assert all(found.stops(gate) for gate in found.gates)
    live = {"error on 5 % of rows", "10 times slower live", "one feature swapped", "one slice inverted"}
    assert set(found.not_covered) == live, "of a model that is answered in batch"
    assert len(found.covered) == len(seeds.SEEDS) - len(live)


@pytest.mark.parametrize(
    ("gate", "field", "severity", "no_longer_covered"),
    [
        ("leakage_gate", "gates.leakage_gate", Severity.HIGH, "leaked label"),
        ("slice_gate", "gates.slice_gate", Severity.MEDIUM, "one slice ruined"),
        ("latency_gate", "gates.latency_gate", Severity.MEDIUM, "10 times slower"),
        ("signature_gate", "gates.signature_gate", Severity.MEDIUM, "column renamed"),
        ("smoke_gate", "gates.smoke_gate", Severity.MEDIUM, "artifact tampered"),
    ],
)
def test_a_gate_that_is_not_declared_is_lacking_and_so_is_what_it_is_meant_for(
    gate, field, severity, no_longer_covered, report
):
    found = report(with_gates(BINARY, **{gate: None}))
    assert lacks(found)[field] is severity
    assert no_longer_covered in found.not_covered
    assert lacks(report(BINARY)).get(field) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slice_gate": {**BINARY["gates"]["slice_gate"], "by": []}}, "gates.slice_gate.by"),
        ({"slice_gate": {**BINARY["gates"]["slice_gate"], "fairness": []}}, "gates.slice_gate.fairness"),
        ({"latency_gate": {"p50_ms_at_most": 5}}, "gates.latency_gate.size_times_champion_at_most"),
        ({"latency_gate": {"model_mb_at_most": 5}}, "gates.latency_gate.times_champion_at_most"),
        ({"signature_gate": {"may_drop": ["age"]}}, "gates.signature_gate.may_drop"),
        ({"smoke_gate": {"mode": "advisory"}}, "gates.smoke_gate.mode"),
        ({"leakage_gate": {"mode": "advisory"}}, "gates.leakage_gate.mode"),
        (
            {
                "champion_gate": {
                    "comparisons": [{"metric": "roc_auc", "margin": 0.01}],
                    "beat_baseline_on": "roc_auc",
                }
            },
            "gates.champion_gate.comparisons",
        ),
    ],
    ids=["no slices", "no fairness", "no size", "no time", "may drop", "advisory", "advisory leakage", "uncalibrated"],
)
def test_a_gate_that_sees_less_than_it_could_is_lacking_that(changes, field, report):
    assert field not in lacks(report(BINARY))
    assert field in lacks(report(with_gates(BINARY, **changes)))


@pytest.mark.parametrize(
    ("changes", "field", "severity"),
    [
        ({"owners": {**BINARY["owners"], "on_call": "todo"}}, "owners.on_call", Severity.HIGH),
        ({"label": {**BINARY["label"], "delay": "0m"}}, "label.delay", Severity.HIGH),
        ({"training": {**BINARY["training"], "holdout_days": 2}}, "training.holdout_days", Severity.HIGH),
        ({"training": {**BINARY["training"], "holdout_days": 5}}, "training.holdout_days", Severity.LOW),
        ({"shadow": {**BINARY["shadow"], "min_days": 1}}, "shadow.min_days", Severity.MEDIUM),
        ({"shadow": {**BINARY["shadow"], "errors_at_most": 0.1}}, "shadow.errors_at_most", Severity.MEDIUM),
        ({"shadow": {**BINARY["shadow"], "mode": "advisory"}}, "shadow.mode", Severity.MEDIUM),
        ({"tier": "critical"}, "promotion.approval", Severity.HIGH),
        ({"tier": "critical"}, "gates.champion_gate.first_deployment", Severity.MEDIUM),
    ],
)
def test_what_stands_around_the_gates_is_looked_at_too(changes, field, severity, report):
    assert field not in lacks(report(BINARY))
    assert lacks(report({**BINARY, **changes}))[field] is severity


def test_a_person_who_approves_is_no_longer_lacking(report):
    approved = {**BINARY, "tier": "critical", "promotion": {"approval": "always"}}
    assert "promotion.approval" not in lacks(report(approved))


def test_the_same_lack_weighs_more_where_the_tier_is_critical(report):
    without = with_gates(BINARY, smoke_gate=None)
    found = [lacks(report({**without, "tier": tier}))["gates.smoke_gate"] for tier in ("critical", "experimental")]
    assert found == [Severity.HIGH, Severity.LOW]


def test_a_runbook_page_that_is_not_there_is_lacking(tmp_path):
    with declared(tmp_path, BINARY):
        found = readiness.report_on(declarations().model("fraud"), project=tmp_path)
    assert lacks(found)["docs/runbook/smoke_gate.md"] is Severity.MEDIUM


def test_a_task_is_not_asked_for_what_it_cannot_have(report):
    assert report(REGRESSION).not_covered["classes swapped"] == "a regression has no classes"
    assert report(REGRESSION).not_covered["miscalibrated"] == "a regression gives no probabilities"
    assert "gates.champion_gate.comparisons" not in lacks(report(REGRESSION))
    assert "gates.slice_gate.fairness" not in lacks(report(MULTICLASS))


def test_every_lack_says_the_way_out_and_the_worst_come_first(report):
    found = report(with_gates({**BINARY, "tier": "critical"}, leakage_gate=None, smoke_gate=None))
    assert all(lack.what.endswith(".") and lack.way_out.endswith(".") for lack in found.lacks)
    ranks = [lack.severity.rank for lack in found.lacks]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("model", declared_models(), ids=lambda model: model.name)
def test_the_projects_own_models_have_owners_pages_and_matured_labels(model: ModelDeclaration):
    fields = [lack.field for lack in readiness.report_on(model).lacks]
    assert not [field for field in fields if field.startswith(("owners", "docs/", "label", "training.holdout"))]


def test_the_command_prints_tables_and_gives_the_same_as_json(tmp_path, capsys):
    with declared(tmp_path, with_gates(BINARY, leakage_gate=None)):
        assert main(["readiness", "fraud"]) == 0
        shown = capsys.readouterr().out
        assert main(["readiness", "fraud", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
    assert "champion_gate       blocking  labels shuffled, constant, worse than champion" in shown
    assert "high      gates.leakage_gate " in shown
    assert "23 of 29 seeded failures are covered; lacking: 1 high" in shown
    assert {gate["gate"]: gate["mode"] for gate in said["gates"]}["slice_gate"] == Mode.BLOCKING.value
    assert said["not_covered"]["leaked label"] == "no leakage_gate is declared"
    assert said["lacks"][0]["severity"] == "high"
    assert said["lacks"][0]["way_out"] == "Declare gates.leakage_gate."


def test_a_model_nobody_declared_is_one_line_and_code_64(tmp_path, capsys):
    with declared(tmp_path, BINARY):
        assert main(["readiness", "frauds"]) == 64
    assert capsys.readouterr().err == (
        "slipway: There is no model 'frauds'; declared are: fraud. Did you mean 'fraud'?\n"
    )
