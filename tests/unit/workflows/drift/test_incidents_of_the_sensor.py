"""Judged days one after the other: what the sensor makes of an incident, and what it makes of what people do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from ledger_fixtures import an_operator
from light_world import ledger_of_this_process
from memory_ledger import MemoryLedger

from include.adapters.ledger import IncidentChanged, IncidentRequest, Ledger, ledger_invariants
from include.config import ModelDeclaration, declarations
from include.config.drift import RetrainPolicy
from include.domain.authority import OPERATORS
from include.domain.drift.input_drift import DriftVerdict, FeatureDrift
from include.domain.drift.profile import Profile
from include.domain.drift.report import DriftReport, Finding
from include.domain.incident import Closing, Incident, Stage
from include.domain.incident_log import IncidentCause, IncidentEventKind
from include.domain.losses import DayLoss
from include.workflows.drift import reference as references
from include.workflows.drift import sensor

MODEL = "flight_delay"
START = date(2013, 6, 1)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
USUAL = (0.10, 0.12, 0.11, 0.13, 0.09, 0.11, 0.12)
RISEN = (0.22, 0.24, 0.23, 0.25, 0.21, 0.23, 0.24)
HIGHER = (0.40, 0.42, 0.41, 0.43, 0.39, 0.41, 0.42)
JUDGED = FeatureDrift(
    **(dict.fromkeys(FeatureDrift.__slots__, 0.0) | {"name": "gust", "drifted": False, "new_categories": ()})
)
NOTHING = DriftVerdict(False, "No feature drifted.", 900, 0.0, (JUDGED,))
CHANGE = 20
RISEN_UNTIL = CHANGE + 25


def level(day: int) -> float:
    """The loss rises on day CHANGE, for good."""
    return (USUAL if day < CHANGE else RISEN)[day % 7]


def named(day: int) -> str:
    return (START + timedelta(days=day)).isoformat()


def losses(first: int, end: int, of: Callable[[int], float]) -> tuple[DayLoss, ...]:
    return tuple(DayLoss(named(d), 900, 900 * of(d), 900 * (of(d) ** 2 + 0.01)) for d in range(first, end))


def judged_by_days(model: ModelDeclaration) -> ModelDeclaration:
    """The model with the default policy, whose days are watched and not its rows."""
    performance = model.drift.performance.model_copy(update={"unit": "day", "min_rows": 100})
    drift = model.drift.model_copy(update={"performance": performance, "retrain": RetrainPolicy()})
    return model.model_copy(update={"drift": drift})


class SensorDays:
    """The drift sensor of one champion on made losses; each day's labels have matured by its end."""

    def __init__(self, ledger: Ledger, of: Callable[[int], float] = level) -> None:
        self.ledger, self.of, self.version, self.since = ledger, of, "a", 0
        self.broken: Callable[[int], tuple[Finding, ...]] = lambda _: ()
        self.model = judged_by_days(declarations().model(MODEL))

    def measure(self, day: int) -> str:
        """The day's report, as the sensor would keep it."""
        past = Profile(features=(), scores=(), rows=900, losses=losses(self.since - 14, self.since, self.of))
        reference = references.Reference(past, {}, None, None)
        accepted = self.ledger.incidents.accepted(MODEL, self.version, named(day))
        matured = day + 1 - self.model.label.delay.days
        found = losses(self.since, max(matured, self.since), self.of)
        reference, found = reference.at_level(accepted, found, self.model.label.delay)
        report = DriftReport(
            model=MODEL,
            version=self.version,
            day=named(day),
            rows=900,
            inputs=NOTHING,
            predictions=NOTHING,
            realised=references.realised(self.model, reference, found),
            broken=self.broken(day),
            outside=(),
            histograms={},
        )
        return self.ledger.drift.report(
            MODEL, self.version, named(day), report.as_json(), run_id=f"drift-{day}"
        ).report_id

    def decide(self, report_id: str, day: int) -> dict[str, str]:
        return sensor.decide({"model": MODEL, "day": named(day), "report_id": report_id, "flags": {}})

    def judge(self, *days: int) -> list[dict[str, str]]:
        return [self.decide(self.measure(day), day) for day in days]

    def until_it_opens(self) -> Incident:
        for day in range(CHANGE, CHANGE + 40):
            self.judge(day)
            found = self.ledger.incidents.of(MODEL, only_open=True)
            if found:
                self.day = day
                return Incident.from_json(found[0].state)
        raise RuntimeError("no incident was opened")

    @property
    def key(self) -> str:
        return self.ledger.incidents.of(MODEL)[0].incident_id

    def act(self, kind: IncidentEventKind, why: str = "The airline changed its timetable", until: str | None = None):
        asked = IncidentRequest(self.key, kind, why, until)
        return self.ledger.incidents.act(asked, by=an_operator("ada"), approvers=OPERATORS, now=NOW)


