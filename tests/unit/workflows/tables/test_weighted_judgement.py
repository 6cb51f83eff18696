"""``slipway judge --weight``: rows of a file count by a column, in every number and every bound on rows."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import brier_score_loss

from include.cli import main

ROWS = 3000
GATES = {
    "threshold_gate": {"min_rows": 500, "criteria": [{"metric": "brier", "at_most": 0.25}]},
    "champion_gate": {
        "min_rows": 500,
        "comparisons": [{"metric": "brier", "margin": 0.01}],
        "beat_baseline_on": "brier",
        "resamples": 200,
    },
}


def predictions():
    rng = np.random.default_rng(4)
    p = rng.beta(2, 4, ROWS)
    y = (rng.random(ROWS) < p).astype(int)
    champion = np.clip(p + 0.05 * rng.standard_normal(ROWS), 0, 1)
    return pd.DataFrame(
        {
            "y": y,
            "new": np.clip(p + 0.05 * rng.standard_normal(ROWS), 0, 1),
            "old": champion,
            "amount": rng.gamma(2.0, 50.0, ROWS),
            "at": pd.date_range("2024-03-01", periods=ROWS, freq="6min").astype(str),
            "region": np.arange(ROWS) % 3,
        }
    )


@pytest.fixture
def ask(tmp_path, capsys):
    def asked(frame, *more, gates=GATES):
        frame.to_csv(tmp_path / "rows.csv", index=False)
        (tmp_path / "gates.yaml").write_text(yaml.safe_dump(gates), encoding="utf-8")
        files = ["--data", str(tmp_path / "rows.csv"), "--gates", str(tmp_path / "gates.yaml")]
        code = main(["judge", *files, "--label", "y", "--candidate", "new", "--champion", "old", *more])
        said = capsys.readouterr()
        return code, said.out + said.err

    return asked


def criteria(said, gate):
    found = next(g for g in json.loads(said)["gates"] if g["gate"] == gate)
    return {c["criterion"]: c for c in found["criteria"]}


def test_the_numbers_are_those_of_weighted_rows(ask):
    frame = predictions()
    code, said = ask(frame, "--weight", "amount", "--time", "at", "--json")
    assert code == 0
    expected = brier_score_loss(frame.y, frame.new, sample_weight=frame.amount)
    assert criteria(said, "threshold_gate")["brier"]["measured"] == pytest.approx(expected)
    compared = criteria(said, "champion_gate")["brier"]
    assert compared["champion"] == pytest.approx(brier_score_loss(frame.y, frame.old, sample_weight=frame.amount))
    baseline = criteria(said, "champion_gate")["baseline brier"]["baseline"]
    mean = np.average(frame.y, weights=frame.amount)
    assert baseline == pytest.approx(mean * (1 - mean))
    assert expected != pytest.approx(brier_score_loss(frame.y, frame.new), abs=1e-5)


def test_the_sum_and_the_effective_number_are_said_and_rows_of_weight_zero_are_left_out(ask):
    frame = predictions().assign(amount=lambda f: f.amount.round(2).where(f.index >= 100, 0.0))
    _, said = ask(frame, "--weight", "amount")
    worth = frame.amount.sum() ** 2 / (frame.amount**2).sum()
    assert f"Rows count by amount: it sums to {frame.amount.sum():,.6g} over 3,000 rows, which are worth" in said
    assert f"{worth:,.1f} of equal weight. 100 rows have the weight 0 and are left out." in said
    _, without = ask(frame[frame.amount > 0], "--weight", "amount")
    first = "brier"
    assert [line for line in said.splitlines() if line.startswith(first)] == [
        line for line in without.splitlines() if line.startswith(first)
    ]


def test_few_effective_rows_are_inconclusive_however_many_lines_the_file_has(ask):
    frame = predictions().assign(amount=lambda f: np.where(f.index < 50, 1000.0, 0.001))
    code, said = ask(frame, "--weight", "amount")
    assert code == 2
    assert "brier was compared on 50 rows; at least 500 are needed." in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"amount": -1.0},
            "amount of row 1 is -1 (and of 2,999 other rows); a weight is a finite number of 0 or more.",
        ),
        ({"amount": np.nan}, "amount of row 1 is nan (and of 2,999 other rows)"),
        ({"amount": "heavy"}, "amount holds values that are no numbers; a weight is a number of 0 or more."),
        ({"amount": 0}, "amount is 0 in all 3,000 rows; then nothing counts."),
    ],
    ids=["below zero", "missing", "text", "all zero"],
)
def test_a_weight_that_cannot_be_used_is_one_line(ask, change, words):
    code, said = ask(predictions().assign(**change), "--weight", "amount")
    assert (code, said.count("\n")) == (64, 1)
    assert words in said


def test_a_column_that_is_not_there_is_named(ask):
    code, said = ask(predictions(), "--weight", "amuont")
    assert code == 64
    assert "amuont" in said


def test_slices_count_by_the_weights_of_their_rows(ask):
    sliced = {
        **GATES,
        "slice_gate": {"by": ["region"], "metric": "brier", "strict": {"margin": 0.02}, "small": {"floor": 0.05}},
    }
    frame = predictions()
    code, said = ask(frame, "--weight", "amount", "--json", gates=sliced)
    assert code != 64
    first = frame[frame.region == 0]
    expected = brier_score_loss(first.y, first.new, sample_weight=first.amount)
    assert criteria(said, "slice_gate")["region=0 brier"]["measured"] == pytest.approx(expected)
