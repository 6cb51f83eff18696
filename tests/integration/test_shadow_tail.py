"""A challenger beside online traffic: whatever it does, each of the champion's rows is answered, an error, or
counted."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from packed_cases import CASES, KINDS, fitted, rows

from include.adapters import packing
from include.adapters.journal import Journal, JournalReader
from include.adapters.packing.files import as_columns
from include.adapters.scorer_process import Scorer, ScorerDied
from include.domain.journal.records import AnswerRecord, PassedOver, Record
from include.domain.packed.reader import Packed
from include.workflows.scoring.shadow_tail import OnlineChallenger, ShadowTail, TailLimits, is_asked_alone

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SICK = """
import os, sys, time
from include.workflows.scoring.shadow_child import _own_output, _say, serve

def answer(rows):
    for row in rows:
        did = row["does"]
        if did == "abort":
            os.abort()
        if did == "hang":
            while True:
                time.sleep(60)
        if did == "memory":
            raise MemoryError
        if did == "raise":
            raise ValueError("a row that it cannot answer")
        row["does"] = "changed"
    print("a model that prints")
    found = [float("nan") if row["x"] < 0 else row["x"] / 2 for row in rows]
    return found[:-1] if any(row["x"] == 99 for row in rows) else found

out = _own_output()
_say(out, {"ready": True})
serve(answer, out)
"""
"""A challenger's process that does what the row says."""
QUICK = TailLimits(batch_rows=64, batch_s=30.0, row_s=30.0)
CHALLENGER = OnlineChallenger("m", "challenger", "c" * 64, "packed", ("x", "does"))


class OnlineWorld:
    """The champion's journal, the challenger's own, and the process that is asked."""

    def __init__(self, root: Path) -> None:
        self.root, self.time = root, START
        self.journal = Journal(root / "journal", "here-1", START, lambda: self.time)
        self.script = root / "sick.py"
        self.script.write_text(SICK)
        self.scorer = Scorer({}, (sys.executable, str(self.script)))
        self.owns: list[Journal] = []

    def ask(self, *does: str, x: float = 0.5, **changes) -> None:
        """The champion answers these rows, a second apart."""
        written: list[Record] = []
        for did in does:
            self.time += timedelta(seconds=1)
            number = int((self.time - START).total_seconds())
            given = {"asked_id": f"r{number}", "request_id": f"r{number}", "model": "m", "score": 0.1, **changes}
            written.append(
                AnswerRecord(
                    prediction_time=self.time,
                    candidate="champion",
                    digest="a" * 64,
                    revision=3,
                    route_revision=4,
                    features={"x": x, "does": did},
                    **given,
                )
            )
        self.journal.append(written)

    def tail(self, limits: TailLimits = QUICK, challenger: OnlineChallenger = CHALLENGER) -> ShadowTail:
        started = START + timedelta(microseconds=len(self.owns))
        own = Journal(self.root / "shadow", "shadow", started, lambda: self.time)
        self.owns.append(own)
        return ShadowTail(challenger, self.root / "journal", own, self.scorer, lambda: self.time, limits)

    def written(self) -> list[AnswerRecord]:
        return [r for r in self._records() if isinstance(r, AnswerRecord)]

    def gaps(self) -> list[PassedOver]:
        return [r for r in self._records() if isinstance(r, PassedOver)]

    def _records(self) -> list[Record]:
        return [entry.record for entry in JournalReader(self.root / "shadow").all()]

    def close(self) -> None:
        self.scorer.end()
        for each in (self.journal, *self.owns):
            each.close()


@pytest.fixture
def online(tmp_path):
    made = OnlineWorld(tmp_path)
    yield made
    made.close()


def worked_off(tail: ShadowTail) -> ShadowTail:
    while tail.step():
        pass
    return tail


def test_each_row_is_answered_from_the_champions_own_values_and_names_the_challenger(online):
    online.ask("well", "well", x=0.4)
    counts = worked_off(online.tail()).counts
    assert (counts.answered, counts.errors, counts.passed_over) == (2, 0, 0)
    first = online.written()[0]
    assert (first.asked_id, first.score, first.role, first.candidate) == ("r1", 0.2, "shadow", "challenger")
    assert (first.revision, first.prediction_time, first.digest) == (3, START + timedelta(seconds=1), "c" * 64)


