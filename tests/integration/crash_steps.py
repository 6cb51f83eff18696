"""The steps that the sweep of the stores kills: the moment before each, and what a child is told to do.

A moment is kept once, on SQLite; every step begins by going back to its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from deltalake import DeltaTable
from feature_world import TRIPS
from journal_day import asked_of, write, write_shadow
from journey_world import NOW, key
from ledger_fixtures import an_operator, judged
from release_story import Story
from sqlalchemy import delete, insert
from sweeping import Told

from include.adapters.ledger import Ledger, Notice, Scope, StopKind
from include.adapters.offline_store import OfflineStore
from include.adapters.online_store import ONLINE
from include.adapters.online_store.engines import engine_of
from include.config import declarations
from include.config.scored_ahead import DeclaredScore
from include.config.serving import DeclaredServing
from include.config.settings import settings
from include.domain.verdicts import Verdict
from include.workflows import pairs, tasks
from include.workflows.gates import overrides
from include.workflows.pages import notices

LATER = NOW + timedelta(hours=1)
GATE = "threshold_gate"
WHY = "known outage of the sensor on that day"

# --- what a child does ------------------------------------------------------------------------------------------------


def override(candidate_id: str, now: datetime) -> None:
    overrides.override(candidate_id, GATE, an_operator("bob"), WHY, now + timedelta(days=2), now)


def withdraw(candidate_id: str, now: datetime) -> None:
    overrides.withdraw(candidate_id, GATE, now)


def judge_again(reference: dict[str, Any], now: datetime) -> None:
    """The task of the gate, cleared by a person."""
    tasks.judge(GATE)(reference, now)


def tell(model: str, run_id: str, now: datetime) -> None:
    notices.tell(model, "promoted", run_id, "promote", notices.to_file, now)


def send_notices(now: datetime) -> None:
    tasks.send_notices(notices.to_file, now)


def repair(pair: str, now: datetime) -> None:
    found = pairs.check_named(pair).repair(now, None)
    left = [f.line for f in found if f.state is not pairs.PairState.AGREES]
    if left:
        raise RuntimeError("\n".join(left))


def end_stranded() -> None:
    tasks.end_stranded_journeys(lambda dag_id, run_id: "gone")


# --- the moments ------------------------------------------------------------------------------------------------------


def scoring(story: Story) -> None:
    """The 18th is published and not scored."""
    story.back_to("promotion")
    story.world.next_day(18, score=False)


def shadow_scoring(story: Story) -> None:
    """The 17th is published and not scored, and a challenger is in its window, which the day fills."""
    story.back_to("registration")
    second = story.references["second"]
    tasks.register_challenger(second, NOW)
    tasks.open_shadow_window(second)
    story.world.next_day(17, score=False)


def collect_online(model: str, partition: str, run_id: str, now: datetime) -> None:
    """The task of a model that is asked online; this child's declarations alone say that it is."""
    declarations().model(model).__dict__["serving"] = DeclaredServing(mode="online")
    tasks.collect(model, partition, run_id, now)


def collecting(story: Story) -> None:
    """The 17th was asked online and not collected. A challenger is in its window, which the day fills."""
    _back_to(story, "shadow scoring", shadow_scoring)
    first, second = (str(story.references[name]["candidate_id"]) for name in ("first", "second"))
    write(asked_of(story.world, 17, first))
    write_shadow(second, asked_of(story.world, 17, second, role="shadow"))


def collecting_of_two(story: Story) -> None:
    """The 18th was answered by two candidates, and belongs to one of them."""
    _back_to(story, "scoring", scoring)
    first, second = (str(story.references[name]["candidate_id"]) for name in ("first", "second"))
    write([*asked_of(story.world, 18, first)[:50], *asked_of(story.world, 18, second)[50:]])


@contextmanager
def answering_hourly(model: str) -> Iterator[None]:
    """In this process the model answers ahead; the world's declarations do not say so."""
    known = declarations().model(model).__dict__
    known["score"] = DeclaredScore(ahead="1d", every="1h")
    try:
        yield
    finally:
        known["score"] = None


