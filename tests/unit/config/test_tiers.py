"""Defaults by tier: what a model takes from its tier, what it says itself, and what a wrong tiers.yaml costs whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_config import MODEL, Folder, changed, problems

from include.cli import main
from include.config import loader
from include.config.tiers import Tier
from include.domain.verdicts import Mode
from include.workflows import gates

CRITICAL = changed(MODEL, "task: binary", "task: binary\ntier: critical")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(loader, "ROOT", tmp_path / "include")
    made = Folder(tmp_path / "include")
    made.model("trip_late", CRITICAL)
    return made


def tiers(folder: Folder, text: str) -> Path:
    file = folder.root / "models" / "tiers.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def model(folder: Folder, name: str = "trip_late"):
    declared = folder.read()
    assert declared.broken == {}
    return declared.models[name]


# --- what a model takes from its tier --------------------------------------------------------------------------------


def test_a_field_that_the_model_leaves_out_is_its_tiers(folder):
    tiers(folder, "critical: {gates: {champion_gate: {alpha: 0.01, replay: {days: 7}}}}")
    gate = model(folder).gates.champion_gate
    assert (gate.alpha, gate.replay.days) == (0.01, 7)
    assert gate.comparisons[0].margin == 0.01
    assert model(folder, "other").gates.champion_gate.alpha == 0.05, "the other model is of the tier standard"


def test_the_models_own_field_wins_and_a_list_is_taken_whole(folder):
    own = changed(CRITICAL, "    beat_baseline_on: brier", "    beat_baseline_on: brier\n    alpha: 0.04")
    folder.model("trip_late", own)
    tiers(
        folder,
        "critical: {gates: {champion_gate: {alpha: 0.01},"
        " threshold_gate: {min_rows: 900, criteria: [{metric: brier, at_most: 0.1}]}}}",
    )
    gates = model(folder).gates
    assert gates.champion_gate.alpha == 0.04
    assert [c.metric for c in gates.threshold_gate.criteria] == ["roc_auc"]
    assert gates.threshold_gate.min_rows == 900


def test_a_gate_that_only_the_tier_names_is_run_for_every_model_of_the_tier(folder):
    tiers(folder, "critical: {gates: {smoke_gate: {}, signature_gate: {mode: advisory}}}")
    assert gates.modes(model(folder))["smoke_gate"] is Mode.BLOCKING
    assert gates.modes(model(folder))["signature_gate"] is Mode.ADVISORY
    assert "smoke_gate" not in gates.modes(model(folder, "other"))


def test_null_takes_a_gate_of_the_tier_away(folder):
    tiers(folder, "critical: {gates: {smoke_gate: {}}}")
    folder.model("trip_late", changed(CRITICAL, "gates:", "gates:\n  smoke_gate: null"))
    assert "smoke_gate" not in gates.modes(model(folder))


@pytest.mark.parametrize(
    ("tier", "own", "gates_declared"),
    [
        pytest.param({}, {"serving": {"mode": "online"}}, {"packed_gate": {}}, id="online"),
        pytest.param({}, {"serving": {"mode": "batch"}}, None, id="batch"),
        pytest.param({}, {}, None, id="not said"),
        pytest.param(
            {"packed_gate": {"mode": "blocking"}},
            {"serving": {"mode": "online"}},
            {"packed_gate": {"mode": "blocking"}},
            id="the tier says more",
        ),
        pytest.param(
            {},
            {"serving": {"mode": "online"}, "gates": {"packed_gate": None}},
            {"packed_gate": None},
            id="the model says no",
        ),
    ],
)
def test_a_model_that_is_asked_online_is_judged_in_its_packed_form_unless_it_says_no(tier, own, gates_declared):
    assert Tier(gates=tier).below(own).get("gates") == gates_declared


def test_shadow_and_promotion_have_defaults_by_tier_too(folder):
    tiers(folder, "critical: {shadow: {coverage_at_least: 1.0}, promotion: {approval: always}}")
    assert model(folder).shadow.coverage_at_least == 1.0
    assert model(folder).promotion.approval == "always"


def test_who_asked_may_decide_where_the_tier_says_so(folder):
    tiers(folder, "critical: {requester_may_override: true}\nstandard: {}")
    assert model(folder).requester_may_override
    assert not model(folder, "other").requester_may_override, "a tier that does not say so leaves it to another"


def test_without_the_file_there_are_no_defaults_and_a_critical_model_needs_a_second_person(folder):
    assert model(folder).gates.champion_gate.alpha == 0.05
    assert not model(folder).requester_may_override
    assert model(folder, "other").requester_may_override


def test_the_projects_own_tiers_can_be_used():
    declared = loader.read_declarations(Path(loader.__file__).parents[1])
    assert declared.broken == {}
    assert declared.models["flight_delay"].gates.smoke_gate is not None


# --- what is written wrongly -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "critical:\n  gates:\n    champion_gate:\n      alhpa: 0.01",
            "include/models/tiers.yaml:4: critical.gates.champion_gate.alhpa is not a field; allowed are: mode, "
            "min_rows, alpha, gain_alpha, comparisons, beat_baseline_on, resamples, baseline_by, baseline, "
            "baseline_season, first_deployment, replay, anchored. "
            "Did you mean 'alpha'?",
            id="a field that does not exist",
        ),
        pytest.param(
            "critical:\n  gates:\n    champion_gate: {alpha: 0.7}",
            "include/models/tiers.yaml:3: critical.gates.champion_gate.alpha is 0.7; input should be less than 0.5.",
            id="a value out of range",
        ),
        pytest.param(
            "critical:\n  gates: {smoke_gate: {mode: loud}}",
            "include/models/tiers.yaml:2: critical.gates.smoke_gate.mode is 'loud'; it is one of blocking, advisory.",
            id="a word that is not allowed",
        ),
        pytest.param(
            "critical:\n  shadow: {errors_at_most: 2}",
            "include/models/tiers.yaml:2: critical.shadow.errors_at_most is 2; "
            "input should be less than or equal to 1.",
            id="a value of the shadow window",
        ),
        pytest.param(
            "critical:\n  gates: {slice_gate: {alpha: 0.01, small: {flor: 1}}}",
            "critical.gates.slice_gate.small.flor is not a field; allowed are: floor, min_rows, under_support. "
            "Did you mean 'floor'?",
            id="a field of a nested block",
        ),
    ],
)
def test_a_wrong_default_is_named_and_breaks_its_tiers_models_only(folder, text, line):
    file = tiers(folder, text)
    declared = folder.read()
    [problem] = problems(declared, file)
    assert line in problem
    assert list(declared.models) == ["other"]
    [told] = problems(declared, folder.root / "models" / "trip_late" / "model.yaml")
    assert (
        told == "include/models/trip_late/model.yaml:4: tier is 'critical', and include/models/tiers.yaml is broken; "
        "mend that file."
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("vital: {}", "vital is not a field; allowed are: critical, standard, experimental.", id="no tier"),
        pytest.param("critical: [", "this is not YAML", id="not YAML"),
        pytest.param("critical: {requester_may_override: perhaps}", "input should be a valid boolean", id="no boolean"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_no_model_because_its_policy_is_not_known(folder, text, line):
    file = tiers(folder, text)
    declared = folder.read()
    assert line in problems(declared, file)[0]
    assert declared.models == {}
    assert sorted(declared.views) == ["station_level", "trip_plan"]


def test_a_gate_that_the_tier_asks_for_and_the_model_does_not_complete_says_who_asks(folder):
    tiers(folder, "critical: {gates: {slice_gate: {alpha: 0.01}}}")
    told = problems(folder.read(), folder.root / "models" / "trip_late" / "model.yaml")
    assert "gates.slice_gate.metric is missing; it has no default." in told[0]
    assert told[0].endswith("include/models/tiers.yaml declares gates.slice_gate for tier 'critical'.")


def test_validate_covers_the_file(folder, capsys):
    tiers(folder, "critical: {gates: {champion_gate: {alpha: 0.7}}}")
    assert main(["validate", "--offline", str(folder.root)]) == 1
    assert "critical.gates.champion_gate.alpha is 0.7; input should be less than 0.5" in capsys.readouterr().out
