"""The smoke gate: the registered artifact in a fresh process answers, and answers what evaluate saw."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan, nextafter

import numpy as np
import pytest

from include.domain.gates import Mode, Probe, SmokeEvidence, SmokeRules, Verdict, smoke_gate
from include.domain.metrics import Task

SCORES = np.linspace(0.05, 0.95, 100)


def probe(name, answers=SCORES, *, asked=None, errors=None):
    return Probe(name, len(answers) if asked is None else asked, np.asarray(answers), errors or {})


GOOD = SmokeEvidence(
    Task.BINARY, None, probe("real rows"), SCORES, (probe("missing values"), probe("unseen categories"))
)


def judged(evidence, **rules):
    return smoke_gate(SmokeRules(**rules), evidence, mode=Mode.BLOCKING)


def failed(result):
    return [c.criterion for c in result.criteria if c.verdict is Verdict.FAIL]


def test_an_artifact_that_answers_as_it_did_passes():
    assert judged(GOOD).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "error", ["ModuleNotFoundError: No module named 'lightgbm'", "UntrustedTypesFoundException: os.system"]
)
def test_f069_f070_an_artifact_that_cannot_be_loaded_fails_with_the_error(error):
    result = judged(replace(GOOD, load_error=error))
    assert (result.verdict, error in result.reason) == (Verdict.FAIL, True)


def test_no_process_no_evidence():
    assert judged(None).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("difference", "expected"), [(1e-6, Verdict.PASS), (nextafter(1e-6, 1), Verdict.FAIL), (nan, Verdict.FAIL)]
)
def test_f050_the_tolerated_difference_is_inclusive(difference, expected):
    zeros = np.zeros(100)
    answers = np.where(np.arange(100) == 3, difference, zeros)
    assert judged(replace(GOOD, real=probe("real rows", answers), expected=zeros)).verdict is expected


def test_answers_that_differ_from_what_was_judged_fail_and_are_counted():
    answers = np.where(np.arange(100) < 30, SCORES + 0.01, SCORES)
    result = judged(replace(GOOD, real=probe("real rows", answers)))
    assert failed(result) == ["difference to evaluate"]
    assert "answers 30 of 100 rows differently from the model that was judged, by up to 0.01" in result.reason


def test_answers_in_another_order_fail():
    assert judged(replace(GOOD, real=probe("real rows", SCORES[::-1]))).verdict is Verdict.FAIL


@pytest.mark.parametrize("value", [nan, inf, -0.1, 1.1], ids=str)
def test_f076_an_answer_that_is_no_probability_fails(value):
    answers = np.where(np.arange(100) == 0, value, SCORES)
    result = judged(replace(GOOD, others=(probe("missing values", answers), probe("unseen categories"))))
    assert failed(result) == ["missing values, unanswered"]
    assert result.reason == "Of 100 missing values were answered: 1 with what is not a probability."


def test_a_regression_may_answer_any_number_but_none_that_is_not_finite():
    minutes = replace(GOOD, task=Task.REGRESSION, real=probe("real rows", SCORES * 400), expected=SCORES * 400)
    assert judged(minutes).verdict is Verdict.PASS
    assert judged(replace(minutes, others=(probe("missing values", [inf]), probe("unseen categories")))).verdict is (
        Verdict.FAIL
    )


def test_class_probabilities_must_add_up():
    thirds = np.full((50, 3), 1 / 3)
    many = SmokeEvidence(
        Task.MULTICLASS,
        None,
        probe("real rows", thirds),
        thirds,
        (probe("missing values", thirds), probe("unseen categories", thirds)),
    )
    assert judged(many).verdict is Verdict.PASS
    assert judged(replace(many, others=(probe("missing values", thirds * 1.1), many.others[1]))).verdict is Verdict.FAIL


def test_an_exception_on_half_a_percent_of_the_rows_fails_with_its_message():
    rows = 200
    real = probe("real rows", np.full(rows - 1, 0.5), asked=rows, errors={"ValueError: negative\n  delay": 1})
    result = judged(replace(GOOD, real=real, expected=np.full(rows, 0.5)))
    assert failed(result) == ["real rows, unanswered"]
    assert result.reason == "Of 200 real rows were answered: 1 with ValueError: negative delay."


def test_rows_that_got_no_answer_at_all_fail():
    result = judged(replace(GOOD, others=(probe("missing values", SCORES[:90], asked=100), probe("unseen categories"))))
    assert "10 not at all" in result.reason


@pytest.mark.parametrize("left", [(), (probe("missing values"),)], ids=["none", "one of two"])
def test_a_question_that_was_not_asked_is_no_evidence(left):
    assert judged(replace(GOOD, others=left)).verdict is Verdict.INCONCLUSIVE


def test_too_few_real_rows_are_no_evidence():
    few = replace(GOOD, real=probe("real rows", SCORES[:9]), expected=SCORES[:9])
    assert judged(few, min_rows=10).verdict is Verdict.INCONCLUSIVE


def test_without_what_evaluate_saw_nothing_can_be_compared():
    assert judged(replace(GOOD, expected=None)).verdict is Verdict.INCONCLUSIVE
    assert judged(replace(GOOD, expected=SCORES[:50])).verdict is Verdict.INCONCLUSIVE


def test_a_flood_of_different_errors_stays_one_line():
    errors = {f"KeyError: {i}" * 100: 1 for i in range(50)}
    result = judged(replace(GOOD, real=probe("real rows", SCORES[:50], asked=100, errors=errors)))
    assert (len(result.reason) < 800, "47 with other errors" in result.reason) == (True, True)


@pytest.mark.parametrize(("rows", "expected"), [(10, Verdict.PASS), (9, Verdict.INCONCLUSIVE)])
def test_where_no_number_is_declared_ten_real_rows_are_enough(rows, expected):
    assert judged(replace(GOOD, real=probe("real rows", SCORES[:rows]), expected=SCORES[:rows])).verdict is expected


def test_loading_takes_no_rows():
    for evidence in (GOOD, replace(GOOD, load_error="it is gone"), None):
        assert judged(evidence).criteria[0].rows == 0


def test_a_probe_that_was_asked_nothing_is_named():
    result = judged(replace(GOOD, others=(probe("missing values", []), probe("unseen categories"))))
    assert "no missing values were asked" in result.reason


def test_certainty_is_a_probability():
    sure = np.where(np.arange(100) % 2, 1.0, 0.0)
    assert judged(replace(GOOD, real=probe("real rows", sure), expected=sure)).verdict is Verdict.PASS


def three_classes(answers, expected):
    others = tuple(probe(name, expected) for name in ("missing values", "unseen categories"))
    return SmokeEvidence(Task.MULTICLASS, None, probe("real rows", answers), np.asarray(expected), others)


def test_one_class_without_a_probability_spoils_its_row_though_all_add_up():
    thirds = np.full((20, 3), 1 / 3)
    spoiled = thirds.copy()
    spoiled[0] = [-0.1, 0.6, 0.5]
    assert "1 with what is not a probability" in judged(three_classes(spoiled, spoiled)).criteria[1].reason


def test_a_row_that_moved_in_one_class_is_one_row_and_what_is_tolerated_is_none():
    zeros = np.zeros((20, 3))
    moved = zeros.copy()
    moved[3, 1], moved[5, 1], moved[4, 2] = 0.5, 0.5, 1e-6
    assert "answers 2 of 20 rows differently" in judged(three_classes(moved, zeros)).criteria[2].reason


def test_more_answers_than_questions_excuse_no_bad_one():
    answers = np.where(np.arange(100) == 0, nan, SCORES)
    odd = replace(GOOD, others=(probe("missing values", answers, asked=99), probe("unseen categories")))
    assert failed(judged(odd)) == ["missing values, unanswered"]


@pytest.mark.parametrize(("kinds", "others"), [(3, False), (4, True)])
def test_three_kinds_of_errors_are_named(kinds, others):
    errors = {f"error {i}": 1 for i in range(kinds)}
    result = judged(replace(GOOD, real=probe("real rows", SCORES[:90], asked=90 + kinds, errors=errors)))
    assert ("with other errors" in result.criteria[1].reason) is others


@pytest.mark.parametrize(
    ("message", "shown"), [("x" * 200, "x" * 200), ("x" * 201, "x" * 199 + "…"), ("", "an error without a message")]
)
def test_an_error_is_shown_in_two_hundred_characters(message, shown):
    assert judged(replace(GOOD, load_error=message)).reason.endswith(f"in a fresh process: {shown}")
