"""``stream``: the newest rows of the views, online before their day is over."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from include.adapters.data_clock import DataClock
from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup
from include.commands.services import say

if TYPE_CHECKING:
    from include.config.types import FeatureView
    from include.workflows.features.streaming import ViewStream


LOOK_AT_LEAST_S = 0.02
"""Between two looks at the clock: one that a replay sets may have moved at any time."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("views", nargs="*", metavar="VIEW", help="which views; default all that declare a stream")
    parser.add_argument("--once", action="store_true", help="one tick of each view, then end")
    parser.add_argument(
        "--clock",
        metavar="WHEN[@SPEED]",
        help="the data time at which it begins, and how many times as fast it goes on, for example "
        "2013-06-22T00:00Z@60 (SLIPWAY_CLOCK); default the machine's time",
    )


def clock_of(args: argparse.Namespace) -> DataClock:
    """The clock that the option or the environment names."""
    return DataClock.read(args.clock or os.environ.get("SLIPWAY_CLOCK"))


def _stream(args: argparse.Namespace) -> Answer:
    from include.adapters import source, sql_engine
    from include.config.settings import settings
    from include.workflows import stores
    from include.workflows.features.streaming import ViewStream

    _look_for_garbage_seldom()
    views, clock = _views(args.views), clock_of(args)
    holder = f"{socket.gethostname()}:{os.getpid()}"
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with (
        stores.open_ledger() as ledger,
        sql_engine.OpenDatabases() as databases,
        source.KeptSource(settings().source_url) as kept,
    ):
        streams = [ViewStream(view, ledger.streams, holder, databases, kept) for view in views]
        if args.once:
            failed = [view.ref for view, each in zip(views, streams, strict=True) if not Ticker(each).tick(clock.now())]
            lines = (f"Not brought up to now: {', '.join(failed)}.",) if failed else ("Every view is up to now.",)
            return Answer(lines, {"failed": failed}, EXIT_FAILED if failed else 0)
        say(f"Streaming {', '.join(view.ref for view in views)}; Ctrl-C ends it.")
        _run(views, [Ticker(each) for each in streams], clock, stop)
    return Answer(("Stopped.",), {"stopped": "by signal"})


def _look_for_garbage_seldom() -> None:
    """Each tick reads thousands of rows, and by default every few hundred of them make Python look through all that
    this process has ever imported: two fifths of a tick's reading."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def _views(names: Sequence[str]) -> list[FeatureView]:
    from include.config import declarations

    known = declarations()
    if names:
        views = [known.view(name) for name in names]
        for view in views:
            if view.stream is None:
                raise Mistake(f"The view {view.ref!r} declares no stream; declare one in {view.file}.")
        return views
    views = [view for _, view in sorted(known.views.items()) if view.stream is not None]
    if not views:
        raise Mistake("No view declares a stream; declare `stream: {every: 10s}` and a delay in its view.yaml.")
    return views


class Ticker:
    """Ticks one stream, and says what went wrong once, and again when it is over: the next tick tries again."""

    def __init__(self, stream: ViewStream) -> None:
        self._stream = stream
        self._wrong: str | None = None

    def tick(self, now: datetime) -> bool:
        """Whether it succeeded."""
        name = self._stream.view.ref
        try:
            done = self._stream.tick(now)
        except Exception as error:  # noqa: BLE001 - whatever one tick raises, the next one is made
            wrong = str(error).strip() or type(error).__name__
            if wrong != self._wrong:
                say(f"{now:%Y-%m-%d %H:%M:%S} {name}: {wrong}")
            self._wrong = wrong
            self._stream.begin_again()
            return False
        if self._wrong is not None:
            say(f"{now:%Y-%m-%d %H:%M:%S} {name}: works again")
            self._wrong = None
        for remark in done.remarks:
            say(f"{now:%Y-%m-%d %H:%M:%S} {name}: {remark}")
        return True


def _run(views: list[FeatureView], tickers: list[Ticker], clock: DataClock, stop: threading.Event) -> None:
    from include.workflows.features.streaming import open_at

    every = {view.ref: view.stream.every for view in views if view.stream is not None}
    due = dict.fromkeys(every, clock.now())
    while not stop.is_set():
        for view, ticker in zip(views, tickers, strict=True):
            now = clock.now()
            if now >= due[view.ref] and not stop.is_set():
                if open_at(view, now):
                    ticker.tick(now)
                # Never two at once to catch up: whatever a tick took, the next one is at the next due time after it.
                due[view.ref] += every[view.ref] * ((now - due[view.ref]) // every[view.ref] + 1)
        wait = (min(due.values()) - clock.now()).total_seconds() / clock.speed
        stop.wait(min(max(wait, LOOK_AT_LEAST_S), 60.0))


VERBS = (
    Verb(
        "stream",
        "bring the newest rows of the views online before their day is over",
        "slipway stream --once",
        _stream,
        _arguments,
        group=VerbGroup.START,
        exit_codes="0 ended by a signal, or with --once every view is up to now; 1 with --once, when one is not",
    ),
)