def test_rows_of_other_models_and_those_the_champion_could_not_answer_are_asked_of_nobody(online):
    online.ask("well", model="another")
    online.ask("well", score=None, error="no row in the store")
    online.ask("well", role="canary")
    assert worked_off(online.tail()).counts.answered == 0
    assert online.written() == []


def test_one_row_of_fifty_is_also_asked_alone_and_only_that_one_has_a_time(online):
    online.ask(*["well"] * 120)
    worked_off(online.tail())
    assert {r.asked_id for r in online.written() if r.us_model > 0} == {
        f"r{i}" for i in range(1, 121) if is_asked_alone(f"r{i}")
    }
    share = sum(is_asked_alone(f"request-{i}") for i in range(50_000)) / 50_000
    assert share == pytest.approx(1 / 50, rel=0.1)


def test_a_value_that_the_journal_omits_is_an_error_and_is_not_guessed(online):
    online.ask("well", x=0.4)
    asks_more = OnlineChallenger("m", "challenger", "c" * 64, "packed", ("x", "does", "age"))
    assert worked_off(online.tail(challenger=asks_more)).counts.errors == 1
    assert online.written()[0].error == "the record has no value of age"


# --- what a challenger may do ----------------------------------------------------------------------------------------


def test_f073_a_row_on_which_it_raises_is_an_error_of_its_own_and_the_others_are_answered(online):
    online.ask("well", "raise", "well")
    counts = worked_off(online.tail()).counts
    assert (counts.answered, counts.errors, counts.strikes, online.scorer.started) == (2, 1, 0, 1)
    assert [r.error for r in online.written()] == [None, "ValueError: a row that it cannot answer", None]


@pytest.mark.parametrize(
    ("did", "why", "within_s"),
    [
        ("abort", "its process was ended by SIGABRT", 30.0),
        ("memory", "it took more memory than it may", 30.0),
        pytest.param("hang", "it had not answered after 2 s", 2.0, marks=pytest.mark.slow),
    ],
    ids=["f077_f161_aborts", "f077_takes_memory", "f075_hangs"],
)
def test_f075_f077_f161_a_row_that_ends_its_process_twice_is_an_error_and_others_are_answered(
    online, did, why, within_s
):
    online.ask("well", did, "well", "well")
    limits = TailLimits(batch_s=within_s, row_s=within_s)
    counts = worked_off(online.tail(limits)).counts
    assert (counts.answered, counts.errors, counts.strikes, counts.gave_up) == (3, 1, 1, None)
    assert [r.error for r in online.written()] == [None, why, None, None]


def test_f077_after_three_such_rows_it_is_asked_no_more_and_every_row_is_still_counted(online):
    online.ask(*["abort"] * 3, *["well"] * 5)
    tail = worked_off(online.tail(TailLimits(batch_rows=4)))
    assert (tail.counts.strikes, tail.counts.answered, tail.counts.errors) == (3, 0, 8)
    started = online.scorer.started
    online.ask("well")
    assert worked_off(tail).counts.errors == 9
    assert online.scorer.started == started
    assert online.written()[-1].error == (
        "it is asked no more, after 3 rows like the last: its process was ended by SIGABRT"
    )


def test_f076_no_number_and_the_wrong_number_of_answers_are_errors_and_no_scores(online):
    online.ask("well", x=-1.0)
    online.ask("well", x=99.0)
    worked_off(online.tail())
    assert [(r.score, r.error) for r in online.written()] == [
        (None, "it answered what is no number"),
        (None, "ValueError: it gave 0 answers to 1 row"),
    ]


def test_f078_what_it_changes_in_a_row_is_its_own_copy(online):
    online.ask("well")
    worked_off(online.tail())
    asked = [e.record for e in JournalReader(online.root / "journal").all() if isinstance(e.record, AnswerRecord)]
    assert asked[0].features == {"x": 0.5, "does": "well"}