def answer_ahead(model: str, partition: str, run_id: str, now: datetime) -> None:
    with answering_hourly(model):
        tasks.score_ahead(model, partition, {}, run_id, now)


def close_ahead(model: str, partition: str, run_id: str) -> None:
    with answering_hourly(model):
        tasks.score(model, partition, run_id)


def answering_ahead(story: Story) -> None:
    """The 17th is under way, and a challenger is in its window."""
    story.back_to("registration")
    second = story.references["second"]
    tasks.register_challenger(second, NOW)
    tasks.open_shadow_window(second)
    story.world.fill_days(17, 18)


def closing_of_two(story: Story) -> None:
    """The 18th is published, and its first rows were due on the 17th, when the champion of before answered them."""
    story.back_to("promotion")
    story.world.fill_days(18, 19)
    answer_ahead(story.world.model, "2024-03-17T23:00:00", "ahead", NOW)
    tasks.promote(story.references["second"], NOW)
    story.world.publish_day(18)


def publishing(story: Story) -> None:
    """The 19th is staged, and with it the 18th, of which the source has taken back a trip since."""
    _back_to(story, "scoring", scoring)
    story.world.fill_days(19, 20)
    story.world.remove(TRIPS, TRIPS.c.trip_id == "18-119")
    staged = tasks.materialize("trip_plan", key(19), {}, "features-19", NOW)
    if [each["start"][:10] for each in staged["corrections"]] != ["2024-03-18"]:
        raise RuntimeError(f"the 18th is not corrected: {staged['corrections']}")
    tasks.audit(staged, NOW)
    story.references["staged"] = dict(staged)


def publishing_again(story: Story) -> None:
    """The 18th, newest of all, is staged again without a trip that the source has taken back."""
    _back_to(story, "scoring", scoring)
    story.world.remove(TRIPS, TRIPS.c.trip_id == "18-119")
    staged = tasks.materialize("trip_plan", key(18), {}, "features-18-again", NOW)
    tasks.audit(staged, NOW)
    story.references["staged again"] = dict(staged)


def materializing(story: Story) -> None:
    _back_to(story, "scoring", scoring)
    story.world.fill_days(19, 20)


def measuring(story: Story) -> None:
    """The 17th is scored and not measured."""
    story.back_to("promotion")


def deciding(story: Story) -> None:
    """Two reports in a row are out of band while a journey is under way."""
    story.back_to("promotion")
    for day in (16, 17):
        made = dict(tasks.measure_drift(story.world.model, key(day), f"drift-{day}"))
        with Ledger.open(settings().ledger_url) as ledger:
            kept = ledger.drift.get(made["report_id"])
            if kept is None:
                raise RuntimeError(f"there is no report {made['report_id']}")
            report = json.loads(json.dumps(kept.report))
            report["realised"]["out_of_band"] = True
            ledger.drift.report(kept.model, kept.model_version, kept.day, report, run_id=kept.run_id)
    story.references["report"] = made


def judged_red(story: Story) -> None:
    """The second candidate's gate is red, and an override of it has run out."""
    _judged(story, Verdict.FAIL)
    candidate = story.references["second"]["candidate_id"]
    override(candidate, NOW - timedelta(days=5))


def overridden(story: Story) -> None:
    _back_to(story, "judged red", judged_red)
    override(story.references["second"]["candidate_id"], NOW)


def asking(story: Story) -> None:
    """The second candidate's gate waits for a person."""
    _judged(story, Verdict.INCONCLUSIVE)


def training(story: Story) -> None:
    story.back_to("rollback")
    reference = story.world.open("third", 17)
    tasks.build_training_set(reference)
    if not story.world.judge_after("build_training_set", reference):
        raise RuntimeError("the gate of the data stopped the third candidate")
    story.references["third"] = reference


