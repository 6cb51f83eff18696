"""Keys that were renamed: a declaration with the former name goes on working, and validate says the one it has now."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from selftest_models import BINARY, LABEL_SQL, VIEW, VIEW_SQL, with_gates

from include import cli
from include.config import read_declarations
from include.config.declared import BadDeclaration
from include.workflows.simulation.settings import variants

NEW = with_gates(BINARY, leakage_gate={"auc_at_most": 0.9})
OLD = with_gates(BINARY, leakage_gate=None, leakage={"auc_at_most": 0.9})


def write(root: Path, model: dict[str, Any], tiers: dict[str, Any] | None = None) -> Path:
    """The folder of a declaration, with one view and one model."""
    view, folder = root / "features/claim", root / "models" / model["name"]
    for made in (view, folder):
        made.mkdir(parents=True)
    (view / "view.yaml").write_text(yaml.safe_dump(VIEW), encoding="utf-8")
    (view / "features.sql").write_text(VIEW_SQL, encoding="utf-8")
    (folder / "model.yaml").write_text(yaml.safe_dump(model), encoding="utf-8")
    (folder / "label.sql").write_text(LABEL_SQL, encoding="utf-8")
    if tiers is not None:
        (root / "models/tiers.yaml").write_text(yaml.safe_dump(tiers), encoding="utf-8")
    return root


def line_with(file: Path, text: str) -> int:
    return next(n for n, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if text in line)


def read(root: Path):
    found = read_declarations(root)
    assert not found.broken
    return found.models["fraud"]


def test_the_former_key_declares_the_same_gate(tmp_path):
    assert read(write(tmp_path / "old", OLD)).gates == read(write(tmp_path / "new", NEW)).gates


def test_a_former_key_over_a_tiers_new_one_is_one_gate_and_the_models_value_wins(tmp_path):
    tiers = {"standard": {"gates": {"leakage_gate": {"auc_at_most": 0.8, "r2_at_most": 0.7}}}}
    gate = read(write(tmp_path, OLD, tiers)).gates.leakage_gate
    assert (gate.auc_at_most, gate.r2_at_most) == (0.9, 0.7)


def test_a_former_key_of_a_tier_is_the_default_below_a_models_new_one(tmp_path):
    tiers = {"standard": {"gates": {"leakage": {"auc_at_most": 0.8, "r2_at_most": 0.7}}}}
    gate = read(write(tmp_path, NEW, tiers)).gates.leakage_gate
    assert (gate.auc_at_most, gate.r2_at_most) == (0.9, 0.7)


def test_a_gate_under_both_of_its_names_is_refused_at_the_former_ones_line(tmp_path):
    root = write(tmp_path, with_gates(OLD, leakage_gate={}))
    [(file, error)] = read_declarations(root).broken.items()
    assert isinstance(error, BadDeclaration)
    assert error.problems == [
        f"{file}:{line_with(file, '  leakage:')}: leakage is the former name of leakage_gate, and both are given; "
        "leave leakage out."
    ]


def test_a_wrong_value_under_the_former_key_is_named_at_its_own_line(tmp_path):
    root = write(tmp_path, with_gates(OLD, leakage={"auc_at_most": 7}))
    [(file, error)] = read_declarations(root).broken.items()
    [problem] = error.problems
    assert problem.startswith(f"{file}:{line_with(file, 'auc_at_most: 7')}: gates.leakage_gate.auc_at_most is 7; ")


@pytest.mark.parametrize("model", [OLD, NEW], ids=["former", "now"])
def test_validate_notes_a_former_key_and_is_green(model, tmp_path, capsys):
    root = write(tmp_path, copy.deepcopy(model))
    assert cli.main(["validate", "--offline", str(root)]) == 0
    noted = [line for line in capsys.readouterr().out.splitlines() if "is called" in line]
    file = root / "models/fraud/model.yaml"
    place = f"{file}:{line_with(file, '  leakage')}"
    note = f"note: {place}: gates.leakage is called leakage_gate now; it is read all the same."
    assert noted == ([note] if model is OLD else [])


def test_validate_notes_a_former_key_of_a_tier(tmp_path, capsys):
    root = write(tmp_path, NEW, {"critical": {"gates": {"leakage": {}}}})
    assert cli.main(["validate", "--offline", str(root)]) == 0
    assert "tiers.yaml:3: critical.gates.leakage is called leakage_gate now" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["gates.leakage.auc_at_most", "gates.leakage_gate.auc_at_most"])
def test_set_of_a_simulation_takes_both_names(path, tmp_path):
    changed = variants(read(write(tmp_path, NEW)), [[f"{path}=0.7"]], None)[1]
    assert changed.model.gates.leakage_gate.auc_at_most == 0.7
    assert changed.name == "gates.leakage_gate.auc_at_most=0.7"
