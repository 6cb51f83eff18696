"""From a prediction back to the source and from a source day forward; and served features against the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from feature_world import READINGS, STATION_LEVEL, STATION_LEVEL_SQL, TRIPS, naive
from invariants import check_invariants
from journey_world import JourneyWorld, at, champion_that_served, journey_world

from include import cli
from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore
from include.config import declarations, loader
from include.config.settings import PROJECT, settings
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows import tasks
from include.workflows.explain import consistency, lineage
from include.workflows.lineage import tables_touched
from include.workflows.scoring import point_in_time_rows, training_sets

LEVELS = ["level", "mean_level_3h"]


@pytest.fixture(scope="module")
def served_days(published_days, tmp_path_factory, mlflow_server) -> tuple[Path, str, str]:
    """A folder with a champion that served the 13th and the 14th, its model and its candidate id, to be copied."""
    return champion_that_served(published_days, tmp_path_factory.mktemp("served"), mlflow_server.url, 13, 14)


@pytest.fixture
def served(served_days, tmp_path, mlflow_server) -> Iterator[JourneyWorld]:
    """A world whose champion has served two days."""
    root, model, _ = served_days
    with journey_world(root, tmp_path, mlflow_server.url, model) as made:
        yield made


@pytest.fixture
def candidate_id(served_days) -> str:
    """The champion of ``served``."""
    return served_days[2]


def said(capsys, *argv: str) -> tuple[int, str]:
    code = cli.main(list(argv))
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def prediction(world: JourneyWorld, number: int) -> dict:
    rows = OfflineStore(settings().store).read_predictions(world.model, Interval.of_day(at(number).date()))
    return rows.slice(40, 1).to_pylist()[0]


def spoil(world: JourneyWorld, number: int, change) -> None:
    """Rewrite what was kept of the day as served: as a service with a fault would have kept it."""
    store = OfflineStore(settings().store)
    with Ledger.open(settings().ledger_url) as ledger:
        (made,) = ledger.lineage.scorings(world.model, at(number).date(), at(number + 1).date())
    rows = store.read_served(world.model, made.feature_set, made.day)
    store.write_served(world.model, made.day, change(rows), {s.view: s.view_version for s in made.sources})


def with_column(rows: pa.Table, name: str, column) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, column)


def of_other_hour(world: JourneyWorld, number: int, hours: int) -> pa.Table:
    """The day's features as of so many hours earlier, in the order in which served features are kept."""
    from datetime import timedelta

    model = declarations().model(world.model)
    entity = model.entity.model_copy(update={"lead": model.entity.lead + timedelta(hours=hours)})
    interval = Interval.of_day(at(number).date())
    return point_in_time_rows.features_for(model.model_copy(update={"entity": entity}), interval, interval.end)


# --- lineage ---------------------------------------------------------------------------------------------------------


def test_a_prediction_leads_back_to_model_training_set_tables_definition_and_source(served, candidate_id, capsys):
    row = prediction(served, 14)
    tree = lineage.of_prediction(row["prediction_id"])
    (model,) = tree.find("model")
    candidate = served.candidate({"candidate_id": candidate_id})
    assert model.facts["model_version"] == row["model_version"]
    assert model.facts["training_set_hash"] == candidate.facts.training_set_hash
    train, holdout = tree.find("training_set")[::-1]
    assert (train.facts["part"], train.facts["content_hash"]) == ("train", candidate.facts.training_set_hash)
    assert holdout.facts["part"] == "holdout"
    (asked,) = tree.find("features")
    by_view = {node.facts["view"]: node.facts for node in asked.find("view")}
    versions = served.table_versions()
    for view in ("trip_plan", "station_level"):
        assert by_view[view]["table_version"] == versions[f"features/{view}/v1"]
        with Ledger.open(settings().ledger_url) as ledger:
            assert by_view[view]["code_hash"] == ledger.partitions.get(view, 1, at(14).date()).code_hash
    assert by_view["station_level"]["watermark"] == at(14, 23.5).isoformat()
    assert {n.facts["table"] for n in asked.find("source_table")} == {"trips", "readings"}
    code, text = said(capsys, "lineage", row["prediction_id"])
    assert code == 0
    assert "└─ features served to 120 requests of 2024-03-14" in text
    assert json.loads(said(capsys, "lineage", row["prediction_id"], "--json")[1])["kind"] == "prediction"
    check_invariants(served)


