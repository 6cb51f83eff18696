"""``replay`` and ``run``: a past through Airflow, day by day. That of the flights ends when drift has retrained a
model, that of other declarations on its last day."""

from __future__ import annotations

import argparse
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from include.commands import EXIT_BROKEN, EXIT_FAILED, Answer, Mistake, Verb, VerbGroup
from include.commands.services import Signals, place_arguments, place_of, say, welcome
from include.domain.wording import count_of

if TYPE_CHECKING:
    from include.adapters.airflow_api import AirflowApi
    from include.workflows.services.demonstration import DemonstrationOutcome


class Screen:
    """Lines that stay, and below them, on a terminal, one line with the present step."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
        self._status = self.console.status("") if self.console.is_terminal else None

    def __enter__(self) -> Screen:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def now(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text[: self.console.width - 4])

    def line(self, text: str) -> None:
        self.console.print(text, markup=False)


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="start", metavar="DAY", help="first day replayed one by one; default, of the flights, 2013-06-01"
    )
    parser.add_argument(
        "--to", dest="end", metavar="DAY", help="day after the last; default, of the flights, 2014-01-01"
    )
    parser.add_argument(
        "--history-from", metavar="DAY", help="first day of the history; default where the calendars of the views start"
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="only this one and its views; given again for each; default all",
    )


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    place_arguments(parser)
    _replay_arguments(parser)
    parser.add_argument(
        "--serve",
        action="store_true",
        help="answer flight_delay live: each flight is asked about over HTTP at its prediction time",
    )
    parser.add_argument(
        "--days", type=int, metavar="N", help="with --serve: end after so many live days, whatever happened until then"
    )
    parser.add_argument(
        "--exit", action="store_true", help="end when the replay has ended: 0 only if the whole loop happened"
    )


def _settled(args: argparse.Namespace) -> bool:
    """Whether it is the flights that are replayed, whose days have defaults.

    Raises:
        Mistake: for what another past needs and was not said, or does not have.
    """
    from include.workflows.services import own_past

    if not own_past.is_demonstration():
        for option, given in (("--from", args.start), ("--to", args.end)):
            if given is None:
                raise Mistake(
                    f"{option} DAY is needed: --from is the first day replayed one by one, with enough days before it "
                    "to learn from, and --to the day after the last. `slipway new model` prints both."
                )
        if getattr(args, "serve", False):
            raise Mistake("--serve replays the demonstration's flights only; leave it out.")
        these = own_past.chosen(args.model or ())
        own_past.plan_of(these, args.start, args.end, args.history_from)
        return False
    if args.model:
        raise Mistake("--model is of declarations of your own; the demonstration's models are replayed together.")
    args.start, args.end = args.start or "2013-06-01", args.end or "2014-01-01"
    args.history_from = args.history_from or "2013-01-01"
    return True


def _replay(args: argparse.Namespace) -> Answer:
    from include.adapters.airflow_api import AirflowUnreachable
    from include.commands.airflow import airflow_api, use_running_services
    from include.domain.errors import Unavailable

    of_flights = _settled(args)
    signals = Signals()
    with airflow_api() as api:
        try:
            api.health()
        except AirflowUnreachable as error:
            raise Unavailable(f"{error} Start it with `slipway up`, and leave that running.") from None
        use_running_services()
        return (_replayed if of_flights else _own_replayed)(args, api, signals.stop)


def _run(args: argparse.Namespace) -> Answer:
    """Services, source, replay; then stay until Ctrl-C, or end with ``--exit``."""
    from include.commands import live
    from include.workflows.services.startup import StopRequested
    from include.workflows.services.supervisor import dag_ids, running_services

    of_flights = _settled(args)
    if args.days is not None and (not args.serve or args.days < 1):
        raise Mistake("--days is 1 or more, and of --serve only.")
    place = place_of(args)
    os.environ["MLFLOW_TRACKING_URI"] = place.mlflow_url
    replayed: Callable[[argparse.Namespace, AirflowApi, threading.Event], Answer]
    replayed = _replayed if of_flights else _own_replayed
    if args.serve:
        replayed = live.prepared(args, place, live.Shown(Screen, load_source, stopped, closing))
    signals = Signals()
    answer = Answer((), {"stopped": "by signal"}, 128)
    try:
        with running_services(
            place, say=say, expected_dags=dag_ids(), stop=signals.stop, hurry=signals.hurry
        ) as services:
            for line in welcome(services):
                say(line)
            with services.api() as api, _ending_with(services, signals.stop) as stop:
                answer = replayed(args, api, stop)
            if args.exit or services.failure is not None:
                return answer
            say("\n".join(answer.lines))
            for line in welcome(services)[1:]:
                say(line)
            while not signals.stop.wait(0.5):
                services.keep_watched()
                if services.failure is not None:
                    return Answer((f"slipway: {services.failure}.",), {"error": services.failure}, EXIT_BROKEN)
            say("Stopping (once more to end without waiting).")
    except StopRequested:
        pass
    return Answer(("Stopped.",), answer.data, 128 + (signals.number or 0))


@contextmanager
def _ending_with(services: Any, stop: threading.Event) -> Iterator[threading.Event]:
    """An event that is set when the person asks for the end, or when the watchdog has given up."""
    ended, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(0.3):
            if stop.is_set() or services.failure is not None:
                ended.set()

    thread = threading.Thread(target=watch, name="replay-stop", daemon=True)
    thread.start()
    try:
        yield ended
    finally:
        over.set()
        thread.join()


def _replayed(args: argparse.Namespace, api: AirflowApi, stop: threading.Event) -> Answer:
    from include.domain.intervals import Interval
    from include.workflows.services.demonstration import Demonstration, Plan, Stopped
    from include.workflows.services.demonstration_report import report

    plan = Plan(args.history_from, args.start, args.end)
    for start, end in ((plan.history_from, plan.start), (plan.start, plan.end)):
        Interval.between(start, end)
    with Screen() as screen:
        load_source(screen)
        try:
            outcome = Demonstration(api, plan, screen, stop).run()
        except Stopped:
            return stopped()
    return closing(outcome, report())


def _own_replayed(args: argparse.Namespace, api: AirflowApi, stop: threading.Event) -> Answer:
    """The past of declarations that are not the demonstration's."""
    from include.workflows.services import own_past
    from include.workflows.services.demonstration import Stopped
    from include.workflows.services.demonstration_report import report

    these = own_past.chosen(args.model or ())
    plan = own_past.plan_of(these, args.start, args.end, args.history_from)
    with Screen() as screen:
        try:
            replay = own_past.OwnPast(api, plan, screen, stop, views=[*these.views], models=[*these.models])
            outcome = replay.run()
        except Stopped:
            return stopped()
    return closing(outcome, report(), own=True)


