"""One label means one class, however it is written."""

from __future__ import annotations

import itertools
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from include.domain import classes as labels

ONE = [1, 1.0, np.int8(1), np.float32(1), "1", "1.0", " 1 ", "1.00", Decimal("1.0"), True, np.True_, "true", "TRUE"]
ONE += ["yes", "Yes", "y", "t"]
NAUGHT = [0, 0.0, np.int8(0), np.float32(0), "0", "0.0", " 0 ", "0.00", Decimal("0.0"), False, np.False_, "false"]
NAUGHT += ["FALSE", "no", "No", "n", "f"]


@pytest.mark.parametrize("declared", [("0", "1"), ("no", "yes"), ("False", "True"), ("0.0", "1.0"), ("n", "y")])
@pytest.mark.parametrize("turned", [False, True], ids=["no first", "yes first"])
def test_f200_every_word_for_yes_is_one_class_and_every_word_for_no_the_other(declared, turned):
    declared = declared[::-1] if turned else declared
    for value, at in [*zip(ONE, itertools.repeat(0 if turned else 1)), *zip(NAUGHT, itertools.repeat(int(turned)))]:
        found, strange = labels.positions(declared, pd.Series([value], dtype=object))
        assert (found.tolist(), strange) == ([at], ()), value


DTYPES = ["int8", "int64", "uint16", "float32", "float64", "Int64", "Float64", "str", "category", "object", "decimal"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("declared", [("1", "2", "3"), ("3.0", "1.0", "2.0"), ("2", "3", "1")])
def test_f200_numbers_of_every_type_have_the_same_positions(dtype, declared):
    values = np.array([1, 2, 3, 1, 2, 3, 3])
    if dtype == "decimal":
        column = pd.Series([Decimal(f"{v}.00") for v in values])
    elif dtype == "category":
        column = pd.Series(values).astype(float).astype("category")
    else:
        column = pd.Series(values).astype(dtype)
    found, strange = labels.positions(declared, column)
    wanted = [[float(d) for d in declared].index(v) for v in values]
    assert (found.tolist(), strange) == (wanted, ())


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, "", "  "])
def test_a_missing_label_has_no_position_and_is_not_strange(missing):
    found, strange = labels.positions(("0", "1"), pd.Series([1, missing, 0], dtype=object))
    assert np.isnan(found[1])
    assert found[[0, 2]].tolist() == [1.0, 0.0]
    assert strange == ()


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        pytest.param(("1", "2"), 0, id="a position that is no class"),
        pytest.param(("late", "on_time"), 1, id="a position of named classes"),
        pytest.param(("late", "on_time"), "Late", id="another case"),
        pytest.param(("1", "2"), "01", id="a code with a leading zero"),
        pytest.param(("0", "1"), 0.5, id="a probability"),
        pytest.param(("0", "1"), 2, id="a third number"),
        pytest.param(("0", "1"), np.inf, id="infinity"),
        pytest.param(("a", "b", "c"), True, id="a boolean of three classes"),
        pytest.param(("9007199254740993", "1"), 9007199254740992, id="a neighbour beyond 2^53"),
    ],
)
def test_f200_a_label_that_is_no_class_is_counted_and_never_taken_for_a_position(declared, value):
    found, strange = labels.positions(declared, pd.Series([value, declared[0], value], dtype=object))
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == 0
    assert [(s.value, s.rows) for s in strange] == [(value, 2)]


def test_a_refusal_names_values_rows_the_allowed_and_what_was_meant():
    strange = labels.positions(("late", "on_time"), pd.Series(["Late", "Late", "lost", "late", None]))[1]
    assert labels.refused("y", strange, ("late", "on_time")) == (
        "Label 'y' has 'Late' (2 rows), 'lost' (1 row); the classes are: late, on_time. Did you mean 'late' for 'Late'?"
    )


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        (("1", "1.0"), "'1' and '1.0' are the same label"),
        (("a", "b", " a"), "'a' and ' a' are the same label"),
        (("0", "no"), "'0' and 'no' both mean no"),
        (("yes", "TRUE"), "both mean yes"),
        (("a", ""), "empty"),
    ],
)
def test_f200_two_spellings_of_one_class_conflict(declared, why):
    assert why in str(labels.conflict(declared))


@pytest.mark.parametrize(
    "declared", [("0", "1"), ("t", "y"), ("t", "f", "y", "n"), ("A", "a"), ("1", "01"), ("-1", "1")]
)
def test_classes_that_can_be_told_apart_do_not_conflict(declared):
    assert labels.conflict(declared) is None


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([1.0, 0.0, 1.0], ("0", "1")),
        (["yes", "no", "yes"], ("no", "yes")),
        (["true", "false", "false"], ("false", "true")),
        ([True, False], ("false", "true")),
        (["10", "9", "9.0"], ("9", "10")),
        ([100.0, 2.5, 1e20], ("2.5", "100", "1E+20")),
        (["b", "a", None, ""], ("a", "b")),
        (["y", "n", "n"], ("n", "y")),
    ],
)
def test_undeclared_classes_are_found_in_a_stated_order(values, names):
    assert labels.found_in(pd.Series(values, dtype=object)).names == names


def test_f200_a_class_written_in_several_ways_is_one_and_its_spellings_are_named():
    found = labels.found_in(pd.Series(["1", "1", "1.0", "yes", "0", "no"], dtype=object))
    assert found.names == ("0", "1")
    assert found.spellings == {"0": ("'0'", "'no'"), "1": ("'1'", "'1.0'", "'yes'")}


def test_names_that_differ_in_case_only_are_found():
    assert labels.same_but_for_capitals(["late", "on_time", "Late"]) == ("late", "Late")
    assert labels.same_but_for_capitals(["late", "on_time"]) is None
