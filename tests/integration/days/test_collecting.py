"""A day that is collected from the journal: the same log, drift and shadow gate as the same rows scored in batch."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from journal_day import asked_of, changed, go_online, journal_folder, silent_since, write, write_shadow
from journey_world import NOW, at, key
from light_world import LightWorld
from memory_ledger import MemoryLedger

from include.adapters.offline_store import content_hash
from include.config import declarations
from include.domain.errors import NotYet, Refusal
from include.domain.intervals import Interval
from include.domain.journal.records import Mark
from include.workflows import stores, tasks
from include.workflows.scoring import collecting

DAY = "2024-03-17"
ONLINE = ["asked_id", "arm", "channel", "revision", "latency_us", "feature_age_s_max", "unit", "bucket", "number"]


def champion_of(world: LightWorld) -> str:
    with stores.open_ledger() as ledger:
        head = ledger.deployments.champion(world.model)
        assert head is not None
        return head.to_candidate


def log_of(world: LightWorld, day: int = 17):
    rows = stores.offline_store().read_predictions(world.model, Interval.of_day(at(day).date()))
    assert rows is not None
    return rows


def online_day(world: LightWorld) -> list:
    """From now on the model is online, and its champion was asked each row of the 17th once, which is published."""
    records = asked_of(world, 17, champion_of(world))
    go_online(world)
    return records


def collect(world: LightWorld, run_id: str = "collect") -> dict:
    return dict(tasks.collect(world.model, key(17), run_id, NOW))


def measured(world: LightWorld) -> dict:
    report = tasks.measure_drift(world.model, key(17), "drift")
    with stores.open_ledger() as ledger:
        kept = ledger.drift.get(str(report["report_id"]))
        assert kept is not None
        return dict(kept.report)


def test_a_collected_day_gives_drift_and_the_shadow_gate_what_the_same_rows_give_in_batch(tale, tmp_path):
    found = {}
    for channel in ("batch", "online"):
        with tale.at("the 17th published in shadow", tmp_path / channel) as world:
            reference = world.references["second"]
            if channel == "batch":
                told = world.score(17)["facts"]
            else:
                write(online_day(world))
                challenger = str(reference["candidate_id"])
                write_shadow(challenger, asked_of(world, 17, challenger, role="shadow"))
                told = collect(world)["facts"]
            rows = log_of(world)
            drop = [name for name in (*ONLINE, "prediction_id") if name in rows.column_names]
            judged = world.judge("shadow_gate", reference)
            with stores.open_ledger() as ledger:
                attempt = ledger.gates.latest(str(reference["candidate_id"]))["shadow_gate"]
            found[channel] = {
                "facts": {name: told[name] for name in ("day", "rows", "champion", "model_version", "shadow")},
                "log": content_hash(rows.drop_columns(drop)),
                "drift": measured(world),
                "verdict": judged["verdict"],
                "evidence": attempt.result.as_json(),
            }
    assert found["batch"]["facts"]["rows"] == 120
    assert found["online"] == found["batch"]


@pytest.mark.moment("the 17th published")
def test_a_collected_row_says_how_it_was_asked(world):
    records = online_day(world)
    write(records)
    assert collect(world)["facts"]["rows"] == 120
    first = log_of(world).slice(0, 1).to_pylist()[0]
    assert {name: first[name] for name in ONLINE} == {
        "asked_id": "q0000",
        "arm": "champion",
        "channel": "online",
        "revision": 1,
        "latency_us": 100,
        "unit": None,
        "bucket": None,
        "number": None,
        "feature_age_s_max": 1800.0,  # the view that was stale gave no value
    }
    assert first["prediction_id"] == f"{champion_of(world)}|q0000"
    assert first["request_id"] == "17-000|2024-03-17T00:00:00Z"
    before = log_of(world, 16)  # scored in batch before the log had these columns
    assert before.num_rows == 120
    assert all(before.column(name).null_count == 120 for name in ONLINE)


@pytest.mark.moment("the 17th published")
def test_f157_a_late_answer_lies_in_its_day_and_is_found_by_the_next_collection(world, capsys):
    records = online_day(world)
    write(records[:-1])
    assert collect(world)["facts"]["rows"] == 119
    # The last request of the day, in a segment that comes when the day was collected.
    write([changed(records[-1], event_time=at(18) - timedelta(milliseconds=1))], instance="late")
    world.fill_days(18, 19)
    capsys.readouterr()
    told = tasks.collect(world.model, key(18), "next", NOW)
    assert told["skipped"] == f"The journal has no answer of {world.model} on 2024-03-18."
    assert f"{DAY}: 1 answer came after it was collected. Run collect_{world.model} for it." in capsys.readouterr().out
    assert collect(world)["facts"]["rows"] == 120


@pytest.mark.moment("the 17th published")
def test_f157_a_day_waits_for_each_instance_and_then_goes_without_it_and_says_so(world, capsys):
    records = online_day(world)
    write(records[:60])
    late = write([*records[60:], Mark(at(18) - timedelta(minutes=1))], instance="slow", ended=False)
    silent_since([late], NOW - timedelta(minutes=14))
    with pytest.raises(collecting.DayStillOpen) as waits:
        collect(world)
    assert str(waits.value).startswith(
        f"{DAY} of {world.model} is in the log as far as it is written, and not closed: slow."
    )
    assert log_of(world).num_rows == 120
    silent_since([late], NOW - timedelta(minutes=15))
    capsys.readouterr()
    facts = collect(world)["facts"]
    assert [name.split(".")[0] for name in facts["gone"]] == ["slow"]
    assert "has written nothing for 15 minutes and has not said that the day is over" in capsys.readouterr().out


@pytest.mark.moment("the 17th published")
def test_a_day_that_is_not_over_is_written_and_stays_open(world):
    write(online_day(world)[:50])
    with pytest.raises(NotYet, match="it is not over at 2024-03-17 12:00 UTC"):
        tasks.collect(world.model, key(17), "noon", at(17, 12))
    assert log_of(world).num_rows == 50
    assert collect(world)["facts"]["rows"] == 50
    assert tasks.collect(world.model, key(18), "early", at(17, 12))["skipped"] == (
        "2024-03-18 has not begun at 2024-03-17 12:00 UTC."
    )


@pytest.mark.moment("the 17th published")
def test_f158_cut_changed_and_doubled_segments_cost_only_their_own_records(world, capsys):
    records = online_day(world)
    write(records[:40])
    cut, bent = write(records[40:80], instance="cut", ended=False), write(records[80:], instance="bent")
    shutil.copyfile(cut, cut.with_name(cut.name.replace("cut", "again")))
    cut.write_bytes(cut.read_bytes()[:-5])  # its copy is whole
    data = bytearray(bent.read_bytes())
    data[data.index(b"q0100") + 1] ^= 1
    bent.write_bytes(bytes(data))
    silent_since(journal_folder().glob("*.journal"), NOW - timedelta(hours=1))
    assert collect(world)["facts"]["rows"] == 119
    said = capsys.readouterr().out
    assert "39 records had an id that was answered before; the first counts." in said
    assert "1 changed place" in said
    assert "q0100" not in log_of(world).column("asked_id").to_pylist()


@pytest.mark.moment("the 17th published")
def test_f158_the_order_of_files_and_records_changes_no_byte(world):
    records = online_day(world)
    write(records[:60])
    write(records[60:], instance="other")
    collect(world)
    first, versions = content_hash(log_of(world)), world.table_versions()
    shutil.rmtree(journal_folder())
    write(list(reversed(records)), instance="zebra")
    write(records[:10])
    collect(world)
    assert (content_hash(log_of(world)), world.table_versions()) == (first, versions)


class Killed(BaseException):
    """Stands for the end of the process: no handler of the code catches it."""


def killed_at(nth: int) -> Callable[[str], None]:
    passed = 0

    def crashpoint(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == nth:
            raise Killed(name)

    return crashpoint


def test_f159_killed_at_each_point_and_run_again_or_twice_the_day_is_the_same(tale, tmp_path):
    seen: list[str] = []
    at_the_moment = tale.at("the 17th published in shadow", tmp_path / "world")
    # Undone before the world is left, which undoes its own.
    with at_the_moment as world, pytest.MonkeyPatch.context() as monkeypatch:
        records, challenger = online_day(world), str(world.references["second"]["candidate_id"])
        write(records)
        write_shadow(challenger, asked_of(world, 17, challenger, role="shadow"))
        kept = content_before(world)
        monkeypatch.setattr(collecting, "crashpoint", seen.append)
        whole = collect(world)
        points, undisturbed = list(seen), state(world)
        collect(world, "twice")
        assert state(world) == undisturbed
        assert whole["facts"]["shadow"][0]["closed"]
        for nth in range(1, len(points) + 1):
            restored(world, kept, monkeypatch)
            monkeypatch.setattr(collecting, "crashpoint", killed_at(nth))
            with pytest.raises(Killed):
                collect(world)
            monkeypatch.setattr(collecting, "crashpoint", lambda name: None)
            collect(world)
            assert state(world) == undisturbed, points[nth - 1]
    assert points == [
        "collecting.read",
        "collecting.served.kept",
        "collecting.served.written",
        "collecting.served.recorded",
        "collecting.shadow.written",
        "collecting.shadow.recorded",
    ]


def content_before(world: LightWorld) -> tuple[bytes, Path]:
    copy = world.root.parent / "store before"
    shutil.copytree(stores.offline_store().root, copy)
    return world.held.content(), copy


def restored(world: LightWorld, kept: tuple[bytes, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger and the tables are what they were before."""
    content, copy = kept
    world.held.close()
    world.held = MemoryLedger(content)
    monkeypatch.setattr(stores, "open_ledger", world.held.opened)
    shutil.rmtree(stores.offline_store().root)
    shutil.copytree(copy, stores.offline_store().root)


