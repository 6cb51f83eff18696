"""How a column is cut into groups: its values, or its quartiles where it is a number of many values."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pandas as pd
import pytest

from include.domain.gates.grouping import MAX_NUMBERS, MISSING, group


def test_the_largest_group_is_first_and_equal_ones_follow_their_names():
    found = group("origin", ["LGA", "JFK", "EWR", "JFK", "LGA", "BOS"])
    assert found.names == ("JFK", "LGA", "BOS", "EWR")
    assert found.sizes.tolist() == [2, 2, 1, 1]
    assert [found.names[code] for code in found.codes] == ["LGA", "JFK", "EWR", "JFK", "LGA", "BOS"]


def test_a_group_knows_its_rows_and_its_name():
    found = group("origin", ["JFK", "LGA", "JFK"])
    assert found.rows_of(0).tolist() == [True, False, True]
    assert found.rows_of(1).tolist() == [False, True, False]
    assert found.name_of(1) == "origin=LGA"


@pytest.mark.parametrize("values", [["a", None, "b"], [1.0, nan, 2.0], pd.Series(["a", pd.NA, "b"], index=[7, 8, 9])])
def test_missing_values_are_a_group_of_their_own(values):
    found = group("x", values)
    assert found.names[found.codes[1]] == MISSING
    assert len(found.names) == 3


def test_a_column_without_rows_has_no_groups():
    found = group("x", [])
    assert (found.names, found.codes.tolist(), found.sizes.tolist()) == ((), [], [])


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([3.0, 3.0, 1.5], ("3", "1.5")),
        (np.array([3, 3, 1]), ("3", "1")),
        ([True, True, False], ("True", "False")),
    ],
)
def test_few_numbers_are_named_as_they_are_written(values, names):
    assert group("x", values).names == names


def test_a_name_of_more_than_40_characters_is_cut():
    whole, longer = "a" * 40, "b" * 41
    assert group("x", [whole, whole, longer]).names == (whole, "b" * 39 + "…")


def test_twelve_numbers_are_groups_and_thirteen_are_cut_at_their_quartiles():
    assert len(group("x", np.arange(MAX_NUMBERS, dtype=float)).names) == 12
    assert len(group("x", np.arange(MAX_NUMBERS + 1, dtype=float)).names) == 4


def test_texts_are_never_cut_at_quartiles_however_many_there_are():
    assert len(group("x", [f"text {i}" for i in range(20)]).names) == 20


def test_a_number_at_a_quartile_is_in_the_band_above_it_and_the_largest_in_the_last():
    found = group("x", np.arange(17.0))
    assert set(found.names) == {"[0, 4)", "[4, 8)", "[8, 12)", "[12, 16]"}
    of = [found.names[code] for code in found.codes]
    assert (of[0], of[3], of[4], of[8], of[11], of[12], of[16]) == (
        "[0, 4)",
        "[0, 4)",
        "[4, 8)",
        "[8, 12)",
        "[8, 12)",
        "[12, 16]",
        "[12, 16]",
    )


def test_missing_and_infinite_numbers_are_in_no_band():
    found = group("x", [*np.arange(17.0), nan, inf, -inf])
    of = [found.names[code] for code in found.codes]
    assert of[17:] == [MISSING, "(infinite)", "(infinite)"]
    assert found.sizes.sum() == 20
    assert {"[0, 4)", "[12, 16]"} <= set(found.names)


def test_quartiles_that_are_one_number_make_one_band():
    found = group("x", [*np.zeros(40), *np.arange(1.0, 14.0)])
    assert found.names == ("[0, 13]",)
