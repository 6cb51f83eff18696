"""Rows are answered before their event: which run answers which rows, from what, which answer counts in the log, and
what the closing of the day does with rows that were missed."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from ahead_world import answer, answer_hour, answers_ahead, fill, given_ahead, log_of, runs_of
from feature_world import READINGS, TRIPS, naive
from journey_world import NOW, at

from include.adapters.offline_store import content_hash
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows import stores, tasks
from include.workflows.explain import consistency

HALF = timedelta(minutes=30)
AHEAD = ["answered", "answered_at", "revision", "times_answered"]


def champion(world, who: str = "r") -> str:
    return str(world.references[who]["candidate_id"])


def all_runs(day: int) -> list:
    """Those that answer rows of the day: from a day before it to two hours before its last trip."""
    return runs_of(at(day - 1) + HALF, at(day, 22))


def closed(world, day: int) -> dict:
    """The day's views are published and the day is scored."""
    world.publish_day(day)
    return dict(world.score(day)["facts"])


@pytest.mark.moment("first champion")
def test_a_row_is_answered_before_its_event_from_what_was_known_and_the_log_says_so(world, capsys):
    answers_ahead(world)
    fill(world, 17, 18)
    answer(world, all_runs(17))
    assert "2024-03-17 10:30: 57 rows answered by" in capsys.readouterr().out
    facts = closed(world, 17)
    assert facts["answered"] == {"ahead": 120, "filled": 0, "by_others": 0, "withdrawn": 0}
    assert "2024-03-17: 120 of 120 answered ahead; 0 filled afterwards." in capsys.readouterr().out
    rows = log_of(world, 17)
    assert set(rows["answered"]) == {"ahead"}
    assert (rows["answered_at"] == rows["prediction_time"]).all()
    # Two hours before the start, at half past an hour.
    waits = rows["event_time"] - rows["answered_at"]
    assert timedelta(hours=2) <= waits.min()
    assert waits.max() < timedelta(hours=3)
    trip = rows.loc["17-060"]  # starts at 12:00
    assert trip[AHEAD].tolist() == ["ahead", pd.Timestamp(at(17, 9.5)), 1, 22]


@pytest.mark.slow
@pytest.mark.moment("first champion")
def test_served_features_are_those_that_the_published_views_give_for_that_time(world):
    answers_ahead(world)
    fill(world, 17, 18)
    answer(world, all_runs(17))
    closed(world, 17)
    report = consistency.check(world.model, Interval.of_day("2024-03-17"))
    assert (report.requests, report.early, report.is_consistent) == (120, 0, True)


@pytest.mark.slow
@pytest.mark.moment("first champion")
def test_a_row_is_revised_by_each_run_until_it_is_due(world):
    answers_ahead(world)
    fill(world, 17, 18)
    answer(world, all_runs(17))
    closed(world, 17)
    given = given_ahead(world, 17)
    mine = given[given["trip_id"] == "17-060"]
    assert mine["answered_at"].tolist() == [pd.Timestamp(m) for m in runs_of(at(16, 12.5), at(17, 10))]
    assert mine["score"].nunique() > 1  # the station's level went on
    assert log_of(world, 17).loc["17-060", "score"] == mine["score"].iloc[-1]


@pytest.mark.moment("first champion")
def test_a_run_again_changes_nothing_whatever_the_source_says_by_now(world, capsys):
    answers_ahead(world)
    fill(world, 17, 18)
    moment = at(17, 9.5)
    answer_hour(world, moment)
    before, versions = content_hash(table(world, 17)), world.table_versions()
    world.change(READINGS, READINGS.c.station == "north", level=0.0)
    answer_hour(world, moment, "cleared")
    assert (content_hash(table(world, 17)), world.table_versions()) == (before, versions)
    assert "1 run had answered before; what was answered stays." in capsys.readouterr().out


def table(world, day: int):
    return stores.ahead_tables().read(world.model, Interval.of_day(at(day).date()), at(day - 2))