def state(world: LightWorld) -> tuple:
    with stores.open_ledger() as ledger:
        scored = [
            (s.candidate_id, s.role, s.rows, s.feature_set, s.first_asked, s.last_asked)
            for s in ledger.lineage.scorings(world.model, DAY, "2024-03-18")
        ]
        window = ledger.shadow.window(str(world.references["second"]["candidate_id"]))
        claims = [(c.day, c.number, c.candidate_id) for c in ledger.claims.of(world.model, DAY, "2024-03-18")]
    served = stores.offline_store().read_served(world.model, scored[0][3], DAY)
    return scored, window, claims, content_hash(log_of(world)), served is not None and content_hash(served)


@pytest.mark.moment("the 17th published")
def test_f159_an_old_day_whose_segments_are_gone_is_left_as_it_was(world):
    records = online_day(world)
    write(records)
    collect(world)
    first = content_hash(log_of(world))
    shutil.rmtree(journal_folder())
    write(records[:100])
    with pytest.raises(Refusal) as refused:
        collect(world)
    assert str(refused.value) == (
        f"The prediction log of {world.model} has 120 answers of {DAY}, and the journal has 100 of that day, so the "
        "log was left as it is. Put the missing segments back into SLIPWAY_HOME/journal, or leave the day as it was "
        "collected."
    )
    assert content_hash(log_of(world)) == first


