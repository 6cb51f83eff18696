"""A step killed once at each crash point that it passes and run again, held against an undisturbed run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forking import KILLED, Forking
from invariants import check_invariants
from release_story import Story, left
from sqlalchemy import select

from include.adapters.ledger import Ledger, tables
from include.adapters.offline_store import OfflineStore, content_hash
from include.adapters.online_store import OnlineStore
from include.config.settings import settings
from include.domain.intervals import Interval

Told = tuple[str, list[Any]]
"""A function, and what it is called with."""
LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
MARCH = Interval(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))
CLOCK = {"recorded_at", "opened_at", "first_at", "last_at"}
"""When something was written, which no two runs share."""
OF_A_TRY = {
    "notices": {"tries", "due_at", "sent_at"},  # a try that was killed counts
    "partitions": {"files"},  # named at random; that they are the promised ones is an invariant
    "partition_history": {"files"},
    "chain": {"row_hash", "hash"},  # a row's hash is of when it was written too; that the chain holds is an invariant
}
OF_A_STEP = {
    # Killed before it was recorded, a restored day is found whole by the next comparison, which records it instead.
    "repair view": {
        "partitions": {"files", "run_id", "table_version"},
        "partition_history": {"files", "run_id", "table_version"},
    },
}


DRAWN = {"train", "train with a race", "refit"}
"""What makes a model's file: MLflow draws the name of the run, and the file holds the time at which it was written."""


def everything(story: Story, name: str) -> dict[str, Any]:
    """All that the stores hold, but when it was written."""
    found, world = left(story.world), story.world
    found["ledger"] = rows_of_the_ledger(name)
    if name in DRAWN:
        found = without_drawn_names(found)
    store, online = OfflineStore(settings().store), OnlineStore(settings().online_url)
    for view in world.declared.views.values():
        found[f"online {view.name}"] = online.kept(view, LONG_AGO)
        found[f"offline {view.name}"] = content_hash(store.read(view, MARCH))
    answers = store.read_predictions(world.model, MARCH)
    found["answers"] = None if answers is None else content_hash(answers)
    told = settings().home / "notices.jsonl"
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    found["told"] = sorted({json.loads(line)["key"] for line in lines})
    return found


def without_drawn_names(found: dict[str, Any]) -> dict[str, Any]:
    """As one text, in which what each candidate was trained to has the candidate's name: MLflow draws that of the run,
    and a model's file holds the time at which it was written."""
    text = repr(found)
    for candidate, _, _, facts, _ in found["candidates"]:
        names = [(str(facts.mlflow_run_id), "run")]
        for digest, what in ((facts.artifact_digest, "file"), (facts.served_digest, "served file")):
            names += [(str(digest), what), (str(digest)[:12], what)] if digest else []
        for drawn, what in names:
            text = text.replace(drawn, f"{what} of {candidate}")
    return {"all": text}


def rows_of_the_ledger(name: str) -> dict[str, list[str]]:
    found, apart = {}, OF_A_TRY | OF_A_STEP.get(name, {})
    with Ledger.open(settings().ledger_url) as ledger, ledger.database.engine.connect() as connection:
        for table in tables.metadata.sorted_tables:
            if table.name not in ("attempts", "beats"):  # those count each try
                kept = [c for c in table.c if c.name not in CLOCK | apart.get(table.name, set())]
                found[table.name] = sorted(repr(tuple(row)) for row in connection.execute(select(*kept)))
    return found


def run(forking: Forking, told: tuple[str, list[Any]], **environment: str) -> int | str:
    call, args = told
    pid = forking.start(call, *args, **environment)
    ended = forking.wait(pid)
    assert ended in (0, KILLED), f"{environment}: {forking.said(pid)}"
    return ended


def points_of(trace: Path) -> list[str]:
    """Every crash point that was passed, each with how often it was by then."""
    passed: Counter[str] = Counter()
    points = []
    for name in (line for line in trace.read_text(encoding="utf-8").splitlines() if not line.startswith("write ")):
        passed[name] += 1
        points.append(f"{name}:{passed[name]}")
    return points


def sweep(
    name: str,
    story: Story,
    forking: Forking,
    trace: Path,
    *,
    moment: str,
    told: Callable[[Story], Told],
    again: bool = True,
    then: Sequence[Callable[[Story], Told]] = (),
) -> set[str]:
    """Kill the step at each point; returns which points an undisturbed run passes.

    ``again`` is whether Airflow runs the step a second time, ``then`` what runs after it and its retry.
    """
    story.back_to(moment)
    assert run(forking, told(story), FAULT_TRACE=str(trace)) == 0
    points = points_of(trace)
    for each in then:
        assert run(forking, each(story)) == 0
    expected = everything(story, name)
    check_invariants(story.world)
    for point in points:
        story.back_to(moment)
        assert run(forking, told(story), FAULT_CRASH=point) == KILLED, point
        for each in [*([told] if again else []), *then]:
            assert run(forking, each(story)) == 0, point
        found = everything(story, name)
        assert found == expected, point
        check_invariants(story.world)
    return {point.rpartition(":")[0] for point in points}