def load_source(screen: Screen) -> None:
    """The flights of 2013 in the source system, and a line that says so."""
    from include.adapters.nycflights import load_flights
    from include.config.settings import settings

    screen.now("Loading the flights of 2013 into the source system")
    rows = load_flights(settings().source_url, progress=lambda table, n: screen.now(f"Loading {table}: {n:,} rows"))
    screen.line(f"Source system: {', '.join(f'{n:,} {table}' for table, n in rows.items())}.")


def stopped() -> Answer:
    """What a replay says that was asked to end."""
    return Answer(("The replay was stopped; run it again and it goes on.",), {"stopped": True}, EXIT_FAILED)


def closing(outcome: DemonstrationOutcome, found: Any, *, own: bool = False) -> Answer:
    """The tables and the last lines of a replay. The code is 0 only where the whole loop happened; with ``own``, where
    the last day was reached and nothing waits for a person."""
    from rich.console import Console
    from rich.table import Table

    champions = Table(
        "model",
        "revision",
        "how",
        "champion",
        "version",
        "serves from",
        title="Champions over time",
        title_justify="left",
    )
    for c in found.champions:
        champions.add_row(c.model, str(c.revision), c.kind, c.candidate_id, c.version, c.effective_from)
    journeys = Table(
        "candidate",
        "started by",
        "as of",
        "verdicts",
        "before",
        "after",
        "outcome",
        title="Journeys",
        title_justify="left",
    )
    for j in found.journeys:
        verdicts = "\n".join(f"{gate.removesuffix('_gate')} {verdict}" for gate, verdict in j.verdicts.items())
        before, after = (f"{j.metric} {v:.4f}" if v is not None else "-" for v in (j.before, j.after))
        journeys.add_row(j.candidate_id, j.trigger, j.as_of, verdicts, before, after, j.outcome)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(champions)
    console.print(journeys)
    median = sorted(outcome.seconds_per_day)[len(outcome.seconds_per_day) // 2] if outcome.seconds_per_day else 0.0
    waits = f" {outcome.waiting_for} waits for a person." if outcome.waiting_for is not None else ""
    if outcome.loop_closed:
        end = (
            "The whole loop happened: a model drifted, was retrained, passed its gates, ran in shadow and was promoted."
            + waits
        )
    elif waits:
        end = f"The replay ended:{waits}"
    elif outcome.drifted and own:
        end = f"Drift started {count_of(len(outcome.drifted), 'journey')}; none promoted. {outcome.drifted[-1].outcome}"
    elif outcome.drifted:
        end = f"Drift started a journey that promoted nothing. {outcome.drifted[-1].outcome}"
    else:
        end = "No drift started a journey in these days."
    alarms = [f"Incident of {each}" for each in found.incidents]
    brought = [f"What retraining was worth: {each.sentence}" for each in found.worth]
    if outcome.drifted and not brought:
        brought = ["What retraining was worth: nothing, no journey that drift started was promoted."]
    pace = f"{len(outcome.days)} days, {median:.1f} s each (median). {end}"
    early = [f"Answered ahead: {line}" for line in found.ahead]
    lines = (*console.export_text().splitlines(), *early, *alarms, *brought, pace)
    data = {
        **found.as_json(),
        "days": outcome.days,
        "seconds_per_day": outcome.seconds_per_day,
        "drift_journeys": [
            {"dag_id": j.dag_id, "run_id": j.run_id, "promoted": j.promoted, "outcome": j.outcome}
            for j in outcome.drifted
        ],
        "loop_closed": outcome.loop_closed,
    }
    well = not waits if own else outcome.loop_closed
    return Answer(lines, data, 0 if well else EXIT_FAILED)


VERBS = (
    Verb(
        "replay",
        "drive a past through a running Airflow, day by day: the flights', or your own",
        "slipway replay --from 2024-03-01 --to 2024-04-01 --model late_order",
        _replay,
        _replay_arguments,
        group=VerbGroup.START,
    ),
    Verb(
        "run",
        "start everything and replay the flights' year until drift retrains a model, or your own past",
        "slipway run --exit",
        _run,
        _run_arguments,
        group=VerbGroup.START,
    ),
)