def test_a_source_day_leads_to_every_training_set_model_and_prediction_it_touched(served, candidate_id, capsys):
    served.next_day(16)
    tree = lineage.of_day("station_level", "2024-03-13")
    # The readings of the 13th reach the rows of the 14th by look-back, and answer requests of the 13th and 14th.
    assert tree.find("reached")[0].facts["days"] == ["2024-03-14"]
    days = {(n.facts["model"], n.facts["day"], n.facts["candidate_id"]) for n in tree.find("scored_day")}
    assert days == {(served.model, day, candidate_id) for day in ("2024-03-13", "2024-03-14")}
    assert tree.find("predictions")[0].facts["rows"] == 240
    # The candidate was trained as of the 13th, on days before it.
    assert tree.find("training_set") == []
    early = lineage.of_day("station_level", "2024-03-05")
    assert {n.facts["part"] for n in early.find("training_set")} == {"train"}
    assert {n.facts["candidate_id"] for n in early.find("model")} == {candidate_id}
    assert "champion from 2024-03-13" in early.find("model")[0].text
    code, text = said(capsys, "lineage", "station_level", "2024-03-05")
    assert code == 0
    assert "read by 1 training set" in text
    code, text = said(capsys, "lineage", candidate_id)
    assert "360 predictions on 3 days" in text


def test_f005_a_late_row_makes_its_day_stale_and_names_what_learned_from_it_before(served, candidate_id, capsys):
    before = served.candidate({"candidate_id": candidate_id}).facts.training_set_hash
    served.change(READINGS, (READINGS.c.read_at == naive(at(5, 7))) & (READINGS.c.station == "north"), level=400.0)
    code, text = said(capsys, "features", "stale", "station_level")
    assert code == 1
    assert "station_level 2024-03-05: a source row was changed in place (still 48 rows)" in text
    assert "station_level 2024-03-06: its look-back reaches 2024-03-05" in text
    assert said(capsys, "features", "stale", "station_level", "--counts")[0] == 0
    served.run_days("station_level", 5, 7)
    assert said(capsys, "features", "stale")[0] == 0
    tree = lineage.of_day("station_level", "2024-03-05")
    assert len(tree.find("publish")) == 2
    (train,) = tree.find("training_set")
    assert (train.facts["content_hash"], train.facts["read_an_earlier_publish"]) == (before, True)
    # Training again from the pinned versions gives the same set.
    model = declarations().model(served.model)
    with Ledger.open(settings().ledger_url) as ledger:
        (made,) = [t for t in ledger.lineage.training_sets(candidate_id) if t.part == "train"]
    pinned = {read.view: read.table_version for read in made.sources}
    again = training_sets.build(model, Interval(made.start, made.end), made.as_of, pinned)
    assert again.content_hash == before
    assert training_sets.build(model, Interval(made.start, made.end), made.as_of).content_hash != before
    check_invariants(served)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["lineage", "trip_plan"], "trip_plan is a feature view; say which day"),
        (["lineage", "trip_plan", "2024-02-01"], "trip_plan version 1 has no published 2024-02-01"),
        (["lineage", "trip_plan", "monday"], "'monday' is not a date or time"),
        (["lineage", "nobody"], "There is no candidate 'nobody'"),
        (["lineage", "nobody|02-1"], "There is no candidate 'nobody'"),
        (["features", "sample"], "`slipway features sample` needs a view"),
        (["features", "sample", "trip_pla"], "Did you mean 'trip_plan'?"),
        (["features", "sample", "trip_plan", "--as-of", "now"], "--as-of: 'now' is not a date or time"),
        (["features", "sample", "trip_plan", "--rows", "0"], "--rows is 0"),
        (["features", "fly"], "invalid choice: 'fly'"),
    ],
)
def test_a_question_about_nothing_is_one_line(shared_world, capsys, argv, line):
    code, text = said(capsys, *argv)
    assert code == 64
    assert line in text
    assert text.count("\n") == 1


# --- views -----------------------------------------------------------------------------------------------------------


def test_features_lists_views_with_their_rows_owner_freshness_and_readers(shared_world, capsys):
    code, text = said(capsys, "features", "--json")
    views = {v["view"]: v for v in json.loads(text)["views"]}
    assert code == 0
    level = views["station_level"]
    assert (level["owner"], level["days"], level["rows"]) == ("sensors", 15, 15 * 48)
    assert (level["last_day"], level["watermark"]) == ("2024-03-15", at(15, 23.5).isoformat())
    assert level["used_by"] == [shared_world.model]
    assert not level["is_changed"]
    assert "sensors" in said(capsys, "features")[1]


