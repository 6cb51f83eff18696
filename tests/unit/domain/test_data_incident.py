"""Broken data as an incident: it needs persistence or a bound beyond the limit, and asks once."""

from __future__ import annotations

import json

import pytest

from include.domain.data_incident import DataIncident, FindingWatch, after_findings, is_far
from include.domain.drift.report import Finding, ScoredDay
from include.domain.incident import Closing, Stage
from include.domain.incident_acts import accepted_state
from include.domain.incident_log import IncidentCause, IncidentEventKind, data_step_of

NEAR = Finding("gust", "missing", 0.3, 0.2, "gust is missing in 30% of rows.")
FAR = Finding("gust", "missing", 0.9, 0.2, "gust is missing in 90% of rows.")
OTHER = Finding("label", "labels", 0.12, 0.1, "Labels are overdue.")


def watch(persists=False, judged=True):
    return FindingWatch(persists, judged, 3)


def on(day, version="a"):
    return ScoredDay("m", version, f"2021-01-{day:02}")


@pytest.fixture
def opened() -> DataIncident:
    found = after_findings(None, on(1), [FAR], watch())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("findings", "persists", "opens"),
    [
        pytest.param([], True, False, id="nothing was found"),
        pytest.param([NEAR], False, False, id="one day, near its limit"),
        pytest.param([NEAR], True, True, id="near its limit, for enough days"),
        pytest.param([FAR], False, True, id="one day, far beyond its limit"),
        pytest.param([NEAR, FAR], False, True, id="the farthest counts"),
    ],
)
def test_it_opens_by_persistence_or_by_one_day_far_beyond_the_limit(findings, persists, opens):
    found = after_findings(None, on(1), findings, watch(persists))
    assert (found is not None and found.is_open) is opens


def test_far_is_twice_the_limit_or_halfway_to_all_rows():
    assert [is_far(Finding("x", "missing", m, 0.3, "")) for m in (0.59, 0.6)] == [False, True]
    assert [is_far(Finding("x", "missing", m, 0.8, "")) for m in (0.89, 0.9)] == [False, True]


def test_another_finding_belongs_to_it_and_opens_no_second_one(opened):
    after = after_findings(opened, on(2), [FAR, OTHER], watch())
    assert (after.opened_on, after.checks) == ("2021-01-01", ("gust missing", "label labels"))
    step = data_step_of(IncidentCause.DATA, opened, after)
    assert [kind for kind, _ in step.events] == [IncidentEventKind.JOINED]


def test_it_closes_after_quiet_judged_days_in_a_row_and_days_that_were_not_judged_do_not_count(opened):
    state = opened
    for day, findings, judged in ((2, [], True), (3, [], True), (4, [NEAR], True), (5, [], True), (6, [], False)):
        state = after_findings(state, on(day), findings, watch(judged=judged))
        assert state.is_open
    state = after_findings(state, on(7), [], watch())
    assert (state.is_open, state.quiet) == (True, 2)
    state = after_findings(state, on(8), [], watch())
    assert (state.stage, state.closing, state.closed_on) == (Stage.CLOSED, Closing.PASSED, "2021-01-08")
    assert state.note == "Nothing was found on 3 judged days in a row since 2021-01-04."


def test_what_was_accepted_is_not_asked_about_again_while_the_same_version_serves(opened):
    closed = DataIncident.from_json(
        accepted_state(IncidentCause.DATA, opened.as_json(), "2021-01-02", "ada", "Retired")
    )
    assert closed.note == "ada accepted gust missing of a: Retired"
    assert after_findings(closed, on(3), [FAR], watch(persists=True)) is None
    assert after_findings(closed, on(3, version="b"), [FAR], watch()).opened_on == "2021-01-03"
    both = after_findings(closed, on(3), [FAR, OTHER], watch(persists=True))
    assert both.checks == ("gust missing", "label labels")


def test_it_holds_a_retrain_back_for_the_declared_days(opened):
    assert opened.holds_back_until(14).isoformat() == "2021-01-15"


def test_a_new_incident_has_had_no_quiet_day_and_names_three_of_its_findings(opened):
    assert (opened.quiet, opened.seen_on) == (0, "2021-01-01")
    many = [Finding(f"x{n}", "missing", 0.9, 0.2, f"x{n} is missing.") for n in range(4)]
    found = after_findings(None, on(1), many, watch())
    assert found.reason == "x0 is missing. x1 is missing. x2 is missing."
    assert len(found.checks) == 4


def test_it_survives_json(opened):
    for each in (opened, opened.closed("2021-02-01", Closing.PASSED, "Gone.")):
        assert DataIncident.from_json(json.loads(json.dumps(each.as_json(), allow_nan=False))) == each
