"""An alarm is an incident: a promotion does not close it, evidence does; a journey starts where it can help."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from include.domain.decision import Action, decide
from include.domain.drift.report import Flags, ScoredDay
from include.domain.history import Ending, History, PastJourney, with_incident
from include.domain.incident import NEXT, BadStage, Closing, Incident, IncidentPace, Stage, Tried, after_day, outlook
from include.domain.losses import DayLoss
from include.domain.performance import realised_performance
from include.domain.risk_bounds import Band, Unit
from include.domain.situation import Policy, Situation

FIRST = date(2021, 1, 1)
PACE = IncidentPace(wait_days=10, wait_rows=300, window_days=90, back_after_days=7, label_delay=timedelta(days=3))


def days(*means, start=FIRST, rows=200):
    return tuple(
        DayLoss((start + timedelta(days=i)).isoformat(), rows, rows * m, rows * (m * m + 0.01))
        for i, m in enumerate(means)
    )


def judged(*means, reference=(0.10, 0.12, 0.11, 0.13, 0.09) * 3, start=FIRST):
    past = days(*reference, start=start - timedelta(days=len(reference)))
    return realised_performance(past, days(*means, start=start), Band("brier", 0.01), min_rows=100)


RISEN = judged(*(0.11, 0.10, 0.12, 0.11, 0.10, 0.20, 0.22, 0.21, 0.20, 0.22, 0.21))
QUIET = judged(*(0.11, 0.10, 0.12, 0.11, 0.10, 0.11, 0.12))


def seen(version="a", day="2021-01-14"):
    return ScoredDay("m", version, day)


@pytest.fixture
def incident():
    return after_day(None, seen(), RISEN, True, PACE)


def test_an_alarm_that_persists_opens_an_incident_with_the_anchor_and_the_change(incident):
    assert incident.stage is Stage.OPEN
    assert incident.anchor == pytest.approx(0.11)
    assert incident.band == pytest.approx(0.12)
    assert incident.changed_on == "2021-01-06"
    assert (incident.version, incident.opened_on) == ("a", "2021-01-14")


def test_before_its_first_journey_none_was_tried_and_none_was_in_vain():
    assert (Tried().journeys, Tried().backed_off, Tried().matured_until) == (0, 0, None)


def test_without_a_persistent_alarm_there_is_none():
    assert after_day(None, seen(), RISEN, False, PACE) is None
    assert after_day(None, seen(), QUIET, False, PACE) is None


def test_a_promotion_moves_it_to_recovering_and_no_further(incident):
    """The new champion's own reference is as bad as the alarm: its own lane is quiet, and the incident stays."""
    as_bad = judged(*(0.21,) * 12, reference=(0.20, 0.22, 0.21, 0.19, 0.21) * 2)
    assert as_bad.out_of_band is False
    after = after_day(incident, seen("b", "2021-02-10"), as_bad, False, PACE)
    assert after.stage is Stage.RECOVERING
    assert after.uncured
    assert after.anchor == incident.anchor


def test_matured_risk_in_the_anchors_band_closes_it(incident):
    cured = judged(*(0.11, 0.12, 0.10) * 3)
    after = after_day(incident, seen("b", "2021-02-10"), cured, False, PACE)
    assert (after.stage, after.closing, after.closed_on) == (Stage.CLOSED, Closing.RECOVERED, "2021-02-10")
    assert "Back in the band" in after.note


def test_too_few_matured_days_close_nothing(incident):
    cured = judged(*(0.11, 0.12, 0.10) * 2)
    assert after_day(incident, seen("b", "2021-02-10"), cured, False, PACE).stage is Stage.RECOVERING


def test_too_few_matured_days_show_no_failure_either(incident):
    """One bad first day of a new champion starts no further journey and asks nobody."""
    bad = judged(*(0.25,) * 6)
    after = after_day(incident, seen("b", "2021-02-10"), bad, False, PACE)
    assert (after.risk, after.uncured) == (None, False)
    assert after_day(incident, seen("b", "2021-02-11"), judged(*(0.25,) * 7), False, PACE).uncured


