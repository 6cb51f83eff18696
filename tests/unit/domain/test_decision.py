"""The table of docs/statistics.md, 6, row by row; then what keeps a sensor from a storm, over months."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from include.domain.data_incident import DataIncident
from include.domain.decision import RULES, Action, decide
from include.domain.drift.report import Finding, Flags
from include.domain.history import Ending, PastJourney, futile_streak
from include.domain.incident import Closing, Stage
from include.domain.prepared import PreparedJourneys
from include.domain.situation import Policy, Situation, cooldown_days

NOW = datetime(2013, 6, 20, tzinfo=UTC)
DAY = timedelta(days=1)
BROKEN = Finding("wind_gust", "missing", 0.9, 0.2, "wind_gust is missing in 90.0% of rows.")
OUTSIDE = Finding("distance", "outside_support", 0.8, 0.5, "distance is outside training's range in 80.0%.")


def flags(*realised, **others):
    return tuple(Flags(f"2013-06-{10 + i:02d}", realised=r, **others) for i, r in enumerate(realised))


OUT = flags(True, True, True)
IN = flags(False, False, False)


def a_situation(**values):
    return Situation(**({"now": NOW, "flags": OUT, "realised_reason": "Out of band: brier 0.18."} | values))


def opened(days_ago=0, found=BROKEN):
    """An incident of the data that this report, or one so many days earlier, opened."""
    day = (datetime(2013, 6, 12, tzinfo=UTC) - days_ago * DAY).date().isoformat()
    return DataIncident(day, "a", Stage.OPEN, (f"{found.feature} {found.check}",), found.reason, "2013-06-12")


@pytest.mark.parametrize(
    ("situation", "action", "rule", "name"),
    [
        pytest.param(a_situation(flags=IN), Action.LOG, 0, "nothing_out_of_band", id="nothing out of band"),
        pytest.param(a_situation(flags=()), Action.LOG, 0, "nothing_judged", id="no report yet"),
        pytest.param(a_situation(flags=flags(None)), Action.LOG, 0, "nothing_judged", id="nothing was judged"),
        pytest.param(a_situation(data=opened()), Action.ESCALATE, 1, "data_broke", id="1 data broke"),
        pytest.param(a_situation(support=opened()), Action.ESCALATE, 2, "outside_support", id="2 outside support"),
        pytest.param(
            a_situation(data=opened(), support=opened()), Action.ESCALATE, 1, "data_broke", id="1 comes before 2"
        ),
        pytest.param(a_situation(silence=opened()), Action.ESCALATE, 8, "not_judged", id="8 a lane is silent"),
        pytest.param(
            a_situation(silence=opened(), support=opened()), Action.ESCALATE, 2, "outside_support", id="2 before 8"
        ),
        pytest.param(
            a_situation(silence=opened(2)), Action.RETRAIN, 5, "realised_out_of_band", id="8 holds nothing back"
        ),
        pytest.param(
            a_situation(data=opened(2)), Action.SUPPRESS, 1, "data_still_broken", id="1 a person was asked before"
        ),
        pytest.param(
            a_situation(support=opened(2)), Action.SUPPRESS, 2, "still_outside", id="2 a person was asked before"
        ),
        pytest.param(
            a_situation(data=opened(14)), Action.RETRAIN, 5, "realised_out_of_band", id="1 holds nothing back for ever"
        ),
        pytest.param(a_situation(flags=IN, data=opened(2)), Action.LOG, 1, "data_suspect", id="1 nothing would start"),
        pytest.param(
            a_situation(flags=IN, broken=(BROKEN,)), Action.LOG, 1, "data_suspect", id="1 a finding of one day"
        ),
        pytest.param(
            a_situation(flags=IN, outside=(OUTSIDE,)), Action.LOG, 2, "rows_suspect", id="2 a finding of one day"
        ),
        pytest.param(
            a_situation(broken=(BROKEN,)), Action.RETRAIN, 5, "realised_out_of_band", id="5 beside a finding of one day"
        ),
        pytest.param(
            a_situation(flags=flags(False, inputs=True)), Action.LOG, 3, "drift_in_band", id="3 inputs drift, in band"
        ),
        pytest.param(
            a_situation(flags=flags(False, predictions=True)),
            Action.LOG,
            3,
            "drift_in_band",
            id="3 scores drift, in band",
        ),
        pytest.param(
            a_situation(flags=flags(None, inputs=True)), Action.LOG, 3, "drift_in_band", id="3 drift, no labels yet"
        ),
        pytest.param(
            a_situation(flags=flags(None, None, estimated=True)),
            Action.RETRAIN,
            4,
            "estimated_out_of_band",
            id="4 estimate out of band, no labels yet",
        ),
        pytest.param(a_situation(), Action.RETRAIN, 5, "realised_out_of_band", id="5 realised out of band"),
        pytest.param(
            a_situation(flags=flags(True, True, estimated=True)),
            Action.RETRAIN,
            5,
            "realised_out_of_band",
            id="5 labels count more than the estimate",
        ),
        pytest.param(
            a_situation(in_flight="drift__m__2013-06-18"), Action.SUPPRESS, 6, "in_flight", id="6 one in flight"
        ),
        pytest.param(
            a_situation(last_journey_started=NOW - 6 * DAY), Action.SUPPRESS, 6, "cooldown", id="6 within the cooldown"
        ),
        pytest.param(
            a_situation(last_journey_started=NOW - 7 * DAY),
            Action.RETRAIN,
            5,
            "realised_out_of_band",
            id="6 the cooldown ends on its last day",
        ),
        pytest.param(a_situation(started_in_30_days=3), Action.SUPPRESS, 6, "budget", id="6 the budget is spent"),
        pytest.param(
            a_situation(started_in_30_days=2), Action.RETRAIN, 5, "realised_out_of_band", id="6 the budget has one left"
        ),
        pytest.param(
            a_situation(flags=flags(None, None, estimated=True), started_in_30_days=3),
            Action.SUPPRESS,
            6,
            "budget",
            id="6 holds for estimates too",
        ),
        pytest.param(a_situation(futile_streak=2), Action.ESCALATE, 7, "futile", id="7 two futile journeys"),
        pytest.param(
            a_situation(futile_streak=1), Action.RETRAIN, 5, "realised_out_of_band", id="7 one futile journey"
        ),
        pytest.param(
            a_situation(futile_streak=2, last_journey_started=NOW - DAY),
            Action.ESCALATE,
            7,
            "futile",
            id="7 a person is asked without waiting for the cooldown",
        ),
        pytest.param(
            a_situation(futile_streak=2, asked_at_streak=2, breaker_open_until=NOW + DAY),
            Action.SUPPRESS,
            6,
            "breaker_open",
            id="7 a person is asked once",
        ),
        pytest.param(
            a_situation(
                futile_streak=2, asked_at_streak=2, breaker_open_until=NOW, last_journey_started=NOW - 20 * DAY
            ),
            Action.RETRAIN,
            5,
            "realised_out_of_band",
            id="7 one journey may try when the breaker closes",
        ),
        pytest.param(
            a_situation(futile_streak=3, asked_at_streak=2, breaker_open_until=NOW),
            Action.ESCALATE,
            7,
            "futile",
            id="7 it was futile too",
        ),
        pytest.param(
            a_situation(futile_streak=3, asked_at_streak=2, in_flight="drift__m__2013-06-18"),
            Action.SUPPRESS,
            6,
            "in_flight",
            id="7 nobody is asked while a journey may still help",
        ),
        pytest.param(
            a_situation(flags=IN, futile_streak=5, in_flight="x", started_in_30_days=9, breaker_open_until=NOW + DAY),
            Action.LOG,
            0,
            "nothing_out_of_band",
            id="what would not start is not suppressed",
        ),
    ],
)
def test_the_first_rule_that_matches_decides(situation, action, rule, name):
    decision = decide(situation)
    assert (decision.action, decision.rule, decision.name) == (action, rule, name)
    assert decision.reason
    assert "\n" not in decision.reason


@pytest.mark.parametrize(
    ("seen", "persists"),
    [
        pytest.param((True,), False, id="one of one is not two"),
        pytest.param((True, True), True, id="two of two"),
        pytest.param((True, False, True), True, id="two of three with the newest"),
        pytest.param((True, True, False), False, id="the newest is quiet"),
        pytest.param((True, True, None), False, id="the newest could not say"),
        pytest.param((True, False, False, True), False, id="the older one has left the window"),
    ],
)
def test_alarms_count_in_k_of_the_last_n_reports_with_the_newest_among_them(seen, persists):
    assert a_situation(flags=flags(*seen)).persists("realised") is persists


def test_every_rule_of_the_table_can_be_reached_and_the_last_one_always_applies():
    assert [r.number for r in RULES] == [1, 2, 8, 1, 2, 6, 6, 7, 6, 7, 6, 6, 6, 6, 5, 4, 1, 2, 3, 0, 0]
    assert RULES[-1].applies(a_situation(flags=()))
    assert len({r.name for r in RULES}) == len(RULES)


def test_a_retrain_says_how_often_and_by_how_much():
    reason = decide(a_situation()).reason
    assert reason == (
        "Retrain: realised performance is out of band in 3 of the last 3 reports (needed: 2). Out of band: brier 0.18."
    )


def test_a_suppressed_retrain_says_when_it_may_start_and_what_it_would_have_been_for():
    reason = decide(a_situation(last_journey_started=NOW - DAY)).reason
    assert reason.startswith(
        "No journey before 2013-06-26: the last one started on 2013-06-19 and the cooldown is 7 days; "
    )
    assert "brier 0.18" in reason


@pytest.mark.parametrize(
    ("situation", "reason"),
    [
        pytest.param(
            a_situation(flags=(Flags("2013-06-19", False, False, None, False),), realised_reason="0.17, in its band."),
            "Nothing to do: no change, and no harm: performance is in its band. 0.17, in its band.",
            id="all was judged",
        ),
        pytest.param(
            a_situation(flags=(Flags("2013-06-19", None, None, None, None),), realised_reason=""),
            "Not judged: neither inputs nor predictions nor performance.",
            id="nothing was judged",
        ),
        pytest.param(
            a_situation(
                flags=(Flags("2013-06-19", False, None, None, True),),
                unjudged=("a", "b", "c", "d", "e"),
                realised_reason="",
            ),
            "Nothing to do: no change seen (not judged: predictions and a, b, c, d, e), and harm is not certain "
            "yet: performance is out of band in 1 report, 2 are needed.",
            id="five features, and one alarm of two",
        ),
        pytest.param(
            a_situation(
                flags=(Flags("2013-06-19", True, True, None, False),),
                unjudged=("a", "b", "c", "d", "e", "f", "g"),
                realised_reason="",
            ),
            "Only logged: change (inputs and predictions drifted) (not judged: a, b, c, d, e and 2 more), but no harm: "
            "performance is in its band.",
            id="drift, and more than five features",
        ),
        pytest.param(
            a_situation(
                flags=(Flags("2013-06-19", False, False, None, False),), unjudged=tuple("abcdef"), realised_reason=""
            ),
            "Nothing to do: no change seen (not judged: a, b, c, d, e and 1 more), and no harm: performance is in "
            "its band.",
            id="one feature more than are named",
        ),
        pytest.param(
            a_situation(flags=(Flags("2013-06-19", False, True, None, False),), realised_reason=""),
            "Only logged: change (predictions drifted), but no harm: performance is in its band.",
            id="scores alone",
        ),
        pytest.param(
            a_situation(flags=flags(None, None, estimated=True), estimated_reason="Estimated brier 0.19."),
            "Prepare a candidate, not to be promoted before labels mature: estimated performance is out of band in 2 "
            "of the last 2 reports (needed: 2). Estimated brier 0.19.",
            id="an estimate",
        ),
        pytest.param(
            a_situation(data=opened()),
            f"The data broke, so nothing is retrained before 2013-06-26: {BROKEN.reason} Look at the source.",
            id="three findings at most",
        ),
        pytest.param(
            a_situation(support=opened(found=OUTSIDE)),
            "The rows are outside what the model was trained on, so its answers are guesses and its past says nothing: "
            + OUTSIDE.reason
            + " Look at where these rows come from, and whether the model is meant for them.",
            id="three findings outside",
        ),
        pytest.param(
            a_situation(futile_streak=2),
            "Retraining does not help: 2 journeys in a row were futile (limit 2). Look at the label, the features and "
            "the tolerance; realised performance is out of band in 3 of the last 3 reports (needed: 2). Out of band: "
            "brier 0.18. The breaker is open until 2013-07-04.",
            id="futile",
        ),
        pytest.param(
            a_situation(flags=flags(True, True, True, True), started_in_30_days=3),
            "No further journey: drift started 3 in the last 30 days and 3 are allowed; realised performance is out of "
            "band in 3 of the last 3 reports (needed: 2). Out of band: brier 0.18.",
            id="the budget, and no more reports than are looked at",
        ),
    ],
)
def test_each_decision_says_why_in_one_sentence(situation, reason):
    assert decide(situation).reason == reason


def test_what_nobody_said_counts_for_nothing():
    numbers = decide(Situation(NOW, IN)).numbers
    assert (numbers["started_in_30_days"], numbers["futile_streak"], numbers["asked_at_streak"]) == (0, 0, 0)
    assert (numbers["in_flight"], numbers["last_journey_started"], numbers["cooldown_ends"]) == (None, None, None)
    assert (numbers["needed"], numbers["of"], numbers["budget_per_month"], numbers["cooldown_days"]) == (2, 3, 3, 7)
    assert decide(Situation(NOW, IN)).breaker_open_until is None


def test_the_numbers_of_a_decision_are_those_of_the_reports_it_may_look_at():
    seen = flags(True, False, True, True, estimated=True)
    numbers = decide(a_situation(flags=seen, last_journey_started=NOW - 9 * DAY, breaker_open_until=NOW - DAY)).numbers
    assert (numbers["realised_alarms"], numbers["estimated_alarms"]) == (2, 3)
    assert [f["day"] for f in numbers["flags"]] == ["2013-06-11", "2013-06-12", "2013-06-13"]
    assert numbers["last_journey_started"] == "2013-06-11T00:00:00+00:00"
    assert numbers["cooldown_ends"] == "2013-06-18T00:00:00+00:00"
    assert numbers["breaker_open_until"] == "2013-06-19T00:00:00+00:00"


def test_what_a_decision_looked_at_is_recorded_as_json():
    decision = decide(a_situation(futile_streak=2, broken=()))
    data = json.loads(json.dumps(decision.as_json(), allow_nan=False))
    assert data["action"] == "escalate"
    assert data["numbers"]["futile_streak"] == 2
    assert data["numbers"]["realised_alarms"] == 3
    assert data["breaker_open_until"] == "2013-07-04T00:00:00+00:00"


def test_a_candidate_made_for_an_estimate_is_held_until_labels_mature():
    assert decide(a_situation(flags=flags(None, None, estimated=True))).hold_promotion is True
    assert decide(a_situation()).hold_promotion is False


def test_the_cooldown_doubles_with_each_time_a_person_was_asked_up_to_a_year():
    policy = Policy(cooldown_days=7, futile_before_escalation=2)
    assert [cooldown_days(policy, n) for n in (0, 2, 3, 4, 5, 50)] == [7, 14, 28, 56, 112, 365]
    assert cooldown_days(Policy(cooldown_days=0), 2) == 2


def test_whoever_was_asked_under_a_lower_limit_leaves_the_cooldown_as_it_is_declared():
    raised = Policy(cooldown_days=7, futile_before_escalation=3)
    assert [cooldown_days(raised, n) for n in (1, 2, 3)] == [7, 7, 14]


def test_the_same_situation_always_gives_the_same_decision():
    for broken, streak, journey in itertools.product(((), (BROKEN,)), (0, 2), (None, "x")):
        situation = a_situation(broken=broken, futile_streak=streak, in_flight=journey)
        assert decide(situation) == decide(replace(situation))


# --- storms -----------------------------------------------------------------------------------------------------------


def months_of_drift(days, policy, *, journey_days=2, every_hours=24, helps=False):
    """Drift in every window; each journey takes ``journey_days`` and promotes nothing unless it ``helps``."""
    started, asked, actions = [], 0, []
    breaker = None
    for i in range(days * 24 // every_hours):
        now = NOW + timedelta(hours=i * every_hours)
        ended = [s for s in started if s + timedelta(days=journey_days) <= now]
        decision = decide(
            a_situation(
                now=now,
                policy=policy,
                last_journey_started=started[-1] if started else None,
                in_flight="a journey" if len(ended) < len(started) else None,
                started_in_30_days=sum(now - s < 30 * DAY for s in started),
                futile_streak=0 if helps else len(ended),
                asked_at_streak=asked,
                breaker_open_until=breaker,
            )
        )
        actions.append(decision.action)
        if decision.action is Action.RETRAIN:
            started.append(now)
        if decision.action is Action.ESCALATE:
            asked, breaker = len(ended), decision.breaker_open_until
    return started, actions


def test_f097_drift_every_hour_for_a_week_starts_one_journey_and_records_the_rest():
    started, actions = months_of_drift(7, Policy(), every_hours=1, helps=True)
    assert len(started) == 1
    assert actions.count(Action.SUPPRESS) == 7 * 24 - 1


def test_drift_in_every_window_for_ninety_days_stays_within_the_budget():
    started, _ = months_of_drift(90, Policy(cooldown_days=1, budget_per_month=3), helps=True)
    assert len(started) <= 9
    assert all(sum(s <= t < s + 30 * DAY for t in started) <= 3 for s in started)


def test_f098_retraining_that_does_not_help_backs_off_and_asks_a_person_each_time_less_often():
    started, actions = months_of_drift(365, Policy())
    asked = [i for i, a in enumerate(actions) if a is Action.ESCALATE]
    gaps = [b - a for a, b in itertools.pairwise(asked)]
    assert len(started) <= 8
    assert len(asked) >= 3
    assert all(b > a for a, b in itertools.pairwise(gaps))


def test_a_hundred_identical_reports_start_one_journey():
    started, actions = months_of_drift(100, Policy(cooldown_days=0), journey_days=1000)
    assert len(started) == 1
    assert actions.count(Action.SUPPRESS) == 99


# --- journeys that an estimate alone asked for ------------------------------------------------------------------------

REALISED, ESTIMATED = flags(True, True), flags(None, None, estimated=True)


def prepared(**fields):
    return PreparedJourneys(**fields)


@pytest.mark.parametrize(
    "held",
    [
        {"in_flight": "prepared run", "prepared": prepared(in_flight=True, last_started=NOW - timedelta(days=1))},
        {"prepared": prepared(last_started=NOW - timedelta(days=1))},
        {"prepared": prepared(in_30_days=50, contradicted=50, last_started=NOW)},
    ],
)
def test_what_an_estimate_prepared_holds_no_alarm_of_labels_up(held):
    assert decide(a_situation(flags=REALISED, **held)).name == "realised_out_of_band"


@pytest.mark.parametrize(
    ("held", "rule"),
    [
        ({"in_flight": "a run"}, "in_flight"),
        ({"in_flight": "prepared run", "prepared": prepared(in_flight=True)}, "in_flight"),
        ({"prepared": prepared(last_started=NOW - timedelta(days=1))}, "cooldown"),
        ({"prepared": prepared(last_started=NOW - timedelta(days=13), contradicted=1)}, "cooldown"),
        ({"prepared": prepared(in_30_days=3)}, "budget"),
    ],
)
def test_among_themselves_they_have_a_budget_and_a_pause_that_doubles(held, rule):
    assert decide(a_situation(flags=ESTIMATED, **held)).name == rule


def test_the_pause_after_a_contradicted_one_ends():
    held = prepared(last_started=NOW - timedelta(days=14), contradicted=1)
    assert decide(a_situation(flags=ESTIMATED, prepared=held)).name == "estimated_out_of_band"


def test_contradicted_ones_are_not_futile_and_open_no_breaker():
    stopped = [PastJourney(NOW - timedelta(days=20 * n), True, Ending.FUTILE, prepared=True) for n in (3, 2, 1)]
    assert futile_streak(stopped) == 0
    real = PastJourney(NOW - timedelta(days=90), True, Ending.FUTILE)
    assert futile_streak([real, *stopped]) == 1
    assert futile_streak([real, PastJourney(NOW, True, Ending.PROMOTED, prepared=True)]) == 0


def test_that_no_one_knows_is_said_again_on_the_days_after_a_person_was_asked():
    said = " Not judged for too long: a person was asked on 2013-06-10."
    assert decide(a_situation(silence=opened(2))).reason.endswith(said)
    assert "Not judged for too long" not in decide(a_situation(silence=opened())).reason
    closed = opened(2).closed("2013-06-12", Closing.PASSED, "Judged again.")
    assert "Not judged for too long" not in decide(a_situation(silence=closed)).reason


def test_where_the_data_broke_and_the_rows_are_outside_training_both_are_said_where_both_are_new():
    both, old = (decide(a_situation(data=opened(), support=opened(n, OUTSIDE))) for n in (0, 2))
    assert both.reason.endswith(f"{BROKEN.reason} {OUTSIDE.reason} Look at the source.")
    assert old.reason.endswith(f"{BROKEN.reason} Look at the source.")


def test_a_lane_that_is_silent_says_which():
    assert decide(a_situation(silence=opened())).reason.startswith(
        f"No one knows how the model does: {BROKEN.reason} Give"
    )


@pytest.mark.parametrize(("of", "found"), [("data", BROKEN), ("support", OUTSIDE)])
def test_a_finding_that_a_person_was_asked_about_is_logged_with_the_day_they_were(of, found):
    reason = decide(a_situation(flags=IN, **{of: opened(2, found)})).reason
    assert reason.startswith(f"Only logged: a person was asked on 2013-06-10 about this. {found.reason} ")
