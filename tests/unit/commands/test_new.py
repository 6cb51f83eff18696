"""``slipway new model`` writes what ``slipway validate`` accepts, and never over anything."""

from __future__ import annotations

import shutil

import pytest

from include.cli import main
from include.config import read_declarations
from include.config.settings import PROJECT


@pytest.fixture
def root(tmp_path):
    """A folder with the project's feature views and no model."""
    shutil.copytree(PROJECT / "include/features", tmp_path / "features")
    return tmp_path


@pytest.mark.parametrize("view", sorted(f.parent.name for f in (PROJECT / "include/features").glob("*/view.yaml")))
def test_what_it_writes_is_valid_for_every_view(root, view):
    code = main(["new", "model", "late_baggage", "--view", view, "--folder", str(root)])
    read = read_declarations(root)
    assert code == 0
    assert read.broken == {}
    assert read.models["late_baggage"].entity.view == view


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(["Late Baggage"], "is no name for a model; it is a lower-case letter", id="no name"),
        pytest.param(["../x"], "is no name for a model", id="a path"),
        pytest.param(["m", "--view", "flight_shedule"], "Did you mean 'flight_schedule'?", id="a misspelt view"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(root, capsys, arguments, line):
    assert main(["new", "model", *arguments, "--folder", str(root)]) == 64
    said = capsys.readouterr().err
    assert line in said
    assert len(said.strip().splitlines()) == 1
    assert not (root / "models").exists()


def test_what_is_there_stays(root, capsys):
    assert main(["new", "model", "m", "--folder", str(root)]) == 0
    file = root / "models" / "m" / "model.yaml"
    file.write_text("mine")
    assert main(["new", "model", "m", "--folder", str(root)]) == 64
    assert "is there already" in capsys.readouterr().err
    assert file.read_text() == "mine"
