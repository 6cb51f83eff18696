"""What is known of a row: told twice is told once, told anew takes its place, and each at its own time."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from include.domain.journal.outcomes import KnownOutcome, is_about, known_outcomes
from include.domain.journal.records import AnswerRecord, OutcomeRecord

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def told(value: str, minutes: int, request_id: str = "r1", row: int | None = None) -> OutcomeRecord:
    return OutcomeRecord("wind", request_id, value, AT + timedelta(minutes=minutes), row)


def answer(request_id: str = "r1", row: int = 0, rows: int = 1) -> AnswerRecord:
    asked_id = f"{request_id}#{row}" if rows > 1 else request_id
    return AnswerRecord(asked_id, request_id, "wind", AT, "c", "d", 1, 1, row=row, rows=rows)


def test_an_outcome_that_is_told_again_is_known_since_it_was_told_first():
    (found,) = known_outcomes([told("yes", 1), told("yes", 5)], "wind")
    assert found == KnownOutcome("r1", None, "yes", AT + timedelta(minutes=1))


def test_one_that_is_told_anew_takes_the_place_of_the_former_from_then_on():
    records = [told("yes", 1), told("no", 3), told("no", 4)]
    (now,) = known_outcomes(records, "wind")
    assert (now.value, now.known) == ("no", AT + timedelta(minutes=3))
    assert now.before == ((AT + timedelta(minutes=1), "yes"),)
    (then,) = known_outcomes(records, "wind", AT + timedelta(minutes=2))
    assert (then.value, then.before) == ("yes", ())
    assert list(known_outcomes(records, "wind", AT)) == []


def test_in_whatever_order_the_records_come_the_same_is_known():
    records = [told("yes", 1), told("no", 3), told("yes", 7), told("no", 3, "r2"), told("yes", 2, "r2", 1)]
    found = [list(known_outcomes(order, "wind")) for order in itertools.permutations(records)]
    assert all(each == found[0] for each in found)
    assert [(each.request_id, each.row, each.value) for each in found[0]] == [
        ("r1", None, "yes"),
        ("r2", None, "no"),
        ("r2", 1, "yes"),
    ]


def test_another_model_s_outcomes_are_none_of_this_one_s():
    assert list(known_outcomes([told("yes", 1)], "rain")) == []


def test_a_request_of_several_rows_is_told_with_the_row():
    one, second = answer(), answer("r2", 1, 2)
    assert is_about(KnownOutcome("r1", None, "yes", AT), [one]) is one
    assert is_about(KnownOutcome("r1", 0, "yes", AT), [one]) is one
    assert is_about(KnownOutcome("r2", 1, "yes", AT), [answer("r2", 0, 2), second]) is second
    assert is_about(KnownOutcome("r2", None, "yes", AT), [answer("r2", 0, 2), second]) is None
    assert is_about(KnownOutcome("r1", None, "yes", AT), []) is None
