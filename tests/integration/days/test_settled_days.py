"""A day's measurement reads a window: what a champion's older days came to is kept as sums."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from include.adapters.ledger import Ledger
from include.config import ModelDeclaration, declarations
from include.config.settings import settings
from include.domain.drift.maturity import Cohort
from include.domain.drift.settled import SettledDay, days_of, settled, settled_until
from include.domain.intervals import DAY, Interval
from include.domain.losses import DayLoss
from include.domain.promotion import Epoch, EpochKind
from include.workflows.drift import reference

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
SETTLES = 10


def at(day: int) -> datetime:
    return FIRST + timedelta(days=day)


def name(day: int) -> str:
    return at(day).date().isoformat()


def epoch(since: datetime = FIRST, revision: int = 3) -> Epoch:
    return Epoch(
        model="flight_delay",
        revision=revision,
        kind=EpochKind.PROMOTION,
        from_candidate=None,
        to_candidate="a-candidate",
        model_version="3",
        digest="sha256:x",
        effective_from=since,
        actor="test",
        reason="test",
        run_id="run",
        cleared_by={},
        recorded_at=since,
    )


class Read(NamedTuple):
    start: datetime
    end: datetime
    as_of: datetime


class World:
    """Days of ten rows with a loss of their own, and how long after its day each day's last label comes."""

    def __init__(self, late: dict[int, timedelta]) -> None:
        self.late, self.reads = late, list[Read]()

    def measured(self, ledger, model, epoch, served, as_of):
        self.reads.append(Read(served.start, served.end, as_of))
        losses, cohorts = [], []
        for each in days_of(served):
            day = (each.start - FIRST).days
            came = 9 + (each.end + self.late.get(day, timedelta()) <= as_of)
            losses.append(DayLoss(name(day), came, came * (0.1 + day / 7), came * (0.1 + day / 7) ** 2))
            cohorts.append(Cohort(name(day), 10, came))
        return reference.Matured(tuple(losses), tuple(cohorts))


@pytest.fixture
def model(tmp_path, monkeypatch) -> ModelDeclaration:
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    monkeypatch.delenv("SLIPWAY_LEDGER_URL", raising=False)
    found = declarations().model("flight_delay")
    assert found.drift.performance.settles_days == SETTLES
    return found


def world_of(monkeypatch, late: dict[int, timedelta] | None = None) -> World:
    made = World(late or {})
    monkeypatch.setattr(reference, "_measured", made.measured)
    return made


def whole_life(world: World, model: ModelDeclaration, day: int):
    """What reading all that was ever served gives."""
    return world.measured(None, model, epoch(), Interval(FIRST, at(day + 1) - model.label.delay), at(day + 1))


def test_older_days_are_read_once_and_what_is_read_does_not_grow_with_age(model, monkeypatch):
    world = world_of(monkeypatch)
    sizes = []
    for day in range(20, 45):
        world.reads.clear()
        assert reference.matured(model, epoch(), Interval(at(day), at(day + 1))) == whole_life(world, model, day)
        sizes.append(sum((r.end - r.start for r in world.reads[:-1]), timedelta()) / DAY)
    assert set(sizes[1:]) == {1 + SETTLES + (1 if model.label.delay % DAY else 0)}


def test_a_day_judged_again_finds_the_sums_of_the_moment_it_settled(model, monkeypatch):
    closes = model.label.delay + timedelta(days=SETTLES)
    world = world_of(monkeypatch, {5: closes, 6: closes + timedelta(hours=1)})
    for asked in (60, 40):
        losses, cohorts, _ = reference.matured(model, epoch(), Interval(at(asked), at(asked + 1)))
        rows = {loss.day: loss.rows for loss in losses}
        # The label of day 5 comes in the last moment that counts; that of day 6 too late, however late one asks.
        assert (rows[name(5)], rows[name(6)]) == (10, 9)
        assert [c.labelled for c in cohorts if c.day in (name(5), name(6))] == [10, 9]
    assert {r.as_of for r in world.reads if r.start == at(6)} == {at(7) + closes}


def test_the_sums_of_another_term_of_office_or_another_loss_are_not_used(model, monkeypatch):
    world = world_of(monkeypatch)
    day = Interval(at(40), at(41))
    reference.matured(model, epoch(), day)
    first = len(world.reads)
    reference.matured(model, epoch(), day)
    assert len(world.reads) == first + 1
    reference.matured(model, epoch(revision=4), day)
    assert len(world.reads) == 2 * first + 1
    performance = model.drift.performance.model_copy(update={"metric": "log_loss"})
    other = model.model_copy(update={"drift": model.drift.model_copy(update={"performance": performance})})
    reference.matured(other, epoch(), day)
    assert len(world.reads) == 3 * first + 1


def test_a_champion_that_began_within_a_day_has_a_first_day_of_its_own_rows(model, monkeypatch):
    world = world_of(monkeypatch)
    since = at(0) + timedelta(hours=6)
    reference.matured(model, epoch(since), Interval(at(40), at(41)))
    assert (world.reads[0].start, world.reads[0].end) == (since, at(1))


def test_nothing_has_matured_yet(model, monkeypatch):
    world_of(monkeypatch)
    assert reference.matured(model, epoch(at(40)), Interval(at(40), at(40) + timedelta(minutes=1))) == ((), (), None)


def test_what_is_kept_first_stays_and_days_without_a_row_are_kept_too(model):
    with Ledger.open(settings().ledger_url) as ledger:
        first, empty = SettledDay(name(1), 10, 9, 1.5, 0.25), SettledDay(name(2), 0, 0, 0.0, 0.0)
        ledger.settled.keep("flight_delay", 3, "x", [first, empty])
        ledger.settled.keep("flight_delay", 3, "x", [SettledDay(name(1), 99, 99, 9.0, 9.0)])
        kept = ledger.settled.of("flight_delay", 3, "x")
        assert kept == {name(1): first, name(2): empty}
        assert ledger.settled.of("flight_delay", 4, "x") == ledger.settled.of("flight_delay", 3, "y") == {}
    assert (kept[name(2)].losses, kept[name(2)].cohorts) == ((), ())


def test_the_sums_of_a_day_are_those_of_its_rows():
    assert settled(name(1), [DayLoss(name(1), 9, 1.5, 0.25)], [Cohort(name(1), 10, 9)]).losses == (
        DayLoss(name(1), 9, 1.5, 0.25),
    )
    assert settled(name(1), [], [Cohort(name(1), 10, 0)]) == SettledDay(name(1), 10, 0, 0.0, 0.0)


def test_a_day_settles_at_a_midnight():
    assert settled_until(at(20) + timedelta(hours=12), 10) == at(10)


def test_days_settle_no_earlier_than_the_window_that_is_looked_at(model):
    performance = model.drift.performance.model_dump()
    wide = type(model.drift.performance).model_validate({**performance, "window_days": 21} | {"settles_days": 21})
    assert wide.settles_days == 21
    left_out = {k: v for k, v in performance.items() if k != "settles_days"}
    assert type(model.drift.performance).model_validate({**left_out, "window_days": 21}).settles_days == 21
    with pytest.raises(ValueError, match="settles_days is 10; at least window_days, 21"):
        type(model.drift.performance).model_validate({**performance, "window_days": 21})
