"""Labels of a canary's rows: only of days whose labels have all had their time, and never waited for in vain."""

from __future__ import annotations

from datetime import timedelta

import journal_day
import msgspec
import pytest
from canary_traffic import declare_canary

from include.config import declarations
from include.domain.journal.records import Beside
from include.domain.verdicts import Verdict
from include.workflows.evidence import canary_labels

pytestmark = pytest.mark.moment("second judged")
DAYS = range(13, 17)
BUSINESS = {"metric": "brier", "margin": 0.05, "min_rows": 200}


def answered_by_both(world):
    """Every row of four days, answered by the candidate with the champion's answer beside it."""
    found = []
    for day in DAYS:
        ours = journal_day.asked_of(world, day, world.references["second"]["candidate_id"])
        theirs = journal_day.asked_of(world, day, world.references["r"]["candidate_id"])
        for canary, champion in zip(ours, theirs, strict=True):
            beside = Beside(champion.candidate, champion.digest, "champion", "packed", champion.score)
            named = f"{day}-{canary.asked_id}"
            found.append(msgspec.structs.replace(canary, asked_id=named, role="canary", arm="canary", beside=beside))
    return found


@pytest.fixture
def model(world):
    def declared(**business):
        declare_canary(
            world,
            business={**BUSINESS, **business},
            steps=[{"share": 0.5, "min_rows": 100, "max_time": "9d"}],
        )
        return declarations().model(world.model)

    return declared


def test_both_are_compared_on_the_rows_that_both_answered(world, model):
    records = answered_by_both(world)
    newest = journal_day.at(18)
    result, notes = canary_labels.judged(model(), records, newest)
    assert result.verdict is Verdict.PASS, result.reason
    assert (notes["matured"]["blocks"], result.rows) == (4, notes["matured"]["rows"])
    assert 300 < result.rows <= len(records)  # cancelled trips never get a label


def test_a_day_whose_labels_have_not_all_had_their_time_is_no_part_of_it(world, model):
    declared, records = model(), answered_by_both(world)
    two_days = journal_day.at(15) + declared.label.delay
    for newest in (two_days, two_days + timedelta(hours=23)):
        result, notes = canary_labels.judged(declared, records, newest)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "of 2 days" in notes["matured"]["reason"]
    assert canary_labels.judged(declared, records, None)[0].rows == 0


def test_f172_labels_that_are_not_waited_for_are_reported_and_stop_only_what_they_show_to_be_worse(world, model):
    declared, records = model(wait="none"), answered_by_both(world)
    result, notes = canary_labels.judged(declared, records, journal_day.at(14))
    assert (result, notes["matured"]["verdict"]) == (None, "INCONCLUSIVE")
    ruined = [msgspec.structs.replace(r, score=1.0 - r.score) for r in records]
    assert canary_labels.judged(declared, ruined, journal_day.at(18))[0].verdict is Verdict.FAIL


def test_where_the_label_depends_on_the_decision_nothing_is_compared(world, model):
    declared = model(wait="none", depends_on_decision=True)
    result, notes = canary_labels.judged(declared, answered_by_both(world), journal_day.at(18))
    assert result is None
    assert "depends on the answer" in notes["matured"]["reason"]
    critical = declared.model_copy(update={"tier": "critical"})
    asked, _ = canary_labels.judged(critical, [], journal_day.at(18))
    assert (asked.verdict, "a person decides" in asked.reason) == (Verdict.INCONCLUSIVE, True)


def test_labels_that_take_longer_than_the_canary_are_reported_and_of_a_critical_model_a_person_decides(world, model):
    declared = model()
    late = declared.model_copy(update={"label": declared.label.model_copy(update={"delay": timedelta(days=30)})})
    assert canary_labels.judged(late, [], journal_day.at(18))[0] is None
    asked, _ = canary_labels.judged(late.model_copy(update={"tier": "critical"}), [], journal_day.at(18))
    assert asked.verdict is Verdict.INCONCLUSIVE
    assert "compared after the promotion" in asked.reason
