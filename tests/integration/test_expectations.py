"""Great Expectations, as far as Slipway relies on it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd
import pytest

from include.adapters.expectations import ExpectationOutcome, ExpectationUnusable, validate
from include.config.views import Expectation

FRAME = pd.DataFrame({"level": [1.0, 2.0, None, 50.0], "station": ["a", "b", "c", "a"]})


def expects(expectation: str, severity: str = "critical", **kwargs: object) -> Expectation:
    return Expectation.model_validate({"expectation": expectation, "kwargs": kwargs, "severity": severity})


def test_results_come_back_in_the_order_they_were_declared_with_what_was_seen():
    low = expects("expect_column_values_to_be_between", column="level", min_value=0, max_value=10)
    known = expects("expect_column_values_to_be_in_set", column="station", value_set=["a", "b", "c"])
    many = expects("expect_table_row_count_to_be_between", "warning", min_value=10)
    results = validate(FRAME, [many, low, known], "levels")
    assert [(r.outcome, r.severity) for r in results] == [
        (ExpectationOutcome.UNMET, "warning"),
        (ExpectationOutcome.UNMET, "critical"),
        (ExpectationOutcome.MET, "critical"),
    ]
    assert results[0].observed == "observed 4"
    assert results[1].share == pytest.approx(1 / 3)  # of the three values that are there: missing ones are not judged
    assert results[1].observed == "1 of 4 values, for example 50.0"


def test_f049_an_expectation_that_raises_is_broken_and_not_unmet():
    results = validate(FRAME, [expects("expect_column_values_to_be_between", column="height", min_value=0)], "levels")
    assert results[0].outcome is ExpectationOutcome.BROKEN
    assert '"height"' in results[0].observed


def test_the_same_expectation_twice_gives_two_results():
    twice = [expects("expect_column_values_to_be_between", column="level", max_value=top) for top in (10, 100)]
    assert [r.outcome for r in validate(FRAME, twice, "levels")] == [ExpectationOutcome.UNMET, ExpectationOutcome.MET]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        pytest.param(expects("expect_nothing"), "has none of this name", id="unknown"),
        pytest.param(expects("expect_column_values_to_be_between", colum="level"), "colum", id="argument"),
        pytest.param(expects("expect_column_values_to_be_between", column="level"), "cannot both be None", id="bounds"),
    ],
)
def test_an_expectation_that_cannot_be_used_is_named(declared, message):
    with pytest.raises(ExpectationUnusable, match=message) as caught:
        validate(FRAME, [declared], "levels")
    assert declared.expectation in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_was_not_met_is_a_page_that_fetches_nothing_and_what_was_met_takes_it_away():
    pages: list[str | None] = []
    frame = pd.DataFrame({"level": [1.0, 5.0], "station": ["<script>alert(1)</script>", "b"]})
    bound = expects("expect_column_values_to_be_between", column="level", max_value=2)
    known = expects("expect_column_values_to_be_in_set", column="station", value_set=["b"])

    def keep(rendered: Callable[[], str] | None) -> None:
        pages.append(rendered() if rendered else None)

    validate(frame, [bound, known], "levels", keep)
    validate(frame.iloc[:1], [bound], "levels", keep)
    page, none = pages
    assert none is None
    assert page is not None
    assert "level" in page
    assert not re.search(r"<(script|link|img|iframe|base|meta)", page, re.IGNORECASE)
