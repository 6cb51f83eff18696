"""The live part of a replay: its clock, the streams' ticks, and the client that asks about each flight at its time.

The data's clock is held until this process sets it. Within an hour it goes from request to request, so each is dated
exactly when it is asked; at each full hour it waits until the views' rows of that hour are online. So a slow machine
makes the replay longer and no feature older.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.adapters.data_clock import SetClock
from include.adapters.journal import JournalReader
from include.adapters.journal.last_written import writer_of
from include.config import FeatureView, ModelDeclaration
from include.domain.errors import NotDone
from include.domain.intervals import Interval
from include.domain.journal.collected import Writer
from include.domain.journal.records import AnswerRecord
from include.workflows import stores
from include.workflows.scoring import online_challenger
from include.workflows.scoring.journal_read import note_silence
from include.workflows.scoring.shadow_tail import unread_bytes

if TYPE_CHECKING:
    from include.adapters.ledger import Ledger

SETTLE = timedelta(seconds=30)
"""After a full hour the views have its rows: what their ``delay`` promises."""
HOUR = timedelta(hours=1)
NUDGE_AFTER_S = 5.0
"""A tick that failed is made again when the data's time goes on, so it is let go on."""
PATIENCE_S = 300.0
LOOK_S = 0.02
SENT_AGAIN = 5


class LiveFailed(NotDone):
    """A part of the online chain did not do its share; the message says which, and where its log is."""


@dataclass(slots=True)
class LiveCounts:
    """What the client saw. ``refused`` counts answers that are no 200 by status, ``broken`` connections that ended
    without an answer; such a request is sent again with its id."""

    asked: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    seconds: float = 0.0
    """Of the machine's time, that live days took, without Airflow's part."""
    first_answer: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class AnsweredBy:
    """One revision: who it is, and its first and last answer by the data's clock."""

    candidate: str
    revision: int
    first: datetime
    last: datetime
    rows: int = 0


@dataclass(slots=True)
class JournalSeen:
    """What the journal says while it is written; each record is read once."""

    folder: Path
    now: Callable[[], datetime]
    """The machine's time, by which a process is silent."""
    writers: dict[str, Writer] = field(default_factory=dict)
    ages: dict[str, list[float]] = field(default_factory=dict)
    """By view, of each answer the age of the row that was served, in seconds."""
    missing: Counter[str] = field(default_factory=Counter)
    """By view and reason, values that were served as missing."""
    by: dict[int, AnsweredBy] = field(default_factory=dict)
    _reader: JournalReader | None = None

    def look(self) -> None:
        """Take what is new."""
        self._reader = self._reader or JournalReader(self.folder)
        for entry in self._reader.all():
            name = writer_of(entry.segment)
            self.writers.setdefault(name, Writer(name, timedelta(0))).saw(entry.record)
            if isinstance(entry.record, AnswerRecord):
                self._answer(entry.record)

    def passed(self, interval: Interval) -> bool:
        """Whether no process can answer anything of the interval any more."""
        self.look()
        note_silence(self.writers, self.folder, self.now())
        return all(each.state(interval.start, interval.end) != "writes" for each in self.writers.values())

    def _answer(self, record: AnswerRecord) -> None:
        at = record.prediction_time
        who = self.by.setdefault(record.revision, AnsweredBy(record.candidate, record.revision, at, at))
        who.first, who.last, who.rows = min(who.first, at), max(who.last, at), who.rows + 1
        for name, view in record.views.items():
            if view.missing is not None:
                self.missing[f"{name} {view.missing}"] += 1
            elif view.age_s is not None:
                self.ages.setdefault(name, []).append(view.age_s)


