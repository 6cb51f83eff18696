"""Not judged has an end: a lane that does not judge within its days asks a person, once, until it judges again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from include.config import ModelDeclaration, declarations
from include.domain import unjudged
from include.domain.data_incident import DataIncident
from include.domain.decision import Action, decide
from include.domain.drift.report import Flags, ScoredDay
from include.domain.incident import Closing
from include.domain.incident_log import IncidentCause, IncidentEventKind, data_step_of
from include.domain.situation import Situation
from include.domain.unjudged import JudgedDays
from include.workflows.drift.rule_inputs import judged_within

WITHIN = {"inputs": 5, "realised": 8}
WHY = {"inputs": "24 rows; at least 300 are needed.", "realised": "No label came."}


def day_name(at: int) -> str:
    return (date(2013, 6, 1) + timedelta(days=at)).isoformat()


class Days:
    """Judges day after day, and keeps what became of the incident."""

    def __init__(self, within: dict[str, int] = WITHIN) -> None:
        self.within = within
        self.judged: JudgedDays | None = None
        self.incident: DataIncident | None = None

    def judge(self, at: int, version: str = "a", **flags: bool | None) -> DataIncident | None:
        scored = ScoredDay("m", version, day_name(at))
        self.judged = unjudged.after_report(self.judged, scored, Flags(scored.day, **flags))
        found = unjudged.overdue(self.judged, scored.day, self.within, WHY)
        after = unjudged.after_day(self.incident, scored, self.judged, found)
        # The ledger keeps the newest incident of a cause, a closed one too.
        self.incident = after or self.incident
        return after

    def opened_by(self, days: int, **flags: bool | None) -> list[int]:
        """The days that opened an incident."""
        return [at for at in range(days) if (i := self.judge(at, **flags)) and i.opened_on == day_name(at)]


def test_a_lane_that_never_judges_asks_on_the_first_day_past_its_own_and_once():
    days = Days()
    assert days.opened_by(60, realised=False) == [5]
    assert days.incident is not None
    assert days.incident.checks == ("inputs not_judged",)
    assert days.incident.reason.startswith(
        "Input drift was not judged since a serves, 59 days; 5 are allowed. 24 rows;"
    )


def test_a_second_lane_joins_the_incident_and_asks_no_one_again():
    days = Days()
    assert days.opened_by(20) == [5]
    assert days.incident is not None
    assert days.incident.checks == ("inputs not_judged", "realised not_judged")


@pytest.mark.parametrize("flag", [True, False])
def test_drift_and_none_are_both_judgements(flag):
    assert Days().opened_by(60, inputs=flag, realised=flag) == []


def test_it_closes_when_all_that_it_names_is_judged_again():
    days = Days()
    days.opened_by(12)
    assert days.judge(12, inputs=False).is_open
    closed = days.judge(13, inputs=False, realised=False)
    assert (closed.is_open, closed.closing, closed.note) == (False, Closing.PASSED, "All of it is judged again.")
    assert days.judge(14, inputs=False, realised=False) is None


def test_judged_again_and_silent_again_asks_again():
    days = Days({"inputs": 5})
    days.opened_by(8)
    assert not days.judge(8, inputs=False).is_open
    assert [at for at in range(9, 30) if (i := days.judge(at)) and i.opened_on == day_name(at)] == [13]


def test_another_version_has_days_of_its_own_and_does_not_close_what_was_not_judged():
    days = Days({"inputs": 5})
    days.opened_by(8)
    assert all(days.judge(at, version="b").is_open for at in range(8, 20))


def test_what_a_person_accepted_is_not_asked_about_while_the_version_serves():
    days = Days({"inputs": 5})
    days.opened_by(8)
    days.incident = days.incident.closed(day_name(7), Closing.ACCEPTED, "known")
    assert [days.judge(at) for at in range(8, 20)] == [None] * 12
    opened = [at for at in range(20, 40) if (i := days.judge(at, version="b")) and i.opened_on == day_name(at)]
    assert opened == [25]


def test_a_lane_with_no_days_is_not_watched():
    assert Days({"inputs": 0}).opened_by(400) == []


def test_the_day_that_opens_it_escalates_and_the_days_after_it_say_so_without_asking():
    days = Days()
    days.opened_by(6)
    flags = (Flags(day_name(5)),)
    asked = decide(Situation(now=datetime(2013, 6, 7, tzinfo=UTC), flags=flags, silence=days.incident))
    assert (asked.action, asked.rule, asked.name) == (Action.ESCALATE, 8, "not_judged")
    assert "Input drift was not judged since a serves" in asked.reason
    days.judge(6)
    later = decide(Situation(now=datetime(2013, 6, 8, tzinfo=UTC), flags=(Flags(day_name(6)),), silence=days.incident))
    assert (later.action, later.name) == (Action.LOG, "nothing_judged")
    assert later.reason.endswith(f"Not judged for too long: a person was asked on {day_name(5)}.")


def test_it_is_an_incident_of_its_own_in_the_ledger():
    days = Days()
    days.opened_by(6)
    step = data_step_of(IncidentCause.SILENCE, None, days.incident)
    assert step is not None
    assert [kind for kind, _ in step.events] == [IncidentEventKind.OPENED]
    assert DataIncident.from_json(step.state) == days.incident


def test_what_is_kept_with_a_decision_is_read_again():
    days = Days()
    days.judge(0, inputs=True)
    days.judge(1, realised=False)
    assert days.judged is not None
    assert JudgedDays.from_json(days.judged.as_json()) == days.judged
    assert (days.judged.without("inputs", day_name(4)), days.judged.without("predictions", day_name(4))) == (4, 4)


# --- what a declaration says ------------------------------------------------------------------------------------------


def declared(tier: str, **within: int) -> ModelDeclaration:
    data = declarations().model("flight_delay").model_dump()
    return ModelDeclaration.model_validate(data | {"tier": tier, "drift": data["drift"] | {"judged_within": within}})


@pytest.mark.parametrize(("tier", "days"), [("critical", 14), ("standard", 28), ("experimental", 0)])
def test_the_tier_says_how_long_a_lane_may_be_silent(tier, days):
    found = judged_within(declared(tier))
    assert (found["inputs"], found["predictions"], found["estimated"]) == (days, days, 0)
    # Labels come after their delay: a day of them.
    assert found["realised"] == (days + 1 if days else 0)


def test_the_declaration_wins_over_the_tier():
    found = judged_within(declared("standard", inputs=3, predictions=0, performance=60, estimated=30))
    assert found == {"inputs": 3, "predictions": 0, "estimated": 30, "realised": 61}