def test_what_was_not_judged_is_not_back(incident):
    nothing = realised_performance((), (), Band("brier", 0.01))
    after = after_day(incident, seen("b"), nothing, False, PACE)
    assert after.is_open
    assert not after.uncured


def test_an_alarm_that_goes_by_itself_closes_it(incident):
    after = after_day(incident, seen(day="2021-02-01"), QUIET, False, PACE)
    assert after.closing is Closing.PASSED
    unsaid = realised_performance((), (), Band("brier", 0.01))
    assert after_day(incident, seen(day="2021-02-01"), unsaid, False, PACE).is_open


def test_a_rollback_opens_it_again(incident):
    recovering = after_day(incident, seen("b"), realised_performance((), (), Band("brier", 0.01)), False, PACE)
    assert after_day(recovering, seen("a"), RISEN, True, PACE).stage is Stage.OPEN


def test_another_change_while_it_recovers_is_dated_anew_and_asked_about_again(incident):
    recovering = replace(incident, stage=Stage.RECOVERING, changed_on="2020-12-01", asked=True)
    after = after_day(recovering, seen("b"), RISEN, True, PACE)
    assert (after.changed_on, after.asked, after.stage) == ("2021-01-06", False, Stage.RECOVERING)


def test_a_closed_one_stays_closed_and_the_next_alarm_opens_another(incident):
    closed = incident.closed("2021-02-01", Closing.ACCEPTED, "Accepted.")
    assert after_day(closed, seen(), QUIET, False, PACE) is None
    assert after_day(closed, seen(day="2021-03-01"), RISEN, True, PACE).opened_on == "2021-03-01"


@pytest.mark.parametrize(("before", "after"), [*itertools.permutations(Stage, 2)])
def test_only_what_the_table_allows_may_follow(incident, before, after):
    here = replace(incident, stage=before)
    if after in NEXT[before]:
        assert here.moved(after).stage is after
    else:
        with pytest.raises(BadStage, match=f"{before.value} can't become {after.value}"):
            here.moved(after)


def test_a_risk_at_the_end_of_the_band_is_in_it(incident):
    another = replace(incident.moved(Stage.RECOVERING), risk=incident.band)
    assert not another.uncured
    assert replace(another, risk=incident.band + 1e-9).uncured
    found = replace(judged(*(0.11,) * 9), recent_risk=incident.band, out_of_band=None)
    assert after_day(incident, seen("b", "2021-02-10"), found, False, PACE).closing is Closing.RECOVERED


@pytest.mark.parametrize(("served", "closing"), [(7, Closing.RECOVERED), (6, None)])
def test_seven_days_of_the_new_champion_are_enough_to_be_back(incident, served, closing):
    found = replace(judged(*(0.11,) * 9), served_days=served)
    assert after_day(incident, seen("b", "2021-02-10"), found, False, PACE).closing is closing


@pytest.mark.parametrize(("found", "dated"), [("2021-01-08", "2021-01-08"), (None, "2021-01-06")])
def test_while_it_is_open_what_has_matured_since_dates_the_change(incident, found, dated):
    after = after_day(incident, seen(day="2021-01-15"), replace(RISEN, changed_on=found), True, PACE)
    assert (after.stage, after.changed_on) == (Stage.OPEN, dated)


@pytest.mark.parametrize(
    ("alarm", "found", "dated"),
    [
        pytest.param(True, "2021-01-07", "2021-01-07", id="a later change"),
        pytest.param(False, "2021-01-07", "2021-01-06", id="no alarm"),
        pytest.param(True, "2021-01-06", "2021-01-06", id="the same change"),
        pytest.param(True, None, "2021-01-06", id="no change that can be dated"),
    ],
)
def test_while_it_recovers_only_an_alarm_of_a_later_change_is_another_one(incident, alarm, found, dated):
    asked = replace(incident, asked=True)
    after = after_day(asked, seen("b", "2021-02-10"), replace(RISEN, changed_on=found), alarm, PACE)
    assert (after.changed_on, after.asked) == (dated, dated == "2021-01-06")


