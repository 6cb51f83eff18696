"""Which records are a day's answers, and when nobody can add to the day any more."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from record_by_record import Answers

from include.domain.journal.collected import Writer, day_of, each_answer, may_still_come
from include.domain.journal.records import AnswerRecord, Beside, Mark, Opening, PassedOver, payload_of, record_of

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=1)
MINUTE = timedelta(minutes=1)


def asked(name: str, at: datetime, event: datetime | None = None, **other) -> AnswerRecord:
    return AnswerRecord(name, name, "m", at, "c1", "d" * 64, 1, 1, event_time=event, **other)


def test_f157_a_request_of_the_last_millisecond_belongs_to_its_own_day():
    last = END - timedelta(milliseconds=1)
    assert day_of(asked("q", last)) == "2026-03-01"
    assert day_of(asked("q", END)) == "2026-03-02"


def test_a_request_about_an_event_belongs_to_the_day_of_the_event_as_in_batch():
    assert day_of(asked("q", END - MINUTE, event=END + MINUTE)) == "2026-03-02"


def test_f158_the_same_records_in_any_order_are_the_same_answers():
    records = [
        (asked("a", START + MINUTE, score=0.1), "one", 0),
        (asked("a", START, score=0.2), "two", 900),
        (asked("b", START, score=0.3), "one", 50),
        (asked("b", START, score=0.4), "two", 10),
    ]
    found = []
    for order in itertools.permutations(records):
        answers = Answers("m", {"2026-03-01"})
        for record, segment, at in order:
            answers.add(record, segment, at)
        found.append([(each.asked_id, each.score) for each in answers.of("2026-03-01")])
        assert answers.duplicates == 2
    # Of a the earlier one; of b both are of one moment, and the name of the segment decides.
    assert found == [[("a", 0.2), ("b", 0.3)]] * 24


def test_answers_of_another_model_and_of_other_days_are_left_out():
    answers = Answers("other", {"2026-03-01"})
    answers.add(asked("a", START), "one", 0)
    assert answers.of("2026-03-01") == []
    answers = Answers("m", {"2026-03-01"})
    answers.add(asked("a", END), "one", 0)
    assert (answers.of("2026-03-01"), answers.count("2026-03-02")) == ([], 0)


def test_an_answer_is_preferred_to_a_failure_after_which_its_caller_asked_again():
    records = [asked("a", START, error="late"), asked("a", START + MINUTE, score=0.1)]
    for order in itertools.permutations(records):
        answers = Answers("m", {"2026-03-01"})
        for record in order:
            answers.add(record, "one", 0)
        assert [each.score for each in answers.of("2026-03-01")] == [0.1]


def test_a_row_that_both_models_answered_is_a_record_of_each_with_what_it_was_given():
    beside = Beside("c1", "d" * 64, "champion", score=0.4, predicted="no", us_model=7)
    served = asked("a", START, arm="canary", role="canary", unit="u", number=1, share_ppm=10_000, beside=beside)
    more = {"features": {"x": 1.0, "y": 2.0}, "canary_features": {"y": 3.0, "z": None}, "score": 0.6, "candidate": "c2"}
    ours, theirs = each_answer(msgspec.structs.replace(served, **more))
    assert [(each.candidate, each.role, each.arm, each.score) for each in (ours, theirs)] == [
        ("c2", "canary", "canary", 0.6),
        ("c1", "champion", "canary", 0.4),
    ]
    assert (ours.features, theirs.features) == ({"x": 1.0, "y": 3.0, "z": None}, {"x": 1.0, "y": 2.0})
    assert (theirs.beside, theirs.us_model, theirs.unit, theirs.number) == (None, 7, "u", 1)
    answers = Answers("m", {"2026-03-01"})
    answers.add(served, "one", 0)
    answers.add(asked("b", START), "one", 9)
    assert answers.count("2026-03-01") == 3


def writer(*records, silent: timedelta = timedelta(0)) -> Writer:
    made = Writer("here.1", silent)
    for record in records:
        made.saw(record)
    return made


OPENED = Opening(1, "here", 1, START, 1, START - MINUTE)


@pytest.mark.parametrize(
    ("records", "silent", "state"),
    [
        pytest.param([OPENED, Mark(END)], 0, "passed", id="it said that the day is over"),
        pytest.param([OPENED, Mark(END - MINUTE)], 14, "writes", id="it said so of a moment before"),
        pytest.param([OPENED, Mark(END - MINUTE)], 15, "gone", id="and has been silent for 15 minutes"),
        pytest.param([OPENED, asked("q", END - MINUTE), Mark(START, ends=True)], 0, "passed", id="it ended by itself"),
        pytest.param([Opening(1, "here", 1, START, 1, END)], 0, "passed", id="it began when the day was over"),
        pytest.param([OPENED, asked("q", END)], 1, "writes", id="an answer of the next day is no mark"),
        pytest.param([OPENED], 60, "ended before", id="nothing of it is of the day"),
        pytest.param([], 60, "ended before", id="nothing of it can be read"),
    ],
)
def test_a_day_waits_for_whoever_may_still_write_of_it(records, silent, state):
    assert writer(*records, silent=silent * MINUTE).state(START, END) == state


def test_a_process_that_was_killed_is_waited_for_two_minutes_and_not_fifteen():
    killed = writer(OPENED, asked("q", END - MINUTE), silent=2 * MINUTE)
    assert killed.state(START, END) == "writes"
    killed.dead = True
    assert killed.state(START, END) == "passed"
    killed.silent = MINUTE  # a living one of another container, whose number means another process here, marks by then
    assert killed.state(START, END) == "writes"


def test_a_challenger_is_waited_for_while_it_writes_and_is_near_the_missing_rows():
    missing = START + timedelta(hours=1)
    assert may_still_come(missing, START + timedelta(hours=1), MINUTE)
    assert may_still_come(missing, None, MINUTE)
    assert not may_still_come(missing, START + timedelta(hours=2), MINUTE)  # far beyond it: it was passed over
    assert not may_still_come(missing, START, 15 * MINUTE)
    assert not may_still_come(missing, None, None)
    assert not may_still_come(None, None, MINUTE)


def test_a_mark_of_before_is_read_as_one_that_does_not_end():
    assert record_of(b'{"kind":"mark","at":"2026-03-01T00:00:00Z"}') == Mark(START)
    assert payload_of(Mark(START)) == b'{"kind":"mark","at":"2026-03-01T00:00:00Z"}'
    assert record_of(payload_of(Mark(START, ends=True))).ends


def test_a_gap_counts_as_far_as_it_reaches():
    assert writer(PassedOver("m", START, START + MINUTE, 3)).last == START + MINUTE