@pytest.mark.moment("the 17th published in shadow")
@pytest.mark.parametrize(("joins", "judged"), [("last", 0.9), ("first", 0.1)])
def test_of_several_answers_to_one_request_a_label_judges_the_declared_one(world, joins, judged):
    from include.workflows.drift import reference as references

    records = online_day(world)
    go_online(world, label_joins=joins)
    asked = records[1]  # every tenth trip, from the first on, was cancelled and has no label
    again = [
        changed(asked, asked_id=f"again-{i}", score=score, prediction_time=asked.prediction_time + timedelta(minutes=i))
        for i, score in enumerate((0.1, 0.5, 0.9), start=1)
    ]
    write(again)
    assert collect(world)["facts"]["rows"] == 3
    model = declarations().model(world.model)
    with stores.open_ledger() as ledger:
        epoch = ledger.claims.server(world.model, DAY)
        found = references._measured(ledger, model, epoch, Interval.of_day(DAY), at(19))
    late = world_late(world, "17-001")
    assert [(each.day, each.rows, each.labelled) for each in found.cohorts] == [(DAY, 1, 1)]
    assert found.losses[0].mean == pytest.approx((judged - late) ** 2)


@pytest.mark.moment("the 17th published in shadow")
def test_where_each_answer_is_judged_those_to_one_request_count_together_as_one(world):
    from include.workflows.drift import reference as references

    records = online_day(world)
    go_online(world, label_joins="each")
    thrice, once = records[1], records[2]
    write(
        [
            *(changed(thrice, asked_id=f"again-{i}", score=score) for i, score in enumerate((0.1, 0.5, 0.9))),
            changed(once, score=0.3),
        ]
    )
    assert collect(world)["facts"]["rows"] == 4
    with stores.open_ledger() as ledger:
        model, epoch = declarations().model(world.model), ledger.claims.server(world.model, DAY)
        found = references._measured(ledger, model, epoch, Interval.of_day(DAY), at(19))
    first, second = world_late(world, "17-001"), world_late(world, "17-002")
    of_the_first = sum((score - first) ** 2 for score in (0.1, 0.5, 0.9)) / 3
    assert found.losses[0].mean == pytest.approx((of_the_first + (0.3 - second) ** 2) / 2)
    assert [(each.rows, each.labelled) for each in found.cohorts] == [(4, 4)]


