"""The open day of a model that is asked online is in the log within minutes, and is closed as if it had never been."""

from __future__ import annotations

from datetime import datetime

import pytest
from feature_world import at
from journal_day import asked_of, go_online, journal_folder, silent_since, write, write_shadow
from journey_world import NOW, key
from light_world import LightWorld
from test_collecting import DAY, Killed, champion_of, collect, content_before, log_of, online_day, restored, state

from include.domain.errors import NotYet
from include.domain.journal.records import Mark
from include.workflows import stores, tasks
from include.workflows.scoring import collecting, journal_columns, journal_read

NOON = Mark(at(17, 12))


def so_far(world: LightWorld, run_id: str = "live", now: datetime = NOW) -> dict:
    return dict(tasks.collect_so_far(world.model, run_id, now))


@pytest.mark.moment("the 17th published")
def test_what_was_answered_so_far_is_in_the_log_and_the_day_is_claimed(world):
    write([*online_day(world)[:50], NOON], ended=False)
    assert so_far(world)["facts"]["rows"] == 50
    assert log_of(world).num_rows == 50
    with stores.open_ledger() as ledger:
        assert [claim.run_id for claim in ledger.claims.of(world.model, DAY, "2024-03-18")] == ["live"]
        (scored,) = ledger.lineage.scorings(world.model, DAY, "2024-03-18")
        assert (scored.rows, scored.run_id) == (50, "live")


@pytest.mark.moment("the 17th published")
def test_a_run_decodes_only_what_came_since_the_last_one(world, monkeypatch):
    decoded = []
    take = journal_columns.ColumnReader.take

    def noted(self, base, whole):
        decoded.extend(whole)
        take(self, base, whole)

    monkeypatch.setattr(journal_columns.ColumnReader, "take", noted)
    records = online_day(world)
    file = write([*records[:50], NOON], ended=False)
    so_far(world)
    assert len(decoded) == 52  # what opens the file, and the mark
    decoded.clear()
    so_far(world)
    assert decoded == []
    grown = write([*records, NOON], instance="other", ended=False)
    file.write_bytes(file.read_bytes() + grown.read_bytes())
    grown.unlink()
    so_far(world)
    assert len(decoded) == 122
    assert log_of(world).num_rows == 120


def test_f159_a_day_that_was_collected_as_it_came_is_closed_like_one_that_was_not(tale, tmp_path):
    found = []
    for steps in ([], [40, 80, 80, 119]):
        with tale.at("the 17th published in shadow", tmp_path / str(len(steps))) as world:
            records, challenger = online_day(world), str(world.references["second"]["candidate_id"])
            write_shadow(challenger, asked_of(world, 17, challenger, role="shadow"))
            for number in steps:
                file = write([*records[:number], NOON], ended=False)
                so_far(world)
                assert log_of(world).num_rows == number + min(number, 120)  # the challenger's beside them
                with stores.open_ledger() as ledger:
                    assert ledger.shadow.window(challenger).scored == ()
                file.unlink()
            write(records)
            facts = collect(world)["facts"]
            found.append((facts["rows"], facts["shadow"], facts["mean_score"], state(world)))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.moment("the 17th published in shadow")
def test_f159_killed_at_any_point_the_open_day_is_finished_by_the_next_run_or_by_the_closing(world, monkeypatch):
    records, challenger = online_day(world), str(world.references["second"]["candidate_id"])
    write([*records, NOON])
    write_shadow(challenger, asked_of(world, 17, challenger, role="shadow"))
    kept, points = content_before(world), list[str]()
    for module in (collecting, journal_read):
        monkeypatch.setattr(module, "crashpoint", points.append)
    so_far(world)
    after_a_run = state(world)
    monkeypatch.setattr(collecting, "crashpoint", lambda name: None)
    collect(world)
    closed = state(world)
    assert "collecting.served.written" in points
    for nth in range(len(points)):
        restored(world, kept, monkeypatch)
        for file in (journal_folder().parent / "journal-columns").rglob("*.arrow"):
            file.unlink()
        left = iter(points)

        def crashpoint(name: str, nth: int = nth, left=left) -> None:
            if name == points[nth] and next(left) is not None:
                raise Killed(name)

        for module in (collecting, journal_read):
            monkeypatch.setattr(module, "crashpoint", crashpoint)
        with pytest.raises(Killed):
            so_far(world)
        for module in (collecting, journal_read):
            monkeypatch.setattr(module, "crashpoint", lambda name: None)
        if nth % 2:
            so_far(world)
            assert state(world) == after_a_run, points[nth]
        collect(world)
        assert state(world) == closed, points[nth]


