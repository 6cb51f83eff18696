"""The live replay of ``run --serve``: what is set up before the services start, and what it says at its end."""

from __future__ import annotations

import argparse
import io
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.commands import EXIT_FAILED, Answer, Verb, VerbGroup
from include.domain.wording import count_of

if TYPE_CHECKING:
    from include.adapters.airflow_api import AirflowApi
    from include.workflows.explain.live import LiveAgainstBatch
    from include.workflows.services.demonstration import DemonstrationOutcome
    from include.workflows.services.environment import Place
    from include.workflows.services.live_traffic import JournalSeen, LiveTraffic

DAYS_AFTER = 6
"""Live days after a promotion: five with labels, the fewest that say what it was worth. A live day takes longer."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What each kind of replay shows: its screen, its source, its end."""

    screen: Callable[[], Any]
    load_source: Callable[[Any], None]
    stopped: Callable[[], Answer]
    closing: Callable[[Any, Any], Answer]


Replayed = Callable[[argparse.Namespace, "AirflowApi", threading.Event], Answer]


def prepared(args: argparse.Namespace, place: Place, shown: Shown) -> Replayed:
    """Declarations in which the example is asked online, and a clock that the replay sets, in this process's
    environment before any service starts; then what replays.

    Raises:
        DaysOfBatch: when the home's days were replayed in batch.
        PortTaken: when the service could not listen.
    """
    from include.adapters.data_clock import SetClock
    from include.adapters.ports import PortUse, check_ports
    from include.config import declarations, loader
    from include.domain.intervals import Interval
    from include.workflows.services import live_demonstration

    port = int(os.environ.get("SLIPWAY_SERVE_PORT") or 8100)
    check_ports("127.0.0.1", [PortUse(port, "the online service", "SLIPWAY_SERVE_PORT")])
    place.home.mkdir(parents=True, exist_ok=True)
    live_demonstration.require_no_batch_days(place.home)
    declared = live_demonstration.declare_online(place.home)
    os.environ["SLIPWAY_DECLARATIONS"] = str(declared)
    loader.ROOT = declared
    declarations.cache_clear()
    start = Interval.of_day(args.start).start
    served = SetClock(place.home / "live" / "served.clock", start)
    streamed = SetClock(place.home / "live" / "streamed.clock", start)
    os.environ["SLIPWAY_SERVE_CLOCK"], os.environ["SLIPWAY_CLOCK"] = served.name, streamed.name

    def replayed(args: argparse.Namespace, api: AirflowApi, stop: threading.Event) -> Answer:
        from include.config import declared_models, declared_views
        from include.workflows.services.live_traffic import JournalSeen, LiveTraffic

        online = [model for model in declared_models() if model.serving.mode == "online"]
        read = {use.view for model in online for use in model.views}
        traffic = LiveTraffic(
            home=place.home,
            port=port,
            models=online,
            views=[view for view in declared_views() if view.ref in read and view.stream is not None],
            due=_departures,
            served=served,
            streamed=streamed,
            stop=stop,
            log=place.logs,
        )
        return _replayed(
            args, api, stop, shown, traffic, JournalSeen(place.home / "journal", lambda: datetime.now(UTC))
        )

    return replayed


def _departures(start: Any, end: Any) -> list[tuple[str, Any]]:
    from include.adapters.nycflights import departures_due
    from include.config.settings import settings

    return departures_due(settings().source_url, start, end)


def _replayed(
    args: argparse.Namespace,
    api: AirflowApi,
    stop: threading.Event,
    shown: Shown,
    traffic: LiveTraffic,
    seen: JournalSeen,
) -> Answer:
    from include.domain.intervals import DAY, Interval
    from include.workflows.explain import live
    from include.workflows.services.demonstration import Plan, Stopped
    from include.workflows.services.demonstration_report import report
    from include.workflows.services.live_demonstration import LiveDemonstration

    whole = Interval.between(args.start, args.end)
    if args.days is not None:
        whole = Interval(whole.start, min(whole.end, whole.start + args.days * DAY))
    plan = Plan(args.history_from, args.start, whole.end.date().isoformat(), DAYS_AFTER)
    Interval.between(plan.history_from, plan.start)
    began = time.monotonic()
    with shown.screen() as screen:
        shown.load_source(screen)
        try:
            outcome = LiveDemonstration(api, plan, screen, stop, traffic=traffic, seen=seen).run()
        except Stopped:
            return shown.stopped()
        finally:
            traffic.close()
        screen.now("Holding what was answered live against batch")
        lived = Interval.between(outcome.days[0], Interval.of_day(outcome.days[-1]).end.date().isoformat())
        held = [live.against_batch(model.name, lived) for model in traffic.models]
        logged = set[str]().union(*(live.logged_ids(model.name, lived.days) for model in traffic.models))
    acknowledged = traffic.acknowledged(lived.end)
    lost = [name for name in acknowledged if name not in logged]
    seen.look()
    answer = shown.closing(outcome, report())
    told = _told(outcome, traffic, seen, held, len(acknowledged), lost, time.monotonic() - began)
    broken = _broken(traffic, held, lost)
    kept = "Live is what batch would have been: nothing was lost, refused or answered by another value."
    verdict = f"The promise was not kept: {'; '.join(broken)}." if broken else kept
    data = {**answer.data, "live": [each.as_json() for each in held], "lost": lost, "broken_promises": broken}
    data["requests"] = {**asdict(traffic.counts), "acknowledged": len(acknowledged)}
    return Answer((*answer.lines, *told, verdict), data, EXIT_FAILED if broken else answer.code)


