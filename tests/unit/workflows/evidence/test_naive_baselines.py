"""The naive baseline of a regression may look at the past, and never at what was not known yet."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from selftest_models import REGRESSION, declared

from include.config.loader import BadDeclaration, checked_declaration
from include.workflows.evidence.baselines import LabelledRows, naive_baseline

HOURS = pd.date_range("2024-03-01", periods=24 * 30, freq="h", tz="UTC")
VALUE = 100 + 10 * np.sin(np.arange(len(HOURS)) * 2 * np.pi / 24) + np.arange(len(HOURS)) / 50
LEARNED = 24 * 20


def answers(tmp_path, *, delay="2h", lead="1h", value=VALUE, regions=1, **baseline):
    base = deepcopy(REGRESSION)
    base["label"]["delay"], base["entity"]["lead"] = delay, lead
    base["gates"]["champion_gate"] |= {"baseline_by": ["region"] if regions > 1 else [], **baseline}
    rows = pd.DataFrame({"region": np.arange(len(value)) % regions})
    parts = [slice(0, LEARNED), slice(LEARNED, None)]
    sets = [LabelledRows(rows.iloc[part], value[part], pd.Series(HOURS[part])) for part in parts]
    with declared(tmp_path, base) as known:
        return naive_baseline(known.model(base["name"]), *sets)


def test_the_last_value_is_the_newest_that_had_matured_when_the_row_was_asked_for(tmp_path):
    found = answers(tmp_path, baseline="last_value")
    assert found == pytest.approx(VALUE[LEARNED - 3 : -3])  # two hours until a label is known, one of lead


def test_a_seasonal_value_is_of_the_same_hour_of_the_last_day_that_was_known(tmp_path):
    yesterday = answers(tmp_path, baseline="seasonal_naive", baseline_season="1d")
    assert yesterday == pytest.approx(VALUE[LEARNED - 24 : -24])
    before = answers(tmp_path, baseline="seasonal_naive", baseline_season="1d", delay="30h")
    assert before == pytest.approx(VALUE[LEARNED - 48 : -48])


def test_no_label_that_had_not_matured_is_looked_at(tmp_path):
    for declared_as in ({"baseline": "last_value"}, {"baseline": "seasonal_naive", "baseline_season": "1d"}):
        usual = answers(tmp_path, **declared_as, delay="30h")
        newest = np.where(np.arange(len(VALUE)) > len(VALUE) - 32, 1e9, VALUE)  # those known after the last was asked
        assert answers(tmp_path, **declared_as, delay="30h", value=newest) == pytest.approx(usual)


def test_each_group_has_a_past_of_its_own(tmp_path):
    found = answers(tmp_path, baseline="last_value", regions=2)
    assert found == pytest.approx(VALUE[LEARNED - 4 : -4])  # every second hour is of the same region


def test_a_row_without_a_past_gets_the_mean_and_that_is_said(tmp_path, capsys):
    found = answers(tmp_path, baseline="seasonal_naive", baseline_season="25d")
    assert np.unique(found[:100]) == pytest.approx(VALUE[:LEARNED].mean())
    assert "had no matured label for 120 of 240 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"baseline": "seasonal_naive"}, "baseline_season is missing; seasonal_naive needs one, such as 7d"),
        (
            {"baseline": "last_value", "baseline_season": "7d"},
            "baseline_season is given, and baseline is last_value; only seasonal_naive has one",
        ),
        ({"baseline": "seasonal_naive", "baseline_season": "0d"}, "baseline_season is not above zero"),
    ],
)
def test_a_season_is_declared_with_what_needs_it(tmp_path, gate, said):
    with pytest.raises(BadDeclaration, match=said):
        checked_declaration(with_gate(REGRESSION, gate), tmp_path)


def test_a_classifier_has_no_last_value(tmp_path):
    from selftest_models import BINARY

    with pytest.raises(BadDeclaration, match="baseline is last_value; a binary model's is mean, only a regression has"):
        checked_declaration(with_gate(BINARY, {"baseline": "last_value"}), tmp_path)


def with_gate(base, gate):
    changed = deepcopy(base)
    changed["gates"]["champion_gate"] |= gate
    return changed


def test_the_means_are_what_they_were(tmp_path):
    found = answers(tmp_path, regions=3)
    groups = np.arange(len(VALUE)) % 3
    assert found[:3] == pytest.approx([VALUE[:LEARNED][groups[:LEARNED] == g].mean() for g in groups[LEARNED:][:3]])
