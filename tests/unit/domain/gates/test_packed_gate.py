"""The packed form is equal, differs, or is not there; only an equal one names its file."""

from __future__ import annotations

from math import inf

import pytest

from include.domain.gates import GateResult, Mode, PackedEvidence, PackedRules, RowsHeld, Verdict, packed_gate

RULES = PackedRules({"held-out rows": 10, "hard rows": 50})
FILE = {"digest": "ab" * 32, "bytes": 1234}
EQUAL = {"held-out rows": RowsHeld(10, 0, 0.0), "hard rows": RowsHeld(50, 0, 0.0, refused=7)}


def judged(evidence: PackedEvidence | None, mode: Mode = Mode.ADVISORY) -> GateResult:
    return packed_gate(RULES, evidence, mode=mode)


def test_an_equal_form_passes_and_names_its_file():
    result = judged(PackedEvidence(held=EQUAL, file=FILE))
    assert (result.verdict, dict(result.notes)) == (Verdict.PASS, FILE)
    assert "All 50 hard rows are answered to the last bit as by the pipeline; both refuse 7 of them." in [
        c.reason for c in result.criteria
    ]


@pytest.mark.parametrize("kind", ["held-out rows", "hard rows"])
def test_one_row_that_is_answered_otherwise_fails_and_no_file_is_named(kind):
    one = RowsHeld(EQUAL[kind].rows, 1, 2.5e-17)
    result = judged(PackedEvidence(held={**EQUAL, kind: one}, file=FILE))
    assert (result.verdict, dict(result.notes)) == (Verdict.FAIL, {})
    assert result.reason == (
        f"The packed form answers 1 of {one.rows} {kind} otherwise than the pipeline, by up to 2.5e-17. "
        "It is not kept: the pipeline answers, more slowly."
    )


def test_where_the_packed_form_is_demanded_the_reason_says_so():
    held = {**EQUAL, "hard rows": RowsHeld(50, 3, inf)}
    assert judged(PackedEvidence(held=held), Mode.BLOCKING).reason == (
        "The packed form answers 3 of 50 hard rows otherwise than the pipeline, some of them by a number against none. "
        "The declaration demands the packed form."
    )


def test_a_model_without_a_packed_form_is_not_judged_and_the_reason_names_the_part():
    result = judged(PackedEvidence(why_not="the estimator is a KNeighborsClassifier"))
    assert (result.verdict, dict(result.notes)) == (Verdict.INCONCLUSIVE, {})
    assert result.reason == (
        "It has no packed form: the estimator is a KNeighborsClassifier. That is no fault of the model: its pipeline "
        "answers, more slowly."
    )


def test_nothing_packed_is_no_evidence():
    assert judged(None).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "held",
    [
        pytest.param({**EQUAL, "held-out rows": RowsHeld(9, 0, 0.0)}, id="one held-out row too few"),
        pytest.param({"held-out rows": RowsHeld(10, 0, 0.0)}, id="no hard rows"),
        pytest.param({}, id="no rows"),
    ],
)
def test_too_few_rows_are_no_evidence_and_name_no_file(held):
    result = judged(PackedEvidence(held=held, file=FILE))
    assert (result.verdict, dict(result.notes)) == (Verdict.INCONCLUSIVE, {})


@pytest.mark.parametrize(
    ("held", "equal"),
    [
        (EQUAL, True),
        ({}, False),
        ({"hard rows": RowsHeld(0, 0, 0.0)}, False),
        ({"hard rows": RowsHeld(5, 1, 0.1)}, False),
    ],
)
def test_only_what_was_asked_and_answered_the_same_is_equal(held, equal):
    assert PackedEvidence(held=held).equal is equal