@dataclass(slots=True)
class LiveTraffic:
    """Asks the service of one home, in the order of the data's time."""

    home: Path
    port: int
    models: Sequence[ModelDeclaration]
    """Those that are asked online."""
    views: Sequence[FeatureView]
    """Those whose streams are waited for."""
    due: Callable[[datetime, datetime], list[tuple[str, datetime]]]
    """Of an interval of departures, the keys that are asked about, and when they happen."""
    served: SetClock
    streamed: SetClock
    stop: threading.Event
    log: Path
    counts: LiveCounts = field(default_factory=LiveCounts)
    _acknowledged: dict[str, datetime] = field(default_factory=dict)
    _begun: bool = False
    _connection: http.client.HTTPConnection | None = None

    def __post_init__(self) -> None:
        """What an earlier process of this replay was acknowledged counts, and is not asked again."""
        if self._kept.exists():
            for line in self._kept.read_text(encoding="utf-8").splitlines():
                name, _, moment = line.partition("\t")
                if moment.endswith("+00:00"):
                    self._acknowledged[name] = datetime.fromisoformat(moment)

    @property
    def _kept(self) -> Path:
        return self.home / "live" / "acknowledged.tsv"

    def close(self) -> None:
        """End the connection to the service."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def acknowledged(self, end: datetime) -> list[str]:
        """The ids of rows that were answered with 200, whose event is before ``end``."""
        return [name for name, event in self._acknowledged.items() if event < end]

    def day(self, interval: Interval, seen: JournalSeen) -> None:
        """One day: every request whose time is in it, and then what closes the day waits for.

        Raises:
            LiveFailed: when a part does not do its share in five minutes.
        """
        began = time.monotonic()
        self._wait(self._is_ready, "the service has no model that it may serve", "serve.log")
        self._wait(self._challenger_follows, "the challenger's process does not answer", "shadow_*.log")
        asked = [
            (event - model.entity.lead, event, model, key)
            for model in self.models
            for key, event in self.due(interval.start + model.entity.lead, interval.end + model.entity.lead)
        ]
        waiting = sorted(asked, key=lambda each: (each[0], each[2].name, each[3]))
        with self._opened() as keep, stores.open_ledger() as ledger:
            if not self._begun:
                # The streams' first tick, at which they began: without it nothing is known yet.
                self._tick(interval.start, ledger)
                self._begun = True
            for moment in _hours(interval):
                while waiting and waiting[0][0] < moment:
                    self._ask(*waiting.pop(0), keep)
                self._tick(moment, ledger)
            for each in waiting:
                self._ask(*each, keep)
        # While Airflow does its part, which may take minutes, the service would close it.
        self.close()
        self.served.set(interval.end)
        self._wait(lambda: seen.passed(interval), "a worker has not said that the day is over", "serve-worker.log")
        self._wait(self._challenger_is_done, "the challenger has not answered every row", "shadow_*.log")
        self.counts.seconds += time.monotonic() - began

    def _tick(self, moment: datetime, ledger: Ledger) -> None:
        """Let the streams bring the rows of the hour before ``moment`` online."""
        self.served.set(moment)
        self.streamed.set(moment)
        nudged, behind = time.monotonic(), [*self.views]

        def ticked() -> bool:
            nonlocal nudged
            if time.monotonic() - nudged > NUDGE_AFTER_S:
                nudged = time.monotonic()
                self.streamed.set(self.streamed.now + SETTLE)
            # One view after the other, as they tick: no view that has come there is asked about again.
            while behind:
                mark = ledger.streams.of(behind[0].name, behind[0].version)
                # A mark that was never pushed from is of a stream that has only just begun its first tick.
                if mark is None or mark.pushed_at is None or mark.read_until < moment:
                    return False
                behind.pop(0)
            return True

        self._wait(ticked, f"not every view's stream has come to {moment:%Y-%m-%d %H:%M}", "stream.log")

    def _ask(self, at: datetime, event: datetime, model: ModelDeclaration, key: str, keep: Any) -> None:
        name = key if len(self.models) == 1 else f"{model.name}-{key}"
        if name in self._acknowledged:
            return
        self.served.set(at)
        [entity] = _keys(model)
        status, said = self._reply(model.name, {"keys": {entity: key}, "request_id": name})
        self.counts.asked += 1
        if status != 200:
            self.counts.refused[status] += 1
            return
        if not self.counts.first_answer:
            self.counts.first_answer = {"model": model.name, "key": key, "at": at.isoformat(), "reply": said}
        self._acknowledged[name] = event
        keep.write(f"{name}\t{event.isoformat()}\n")
        keep.flush()

    def _reply(self, model: str, body: dict[str, Any]) -> tuple[int, Any]:
        """The status and the answer. A connection that ends without one is opened again, and the same id is sent."""
        for _ in range(SENT_AGAIN):
            if self.stop.is_set():
                break
            try:
                self._connection = self._connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                self._connection.request("POST", f"/v1/models/{model}/predict", json.dumps(body))
                reply = self._connection.getresponse()
                return reply.status, json.loads(reply.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.counts.broken += 1
                self.close()
                self.stop.wait(0.5)
        return 0, None

    def _get(self, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()

    def _is_ready(self) -> bool:
        """Whether the ledger's champion of each model is the one that answers."""
        status, said = self._get("/v1/status")
        if status != 200:
            return False
        with stores.open_ledger() as ledger:
            heads = {model.name: ledger.deployments.champion(model.name) for model in self.models}
        serving = {name: each["candidate"] for name, each in said["served"].items()}
        return all(head is not None and serving.get(name) == head.to_candidate for name, head in heads.items())

    def _challenger_follows(self) -> bool:
        return all(unread is not None for unread in self._unread())

    def _challenger_is_done(self) -> bool:
        return not any(self._unread())

    def _unread(self) -> Iterator[int | None]:
        """Of each candidate in its shadow window, how much of the journal it has not worked off."""
        with stores.open_ledger() as ledger:
            for model in self.models:
                live = ledger.candidates.live(model.name)
                if live is not None and online_challenger.is_in_shadow(ledger, model.name, live.candidate_id):
                    yield unread_bytes(online_challenger.own_folder(live.candidate_id), self.home / "journal")

    def _opened(self) -> Any:
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        return self._kept.open("a", encoding="utf-8")

    def _wait(self, done: Callable[[], bool], instead: str, log: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not done():
            if self.stop.wait(LOOK_S):
                return
            if time.monotonic() > until:
                raise LiveFailed(f"After {PATIENCE_S:.0f} s {instead}; its log is {self.log / log}.")


def _hours(interval: Interval) -> Iterator[datetime]:
    moment = interval.start + SETTLE
    while moment < interval.end:
        yield moment
        moment += HOUR


def _keys(model: ModelDeclaration) -> list[str]:
    from include.config import declarations

    return declarations().view(model.entity.view).keys
