"""``slipway simulate --advise``: settings tried on the first part of a past, and what the rest says of the best."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from simulated_tables import ESTIMATOR, KINDS, a_table

from include import cli
from include.domain.simulation.advice import AdviceAnswer, GainOverDays
from include.workflows.simulation import advice_shown
from include.workflows.simulation.advise import HARDLY_EVER, Advice, advise
from include.workflows.simulation.run import range_of
from include.workflows.simulation.settings import TableModel, declared_for, variants
from include.workflows.simulation.stream import Columns, from_frame

FEW_ROWS = ["drift.performance.min_rows=100", "shadow.min_rows=100"]


def advice_on(table, *settings: str, price: float | None = 0.5) -> Advice:
    past = from_frame(table, Columns("t", "y"), KINDS, classifier=True)
    given = TableModel(ESTIMATOR, {}, "y", timedelta(days=2), train_days=20, holdout_days=7)
    model = variants(declared_for(given, past.stream), [[*FEW_ROWS, *settings]], None)[1].model
    stream = past.delayed(model.label.delay)
    return advise("a table", model, None, stream, range_of(stream, model, None, None), price=price)


@pytest.fixture(scope="module")
def quiet() -> Advice:
    return advice_on(a_table(90))


@pytest.fixture(scope="module")
def blind() -> Advice:
    """What the label follows turns slowly from ``a`` to its opposite, and a tolerance hides it."""
    table = a_table(120)
    angle = np.pi * np.arange(len(table)) / len(table)
    p = 1 / (1 + np.exp(-2.5 * (np.cos(angle) * table["a"] + np.sin(angle) * table["b"])))
    table["y"] = (np.random.default_rng(4).random(len(table)) < p).astype(int)
    return advice_on(table, "drift.performance.tolerance=0.9", "drift.estimated.acts=false")


def test_on_a_past_without_drift_what_is_declared_is_kept(quiet):
    assert quiet.answer in (AdviceAnswer.KEEP, AdviceAnswer.NOT_SHOWN)
    assert quiet.settings == ()
    assert "Advice: keep what is declared." in "\n".join(advice_shown.as_lines(quiet))


def test_windows_tolerances_and_cadences_are_tried_and_never_retraining_too(quiet):
    names = [t.name for t in quiet.trials]
    assert names[:3] == ["declared", "training.window_days=10", "training.window_days=40"]
    assert any("drift.performance.tolerance=5%" in name for name in names)
    assert any("training.schedule=0 6 1 * *" in name for name in names)
    assert names[-1] == "never retrain"
    assert len(names) <= 10


def test_the_days_that_confirm_come_after_those_that_choose(quiet):
    assert quiet.chosen_on.end == quiet.confirmed_on.start


def test_where_the_declared_policy_sleeps_through_a_turn_a_cadence_is_advised(blind):
    assert blind.answer is AdviceAnswer.CHANGE
    assert any(s.startswith("training.schedule=") for s in blind.settings)
    lines = advice_shown.as_lines(blind)
    at = next(i for i, line in enumerate(lines) if line.startswith("Advice: change the declaration."))
    declared = yaml.safe_load("\n".join(lines[at + 1 :]))
    assert declared["training"]["schedule"].startswith("0 6 ")


def test_what_is_not_shown_by_the_rest_is_not_advised_and_never_has_its_own_words(blind):
    unsure = replace(blind, gain=GainOverDays(3.0, -1.0, 7.0, 40, 0.1))
    assert "it is not shown to be cheaper" in "\n".join(advice_shown.as_lines(unsure))
    assert unsure.settings == ()
    never = replace(blind, chosen=blind.trials[-1])
    assert never.settings == HARDLY_EVER
    assert "Advice: do not retrain by itself." in "\n".join(advice_shown.as_lines(never))


def test_the_command_answers_in_words_and_in_json_and_refuses_what_it_chooses_itself(
    tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    a_table(85).to_parquet(tmp_path / "s.parquet")
    asked = ["simulate", "--data", str(tmp_path / "s.parquet"), "--time", "t", "--label", "y", "--estimator", ESTIMATOR]
    asked += ["--train-window", "20d", "--holdout", "7d", "--advise"]
    assert cli.main([*asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["trials"][0]["name"] == "declared"
    assert said["answer"] in ("keep", "not_shown", "change")
    for more in (["--set", "training.seed=1"], ["--plot", "a.png"], ["--every", "7"]):
        assert cli.main([*asked, *more]) == 64
        assert f"{more[0]} is not for --advise" in capsys.readouterr().err
    assert cli.main([*asked, "--to", "2024-03-01"]) == 64
    assert "--advise needs 50 days" in capsys.readouterr().err
