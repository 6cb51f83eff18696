"""What fails, and what does not come, is told once to whoever owns it, and once more when it is over."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from ledger_fixtures import AS_OF, MODEL, champion, judged, trained
from sqlalchemy import select, update
from waiting import PATIENCE_S

from include.adapters.ledger import Ledger, Partition, PartitionStatus, Scoring, StreamMark, claims, lineage, partitions
from include.adapters.ledger import drift as drift_records
from include.adapters.ledger import outages as kept
from include.adapters.ledger.tables import outage_items
from include.config import declarations
from include.config.freshness import ViewFreshness
from include.config.views import Calendar
from include.domain.verdicts import Verdict
from include.workflows import tasks
from include.workflows.alerts import outages, outbox
from include.workflows.pages import notices
from include.workflows.services.teller import Teller

FIRST = AS_OF.date()


@pytest.fixture
def home(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the notices are written, beside a ledger."""
    monkeypatch.setenv("SLIPWAY_URL", "https://slipway.example.org")
    for name in ("SLIPWAY_OPERATOR", "SLIPWAY_OPERATOR_VIA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def told(home) -> Callable[[], list[tuple[str, str]]]:
    """Kind and receiver of what was sent, in order."""
    return lambda: [(line["kind"], line["to"]) for line in lines(home)]


def lines(home) -> list[dict]:
    file = home / outbox.FILE
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def now() -> datetime:
    return datetime.now(UTC)


def fails(
    dag_id: str, task_id: str, day: str | None = None, error: object = "it broke", at: datetime | None = None
) -> str:
    key = f"{day}T00:00:00" if day else None
    return outages.step_failed(dag_id, f"run of {day}", task_id, key, error, outbox.to_file, at or now())


def works(dag_id: str, task_id: str, day: str | None = None, **how) -> str | None:
    key = f"{day}T00:00:00" if day else None
    return outages.step_works(dag_id, task_id, key, outbox.to_file, now(), **how)


# --- machinery that fails --------------------------------------------------------------------------------------------

EVERY_KIND = [
    pytest.param("features_origin_weather", "materialize", "2013-05-01", "weather-desk", id="features"),
    pytest.param("features_origin_weather", "audit_gate", "2013-05-01", "weather-desk", id="a view's red gate"),
    pytest.param(f"score_{MODEL}", "score", "2013-05-01", "ml-on-call", id="score"),
    pytest.param(f"drift_{MODEL}", "measure", "2013-05-01", "ml-on-call", id="drift"),
    pytest.param(f"retrain_{MODEL}", "train", None, "ml-on-call", id="train"),
    pytest.param(f"retrain_{MODEL}", "promote", None, "ml-on-call", id="promote"),
    pytest.param(f"rollback_{MODEL}", "roll_back", None, "ml-on-call", id="rollback"),
    pytest.param(f"consistency_{MODEL}", "check", None, "ml-on-call", id="consistency"),
    pytest.param("gate_selftest", f"selftest_{MODEL}", None, "ml-on-call", id="selftest"),
    pytest.param("housekeeping", "reconcile_aliases", None, "operator", id="housekeeping"),
    pytest.param("watch", "look", None, "operator", id="watch"),
    pytest.param("score_nobody_declares_it", "score", "2013-05-01", "operator", id="a model nobody declares"),
]


@pytest.mark.parametrize(("dag_id", "task_id", "day", "owner"), EVERY_KIND)
def test_f190_its_owner_is_told_once_and_once_more_when_it_is_over(ledger, home, told, dag_id, task_id, day, owner):
    for _ in range(3):
        fails(dag_id, task_id, day)
    assert told() == [("failed", owner)]
    first = lines(home)[0]
    assert f"{task_id.replace('_', ' ')} of {dag_id} failed" in first["sentence"]
    assert first["sentence"].endswith("it broke")
    assert first["link"].startswith(f"https://slipway.example.org/dags/{dag_id}/runs/run%20of%20")
    assert [o.cause for o in ledger.outages.open()] == [f"{dag_id}/{task_id}"]
    for _ in range(3):
        works(dag_id, task_id, day)
    assert told() == [("failed", owner), ("over", owner)]
    assert ledger.outages.open() == []
    fails(dag_id, task_id, day)
    assert told() == [("failed", owner), ("over", owner), ("failed", owner)]
    assert len({line["key"] for line in lines(home)}) == 3


@pytest.mark.parametrize(
    ("dag_id", "task_id", "day"),
    [("features_origin_weather", "audit_gate", "2013-05-01"), (f"retrain_{MODEL}", "training_data_gate", None)],
)
def test_a_task_that_was_renamed_ends_what_failed_under_its_former_name(ledger, told, dag_id, task_id, day):
    fails(dag_id, "data_quality_gate", day)
    works(dag_id, task_id, day)
    assert [kind for kind, _ in told()] == ["failed", "over"]
    assert ledger.outages.open() == []


def test_f190_ten_red_days_are_one_message_and_over_when_the_last_is_mended(ledger, told):
    days = [f"2013-05-{n:02d}" for n in range(1, 11)]
    for day in days:
        fails("features_origin_weather", "materialize", day)
    works("features_origin_weather", "materialize", "2013-06-01")
    for day in days[:-1]:
        works("features_origin_weather", "materialize", day)
    assert told() == [("failed", "weather-desk")]
    assert [*ledger.outages.open()[0].items] == [days[-1]]
    works("features_origin_weather", "materialize", days[-1], only_its_day=True)
    assert told() == [("failed", "weather-desk"), ("over", "weather-desk")]


def test_f190_a_day_that_was_left_red_does_not_hide_a_failure_a_month_later(told):
    fails("features_origin_weather", "materialize", "2013-05-01")
    later = now() + kept.TOLD_AGAIN_AFTER
    fails("features_origin_weather", "materialize", "2013-05-01", at=later)
    assert len(told()) == 1
    fails("features_origin_weather", "materialize", "2013-06-01", at=later)
    fails("features_origin_weather", "materialize", "2013-06-02", at=later)
    assert told() == [("failed", "weather-desk")] * 2


def test_f190_a_gate_that_judged_is_told_as_a_verdict_and_one_that_broke_as_a_failure(ledger, told):
    candidate = trained(ledger, "run of None")
    dag_id = f"retrain_{MODEL}"
    fails(dag_id, "threshold_gate", error="ZeroDivisionError")
    assert told() == [("failed", "ml-on-call")]
    works(dag_id, "threshold_gate")
    result = judged(verdict=Verdict.FAIL)
    digest = candidate.facts.artifact_digest
    ledger.gates.record(candidate.candidate_id, result, digest=digest, run_id="run of None")
    assert fails(dag_id, "threshold_gate").endswith("its verdict is reported instead.")
    assert [kind for kind, _ in told()] == ["failed", "over"]


def test_f190_a_killed_process_has_no_words_and_a_long_error_is_cut(home):
    fails("housekeeping", "reconcile_aliases", error=None)
    fails("housekeeping", "send_notices", error="x" * 5000)
    said = [line["sentence"] for line in lines(home)]
    assert said[0].endswith("Its process ended without a word: it was killed, or ran out of memory.")
    assert len(said[1]) < 800


def test_f190_what_a_lost_callback_did_not_say_the_ledger_does(ledger, told):
    view = declarations().view("origin_weather")
    fails("features_origin_weather", "publish", "2013-05-01")
    fails(f"score_{MODEL}", "score", a_day(1))
    look(ledger)
    assert [kind for kind, _ in told()] == ["failed", "failed"]
    publish(ledger, view.name, "2013-05-01")
    serve(ledger, champion(ledger, "one").candidate_id, a_day(1))
    look(ledger)
    assert told()[2:] == [("over", "weather-desk"), ("over", "ml-on-call")]


def test_f190_a_later_record_ends_an_outage_whatever_the_clocks_of_both_processes_say(ledger, told, monkeypatch):
    fails("features_origin_weather", "publish", "2013-05-01")
    fails(f"score_{MODEL}", "score", a_day(1))
    fails(f"drift_{MODEL}", "measure", a_day(1))
    behind = now() - timedelta(days=400)
    for module in (partitions, lineage, drift_records, claims):
        monkeypatch.setattr(module, "clock", lambda: behind)
    publish(ledger, "origin_weather", "2013-05-01")
    serve(ledger, champion(ledger, "one").candidate_id, a_day(1))
    ledger.drift.report(MODEL, "1", a_day(1), {}, run_id="drift")
    look(ledger)
    assert [kind for kind, _ in told()][3:] == ["over"] * 3
    assert ledger.outages.open() == []


def test_f190_what_was_there_before_a_day_failed_does_not_end_its_outage(ledger, told):
    serve(ledger, champion(ledger, "one").candidate_id, a_day(1))
    fails("features_origin_weather", "publish", "2013-04-01")
    for rows in (5, 6):
        publish(ledger, "origin_weather", "2013-05-01", rows)
        # A day that joins the outage after it was published, and once more after it was published again.
        fails("features_origin_weather", "publish", "2013-05-01")
        look(ledger)
        assert [*ledger.outages.open()[0].items] == ["2013-04-01", "2013-05-01"]
    fails(f"score_{MODEL}", "score", a_day(1))
    look(ledger)
    assert len(causes(ledger)) == 2
    publish(ledger, "origin_weather", "2013-05-01", 7)
    look(ledger)
    assert [[*o.items] for o in ledger.outages.open()] == [["2013-04-01"], [a_day(1)]]


def test_an_outage_from_before_it_was_written_down_what_there_was_is_ended_by_its_task_alone(ledger, told):
    fails("features_origin_weather", "publish", "2013-05-01")
    with ledger.database.writing("outages") as connection:
        connection.execute(update(outage_items).values(had=None))
    publish(ledger, "origin_weather", "2013-05-01")
    look(ledger)
    assert len(causes(ledger)) == 1
    works("features_origin_weather", "publish", "2013-05-01")
    assert causes(ledger) == []


# --- what does not come ----------------------------------------------------------------------------------------------


def look(ledger: Ledger, hours: float = 0.0) -> list[str]:
    """The watch's look, so many hours from now."""
    at = now() + timedelta(hours=hours)
    keys = outages.watch(ledger, at)
    outbox.sweep(ledger, outbox.to_file, at)
    return keys


def publish(ledger: Ledger, view: str, day: str, rows: int = 5) -> None:
    status = PartitionStatus.PUBLISHED if rows else PartitionStatus.EMPTY
    version = declarations().view(view).version
    made = Partition(view, version, day, status, rows, f"h{day}{rows}", "code", 1 if rows else None, rows, None, "run")
    ledger.partitions.record([made])


def publish_all(ledger: Ledger, day: str, rows: int = 5) -> None:
    for use in declarations().model(MODEL).views:
        publish(ledger, use.view, day, rows)


def serve(ledger: Ledger, candidate_id: str, day: str) -> None:
    asked = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    ledger.claims.claim(MODEL, day, run_id=f"score-{day}")
    ledger.lineage.record_scoring(
        Scoring(MODEL, day, candidate_id, "served", "1", 5, asked, asked, "features", (), f"score-{day}")
    )


def a_day(number: int) -> str:
    """The day so many days after the champion's first."""
    return (FIRST + timedelta(days=number)).isoformat()


def causes(ledger: Ledger) -> list[str]:
    return [outage.cause for outage in ledger.outages.open()]


def test_f191_a_day_that_is_published_and_not_scored_is_told_after_the_declared_time_and_when_it_comes(
    ledger, told, home
):
    first = champion(ledger, "one").candidate_id
    publish_all(ledger, a_day(0))
    publish_all(ledger, a_day(1))
    look(ledger, hours=5.9)
    assert causes(ledger) == []
    for _ in range(2):
        look(ledger, hours=6.1)
    assert told() == [("stale", "ml-on-call")]
    assert lines(home)[0]["sentence"] == (
        f"{MODEL}: 2 days from {a_day(0)} to {a_day(1)} are published and not scored for 6h; 6h are allowed. "
        f"Is score_{MODEL} paused, or a run of it red?"
    )
    for number in (0, 1):
        ledger.drift.report(MODEL, "1", a_day(number), {"flags": {}}, run_id=f"drift-{number}")
    serve(ledger, first, a_day(0))
    look(ledger, hours=6.1)
    assert len(told()) == 1
    serve(ledger, first, a_day(1))
    look(ledger, hours=5)
    assert told() == [("stale", "ml-on-call"), ("over", "ml-on-call")]


def test_f191_what_no_champion_was_to_score_is_not_missed(ledger):
    publish_all(ledger, a_day(3))  # published in bulk, before there was a champion
    first = champion(ledger, "one").candidate_id
    publish_all(ledger, a_day(-5))  # before the champion's first day
    publish_all(ledger, a_day(4), rows=0)  # nobody asks for anything on that day
    publish(ledger, declarations().model(MODEL).entity.view, a_day(6))  # other views are still to come
    look(ledger, hours=100)
    assert causes(ledger) == []
    serve(ledger, first, a_day(3))
    publish_all(ledger, a_day(2))  # history, published after scoring began with a later day
    look(ledger, hours=5)
    assert causes(ledger) == []


def test_f191_a_scored_day_that_is_not_judged_is_told_and_a_report_ends_it(ledger, told):
    first = champion(ledger, "one").candidate_id
    serve(ledger, first, a_day(1))
    look(ledger, hours=5.9)
    assert told() == []
    look(ledger, hours=6.1)
    assert (told(), causes(ledger)) == ([("stale", "ml-on-call")], [f"stale/judged/{MODEL}"])
    ledger.drift.report(MODEL, "1", a_day(1), {"flags": {}}, run_id="drift-1")
    look(ledger, hours=6.1)
    assert told() == [("stale", "ml-on-call"), ("over", "ml-on-call")]


@pytest.fixture
def live_view(monkeypatch):
    """One view whose calendar goes on; the others' have ended."""
    view = declarations().view("origin_weather")

    def declare(**change) -> None:
        calendar = Calendar(starts=date(2013, 1, 1))
        monkeypatch.setitem(declarations().views, view.name, view.model_copy(update={"calendar": calendar, **change}))

    declare()
    return declare


def test_f191_a_view_that_publishes_nothing_is_told_to_its_owner(ledger, told, live_view):
    publish(ledger, "origin_weather", "2013-05-01")
    look(ledger, hours=35.9)
    assert causes(ledger) == []
    look(ledger, hours=36.1)
    look(ledger, hours=50)
    assert told().count(("stale", "weather-desk")) == 1
    publish(ledger, "origin_weather", "2013-05-02")
    look(ledger, hours=30)
    assert told()[-1] == ("over", "weather-desk")


def test_f191_a_correction_of_an_old_day_is_no_news_of_the_source(ledger, live_view):
    publish(ledger, "origin_weather", "2013-05-01")
    before = ledger.overview.first_publishes("origin_weather", 1)
    publish(ledger, "origin_weather", "2013-05-01", rows=9)
    assert ledger.overview.first_publishes("origin_weather", 1) == before


def test_f191_a_view_that_never_published_counts_from_when_it_was_first_seen(ledger, live_view):
    look(ledger)
    assert causes(ledger) == []
    look(ledger, hours=35)
    assert causes(ledger) == []
    look(ledger, hours=37)
    assert "stale/published/origin_weather" in causes(ledger)


@pytest.fixture
def mark(ledger: Ledger, live_view) -> StreamMark:
    """The stream of the live view, run by a process that has just ticked."""
    return ledger.streams.hold("origin_weather", 1, "here:1", now(), timedelta(0))


def test_f176_a_stream_that_stands_still_is_told_to_the_views_owner_and_when_it_runs_again(ledger, told, mark):
    look(ledger, hours=9 / 60)
    assert causes(ledger) == []
    look(ledger, hours=11 / 60)
    assert (told(), causes(ledger)) == ([("stale", "weather-desk")], ["stale/streamed/origin_weather"])
    ledger.streams.advance(mark)
    look(ledger, hours=1 / 60)
    assert told() == [("stale", "weather-desk"), ("over", "weather-desk")]


def test_f176_rows_slower_than_the_delay_are_told_and_the_delay_itself_is_none(ledger, home, told, mark):
    promised = declarations().view("origin_weather").delay.total_seconds()
    ledger.streams.advance(replace(mark, p99_s=promised))
    look(ledger)
    assert causes(ledger) == []
    ledger.streams.advance(replace(mark, p99_s=promised + 1))
    look(ledger)
    assert (told(), causes(ledger)) == ([("stale", "weather-desk")], ["stale/delay/origin_weather"])
    assert "within 3,661 s of their event; 1h 1m are promised" in lines(home)[0]["sentence"]


def test_a_stream_that_never_ran_promised_nothing(ledger, live_view):
    look(ledger)
    look(ledger, hours=12)
    assert causes(ledger) == []


def test_f191_a_calendar_that_has_ended_owes_nothing_unless_it_is_declared(ledger, monkeypatch):
    publish(ledger, "origin_weather", "2013-05-01")
    look(ledger, hours=1000)
    assert "stale/published/origin_weather" not in causes(ledger)
    view = declarations().view("origin_weather")
    freshness = ViewFreshness.model_validate({"published_within": "3d"})
    monkeypatch.setitem(declarations().views, view.name, view.model_copy(update={"freshness": freshness}))
    look(ledger, hours=1000)
    assert "stale/published/origin_weather" in causes(ledger)


def test_f191_a_shadow_window_without_days_is_told_until_a_day_comes(ledger, told):
    from ledger_fixtures import challenger

    serving = champion(ledger, "one").candidate_id
    candidate = challenger(ledger, "two").candidate_id
    ledger.shadow.open(candidate, champion_id=serving, opened_from=AS_OF, min_rows=100, min_days=2, actor="test")
    look(ledger, hours=71)
    assert told() == []
    look(ledger, hours=73)
    assert (told(), causes(ledger)) == ([("stale", "ml-on-call")], [f"stale/shadowed/{candidate}"])
    ledger.shadow.record_day(candidate, a_day(0), rows=5, answered=5)
    look(ledger, hours=71)
    assert told()[-1] == ("over", "ml-on-call")


def test_f191_without_housekeeping_the_operator_is_told_and_a_run_ends_it(ledger, told):
    look(ledger)
    look(ledger, hours=35.9)
    assert told() == []
    look(ledger, hours=36.1)
    assert told() == [("stale", "operator")]
    tasks.send_notices(outbox.to_file, now() + timedelta(hours=37))
    look(ledger, hours=38)
    assert told() == [("stale", "operator"), ("over", "operator")]


def test_f191_without_the_watch_who_looks_from_outside_tells_it(ledger, told):
    def outside(hours: float) -> None:
        outages.unguarded(ledger, now() + timedelta(hours=hours))
        outbox.sweep(ledger, outbox.to_file, now() + timedelta(hours=hours))

    outside(0)
    outside(0.9)
    assert told() == []
    outside(1.1)
    outside(1.2)
    assert told() == [("stale", "operator")]
    tasks.watch(outbox.to_file, now() + timedelta(hours=1.3))
    assert told() == [("stale", "operator"), ("over", "operator")]


def test_a_broken_declaration_ends_no_outage(ledger, monkeypatch):
    first = champion(ledger, "one").candidate_id
    serve(ledger, first, a_day(1))
    look(ledger, hours=7)
    model = declarations().models[MODEL]
    file = model._folder / "model.yaml"
    monkeypatch.delitem(declarations().models, MODEL)
    monkeypatch.setitem(declarations().broken, file, ValueError("broken"))
    look(ledger, hours=8)
    assert causes(ledger) == [f"stale/judged/{MODEL}"]


def test_what_is_declared_for_nobody_is_kept_and_told_nobody(ledger, told, monkeypatch):
    model = declarations().models[MODEL]
    notify = model.notify.model_copy(update={"failed": "nobody"})
    monkeypatch.setitem(declarations().models, MODEL, model.model_copy(update={"notify": notify}))
    fails(f"score_{MODEL}", "score", "2013-05-01")
    assert (told(), causes(ledger)) == ([], [f"score_{MODEL}/score"])


def test_an_outage_and_its_notice_are_written_together(ledger, monkeypatch):
    def broken(*_):
        raise RuntimeError("killed here")

    monkeypatch.setattr(kept, "put_in", broken)
    with pytest.raises(RuntimeError):
        fails("housekeeping", "reconcile_aliases")
    assert ledger.outages.open() == []
    assert notices.missed(ledger, now()) == []


def test_f191_the_page_of_all_models_and_status_say_what_is_out_of_order(ledger, monkeypatch):
    from include.commands import services
    from include.workflows.pages import model, models

    first = champion(ledger, "one").candidate_id
    serve(ledger, first, a_day(1))
    look(ledger, hours=7)
    fails("features_origin_weather", "materialize", "2013-05-01")
    notices.tell(MODEL, "promoted", "one", "promote", _away, now())
    shown = models.models(now=now() + timedelta(hours=2)).out_of_order
    said = "\n".join(each.sentence for each in shown)
    assert "scored and not judged" in said
    assert "materialize of features_origin_weather failed for 2013-05-01" in said
    assert "flight-operations-science could not be notified yet" in said
    assert [each["sentence"] for each in services._out_of_order()] == [each.sentence for each in shown]
    late = {row.model: row.late for row in models.models(now=now()).rows}
    assert ["scored and not judged" in sentence for sentence in late[MODEL]] == [True]  # what failed is not late
    assert late["air_time"] == ()
    assert model.model(MODEL).row.late == late[MODEL]
    hidden = models.only(models.models(now=now()), ["air_time"]).out_of_order
    assert [each.subject for each in hidden] == ["origin_weather"]
    models.models(now=now())
    silent = models.models(now=now() + timedelta(hours=50)).out_of_order
    assert {each.sentence.split(" has not run")[0] for each in silent if "has not run" in each.sentence} == {
        "slipway: the Dag watch",
        "slipway: the Dag housekeeping",
    }


def _away(*_) -> None:
    raise ConnectionError("the mail server is away")


def test_what_the_watchdog_tells_has_the_time_that_it_was_given(ledger, home, told):
    at = datetime(2031, 5, 1, tzinfo=UTC)
    teller = Teller(home / "logs", lambda: at)
    for news in ("scheduler was restarted 5 times; it is given up", None):
        teller.tell("scheduler", news)
        teller.turn(0)
    assert told() == [("failed", "operator"), ("over", "operator")]
    with ledger.database.reading() as connection:
        assert connection.execute(select(outage_items.c.ended_at)).scalars().all() == [at]


def test_a_teller_that_is_stopped_writes_down_what_it_was_told_and_ends(ledger, home, told):
    """A thread that outlived the services looked at the watch five minutes later, and made a ledger in whatever home
    the process had by then."""
    teller = Teller(home / "logs", now).start()
    teller.tell("scheduler", "it was restarted 5 times; it is given up")
    teller.stop(PATIENCE_S)
    assert told() == [("failed", "operator")]
    assert "slipway-teller" not in {thread.name for thread in threading.enumerate()}
    teller.tell("scheduler", None)
    assert told() == [("failed", "operator")], "what is told after the end is written down by nobody"