@pytest.mark.parametrize("unknown", ["reference_risk", "changed_on"])
def test_an_alarm_without_an_anchor_or_a_day_opens_none(unknown):
    assert after_day(None, seen(), replace(RISEN, **{unknown: None}), True, PACE) is None


def test_an_incident_survives_json(incident):
    for each in (incident, incident.closed("2021-02-01", Closing.RECOVERED, "Back.")):
        assert Incident.from_json(json.loads(json.dumps(each.as_json(), allow_nan=False))) == each


# --- when a journey can help ------------------------------------------------------------------------------------------


def ahead(incident, *, matured, tried=None, rows=200):
    """With so many matured days after the change; ``tried`` is on which of them the last journey started, and how often
    the incident's backed off."""
    changed = date.fromisoformat(incident.changed_on)
    today = changed + timedelta(days=matured + 3)
    last = Tried(1, tried[1], changed + timedelta(days=tried[0])) if tried else Tried()
    return outlook(incident, today=today, matured_until=today - timedelta(days=3), rows=rows, tried=last, pace=PACE)


@pytest.mark.parametrize(
    ("matured", "tried", "ready", "exhausted"),
    [
        pytest.param(9, None, False, False, id="one day too few"),
        pytest.param(10, None, True, False, id="enough for the first"),
        pytest.param(27, (18, 1), False, False, id="the second waits for days that the first was not judged on"),
        pytest.param(28, (18, 1), True, False, id="and then it starts"),
        pytest.param(28, (18, 0), True, False, id="it waits as long after a promotion"),
        pytest.param(47, (28, 2), False, False, id="the third waits for twice as many"),
        pytest.param(48, (28, 2), True, False, id="and then it starts too"),
        pytest.param(89, (60, 3), False, False, id="the window is not full of days after the change"),
        pytest.param(90, (60, 3), False, True, id="it is, and what was tried did not help"),
        pytest.param(100, (60, 3), True, False, id="the next one comes all the same"),
        pytest.param(95, (90, 1), False, False, id="one in vain is no reason to ask a person"),
        pytest.param(289, (200, 9), False, True, id="none waits longer"),
        pytest.param(290, (200, 9), True, False, id="than a window"),
        pytest.param(200, None, True, False, id="the first may always try"),
    ],
)
def test_a_journey_waits_for_days_that_none_was_judged_on_and_twice_as_many_after_each_in_vain(
    incident, matured, tried, ready, exhausted
):
    found = ahead(incident, matured=matured, tried=tried)
    assert (found.ready, found.exhausted) == (ready, exhausted)


def test_after_a_journey_as_many_days_are_needed_as_hold_half_of_the_declared_rows(incident):
    """Half of 300 rows: at 13 a day 12 days, as 11.5 are not whole; at 15 a day the declared ten."""
    assert ahead(incident, matured=28, tried=(18, 1), rows=13).needed_days == 12
    assert ahead(incident, matured=28, tried=(18, 1), rows=15).needed_days == 10


def test_where_nothing_is_said_of_journeys_there_was_none():
    assert Tried() == Tried(journeys=0, backed_off=0, matured_until=None)


def test_a_change_that_is_dated_later_is_what_the_days_are_counted_from(incident):
    assert ahead(incident, matured=12, tried=(-5, 1)).known_days == 12


def test_the_next_ones_held_out_days_have_the_rows_that_the_gates_ask_for(incident):
    assert ahead(incident, matured=40, tried=(20, 1), rows=5).needed_days == 30


@pytest.mark.parametrize(
    ("endings", "backed_off"),
    [
        ("", 0),
        ("F", 1),
        ("FF", 2),
        ("FFP", 1),
        ("FP", 0),
        ("PP", 0),
        ("PPF", 1),
        ("FFFPF", 3),
        ("FL", 1),
    ],
)
def test_a_journey_in_vain_doubles_the_wait_and_a_promotion_halves_it(incident, endings, backed_off):
    kinds = {"F": Ending.FUTILE, "P": Ending.PROMOTED, "L": Ending.LIVE}
    tries = [journey(f"2021-03-{2 + i:02}", kinds[each]) for i, each in enumerate(endings)]
    known = situation("2021-03-20", RISEN, before=incident, journeys=tries).outlook
    assert known.needed_days == PACE.again_after_days(backed_off)