def world_late(world: LightWorld, trip: str) -> float:
    from include.workflows.scoring import matured_labels

    labels = matured_labels.matured_labels(declarations().model(world.model), Interval.of_day(DAY), at(19)).to_pylist()
    return float(next(each["label"] for each in labels if each["trip_id"] == trip) == "late")


@pytest.mark.moment("second judged")
def test_answers_of_another_champion_of_the_day_are_in_the_log_and_judged_by_nothing(world, capsys):
    from include.workflows.drift import reference as references

    world.next_day(18, score=False)
    first, second = champion_of(world), str(world.references["second"]["candidate_id"])
    records = asked_of(world, 18, first)
    tasks.promote(world.references["second"], NOW)  # from the 18th on, which no scoring has claimed
    tasks.close_journey(world.references["second"])
    others = asked_of(world, 18, second)
    go_online(world)
    write([*records[:50], *others[50:]])
    told = tasks.collect(world.model, key(18), "collect", NOW)["facts"]
    assert (told["champion"], told["rows"], told["also_served"]) == (second, 70, {first: 50})
    rows = log_of(world, 18).to_pandas()
    assert rows.groupby(["candidate_id", "role"]).size().to_dict() == {
        (first, "also_served"): 50,
        (second, "served"): 70,
    }
    assert len(references.served_rows(rows)) == 70
    assert f"50 answers of {first}, which is not the day's champion" in capsys.readouterr().out


@pytest.mark.moment("the 17th published in shadow")
def test_what_a_challenger_has_not_answered_lowers_its_coverage(world):
    write(online_day(world))
    challenger = str(world.references["second"]["candidate_id"])
    answered = asked_of(world, 17, challenger, role="shadow")[:100]
    file = write_shadow(challenger, answered)
    silent_since([file], NOW - timedelta(minutes=1))
    with pytest.raises(NotYet, match="may still answer 20 rows"):
        collect(world)
    with stores.open_ledger() as ledger:
        assert ledger.shadow.window(challenger).scored == ()
    silent_since([file], NOW - timedelta(hours=1))
    assert collect(world)["facts"]["shadow"][0]["answered"] == 100
    with stores.open_ledger() as ledger:
        (day,) = ledger.shadow.window(challenger).scored
    assert (day.day, day.rows, day.answered) == (DAY, 120, 100)


@pytest.mark.moment("the 17th published")
def test_drift_reads_what_was_served_and_not_what_the_store_has(world):
    records = online_day(world)
    write([changed(each, features={**each.features, "order": None}) for each in records])
    collect(world)
    order = next(f for f in measured(world)["inputs"]["features"] if f["name"] == "order")
    assert order["missing_share"] == 1.0


@pytest.mark.moment("the 17th published")
def test_what_the_journal_omits_is_taken_from_the_views(world):
    records = online_day(world)
    go_online(world, omit=["order"])
    kept = [{name: value for name, value in each.features.items() if name != "order"} for each in records]
    write([changed(each, features=f, omitted=["order"]) for each, f in zip(records, kept, strict=True)])
    collect(world)
    with stores.open_ledger() as ledger:
        (scored,) = ledger.lineage.scorings(world.model, DAY, "2024-03-18")
    served = stores.offline_store().read_served(world.model, scored.feature_set, DAY)
    assert "f_order" not in served.column_names
    order = next(f for f in measured(world)["inputs"]["features"] if f["name"] == "order")
    assert order["missing_share"] == 0.0


@pytest.mark.moment("first champion")
def test_a_model_that_is_scored_in_batch_has_nothing_to_collect(world):
    with pytest.raises(Refusal, match=r"is not asked online \(serving.mode is batch\)"):
        collect(world)