def test_a_sample_shows_what_was_available_and_nothing_later(shared_world, capsys):
    rows = json.loads(said(capsys, "features", "sample", "station_level", "--as-of", "2024-03-05T12:10", "--json")[1])[
        "rows"
    ]
    assert len(rows) == 10
    assert rows[0]["event_time"] == at(5, 11).isoformat()  # the reading of 12:00 is known at 12:30
    assert max(r["available_time"] for r in rows) <= at(5, 12.2).isoformat()
    assert "mean_level_3h" in said(capsys, "features", "sample", "station_level")[1]


def test_a_rewritten_definition_is_adopted_where_it_gives_the_same_bytes_and_only_there(world, capsys):
    world.declare_view(
        STATION_LEVEL, STATION_LEVEL_SQL.replace("avg(past.level)", "sum(past.level) / count(past.level)")
    )
    loader.declarations.cache_clear()
    assert "its definition changed" in said(capsys, "features")[1]
    code, text = said(capsys, "features", "adopt", "station_level")
    assert (code, "gave the same bytes on 7 days and is now the definition of 15 published days" in text) == (
        0,
        True,
    ), text
    world.fill_days(16, 17)
    world.publish_day(16)
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL.replace("avg(past.level)", "avg(past.level) + 1"))
    loader.declarations.cache_clear()
    code, text = said(capsys, "features", "adopt", "station_level")
    assert code == 64
    assert "gives other rows on 7 of 7 days" in text
    with pytest.raises(Refusal, match="Raise version to 2"):
        world.publish_day(16)


# --- consistency -----------------------------------------------------------------------------------------------------


def check(world: JourneyWorld, first: int = 14, end: int = 15):
    return consistency.check(world.model, Interval(at(first), at(end)))


def test_what_was_served_is_what_the_store_gives(served, capsys):
    served.next_day(16)
    report = check(served, 13, 17)
    assert report.is_consistent
    assert (report.days, report.requests) == (3, 360)
    assert {f.feature: f.matches for f in report.features} == dict.fromkeys(["station", "order", *LEVELS], 360)
    code, text = said(capsys, "consistency", served.model, "--from", "2024-03-13", "--to", "2024-03-17")
    assert code == 0
    assert "360 requests on 3 days, consistent." in text
    facts = tasks.check_consistency(served.model, {}, "scheduled", at(18, 5))
    assert (facts["skipped"], facts["requests"]) == (None, 360)
    assert "No request" in tasks.check_consistency(served.model, {}, "scheduled", at(31, 5))["skipped"]
    check_invariants(served)


def test_a_different_rounding_a_shifted_hour_and_a_stale_row_are_found_and_named(served, capsys):
    def rounded(rows: pa.Table) -> pa.Table:
        return with_column(rows, "f_level", pc.round(rows.column("f_level"), 1))

    spoil(served, 14, rounded)
    (skew,) = check(served).skewed
    assert (skew.feature, skew.view) == ("level", "station_level")
    assert skew.cause == "the served value is rounded to 1 decimal places"
    code, text = said(capsys, "consistency", served.model, "--from", "2024-03-14", "--to", "2024-03-15")
    assert code == 1
    assert "NOT consistent" in text
    with pytest.raises(Refusal, match=r"level \(station_level\): of 120 values .* rounded to 1 decimal places"):
        tasks.check_consistency(served.model, {"start": "2024-03-14", "end": "2024-03-15"}, "manual", at(20))

    hour = of_other_hour(served, 14, 1).sort_by([("event_time", "ascending"), ("trip_id", "ascending")])
    served.score(14)

    def shifted(rows: pa.Table) -> pa.Table:
        for name in LEVELS:
            rows = with_column(rows, f"f_{name}", hour.column(name))
        return rows

    spoil(served, 14, shifted)
    found = check(served).skewed
    assert {f.feature for f in found} == set(LEVELS)
    assert {f.cause for f in found} == {"it is the value of 1 h earlier: a shifted clock or a stale row"}

    served.score(14)

    def one_stale_row(rows: pa.Table) -> pa.Table:
        levels = rows.column("f_level").to_pylist()
        levels[7] = hour.column("level")[7].as_py()
        return with_column(rows, "f_level", pa.array(levels, pa.float64()))

    spoil(served, 14, one_stale_row)
    (skew,) = check(served).skewed
    assert (skew.feature, skew.differing) == ("level", 1)
    assert "stale row" in str(skew.cause)
    assert len(skew.examples) == 1