@pytest.mark.parametrize("matured", [10, 12])
def test_what_can_help_now_starts_today(incident, matured):
    found = ahead(incident, matured=matured)
    assert found.next_on == date.fromisoformat(incident.changed_on) + timedelta(days=matured + 3)


@pytest.mark.parametrize("matured", [-5, 0])
def test_before_a_day_after_the_change_has_matured_none_is_known(incident, matured):
    assert ahead(incident, matured=matured).known_days == 0


def test_a_pace_is_this_where_nothing_is_declared():
    usual = IncidentPace(wait_days=10, wait_rows=300, window_days=90, back_after_days=7, label_delay=timedelta(0))
    assert IncidentPace() == usual
    assert [IncidentPace().again_after_days(n) for n in (0, 2)] == [10, 20]


def test_few_rows_a_day_wait_longer_and_the_day_is_said(incident):
    found = ahead(incident, matured=12, rows=20)
    assert not found.ready
    assert found.needed_days == 16  # half of the days are held out, and half of 300 rows takes 8 days
    assert found.next_on == date.fromisoformat(incident.changed_on) + timedelta(days=19)


# --- what the rules make of it ----------------------------------------------------------------------------------------


def situation(day, realised, *, version="a", before=None, journeys=(), alarm=True, **more):
    now = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC) + timedelta(days=1)
    flag = Flags(day, realised=alarm)
    without = Situation(now=now, flags=(flag, flag), policy=Policy(pace=PACE, cooldown_days=0), **more)
    return with_incident(without, History(journeys, incident=before), ScoredDay("m", version, day), realised)


def journey(day, ending=Ending.FUTILE):
    return PastJourney(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC), True, ending)


def test_nothing_starts_before_it_can_help_and_the_day_is_named():
    decision = decide(situation("2021-01-14", RISEN))
    assert (decision.action, decision.name) == (Action.SUPPRESS, "cannot_help_yet")
    assert "No journey before 2021-01-19" in decision.reason
    assert "6 matured days lie after the change of 2021-01-06, and 10 are needed" in decision.reason
    assert decision.incident.is_open


def test_it_starts_when_it_can_help():
    decision = decide(situation("2021-01-18", RISEN))
    assert (decision.action, decision.name) == (Action.RETRAIN, "realised_out_of_band")


def test_a_model_that_is_not_cured_is_retrained_again_though_its_own_lane_is_quiet(incident):
    as_bad = judged(*(0.21,) * 12, reference=(0.20, 0.22, 0.21, 0.19, 0.21) * 2)
    decision = decide(
        situation(
            "2021-01-28",
            as_bad,
            version="b",
            before=incident,
            journeys=[journey("2021-01-19", Ending.PROMOTED)],
            alarm=False,
        )
    )
    assert decision.action is Action.RETRAIN
    assert "is recovering: brier was 0.11 before, is in its band up to 0.12, and is 0.21 now" in decision.reason


def test_a_new_model_is_not_retrained_before_its_labels_tell(incident):
    unsaid = realised_performance((), (), Band("brier", 0.01))
    tries = [journey("2021-01-19", Ending.PROMOTED)]
    for day in ("2021-01-28", "2021-05-28"):
        decision = decide(situation(day, unsaid, version="b", before=incident, journeys=tries, alarm=None))
        assert (decision.action, decision.name) == (Action.SUPPRESS, "recovering")
        assert "is not judged yet" in decision.reason


def test_what_broke_was_no_try(incident):
    broken = situation("2021-01-18", RISEN, before=incident, journeys=[journey("2021-01-17", Ending.BROKEN)])
    decision = decide(broken)
    assert decision.action is Action.RETRAIN
    assert decision.incident.asked is False, "a person is asked only when nothing helps"