def opening_the_window(story: Story) -> None:
    """The second candidate's window was opened beside nobody, and there is a champion by now."""
    story.back_to("registration")
    second = story.references["second"]
    tasks.register_challenger(second, NOW)
    with Ledger.open(settings().ledger_url) as ledger:
        ledger.shadow.open(
            second["candidate_id"],
            champion_id=None,
            opened_from=datetime(2024, 3, 17, tzinfo=UTC),
            min_rows=1,
            min_days=1,
            actor="a test",
        )


def online_lost(story: Story) -> None:
    """The online store lost a view's rows and has one that was never published."""
    _back_to(story, "scoring", scoring)
    view = declarations().view("trip_plan")
    last = datetime(2024, 3, 18, 23, 59, tzinfo=UTC).replace(tzinfo=None)
    stray = {"view": view.name, "view_version": view.version, "entity": '["never"]', "run_id": "nobody's"}
    with engine_of(settings().online_url, -1).begin() as connection:
        connection.execute(delete(ONLINE).where(ONLINE.c.view == view.name))
        connection.execute(insert(ONLINE).values(**stray, event_time=last, available_time=last, features="{}"))
    engine_of(settings().online_url, -1).dispose()


def view_lost(story: Story) -> None:
    """A view's table lost two days."""
    _back_to(story, "scoring", scoring)
    view = declarations().view("trip_plan")
    DeltaTable(OfflineStore(settings().store).view_path(view)).delete("day IN ('2024-03-17', '2024-03-18')")


def answers_lost(story: Story) -> None:
    """The log lost what the champion answered on the 16th."""
    story.back_to("promotion")
    champion = story.references["first"]["candidate_id"]
    OfflineStore(settings().store).drop_predictions(story.world.model, "2024-03-16", champion)


def given_up(story: Story) -> None:
    """Two notices that reached nobody in all their tries."""
    story.back_to("close of the winner")
    with Ledger.open(settings().ledger_url) as ledger:
        for number in (1, 2):
            told = Notice(f"late/{number}", Scope.MODEL, story.world.model, "late", "model", "m", "It is late.", "/")
            ledger.notices.put(told, NOW)
            taken = ledger.notices.take(told.key, NOW)
            if taken is None:
                raise RuntimeError(f"{told.key} cannot be taken")
            ledger.notices.not_sent(told.key, taken.tries, "no such host", None)


def alias_moved(story: Story) -> None:
    story.back_to("rollback")
    story.world.registry.point(story.world.model, "champion", 1)


def _judged(story: Story, verdict: Verdict) -> None:
    story.back_to("registration")
    candidate = story.world.candidate(story.references["second"])
    with Ledger.open(settings().ledger_url) as ledger:
        made = judged(GATE, verdict)
        digest = candidate.facts.artifact_digest
        ledger.gates.record(candidate.candidate_id, made, digest=digest, run_id=candidate.run_id)
        ledger.stops.record(candidate.candidate_id, GATE, StopKind.GATE, f"{GATE}: {made.reason}")


def _back_to(story: Story, name: str, make: Callable[[Story], None]) -> None:
    if name not in story.moments:
        make(story)
        story.keep(name)
    story.back_to(name)


# --- the steps --------------------------------------------------------------------------------------------------------


def _score(day: int) -> Callable[[Story], Told]:
    return lambda s: ("include.workflows.tasks:score", [s.world.model, key(day), f"score-{day}"])


def _collect(day: int) -> Callable[[Story], Told]:
    return lambda s: ("crash_steps:collect_online", [s.world.model, key(day), f"collect-{day}", NOW])


def _answer_ahead(story: Story) -> Told:
    return "crash_steps:answer_ahead", [story.world.model, "2024-03-17T09:00:00", "ahead-17", NOW]


def _own(name: str, *args: Any) -> Callable[[Story], Told]:
    return lambda s: (f"crash_steps:{name}", list(args))