@pytest.mark.moment("the 17th published")
@pytest.mark.parametrize("whole", [True, False])
def test_f159_a_run_that_was_overtaken_writes_nothing(world, monkeypatch, whole):
    records = online_day(world)
    file = write([*records[:50], NOON])
    point, overtaken = collecting.crashpoint, list[str]()

    def meanwhile(name: str) -> None:
        if name == "collecting.read" and not overtaken:
            overtaken.append(name)
            file.unlink()
            write(records)
            collect(world) if whole else so_far(world, "other")
        point(name)

    monkeypatch.setattr(collecting, "crashpoint", meanwhile)
    assert so_far(world)["skipped"] == f"Another run has taken {DAY} over and collects it; this one stopped."
    assert log_of(world).num_rows == 120
    with stores.open_ledger() as ledger:
        (scored,) = ledger.lineage.scorings(world.model, DAY, "2024-03-18")
        assert (scored.rows, scored.run_id) == (120, "collect" if whole else "other")


@pytest.mark.moment("the 17th published")
def test_a_run_of_the_open_day_never_stops_the_one_that_closes_it(world, monkeypatch):
    write([*online_day(world), NOON])
    point, between = collecting.crashpoint, list[dict]()

    def meanwhile(name: str) -> None:
        if name == "collecting.read" and not between:
            between.append({})
            between.append(so_far(world))
        point(name)

    monkeypatch.setattr(collecting, "crashpoint", meanwhile)
    assert collect(world)["facts"]["rows"] == 120
    assert between[1]["facts"]["rows"] == 120


@pytest.mark.moment("second judged")
def test_a_day_that_was_collected_before_a_promotion_stays_with_the_champion_it_had(world):
    world.next_day(18, score=False)
    first, second = champion_of(world), str(world.references["second"]["candidate_id"])
    records = asked_of(world, 18, first)
    go_online(world)
    write([*records[:50], Mark(at(18, 11))], ended=False)
    assert so_far(world)["facts"]["champion"] == first
    go_online(world, mode="batch")  # which needs no share of live traffic first
    tasks.promote(world.references["second"], NOW)
    tasks.close_journey(world.references["second"])
    go_online(world)
    write(asked_of(world, 18, second)[50:], instance="after")
    for told in (so_far(world)["facts"], closed_later(world)):
        assert (told["champion"], told["rows"], told["also_served"]) == (first, 50, {second: 70})
    rows = log_of(world, 18).to_pandas()
    assert rows.groupby(["candidate_id", "role"]).size().to_dict() == {
        (first, "served"): 50,
        (second, "also_served"): 70,
    }


def closed_later(world: LightWorld) -> dict:
    silent_since(journal_folder().glob("*.journal"), at(1))
    return dict(tasks.collect(world.model, key(18), "collect", NOW)["facts"])


@pytest.mark.moment("the 17th published")
def test_the_open_day_is_that_of_the_data_and_nothing_is_collected_where_nobody_asked(world):
    records = online_day(world)
    assert so_far(world)["skipped"] == f"The journal has no record, so {world.model} was asked nothing."
    write([*records[:5], Mark(at(18, 1))], ended=False)
    assert so_far(world)["skipped"] == f"The journal has no answer of {world.model} on 2024-03-18."
    with pytest.raises(NotYet):
        tasks.collect(world.model, key(17), "noon", at(17, 12))