def test_f074_f160_too_far_behind_it_passes_rows_over_and_counts_them(online):
    tail = online.tail(TailLimits(batch_rows=10, behind_s=60.0))
    online.ask(*["well"] * 30)
    tail.step()
    online.time += timedelta(minutes=5)
    worked_off(tail)
    online.ask("well")
    worked_off(tail)
    # The first batch of ten records is the opening of the segment and nine rows; after the gap, one more is answered.
    assert (tail.counts.answered, tail.counts.passed_over) == (10, 21)
    [gap] = online.gaps()
    assert (gap.model, gap.rows) == ("m", 21)
    assert (gap.since, gap.until) == (START + timedelta(seconds=10), START + timedelta(seconds=30))


def test_f160_what_is_too_many_bytes_behind_is_passed_over_too(online):
    online.ask(*["well"] * 40)
    counts = worked_off(online.tail(TailLimits(batch_rows=10, behind_bytes=1_000))).counts
    assert (counts.answered, counts.passed_over) == (0, 40)


def test_what_was_asked_before_it_began_is_no_lag_for_the_first_day_of_its_window_must_be_whole(online):
    online.ask(*["well"] * 30)
    online.time += timedelta(hours=6)
    tail = online.tail(TailLimits(batch_rows=10, behind_s=60.0))
    online.ask("well")
    counts = worked_off(tail).counts
    assert (counts.answered, counts.passed_over) == (31, 0)


def test_it_is_asked_nothing_of_the_days_before_its_window(online):
    online.ask("well", "well", "well", event_time=START)
    online.ask("well", event_time=START + timedelta(hours=12))
    since = replace(CHALLENGER, since=START + timedelta(hours=12))
    assert worked_off(online.tail(challenger=since)).counts.answered == 1
    assert [r.asked_id for r in online.written()] == ["r4"]


# --- started again ---------------------------------------------------------------------------------------------------


def test_f082_a_tail_that_starts_again_goes_on_and_answers_no_row_twice(online):
    online.ask("well", "well")
    worked_off(online.tail())
    online.ask("well")
    assert worked_off(online.tail()).counts.answered == 1
    assert [r.asked_id for r in online.written()] == ["r1", "r2", "r3"]


def test_f082_answers_whose_position_was_not_kept_are_found_again(online):
    tail = online.tail()
    tail._keep = lambda: None  # as when it is killed after writing and before keeping its position
    online.ask("well", "well")
    worked_off(tail)
    counts = worked_off(online.tail()).counts
    assert (counts.answered, counts.again) == (0, 2)
    assert [r.asked_id for r in online.written()] == ["r1", "r2"]


def test_a_request_that_was_sent_again_is_answered_once(online):
    online.ask("well", asked_id="same")
    online.ask("well", asked_id="same")
    counts = worked_off(online.tail()).counts
    assert (counts.answered, counts.again) == (1, 1)


# --- its process -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "f145 damaged"])
def test_a_packed_challenger_answers_in_its_process_as_here_and_a_changed_file_is_not_loaded(tmp_path, damaged):
    pipeline = fitted(CASES[0])
    content = packing.written(packing.packed_arrays(pipeline, KINDS, learned=[0, 1], classes=2, example=rows(6, 101)))
    file = tmp_path / "model.npz"
    file.write_bytes(content[:-1] + b"x" if damaged else content)
    digest = hashlib.sha256(content).hexdigest()
    scorer = Scorer({"file": str(file), "digest": digest, "form": "packed", "memory_mb": 4_000})
    columns = as_columns(rows(20, 3))
    asked = [{name: _plain(values[i]) for name, values in columns.items()} for i in range(20)]
    try:
        if damaged:
            with pytest.raises(ScorerDied, match=r"cannot be loaded: ValueError: its file has the digest"):
                scorer.ask(asked, [], 30.0)
            return
        said = scorer.ask(asked, [4], 30.0)
        with np.load(file) as arrays:
            expected = Packed({name: arrays[name] for name in arrays.files}).many(columns)
        assert said["scores"] == expected.tolist()
        assert 0 < scorer.processor_s() < 60
        assert [i for i, us in enumerate(said["answers"]) if us] == [4]
    finally:
        scorer.end()


def _plain(value):
    return json.loads(json.dumps(value, default=lambda v: v.item()))