def test_values_not_served_and_values_that_should_not_have_been_are_told_apart(served):
    def holed(rows: pa.Table) -> pa.Table:
        levels = rows.column("f_level").to_pylist()
        levels[3] = None
        return with_column(rows, "f_level", pa.array(levels, pa.float64()))

    spoil(served, 14, holed)
    (skew,) = check(served).skewed
    assert (skew.missing, skew.extra, skew.mismatches) == (1, 0, 0)


def test_a_table_corrected_since_is_no_skew_of_the_service_and_is_named_so(served):
    served.change(READINGS, (READINGS.c.read_at == naive(at(14, 7))) & (READINGS.c.station == "north"), level=400.0)
    served.run_days("station_level", 14, 15)
    causes = {f.feature: f.cause for f in check(served).skewed}
    assert set(causes) == set(LEVELS)
    assert all("the table was corrected since" in str(cause) for cause in causes.values())


def test_days_that_nobody_served_are_no_evidence(world):
    with pytest.raises(Refusal, match=r"No request of .* was served in .* so nothing was compared"):
        check(world)


@pytest.mark.parametrize("crash", ["scoring.served.kept"])
def test_f027_a_kill_between_the_kept_features_and_the_log_is_mended_by_the_retry(world, crash):
    world.first_champion()
    code = f"from include.workflows import tasks; tasks.score({world.model!r}, '2024-03-14T00:00:00', 'score-14')"
    env = {**os.environ, "FAULT_CRASH": crash, "PYTHONPATH": str(PROJECT)}
    died = subprocess.run([sys.executable, "-c", code], env=env, cwd=PROJECT, capture_output=True, check=False)
    assert died.returncode == -9
    assert OfflineStore(settings().store).read_predictions(world.model, Interval.of_day("2024-03-14")) is None
    world.score(14)
    assert check(world).is_consistent
    check_invariants(world)


def test_a_trip_that_vanished_from_the_store_is_counted_as_unknown(served):
    served.remove(TRIPS, TRIPS.c.trip_id == "14-050")
    served.run_days("trip_plan", 14, 15)
    report = check(served)
    assert (report.unknown, report.unserved, report.is_consistent) == (1, 0, False)


# --- what is told to lineage services ---------------------------------------------------------------------------------


def test_each_step_says_which_tables_it_read_and_wrote(served):
    """From the source's tables to the view's, from the views to set and model, from views and model to the log."""
    heard = {}

    def hear(name, function, *args):
        with tables_touched.heard() as touched:
            given = function(*args)
        heard[name] = (short(touched.read), short(touched.written))
        return given

    def short(addresses):
        return sorted(each.replace(served.root.as_uri(), "").replace("/home/", "") for each in addresses)

    for view in ("trip_plan", "station_level"):
        staged = hear(f"{view} materialize", tasks.materialize, view, "2024-03-14T00:00:00", {}, "run", at(15))
        tasks.audit(staged, at(15))
        hear(f"{view} publish", tasks.publish, staged, {})
    hear("score", tasks.score, served.model, "2024-03-14T00:00:00", "run")
    journey = served.open("again", 15)
    hear("build", tasks.build_training_set, journey)
    served.judge_after("build_training_set", journey)
    hear("train", tasks.train, journey)

    views = ["store/features/station_level/v1", "store/features/trip_plan/v1"]
    assert heard["trip_plan materialize"] == (["/source.db/trips"], [])
    assert heard["trip_plan publish"] == (["/source.db/trips"], ["store/features/trip_plan/v1"])
    assert heard["station_level publish"] == (["/source.db/readings"], ["store/features/station_level/v1"])
    (model,) = heard["train"][1]
    assert model.endswith(f"/models/{served.model}")
    assert heard["score"] == (sorted([*views, model]), [f"store/predictions/{served.model}"])
    built_from, sets = heard["build"]
    assert built_from == ["/source.db/results", *views]
    assert len(sets) == 2  # to learn from, and to be judged on
    learned_from, _ = heard["train"]
    assert set(views) < set(learned_from)
    assert len(set(learned_from) & set(sets)) == 1
