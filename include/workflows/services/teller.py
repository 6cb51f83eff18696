"""Notifies the operator about the services themselves, from outside Airflow, whose scheduler may be dead.

It works in a thread of its own, so that a ledger that does not answer never holds up the watchdog.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from include.adapters.ledger import Failing, Ledger, Scope
from include.adapters.ledger.outages import WHOLE
from include.workflows import stores
from include.workflows.alerts import by_path, outages, outbox, recipients

if TYPE_CHECKING:
    from include.adapters.ledger import Notice
    from include.config.notify import Channel

WATCH_EVERY_S = 300.0
"""How often it is checked whether the Dag ``watch`` runs."""


class OnlyByAirflow(Exception):
    """The notice waits for the Dag ``watch``: mail and Slack need Airflow's connections."""


class Teller:
    """Writes what the watchdog reports into the ledger, and to the file of notices at once.

    ``now`` is asked when something is written down: the supervisor's wall clock, since nothing here has a data time.
    """

    def __init__(self, logs: Path, now: Callable[[], datetime]) -> None:
        self._logs, self._now = logs, now
        self._news: queue.Queue[tuple[str, str | None] | None] = queue.Queue()
        self._looked = time.monotonic()
        self._thread: threading.Thread | None = None

    def start(self) -> Teller:
        self._thread = threading.Thread(target=self._run, name="slipway-teller", daemon=True)
        self._thread.start()
        return self

    def tell(self, cause: str, why: str | None) -> None:
        self._news.put((cause, why))

    def stop(self, patience_s: float = 5.0) -> None:
        """Write down what was told until now, and end. A ledger that does not answer is waited for so many seconds; its
        thread then ends once it has answered."""
        self._news.put(None)
        if self._thread is not None:
            self._thread.join(patience_s)

    def _run(self) -> None:
        while self.turn(10):
            pass

    def turn(self, wait_s: float) -> bool:
        """Write down the next piece of news, if one comes in so many seconds; check the watch, if it is time. False
        when it is to end."""
        with suppress(queue.Empty):
            news = self._news.get(timeout=wait_s)
            if news is None:
                return False
            with suppress(Exception):
                self._record(*news, self._now())
        if time.monotonic() - self._looked >= WATCH_EVERY_S:
            self._looked = time.monotonic()
            with suppress(Exception):
                self._look(self._now())
        return True

    def _record(self, cause: str, why: str | None, now: datetime) -> None:
        to = recipients.of(Scope.PROJECT, recipients.PROJECT, outages.FAILED)
        told, name = to.told if to else None, f"services/{cause}"
        with stores.open_ledger() as ledger:
            if why is None:
                key = ledger.outages.works(
                    name, WHOLE, f"{recipients.PROJECT}: it is over, {cause} is well.", told, now
                )
            else:
                sentence = f"{recipients.PROJECT} on {os.uname().nodename}: {why}. Logs: {self._logs}"
                failing = Failing(name, Scope.PROJECT, recipients.PROJECT, outages.FAILED, sentence, "/slipway/")
                key = ledger.outages.fails(failing, told, now)
            if key is not None:
                self._send(ledger, key, now)

    def _look(self, now: datetime) -> None:
        with stores.open_ledger() as ledger:
            for key in outages.unguarded(ledger, now):
                self._send(ledger, key, now)

    @staticmethod
    def _send(ledger: Ledger, key: str, now: datetime) -> None:
        outbox.deliver(ledger, key, to_file_at_least, now)


def to_file_at_least(notice: Notice, channel: Channel) -> None:
    """To the file in any case, and by a function of the team's own; by mail and Slack when Airflow works again.

    Raises:
        OnlyByAirflow: for mail and Slack.
        NotTold: when the team's function could not notify anyone.
    """
    outbox.to_file(notice)
    if channel.via == "path":
        by_path.send(notice, channel)
    elif channel.via != "file":
        raise OnlyByAirflow(f"{channel.via} needs Airflow; the line is in {outbox.FILE} until the Dag watch sends it")
