"""A retry of an alarm is judged on days that no earlier candidate was judged on, as the ledger knows them."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from include.domain.incident import Incident, Stage
from include.domain.journey import Trigger
from include.workflows.evidence import training

DAY = timedelta(days=1)


def incident(changed_on="2013-06-01", dated=True):
    return Incident("2013-06-10", "c0", "brier", 0.1, 0.11, changed_on, Stage.OPEN, "c0", dated=dated)


def asked(name, opened, *, alarm=True):
    trigger = Trigger.DRIFT if alarm else Trigger.SCHEDULE
    request = SimpleNamespace(trigger=trigger, report_id="r", as_of=day(opened))
    return SimpleNamespace(candidate_id=name, model="m", opened_at=day(opened), request=request)


def day(number):
    """The so-manieth of June."""
    return datetime(2013, 6, 1, tzinfo=UTC) + (number - 1) * DAY


def judged(name, opened, start, end, champion="c0"):
    return SimpleNamespace(candidate=asked(name, opened), start=day(start), end=day(end), champion=champion)


def windows(*earlier, as_of=22, champion="c0", kept=None, before=None, alarm=True):
    decision = SimpleNamespace(numbers={"incident": (kept or incident()).as_json()})
    ledger = SimpleNamespace(
        drift=SimpleNamespace(decision=lambda _: decision),
        gates=SimpleNamespace(judged_on=lambda *_: list(earlier)),
        deployments=SimpleNamespace(champion=lambda _: SimpleNamespace(to_candidate=champion)),
    )
    declared = SimpleNamespace(window_days=90, holdout_days=14, race=None)
    model = SimpleNamespace(name="m", training=declared, label=SimpleNamespace(delay=DAY))
    candidate = asked("mine", as_of, alarm=alarm)
    journey = SimpleNamespace(model=model, candidate=candidate, candidate_id="mine", as_of=day(as_of), ledger=ledger)
    return training.windows_of(journey, "a gate", before)


def test_a_first_candidate_holds_out_the_newer_half():
    assert windows().holdout.days[0] == "2013-06-11"


@pytest.mark.parametrize(
    ("earlier", "first"),
    [
        pytest.param(judged("c1", 12, 6, 11), "2013-06-11", id="judged before the newer half"),
        pytest.param(judged("c1", 16, 10, 15), "2013-06-15", id="judged on some of it"),
        pytest.param(judged("c1", 20, 12, 19), "2013-06-11", id="fewer than five days are left"),
        pytest.param(judged("c1", 16, 10, 15, champion="other"), "2013-06-11", id="beside another champion"),
        pytest.param(judged("later", 30, 10, 15), "2013-06-11", id="opened later"),
    ],
)
def test_a_retry_holds_out_days_that_none_was_judged_on(earlier, first):
    found = windows(earlier)
    assert found.holdout.days[0] == first
    assert found.holdout.days[-1] == "2013-06-20"
    assert found.train.end == found.holdout.start, "what was held out before is learned from"
    assert len(found.train.days) == 90


def test_a_journey_that_no_alarm_asked_for_holds_out_what_is_declared():
    assert len(windows(judged("c1", 16, 10, 15), alarm=False).holdout.days) == 14


def test_the_declared_days_are_held_out_where_the_change_has_no_date():
    assert len(windows(judged("c1", 16, 10, 15), kept=incident(dated=False)).holdout.days) == 14


def test_a_retry_of_the_step_holds_out_what_it_held_out_first():
    before = SimpleNamespace(holdout=SimpleNamespace(start=day(15).isoformat()))
    assert windows(before=before).holdout.days[0] == "2013-06-15"