def test_a_person_is_asked_once_when_nothing_new_can_be_learned(incident):
    tries = [journey(d) for d in ("2021-01-19", "2021-01-29", "2021-02-18", "2021-03-30")]
    first = decide(situation("2021-04-10", RISEN, before=incident, journeys=tries))
    assert (first.action, first.name) == (Action.ESCALATE, "not_helped")
    assert "Retraining did not help: 4 journeys" in first.reason
    assert "The next journey is on 2021-06-18." in first.reason
    again = decide(situation("2021-04-11", RISEN, before=first.incident, journeys=tries))
    assert (again.action, again.name) == (Action.SUPPRESS, "helps_no_more")
    assert "No journey before 2021-06-18: what was tried" in again.reason


def test_the_world_may_go_on_moving_so_the_next_journey_comes_all_the_same(incident):
    tries = [journey(d) for d in ("2021-01-19", "2021-01-29", "2021-02-18", "2021-03-30")]
    asked = replace(incident, asked=True)
    assert decide(situation("2021-06-16", RISEN, before=asked, journeys=tries)).name == "helps_no_more"
    assert decide(situation("2021-06-17", RISEN, before=asked, journeys=tries)).action is Action.RETRAIN


def test_futile_journeys_open_no_breaker_before_the_one_that_could_help(incident):
    tries = [journey("2021-01-19"), journey("2021-01-29")]
    decision = decide(situation("2021-02-18", RISEN, before=incident, journeys=tries, futile_streak=2))
    assert decision.action is Action.RETRAIN
    assert decision.breaker_open_until is None


def test_a_closed_incident_says_why_and_starts_nothing(incident):
    cured = judged(*(0.11, 0.12, 0.10) * 3)
    decision = decide(situation("2021-02-10", cured, version="b", before=incident, alarm=False))
    assert decision.action is Action.LOG
    assert "The incident of 2021-01-14 is closed. Back in the band" in decision.reason


# --- an alarm of rows, whose change has no date -----------------------------------------------------------------------


def by_rows(*means):
    past = days(*(0.10, 0.12, 0.11, 0.13, 0.09) * 3, start=FIRST - timedelta(days=15))
    return realised_performance(past, days(*means), Band("brier", 0.01), min_rows=100, unit=Unit.ROW)


ROWS_RISEN = by_rows(*(0.11, 0.10, 0.12, 0.11, 0.10, 0.20, 0.22, 0.21, 0.20, 0.22, 0.21))


@pytest.fixture
def undated():
    return after_day(None, seen(), ROWS_RISEN, True, PACE)


def test_an_alarm_of_rows_opens_an_incident_whose_change_has_no_date(undated):
    assert ROWS_RISEN.changed_on is None
    assert (undated.stage, undated.dated, undated.change) == (Stage.OPEN, False, None)
    assert (undated.changed_on, undated.counted_from) == (ROWS_RISEN.since, "2021-01-14")
    assert (undated.anchor, undated.band) == (pytest.approx(0.11), pytest.approx(0.12))
    assert Incident.from_json(json.loads(json.dumps(undated.as_json()))) == undated


def test_an_incident_kept_before_dates_could_be_unknown_is_dated(incident):
    kept = incident.as_json()
    del kept["dated"]
    assert Incident.from_json(kept) == incident
    assert incident.change == incident.counted_from == "2021-01-06"


def test_its_first_journey_starts_at_once():
    decision = decide(situation("2021-01-14", ROWS_RISEN))
    assert (decision.action, decision.name) == (Action.RETRAIN, "realised_out_of_band")


def test_its_next_journey_waits_for_days_after_the_alarm(undated):
    tries = [journey("2021-01-15")]
    waits = decide(situation("2021-01-25", ROWS_RISEN, before=undated, journeys=tries))
    assert (waits.action, waits.name) == (Action.SUPPRESS, "cannot_help_yet")
    assert "9 matured days lie after those of the last journey, and 10 are needed" in waits.reason
    assert decide(situation("2021-01-26", ROWS_RISEN, before=undated, journeys=tries)).action is Action.RETRAIN
    twice = [*tries, journey("2021-01-27")]
    assert decide(situation("2021-02-14", ROWS_RISEN, before=undated, journeys=twice)).name == "cannot_help_yet"
    assert decide(situation("2021-02-15", ROWS_RISEN, before=undated, journeys=twice)).action is Action.RETRAIN


