"""Verdicts: worst wins, what is not known is never a pass, and what is kept can be read again."""

from __future__ import annotations

import itertools
import json
from math import inf, nan, nextafter

import pytest

from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound, known, worst

PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


def criterion(verdict: Verdict, name: str = "roc_auc") -> CriterionResult:
    return CriterionResult(name, verdict, 0.7, ">= 0.65", 1000, f"{name} is {verdict.value}.")


def gate(*verdicts: Verdict) -> GateResult:
    criteria = tuple(criterion(verdict, f"c{number}") for number, verdict in enumerate(verdicts))
    return GateResult("threshold_gate", Mode.BLOCKING, criteria, {"window": "June"})


@pytest.mark.parametrize("verdicts", list(itertools.product(Verdict, repeat=3)))
def test_the_worst_verdict_wins_whatever_the_order(verdicts):
    expected = FAIL if FAIL in verdicts else INCONCLUSIVE if INCONCLUSIVE in verdicts else PASS
    assert worst(verdicts) is expected
    assert gate(*verdicts).verdict is expected


def test_where_nothing_was_judged_nothing_passes():
    assert worst([]) is INCONCLUSIVE
    assert gate().verdict is INCONCLUSIVE
    assert gate().reason == "threshold_gate judged nothing: it has no criteria, so it cannot pass."


def test_the_reason_of_a_gate_is_that_of_the_first_of_its_worst_criteria():
    assert gate(PASS, FAIL, INCONCLUSIVE, FAIL).reason == "c1 is FAIL."
    assert gate(PASS, INCONCLUSIVE).reason == "c1 is INCONCLUSIVE."
    assert gate(PASS, PASS).reason == "c0 is PASS."


@pytest.mark.parametrize(
    ("value", "direction", "expected"),
    [
        pytest.param(0.8, Direction.AT_LEAST, PASS, id="f050 a lower bound is inclusive"),
        pytest.param(nextafter(0.8, 1), Direction.AT_LEAST, PASS, id="f050 one ulp above"),
        pytest.param(nextafter(0.8, 0), Direction.AT_LEAST, FAIL, id="f050 one ulp below"),
        pytest.param(0.8, Direction.AT_MOST, PASS, id="f050 an upper bound is inclusive"),
        pytest.param(nextafter(0.8, 1), Direction.AT_MOST, FAIL, id="f050 one ulp above an upper bound"),
        pytest.param(nan, Direction.AT_LEAST, INCONCLUSIVE, id="f051 nan is not evidence"),
        pytest.param(inf, Direction.AT_LEAST, INCONCLUSIVE, id="f051 infinity is not better than everything"),
        pytest.param(-inf, Direction.AT_MOST, INCONCLUSIVE, id="f051 nor is minus infinity"),
        pytest.param(None, Direction.AT_LEAST, INCONCLUSIVE, id="f051 what was not measured"),
    ],
)
def test_a_value_is_judged_against_an_inclusive_bound(value, direction, expected):
    assert against_bound("brier", value, direction, 0.8, rows=100).verdict is expected


def test_too_few_rows_are_inconclusive_however_good_the_value():
    judged = against_bound("roc_auc", 0.99, Direction.AT_LEAST, 0.65, rows=499, min_rows=500)
    assert judged.verdict is INCONCLUSIVE
    assert judged.reason == "roc_auc was measured on 499 rows; at least 500 are needed."
    assert against_bound("roc_auc", 0.99, Direction.AT_LEAST, 0.65, rows=500, min_rows=500).verdict is PASS


def test_one_row_may_be_judged_where_no_number_is_asked_for_and_no_row_at_all_never():
    assert against_bound("brier", 0.1, Direction.AT_MOST, 0.2, rows=1).verdict is PASS
    assert against_bound("brier", 0.1, Direction.AT_MOST, 0.2, rows=0).verdict is INCONCLUSIVE


def test_a_criterion_says_value_bound_and_rows():
    failed = against_bound("roc_auc", 0.61234, Direction.AT_LEAST, 0.65, rows=12000, champion=0.7, baseline=nan)
    assert failed.reason == "roc_auc 0.6123 is outside its bound >= 0.65 on 12,000 rows."
    assert (failed.allowed, failed.bound, failed.champion, failed.baseline) == (">= 0.65", 0.65, 0.7, None)
    passed = against_bound("mae", 8.5, Direction.AT_MOST, 9.0, rows=10)
    assert passed.reason == "mae 8.5 is within its bound <= 9 on 10 rows."
    unknown = against_bound("roc_auc", nan, Direction.AT_LEAST, 0.65, rows=10)
    assert unknown.reason == "roc_auc could not be measured (nan); that is no evidence."
    assert unknown.measured is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3.0, "3"), (-12000.0, "-12,000"), (999999999999999.0, "999,999,999,999,999"), (1e15, "1e+15"), (-1e15, "-1e+15")],
)
def test_a_whole_number_is_written_out_below_a_thousand_million_million(value, shown):
    assert against_bound("rows", value, Direction.AT_MOST, 0, rows=1).reason.startswith(f"rows {shown} is ")


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0.0), (-1e308, -1e308), (nan, None), (inf, None), (None, None)])
def test_only_finite_numbers_are_known(value, expected):
    assert known(value) == expected


def test_a_result_is_the_same_after_a_way_through_json():
    result = GateResult(
        "champion_gate",
        Mode.ADVISORY,
        (against_bound("brier", 0.14, Direction.AT_MOST, 0.2, rows=100, champion=0.15), criterion(INCONCLUSIVE)),
        {"attempts": 2},
    )
    text = json.dumps(result.as_json(), allow_nan=False)
    again = GateResult.from_json(json.loads(text))
    assert again == result
    assert (again.verdict, again.reason) == (INCONCLUSIVE, "roc_auc is INCONCLUSIVE.")


def test_a_verdict_nobody_knows_is_not_taken_for_a_pass():
    data = gate(PASS).as_json()
    data["criteria"][0]["verdict"] = "PASSED"
    with pytest.raises(ValueError, match="'PASSED' is not a valid Verdict"):
        GateResult.from_json(data)