@pytest.mark.slow
@pytest.mark.moment("first champion")
def test_hours_one_by_one_and_a_day_at_once_answer_the_same_also_long_afterwards(tale, tmp_path):
    found = {}
    for how in ("by the hour", "at once"):
        with tale.at("first champion", tmp_path / how) as world:
            answers_ahead(world)
            fill(world, 17, 20)
            if how == "by the hour":
                for moment in runs_of(at(17) + HALF, at(18)):
                    answer_hour(world, moment)
            else:
                told = tasks.score_ahead(world.model, None, {"start": "2024-03-17", "end": "2024-03-18"}, "d", NOW)
                assert told["facts"]["days"][0]["runs"] == 24
            rows = given_ahead(world, 17)
            # The same to the last bit, but for how many rows the model was given at once.
            kept = features(world, 17).set_index(["answered_at", "request_id"])
            logged = closed(world, 17), log_of(world, 17)[[*AHEAD, "prediction_time", "score"]].round({"score": 12})
            found[how] = rows.assign(score=rows["score"].round(12)).to_dict("records"), kept, logged
    (answers, kept, logged), (one_by_one, as_kept, as_logged) = found["at once"], found["by the hour"]
    assert len(answers) > 1000
    assert answers == one_by_one
    # What they were computed from, to the last bit; and which of them count.
    pd.testing.assert_frame_equal(kept, as_kept, check_exact=True)
    assert logged[0]["answered"] == as_logged[0]["answered"]
    pd.testing.assert_frame_equal(logged[1], as_logged[1], check_exact=True)


@pytest.mark.moment("first champion")
def test_a_feature_that_comes_late_is_not_seen_by_runs_before_it(world):
    answers_ahead(world)
    fill(world, 17, 18)
    late = (READINGS.c.read_at == naive(at(17, 9))) & (READINGS.c.station == "north")
    world.change(READINGS, late, known_at=naive(at(17, 10.75)), level=999.0)
    answer(world, [at(17, 9.5), at(17, 10.5), at(17, 11.5)])
    seen = features(world, 17)
    north = {
        run: set(seen[(seen["answered_at"] == run) & (seen["f_station"] == "north")]["f_level"]) for run in runs(seen)
    }
    at_nine = {float(level) for level in levels(world, 17, 8, "north")}
    assert north[at(17, 9.5)] == at_nine  # that of the hour before
    assert 999.0 not in north[at(17, 10.5)]
    mean = seen[(seen["answered_at"] == at(17, 11.5)) & (seen["f_station"] == "north")]["f_mean_level_3h"]
    assert (mean > 300).all()  # now the late one is part of the last three hours


def runs(frame: pd.DataFrame) -> list:
    return [each.to_pydatetime() for each in frame["answered_at"].unique()]


def features(world, day: int) -> pd.DataFrame:
    (name,) = given_ahead(world, day)["feature_set"].unique()
    kept = stores.ahead_tables().read_features(world.model, name, at(day - 2), at(day + 1))
    return kept.to_pandas()


def levels(world, day: int, hour: float, station: str) -> list[float]:
    from sqlalchemy import create_engine, select

    engine = create_engine(world.source_url)
    wanted = (READINGS.c.read_at == naive(at(day, hour))) & (READINGS.c.station == station)
    with engine.connect() as connection:
        found = list(connection.execute(select(READINGS.c.level).where(wanted)).scalars())
    engine.dispose()
    return found


@pytest.mark.slow
@pytest.mark.moment("first champion")
def test_missed_hours_are_filled_by_the_closing_which_says_so(world, capsys):
    answers_ahead(world, ahead="3h")  # each row is answered once
    fill(world, 17, 18)
    down = {at(17, hour + 0.5) for hour in (6, 7, 8)}
    answer(world, [run for run in all_runs(17) if run not in down])
    facts = closed(world, 17)
    assert facts["answered"] == {"ahead": 105, "filled": 15, "by_others": 0, "withdrawn": 0}
    assert "2024-03-17: 105 of 120 answered ahead; 15 filled afterwards." in capsys.readouterr().out
    rows = log_of(world, 17)
    filled = rows[rows["answered"] == "afterwards"]
    assert set(filled["answered_at"]) == {pd.Timestamp(at(18))}  # when the day was over
    assert (filled["answered_at"] > filled["event_time"]).all()
    assert set(filled["prediction_time"]) == {pd.Timestamp(run) for run in down}  # from what was known in time
    assert set(filled["times_answered"]) == {0}
    assert filled["score"].between(0, 1).all()
    assert consistency.check(world.model, Interval.of_day("2024-03-17")).is_consistent