def test_of_an_undated_change_too_a_person_is_asked_when_nothing_new_can_be_learned(undated):
    tries = [journey(d) for d in ("2021-01-15", "2021-01-27", "2021-02-06", "2021-02-26", "2021-04-07")]
    first = decide(situation("2021-04-20", ROWS_RISEN, before=undated, journeys=tries))
    assert (first.action, first.name) == (Action.ESCALATE, "not_helped")
    assert "5 journeys since the alarm of 2021-01-14" in first.reason


def test_matured_labels_close_an_undated_one_as_any_other(undated):
    cured = by_rows(*(0.11, 0.12, 0.10) * 3)
    after = after_day(undated, seen("b", "2021-02-10"), cured, False, PACE)
    assert (after.stage, after.closing) == (Stage.CLOSED, Closing.RECOVERED)
    passed = after_day(undated, seen(day="2021-02-01"), cured, False, PACE)
    assert passed.closing is Closing.PASSED


def test_an_undated_one_stays_open_where_rows_only_do_not_show_it_any_more(undated):
    """A few rows more, and the bound is within the band; the level is not."""
    unshown = replace(ROWS_RISEN, out_of_band=False, recent_risk=0.1201)
    assert after_day(undated, seen(day="2021-02-01"), unshown, False, PACE).stage is Stage.OPEN
    back = replace(unshown, recent_risk=0.12)
    assert after_day(undated, seen(day="2021-02-01"), back, False, PACE).closing is Closing.PASSED


def test_a_new_champion_of_which_no_day_was_counted_has_no_known_risk(incident):
    at_once = replace(PACE, back_after_days=1)
    for served, risk in ((None, None), (0, None), (1, pytest.approx(0.11))):
        found = replace(judged(*(0.11,) * 9), served_days=served)
        assert after_day(incident, seen("b", "2021-02-10"), found, False, at_once).risk == risk


def test_the_first_journey_of_an_undated_one_needs_no_days_and_is_never_too_late(undated):
    first, next_one = (ahead(undated, matured=100, tried=tried) for tried in (None, (95, 2)))
    assert (first.needed_days, first.ready, first.exhausted) == (0, True, False)
    assert (next_one.ready, next_one.exhausted) == (False, True)


def test_its_sentence_says_what_was_what_is_and_since_when(incident, undated):
    assert incident.sentence == (
        f"brier was 0.11 before 2021-01-06, is in its band up to 0.12, and is {incident.risk:.4g} now. "
        "The alarm is of 2021-01-14."
    )
    assert undated.sentence.startswith("brier was 0.11 before, is in its band up to 0.12, and ")
    assert "and is not judged now: too few labels have matured." in replace(incident, risk=None).sentence
    closed = replace(incident, stage=Stage.CLOSED, closed_on="2021-02-10", closing=Closing.PASSED, note="It went by.")
    assert closed.sentence == f"{incident.sentence} Closed on 2021-02-10. It went by."


@pytest.mark.parametrize("version", ["a", "b"], ids=["the same champion", "another champion"])
class TestAnotherLossIsWatchedSinceTheAlarm:
    """A Brier score of .11 is below a log loss of .6 and is no recovery."""

    def after(self, version, found):
        opened = after_day(None, seen(), replace(RISEN, metric="log_loss", reference_risk=0.6), True, IncidentPace())
        return after_day(opened, seen(version, "2021-02-14"), found, False, IncidentPace())

    def test_its_amounts_neither_close_the_alarm_nor_say_how_it_stands(self, version):
        later = self.after(version, replace(QUIET, out_of_band=None))
        assert (later.is_open, later.risk, later.metric) == (True, None, "log_loss")
        assert self.after(version, replace(QUIET, out_of_band=True)).is_open

    def test_that_it_is_in_its_own_band_closes_it_and_names_both(self, version):
        later = self.after(version, QUIET)
        assert (later.stage, later.closing) == (Stage.CLOSED, Closing.PASSED)
        assert later.note.startswith("brier is watched since, instead of log_loss. In band: brier 0.")