def _broken(traffic: LiveTraffic, held: list[LiveAgainstBatch], lost: list[str]) -> list[str]:
    """What was promised and did not happen."""
    found = []
    if refused := sum(traffic.counts.refused.values()):
        found.append(f"{refused} requests got no answer ({dict(traffic.counts.refused)})")
    if lost:
        found.append(f"{len(lost)} acknowledged rows are not in the log, for example {lost[0]}")
    for each in held:
        if each.same is None:
            found.append(f"{each.model}: {each.metric} live and in batch could not be compared ({each.reason})")
        elif not each.same:
            found.append(f"{each.model}: {each.metric} live is not that of batch")
    return found


def _told(
    outcome: DemonstrationOutcome,
    traffic: LiveTraffic,
    seen: JournalSeen,
    held: list[LiveAgainstBatch],
    acknowledged: int,
    lost: list[str],
    seconds: float,
) -> list[str]:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=140, record=True, file=io.StringIO())
    ages = Table("view", "median age", "99 of 100", "oldest", "missing", title="Ages of the features that were served")
    for name, known in sorted(seen.ages.items()):
        ordered = sorted(known)
        why = ", ".join(f"{n:,} {k.partition(' ')[2]}" for k, n in seen.missing.items() if k.partition(" ")[0] == name)
        middle, high = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        ages.add_row(name, _hours(middle), _hours(high), _hours(ordered[-1]), why or "0")
    who = Table("revision", "candidate", "first answer", "last answer", "answers", title="Who answered")
    for _, by in sorted(seen.by.items()):
        who.add_row(
            str(by.revision), by.candidate, f"{by.first:%Y-%m-%d %H:%M}", f"{by.last:%Y-%m-%d %H:%M}", f"{by.rows:,}"
        )
    for table in (ages, who):
        table.title_justify = "left"
        console.print(table)
    counts, days = traffic.counts, len(outcome.days)
    refused = sum(counts.refused.values())
    asking = days * 86_400 / counts.seconds if counts.seconds else 0.0
    lines = [
        f"{counts.asked:,} requests, {refused} without an answer; {count_of(counts.broken, 'connection')} ended "
        f"without one{', and the request was sent again' if counts.broken else ''}. {acknowledged:,} rows were "
        f"acknowledged and their days closed; {len(lost)} of them are not in the log.",
        f"{days} days of the data in {seconds / 60:.0f} minutes: {days * 86_400 / max(seconds, 1):,.0f} times as fast "
        f"as they were, {asking:,.0f} times while flights were asked. In between the data's clock was held, while "
        "Airflow published, collected, judged and trained.",
    ]
    first = counts.first_answer
    if first:
        lines += [
            f"Ask it yourself (the first of this run, at {first['at']}):",
            f"  curl -s 127.0.0.1:{traffic.port}/v1/models/{first['model']}/predict "
            f'-d \'{{"keys": {{"flight_id": "{first["key"]}"}}}}\'',
            f"  {json.dumps(first['reply'])}",
        ]
    return [*same_table(held), *console.export_text().splitlines(), *lines]


def same_table(held: list[LiveAgainstBatch]) -> list[str]:
    """A line a model: its metric live and in batch."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=140, record=True, file=io.StringIO())
    same = Table(
        "model", "metric", "live", "batch", "live - batch", "rows with a label", "scores equal", title="Live and batch"
    )
    for each in held:
        between = "not judged" if each.low is None else f"{each.difference:+.6f} ({each.low:+.6f} to {each.high:+.6f})"
        equal = f"{each.equal:,} of {each.compared:,}"
        same.add_row(each.model, each.metric, _f(each.live), _f(each.batch), between, f"{each.labelled:,}", equal)
    same.title_justify = "left"
    console.print(same)
    return console.export_text().splitlines()


def said_of(held: LiveAgainstBatch) -> str:
    """The verdict in one sentence."""
    if held.same is None:
        return f"{held.metric} live and in batch could not be compared: {held.reason}."
    return f"{held.metric} live is {'that' if held.same else 'not that'} of batch, within what these days scatter."


def _f(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _hours(seconds: float) -> str:
    """Below 0 for a row that is dated later than the request, as a timetable's.

    >>> _hours(5400), _hours(-7200)
    ('1.5 h', '-2.0 h')
    """
    return f"{seconds / 3600:.1f} h"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a declared model")
    parser.add_argument("--from", dest="start", required=True, metavar="DAY", help="first day")
    parser.add_argument("--to", dest="end", required=True, metavar="DAY", help="day after the last")


def _live(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.domain.intervals import Interval
    from include.workflows.explain import live

    use_running_services()
    held = live.against_batch(args.model, Interval.between(args.start, args.end))
    lines = (*same_table([held]), said_of(held))
    return Answer(lines, held.as_json(), 0 if held.same else EXIT_FAILED)


VERBS = (
    Verb(
        "live",
        "hold what was answered online against a batch scoring of the same rows",
        "slipway live flight_delay --from 2013-06-01 --to 2013-06-08",
        _live,
        _arguments,
        group=VerbGroup.ASK,
        exit_codes="0 the metric is the same in its interval; 1 it is not, or cannot be said",
    ),
)
