"""The slow path: a model that has no packed form is answered by its pipeline, in a process of its own.

The worker itself stays light and goes on with other requests meanwhile: a request waits no longer than its deadline,
whatever the pipeline does. Requests that wait together are answered together.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any, Protocol

from include.adapters.scorer_process import Scorer, ScorerDied
from include.domain.serving.requests import NotAnswered
from include.domain.serving.route import ServedModel

HANG_S = 5.0
"""After so long without an answer its process is ended; the requests' own deadlines are earlier."""
AGAIN_S = 5.0
"""How long after a failed load it is tried again."""
MOST_ROWS = 256
"""Rows of requests that wait together and are answered together."""
MEMORY_MB = 4_000
"""The address space of its process: with scikit-learn loaded it is 1,600 before it answers."""

Rows = Sequence[Mapping[str, Any]]


class AnswersLater(Protocol):
    """A model that answers later."""

    problem: str
    """Why it does not answer yet; empty once it does."""

    async def scores(self, rows: Rows, within_s: float) -> list[Any]: ...

    def end(self) -> None: ...


@dataclass(slots=True)
class _Job:
    rows: Rows
    until: float
    found: Future[list[Any]] = field(default_factory=Future)


class SlowModel:
    """One model's pipeline in its process, kept by one thread."""

    def __init__(
        self, scorer: Scorer, features: Sequence[str], hang_s: float = HANG_S, again_s: float = AGAIN_S
    ) -> None:
        self.problem = "its pipeline is being loaded"
        self._scorer, self._hang_s, self._again_s = scorer, hang_s, again_s
        self._example = dict.fromkeys(features)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow-model", daemon=True)
        self._thread.start()

    async def scores(self, rows: Rows, within_s: float) -> list[Any]:
        """The answers to the rows.

        Raises:
            NotAnswered: when they do not come in time, the model raises on a row, or its process ends on one.
        """
        job = _Job(rows, time.monotonic() + within_s)
        self._jobs.put(job)
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.wrap_future(job.found)
        except TimeoutError:
            raise NotAnswered(504, "its pipeline did not answer within the deadline") from None

    def end(self) -> None:
        """End its process; what still waits is refused."""
        self._ended.set()
        self._jobs.put(None)

    # --- its thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ended.is_set() and not self._load():
                self._ended.wait(self._again_s)
            while not self._ended.is_set():
                self._answer(self._waiting())
        finally:
            self._scorer.end()
            for job in self._left():
                _refuse(job, NotAnswered(503, "its pipeline is ended"))

    def _load(self) -> bool:
        """Load it and let it answer a row of nothing, so that the first request does not wait for imports."""
        try:
            self._scorer.ask([self._example], [], self._hang_s * 10)
        except ScorerDied as died:
            self.problem = str(died)
            return False
        self.problem = ""
        return True

    def _waiting(self) -> list[_Job]:
        """The next request, and those that came with it, as far as somebody still waits for them."""
        jobs: list[_Job] = []
        rows = 0
        while rows < MOST_ROWS:
            try:
                job = self._jobs.get(block=not jobs)
            except queue.Empty:
                break
            if job is None:
                break
            if time.monotonic() < job.until and not job.found.cancelled():
                jobs.append(job)
                rows += len(job.rows)
        return jobs

    def _left(self) -> list[_Job]:
        left = []
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    left.append(job)
        return left

    def _answer(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        rows = [row for job in jobs for row in job.rows]
        try:
            said = self._scorer.ask(rows, [], self._hang_s)
        except ScorerDied as died:
            if len(jobs) == 1:
                _refuse(jobs[0], NotAnswered(503, f"its pipeline did not answer: {died}"))
                return
            for job in jobs:  # one of them ended it; the others are innocent
                if time.monotonic() < job.until:
                    self._answer([job])
            return
        at = 0
        for job in jobs:
            to = at + len(job.rows)
            wrong = next((each for each in said["errors"][at:to] if each is not None), None)
            if wrong is not None:
                _refuse(job, NotAnswered(422, f"the model does not answer this: {wrong}"))
            else:
                with contextlib.suppress(InvalidStateError):  # its asker has left meanwhile
                    job.found.set_result(said["scores"][at:to])
            at = to


def _refuse(job: _Job, why: NotAnswered) -> None:
    with contextlib.suppress(InvalidStateError):  # its asker has left meanwhile
        job.found.set_exception(why)


def slow_model(served: ServedModel) -> SlowModel:
    """The pipeline that the route names, loading."""
    kinds = {each.name: each.kind for each in served.features}
    config = {
        "file": served.pipeline,
        "digest": served.digest,
        "form": "pipeline",
        "kinds": kinds,
        "classes": len(served.classes) if served.task != "regression" else None,
        "memory_mb": MEMORY_MB,
    }
    return SlowModel(Scorer(config), list(kinds))