def _of_second(name: str, now: datetime) -> Callable[[Story], Told]:
    return lambda s: (f"crash_steps:{name}", [s.references["second"]["candidate_id"], now])


MOMENTS: dict[str, Callable[[Story], None]] = {
    "scoring": scoring,
    "shadow scoring": shadow_scoring,
    "answering ahead": answering_ahead,
    "closing of two": closing_of_two,
    "collecting": collecting,
    "collecting of two": collecting_of_two,
    "materializing": materializing,
    "publishing": publishing,
    "publishing again": publishing_again,
    "measuring": measuring,
    "deciding": deciding,
    "judged red": judged_red,
    "overridden": overridden,
    "asking": asking,
    "training": training,
    "opening the window": opening_the_window,
    "online lost": online_lost,
    "view lost": view_lost,
    "answers lost": answers_lost,
    "given up": given_up,
    "alias moved": alias_moved,
}
STEPS: dict[str, tuple[str, Callable[[Story], Told]]] = {
    "publish": ("publishing", lambda s: ("include.workflows.tasks:publish", [s.references["staged"], {}])),
    "publish again": (
        "publishing again",
        lambda s: ("include.workflows.tasks:publish", [s.references["staged again"], {}]),
    ),
    "materialize": (
        "materializing",
        lambda s: ("include.workflows.tasks:materialize", ["trip_plan", key(19), {}, "features-19", NOW]),
    ),
    "score": ("scoring", _score(18)),
    "score in shadow": ("shadow scoring", _score(17)),
    "answer ahead": ("answering ahead", _answer_ahead),
    "close a day of two": (
        "closing of two",
        lambda s: ("crash_steps:close_ahead", [s.world.model, key(18), "score-18"]),
    ),
    "collect in shadow": ("collecting", _collect(17)),
    "collect of two": ("collecting of two", _collect(18)),
    "measure": (
        "measuring",
        lambda s: ("include.workflows.tasks:measure_drift", [s.world.model, key(17), "drift-17"]),
    ),
    "decide": ("deciding", lambda s: ("include.workflows.tasks:decide", [s.references["report"]])),
    "override": ("judged red", _of_second("override", NOW)),
    "withdraw": ("overridden", _of_second("withdraw", LATER)),
    "clear": ("judged red", lambda s: ("crash_steps:judge_again", [s.references["second"], NOW])),
    "approve": (
        "asking",
        lambda s: ("include.workflows.tasks:approve", [s.references["second"], GATE, "bob", WHY, NOW]),
    ),
    "train": ("training", lambda s: ("include.workflows.tasks:train", [s.references["third"]])),
    "open the shadow window": (
        "opening the window",
        lambda s: ("include.workflows.tasks:open_shadow_window", [s.references["second"]]),
    ),
    "tell": ("close of the winner", lambda s: ("crash_steps:tell", [s.world.model, "second", NOW])),
    "send what is due": ("close of the winner", _own("send_notices", NOW)),
    "end a stranded journey": ("scoring", _own("end_stranded")),
    "reconcile the aliases": ("alias moved", lambda s: ("include.workflows.tasks:reconcile_aliases", [])),
    "repair online": ("online lost", _own("repair", "online", NOW)),
    "repair view": ("view lost", _own("repair", "view", NOW)),
    "repair predictions": ("answers lost", _own("repair", "predictions", NOW)),
    "repair notices": ("given up", _own("repair", "notices", NOW)),
}
THEN: dict[str, Callable[[Story], Told]] = {
    # A callback is not tried again by Airflow: what it left is swept by housekeeping, once the lease is over.
    "tell": _own("send_notices", LATER),
    "send what is due": _own("send_notices", LATER),
    # The same night's other task.
    "end a stranded journey": lambda s: ("include.workflows.tasks:reconcile_aliases", []),
}
"""What runs after the step and its retry, also where nothing was killed."""
NOT_REPEATED = ("tell",)
"""What Airflow does not run a second time."""
