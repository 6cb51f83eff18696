"""Old files of the journal are removed once everything in them is in the log, and never before."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from journal_day import asked_of, changed, go_online, journal_folder, silent_since, write
from journey_world import at, key
from light_world import LightWorld

from include.adapters.offline_store import content_hash
from include.domain.intervals import Interval
from include.domain.journal.records import AnswerRecord
from include.workflows import stores, tasks
from include.workflows.scoring import collecting, journal_keeping

DAY = "2024-03-17"
WRITTEN = at(18)
OLD = WRITTEN + timedelta(days=31)

pytestmark = pytest.mark.moment("first champion")


class Killed(BaseException):
    """The process ends here."""


def a_night(now=OLD) -> list[str]:
    """The names of the files that are there afterwards."""
    tasks.remove_old_journal(now, "housekeeping-1")
    return sorted(path.name for path in journal_folder().glob("*.journal"))


def removed() -> list[tuple[str, int, dict]]:
    with stores.open_ledger() as ledger:
        return [(each.name, each.rows, dict(each.answers)) for each in ledger.segments.removed()]


def answered_day(world: LightWorld, *, ended: bool = True) -> tuple[Path, list[AnswerRecord]]:
    """The 17th as it was answered online, in one file that was last written on the 18th."""
    world.next_day(17, score=False)
    with stores.open_ledger() as ledger:
        head = ledger.deployments.champion(world.model)
        assert head is not None
    records = asked_of(world, 17, head.to_candidate)
    go_online(world)
    file = write(records, ended=ended)
    silent_since([file], WRITTEN)
    return file, records


def collect(world: LightWorld) -> None:
    tasks.collect(world.model, key(17), "collect", OLD)


def test_a_file_that_is_old_and_collected_is_removed_and_what_it_held_is_known(world):
    file, records = answered_day(world)
    collect(world)
    assert a_night(WRITTEN + timedelta(days=29)) == [file.name], "it is not old enough"
    assert a_night() == []
    assert removed() == [(file.name, len(records), {world.model: {DAY: len(records)}})]
    with pytest.raises(collecting.JournalShorter, match="the log was left as it is"):
        collect(world)


def test_a_file_with_one_answer_that_is_not_in_the_log_stays_and_the_night_says_so(world, capsys):
    _, records = answered_day(world)
    collect(world)
    late = write([changed(records[0], asked_id="late")], pid=1)
    silent_since([late], WRITTEN)
    assert a_night() == [late.name]
    assert f"{late.name} stays: 1 answer of {world.model} on {DAY}" in capsys.readouterr().out


def test_nothing_is_removed_of_a_day_that_was_never_collected(world):
    file, _ = answered_day(world)
    assert a_night() == [file.name]
    assert removed() == []


def test_a_file_that_its_process_may_still_write_stays(world):
    file, _ = answered_day(world, ended=False)
    collect(world)
    assert a_night() == [file.name], "its writer is this process, which runs"


def test_a_file_with_a_place_that_cannot_be_read_stays(world, capsys):
    file, _ = answered_day(world)
    collect(world)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    silent_since([file], WRITTEN)
    assert a_night() == [file.name]
    assert "a place in it cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize("point", ["journal.remove.recorded", "journal.remove.removed"])
def test_f159_a_night_that_is_killed_at_any_point_is_repeated_and_nothing_is_lost(world, monkeypatch, point):
    file, records = answered_day(world)
    collect(world)

    def crashpoint(name: str) -> None:
        if name == point:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(journal_keeping, "crashpoint", crashpoint)
        with pytest.raises(Killed):
            tasks.remove_old_journal(OLD, "housekeeping-1")
    assert a_night() == []
    assert removed() == [(file.name, len(records), {world.model: {DAY: len(records)}})]


def test_files_that_the_open_day_was_replaced_in_are_removed_and_the_log_is_as_it_was(world, monkeypatch):
    file, records = answered_day(world)
    file.unlink()
    for number in (40, 80, len(records)):
        write(records[:number], instance=f"part-{number}")
        collect(world)
    store = stores.offline_store()
    before = content_hash(store.read_predictions(world.model, Interval.of_day(DAY)))
    files = {path for path in Path(store.root).rglob("*.parquet") if DAY in str(path) and world.model in str(path)}
    a_night()
    assert {path for path in files if path.exists()} == files  # two days they are kept
    monkeypatch.setattr(journal_keeping, "REPLACED_KEPT", timedelta(0))
    a_night()
    assert len([path for path in files if path.exists()]) == 2  # of the log, and of the features
    assert len(files) > 2
    assert content_hash(store.read_predictions(world.model, Interval.of_day(DAY))) == before