@pytest.mark.slow
@pytest.mark.moment("first champion")
def test_where_only_the_last_run_was_missed_the_answer_before_it_counts_and_is_not_called_skew(world):
    answers_ahead(world)
    fill(world, 17, 18)
    answer(world, [run for run in all_runs(17) if run != at(17, 9.5)])
    assert closed(world, 17)["answered"]["filled"] == 0
    trip = log_of(world, 17).loc["17-060"]
    assert (trip["answered"], trip["answered_at"]) == ("ahead", pd.Timestamp(at(17, 8.5)))
    assert trip["prediction_time"] == trip["answered_at"]
    report = consistency.check(world.model, Interval.of_day("2024-03-17"))
    assert (report.requests, report.early, report.is_consistent) == (115, 5, True)
    assert "5 requests were answered ahead at an earlier run" in consistency.report_lines(report)[-1]


@pytest.mark.slow
@pytest.mark.moment("first champion")
def test_a_row_that_is_withdrawn_does_not_count_and_one_that_is_moved_is_another(world):
    answers_ahead(world)
    fill(world, 17, 18)
    answer(world, runs_of(at(16, 12.5), at(17, 6)))
    world.remove(TRIPS, TRIPS.c.trip_id == "17-090")
    moved = naive(at(17, 19))
    world.change(TRIPS, TRIPS.c.trip_id == "17-080", starts_at=moved, known_at=naive(at(17, 6)))
    answer(world, runs_of(at(17, 6.5), at(17, 22)))
    assert closed(world, 17)["answered"]["withdrawn"] == 2
    rows = log_of(world, 17)
    assert "17-090" not in rows.index
    assert rows.loc["17-080", "event_time"] == pd.Timestamp(at(17, 19))
    assert rows.loc["17-080", AHEAD[:2]].tolist() == ["ahead", pd.Timestamp(at(17, 16.5))]
    assert rows.loc["17-080", "times_answered"] == 11


@pytest.mark.slow
@pytest.mark.moment("second in shadow")
def test_a_challenger_answers_at_the_same_times_the_same_rows_from_the_same_values(world):
    answers_ahead(world)
    fill(world, 17, 18)
    second = champion(world, "second")
    answer(world, all_runs(17))
    told = closed(world, 17)
    assert told["shadow"][0] == {"candidate_id": second, "answered": 120, "days": 1, "closed": True}
    served, shadow = log_of(world, 17), log_of(world, 17, "shadow")
    assert shadow[AHEAD].equals(served[AHEAD])
    given = given_ahead(world, 17)
    assert (
        given[given["role"] == "shadow"]["answered_at"]
        .value_counts()
        .equals(given[given["role"] == "served"]["answered_at"].value_counts())
    )
    assert (shadow["score"] != served["score"]).any()
    assert world.judge("shadow_gate", world.references["second"])["passed"]


@pytest.mark.slow
@pytest.mark.moment("second in shadow")
def test_a_challenger_that_breaks_costs_no_row_that_is_served(world, monkeypatch):
    from include.workflows.scoring import challenger_process

    answers_ahead(world)
    fill(world, 17, 18)

    def breaks(*_args, **_named):
        raise challenger_process.ChallengerFailed("its process was ended by SIGKILL")

    with monkeypatch.context() as patch:
        patch.setattr(challenger_process, "scores_of", breaks)
        answer(world, [at(17, 9.5)])
    answer(world, [run for run in all_runs(17) if run != at(17, 9.5)])
    told = closed(world, 17)
    # The five rows that were due at that run: its errors count, and it is not asked again.
    assert (told["answered"]["ahead"], told["shadow"][0]["answered"]) == (120, 115)
    shadow = log_of(world, 17, "shadow")
    assert set(shadow["error"].dropna()) == {"its process was ended by SIGKILL"}
    assert log_of(world, 17)["error"].isna().all()


