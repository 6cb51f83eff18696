"""``shadow``: the challenger of a model answers the rows of the online service's journal, beside the champion."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

if TYPE_CHECKING:
    from include.workflows.scoring.online_challenger import Followed

WAIT_S = 0.1
LOOK_AGAIN_S = 10.0
LOOK_AT_MOST_EVERY_S = 0.5
"""Where no candidate is in shadow, which is most of the time: a look opens the ledger."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a declared model")
    parser.add_argument("--once", action="store_true", help="answer what is there now, and end")
    parser.add_argument("--folder", help="of the journal; default SLIPWAY_HOME/journal")
    parser.add_argument(
        "--clock",
        metavar="WHEN[@SPEED]",
        help="the service's time of the data; default SLIPWAY_SERVE_CLOCK, else SLIPWAY_CLOCK, else now",
    )


def _shadow(args: argparse.Namespace) -> Answer:
    from include.adapters.data_clock import DataClock
    from include.commands.airflow import use_running_services
    from include.config import declarations
    from include.config.settings import settings
    from include.workflows.scoring import online_challenger
    from include.workflows.scoring.shadow_tail import TailLimits

    model = declarations().model(args.model)
    # The service's clock, by which the records are dated that it reads.
    clock = DataClock.read(args.clock or os.environ.get("SLIPWAY_SERVE_CLOCK") or os.environ.get("SLIPWAY_CLOCK"))
    # Five minutes of the machine's time: where the data's goes on faster, more of it passes while a process starts.
    limits = TailLimits(behind_s=TailLimits().behind_s * max(clock.speed, 1.0))
    use_running_services()
    folder = Path(args.folder) if args.folder else settings().home / "journal"
    if args.once:
        if not folder.is_dir():
            raise Mistake(f"There is no journal in {folder}; the online service makes it with its first answer.")
        return _told(args.model, online_challenger.follow(model, folder, clock.now, limits=limits))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())

    def goes_on() -> bool:
        return not stop.wait(WAIT_S)

    while True:
        found = online_challenger.follow(model, folder, clock.now, goes_on, limits)
        if found.candidate is not None:
            print("\n".join(_told(args.model, found).lines), flush=True)
        # As for the lag: a challenger is found within ten seconds of the data's time, or half a one of the machine's.
        idle = max(LOOK_AT_MOST_EVERY_S, LOOK_AGAIN_S / max(clock.speed, 1.0))
        if stop.wait(idle if found.candidate is None else WAIT_S):
            return Answer(("Stopped.",), {"stopped": "by signal"})


def _told(model: str, found: Followed) -> Answer:
    if found.candidate is None:
        return Answer((f"No candidate of {model} is in its shadow window.",), {"candidate": None})
    counts = found.counts
    lines = [
        f"{found.candidate}: {counts.answered:,} rows answered, {counts.errors:,} errors, "
        f"{counts.passed_over:,} passed over"
    ]
    lines += [counts.gave_up] if counts.gave_up else []
    return Answer(tuple(lines), {"candidate": found.candidate, **asdict(counts)}, EXIT_FAILED if counts.gave_up else 0)


VERBS = (
    Verb(
        "shadow",
        "let a model's challenger answer the online service's rows, beside the champion",
        "slipway shadow flight_delay --once",
        _shadow,
        _arguments,
        group=VerbGroup.START,
        exit_codes="0 ended by a signal, or everything was answered or counted; 1 it is asked no more",
    ),
)