@contextmanager
def watching(home: Path, told: tuple[bytes | None, int] = (None, 0)) -> Iterator[tuple[SensorDays, MemoryLedger]]:
    """The sensor on a ledger in memory that holds what was told up to a day."""
    content, day = told
    with MemoryLedger(content) as held, ledger_of_this_process(held), pytest.MonkeyPatch.context() as patch:
        found = SensorDays(held.ledger)
        found.day = day
        patch.setenv("SLIPWAY_HOME", str(home))
        patch.setattr(sensor.report_on_mlflow, "show_on_run_page", lambda *_: ())
        patch.setattr(sensor, "declarations", lambda: SimpleNamespace(model={MODEL: found.model}.__getitem__))
        yield found, held
        assert ledger_invariants(held.ledger) == []


@pytest.fixture
def days(tmp_path):
    """No day was judged yet."""
    with watching(tmp_path) as (found, _):
        yield found


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The ledger when the incident opened, and when ``RISEN_UNTIL`` was reached, each with the day of the opening."""
    with watching(tmp_path_factory.mktemp("home")) as (found, held):
        found.until_it_opens()
        opened = held.content(), found.day
        found.judge(*range(found.day + 1, RISEN_UNTIL))
        return {"opened": opened, "risen": (held.content(), found.day)}


@pytest.fixture
def opened(told, tmp_path):
    """On the newest judged day an alarm opened an incident."""
    with watching(tmp_path, told["opened"]) as (found, _):
        yield found


@pytest.fixture
def risen(told, tmp_path):
    """Each day after it, up to ``RISEN_UNTIL``, was judged too."""
    with watching(tmp_path, told["risen"]) as (found, _):
        yield found


def test_an_alarm_opens_one_incident_that_the_next_days_find(opened):
    first = Incident.from_json(opened.ledger.incidents.get(opened.key).state)
    assert first.changed_on == named(CHANGE)
    opened.judge(*range(opened.day + 1, opened.day + 5))
    (found,) = opened.ledger.incidents.of(MODEL)
    assert (found.stage, found.judged_on, found.opened_on) == (Stage.OPEN, named(opened.day + 4), first.opened_on)
    assert next(e.kind for e in opened.ledger.incidents.events(found.incident_id)) is IncidentEventKind.OPENED


def test_a_day_that_is_run_again_or_judged_late_changes_nothing(opened):
    opened.judge(opened.day + 2)
    before = opened.ledger.incidents.get(opened.key), opened.ledger.incidents.events(opened.key)
    opened.judge(opened.day, opened.day + 2, opened.day + 1, 3)
    assert (opened.ledger.incidents.get(opened.key), opened.ledger.incidents.events(opened.key)) == before


def test_an_accepted_level_closes_it_and_the_next_days_do_not_open_it_again(risen):
    risen.act(IncidentEventKind.ACCEPTED)
    closed = Incident.from_json(risen.ledger.incidents.get(risen.key).state)
    assert (closed.stage, closed.closing, closed.closed_on) == (Stage.CLOSED, Closing.ACCEPTED, named(CHANGE + 24))
    assert closed.note == f"ada accepted brier {closed.risk:.4g} as the new level: The airline changed its timetable"
    later = risen.judge(*range(RISEN_UNTIL, CHANGE + 55))
    assert {d["action"] for d in later} == {"log"}
    assert len(risen.ledger.incidents.of(MODEL)) == 1


def test_the_accepted_level_is_the_anchor_of_the_next_alarm(risen):
    risen.act(IncidentEventKind.ACCEPTED)
    risen.of = lambda day: level(day) if day < CHANGE + 40 else HIGHER[day % 7]
    risen.judge(*range(RISEN_UNTIL, CHANGE + 70))
    newest = risen.ledger.incidents.of(MODEL)[0]
    found = Incident.from_json(newest.state)
    assert newest.is_open
    assert found.changed_on == named(CHANGE + 40)
    assert found.anchor == pytest.approx(sum(RISEN) / 7, rel=0.02)


def test_a_day_that_was_measured_before_the_acceptance_does_not_open_it_again(risen):
    measured = risen.measure(RISEN_UNTIL)
    risen.act(IncidentEventKind.ACCEPTED)
    assert risen.decide(measured, RISEN_UNTIL)["action"] == "log"
    assert len(risen.ledger.incidents.of(MODEL)) == 1


@pytest.mark.parametrize("kind", [IncidentEventKind.ACKNOWLEDGED, IncidentEventKind.ACCEPTED])
def test_what_a_person_does_while_the_sensor_decides_is_not_lost(risen, monkeypatch, kind):
    """The act comes after the sensor has read the incident and before it writes."""
    report, reads = risen.measure(RISEN_UNTIL), sensor.situation

    def acts_meanwhile(*args):
        found = reads(*args)
        monkeypatch.setattr(sensor, "situation", reads)
        risen.act(kind)
        return found

    monkeypatch.setattr(sensor, "situation", acts_meanwhile)
    decision = risen.decide(report, RISEN_UNTIL)
    found = risen.ledger.incidents.get(risen.key)
    assert found.acknowledged_by == "ada"
    assert found.is_open is (kind is IncidentEventKind.ACKNOWLEDGED)
    assert (decision["action"] == "log") is (kind is IncidentEventKind.ACCEPTED)
    assert len(risen.ledger.incidents.of(MODEL)) == 1


def test_acts_without_end_are_said_in_a_line_and_nothing_is_written(opened, monkeypatch):
    report, reads, numbers = opened.measure(opened.day + 1), sensor.situation, iter(range(100))

    def acts_each_time(*args):
        found = reads(*args)
        opened.act(IncidentEventKind.SNOOZED, until=named(opened.day + 2 + next(numbers)))
        return found

    monkeypatch.setattr(sensor, "situation", acts_each_time)
    with pytest.raises(IncidentChanged, match="Nothing was written; decide again"):
        opened.decide(report, opened.day + 1)
    assert opened.ledger.drift.decision(report) is None


# --- one notice, and reminders ----------------------------------------------------------------------------------------


def reminders(days: SensorDays) -> list[str]:
    return [e.day for e in days.ledger.incidents.events(days.key) if e.kind is IncidentEventKind.REMINDED]


def test_people_are_reminded_every_seven_judged_days_and_a_rerun_reminds_no_one(opened):
    opened.judge(*range(opened.day + 1, opened.day + 16))
    assert reminders(opened) == [named(opened.day + 7), named(opened.day + 14)]
    opened.judge(*range(opened.day + 1, opened.day + 16))
    assert len(reminders(opened)) == 2


def test_an_acknowledged_incident_does_not_remind(opened):
    opened.act(IncidentEventKind.ACKNOWLEDGED)
    opened.judge(*range(opened.day + 1, opened.day + 16))
    assert reminders(opened) == []


def test_a_snoozed_one_reminds_from_its_day_on(opened):
    opened.act(IncidentEventKind.SNOOZED, until=named(opened.day + 10))
    opened.judge(*range(opened.day + 1, opened.day + 19))
    assert reminders(opened) == [named(opened.day + 10), named(opened.day + 17)]


# --- broken data ------------------------------------------------------------------------------------------------------

GONE = Finding("gust", "missing", 0.9, 0.2, "gust is missing in 90% of rows.")


def test_a_feature_that_is_gone_asks_a_person_once_and_not_every_day(days):
    days.broken = lambda day: (GONE,) if 3 <= day < 40 else ()
    decisions = days.judge(*range(1, 19))
    assert [d["action"] for d in decisions if d["rule"].startswith("1 ")].count("escalate") == 1
    assert decisions[2]["rule"] == "1 data_broke"
    (found,) = days.ledger.incidents.of(MODEL)
    assert (found.cause, found.opened_on, found.is_open) == (IncidentCause.DATA, named(3), True)


def test_it_holds_back_a_retrain_for_the_declared_days_and_not_for_ever(days):
    days.broken = lambda day: (GONE,) if day >= CHANGE - 2 else ()
    decisions = {day: days.judge(day)[0] for day in range(CHANGE - 4, CHANGE + 40)}
    held = [day for day, d in decisions.items() if d["rule"] == "1 data_still_broken"]
    assert held
    assert max(held) < CHANGE - 2 + days.model.drift.data.holds_days
    assert "retrain" in {d["action"] for d in decisions.values()}


def test_it_closes_when_the_feature_is_back(days):
    days.broken = lambda day: (GONE,) if 3 <= day < 6 else ()
    days.judge(*range(1, 10))
    (found,) = days.ledger.incidents.of(MODEL)
    assert not found.is_open
    assert [e.kind.value for e in days.ledger.incidents.events(found.incident_id)] == ["opened", "closed"]