@pytest.mark.slow
@pytest.mark.moment("second judged")
def test_a_promotion_between_two_runs_begins_with_the_next_day_and_each_answer_says_who_gave_it(world, capsys):
    answers_ahead(world)
    fill(world, 18, 20)
    first, second = champion(world), champion(world, "second")
    answer(world, runs_of(at(17) + HALF, at(18, 12)))  # the 17th is closed; the 18th is under way
    promoted = tasks.promote(world.references["second"], NOW)
    assert promoted["effective_from"] == at(19).isoformat()
    tasks.close_journey(world.references["second"])
    answer(world, runs_of(at(18, 12.5), at(19, 22)))
    assert closed(world, 18)["answered"] == {"ahead": 120, "filled": 0, "by_others": 0, "withdrawn": 0}
    assert set(log_of(world, 18)["candidate_id"]) == {first}
    facts = closed(world, 19)
    # What was due before the 19th began was answered by the former champion, and by nobody else in time.
    early = facts["answered"]["by_others"]
    assert (facts["champion"], early, facts["answered"]["filled"]) == (second, 13, 13)
    assert (
        "107 of 120 answered ahead; 13 filled afterwards, 13 of which another champion had" in capsys.readouterr().out
    )
    served, also = log_of(world, 19), log_of(world, 19, "also_served")
    assert set(served["candidate_id"]) == {second}
    assert set(also["candidate_id"]) == {first}
    assert set(also["answered"]) == {"ahead"}
    assert set(also["revision"]) == {1}
    assert set(served[served["answered"] == "ahead"]["revision"]) == {2}
    assert set(served[served["answered"] == "afterwards"].index) == set(also.index)


@pytest.mark.slow
@pytest.mark.moment("second champion")
def test_after_a_rollback_the_next_run_is_answered_by_the_restored_champion(world):
    answers_ahead(world)
    fill(world, 19, 20)
    first, second = champion(world), champion(world, "second")
    answer(world, runs_of(at(18) + HALF, at(19, 12)))
    tasks.roll_back(world.model, "rollback-1", {"reason": "late trips missed"}, "ada")
    answer(world, runs_of(at(19) + HALF, at(19, 22)))  # those before twelve are cleared as well
    given = given_ahead(world, 19)
    by_run = given[given["role"] == "served"].groupby("answered_at")["candidate_id"].unique().map(list)
    assert by_run[pd.Timestamp(at(19, 11.5))] == [second]  # what was given stays
    assert by_run[pd.Timestamp(at(19, 12.5))] == [first]
    facts = closed(world, 19)
    assert facts["champion"] == first
    assert facts["answered"]["by_others"] == facts["answered"]["filled"] == 73
    assert set(log_of(world, 19, "also_served")["candidate_id"]) == {second}


@pytest.mark.moment("first champion")
def test_a_run_whose_source_fails_answers_nothing_and_the_next_try_answers_everything(world):
    answers_ahead(world)
    fill(world, 17, 18)
    world.run("ALTER TABLE readings RENAME TO elsewhere")
    with pytest.raises(Refusal, match="readings"):
        answer(world, [at(17, 9.5)])
    assert table(world, 17) is None
    world.run("ALTER TABLE elsewhere RENAME TO readings")
    assert answer(world, [at(17, 9.5)])["facts"]["rows"] == 62


@pytest.mark.moment("first champion")
def test_what_cannot_be_answered_is_refused_in_a_sentence(world):
    with pytest.raises(Refusal, match=r"declares no score, so its rows are answered once their day is over"):
        answer_hour(world, at(17, 9.5))
    answers_ahead(world)
    with pytest.raises(
        Refusal, match=r"2024-03-17T09:00:00\+00:00 is no answer time of trip_late, which answers at 30"
    ):
        answer_hour(world, at(17, 9))
    with pytest.raises(Refusal, match="lies after now"):
        tasks.score_ahead(world.model, "2024-03-17T09:30:00", {}, "early", at(17, 9))
    with pytest.raises(Refusal, match="no partition and start and end are missing"):
        tasks.score_ahead(world.model, None, {}, "nothing", NOW)


@pytest.mark.moment("evaluated")
def test_without_a_champion_nothing_is_answered_and_the_run_says_so(world):
    answers_ahead(world)
    fill(world, 17, 18)
    told = answer_hour(world, at(17, 9.5))
    assert told["skipped"] == f"Nothing was answered: {world.model} has no champion on 2024-03-17."


@pytest.mark.slow
@pytest.mark.moment("first champion")
def test_a_day_that_was_scored_before_still_reads_and_says_nothing_of_ahead(world):
    answers_ahead(world)
    fill(world, 17, 18)
    answer(world, all_runs(17))
    closed(world, 17)
    before = log_of(world, 16)
    assert len(before) == 120
    assert before[["answered", "answered_at", "times_answered"]].isna().all().all()
