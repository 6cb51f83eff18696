"""Airflow's answers about its runs, tasks, questions and components, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.adapters.airflow_api.transport import Json

FINISHED = frozenset({"success", "failed"})
"""The states in which a Dag run stays unless somebody acts."""

COMPONENTS = ("scheduler", "triggerer", "dag-processor")
"""The components whose heartbeat Airflow watches, by the name of their command."""


@dataclass(frozen=True, slots=True)
class Health:
    """What ``/monitor/health`` says of the database and each component; None for one that never reported."""

    database: str | None
    components: Mapping[str, str | None]
    """``scheduler``, ``triggerer`` and ``dag-processor``: healthy or unhealthy."""
    heartbeats: Mapping[str, str | None]
    """The time of each component's last heartbeat, ISO 8601. It may come from an earlier process of the component."""

    @property
    def healthy(self) -> bool:
        return self.database == "healthy" and all(status == "healthy" for status in self.components.values())


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run of a Dag. ``partition_key`` is Airflow's form, ``2013-01-05T00:00:00``, or None."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    partition_key: str | None
    conf: Mapping[str, Any]
    queued_at: str | None
    started_at: str | None
    ended_at: str | None

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @classmethod
    def of(cls, data: Json) -> DagRun:
        return cls(
            dag_id=data["dag_id"],
            run_id=data["dag_run_id"],
            state=data["state"],
            run_type=data["run_type"],
            partition_key=data["partition_key"],
            conf=data["conf"] or {},
            queued_at=data["queued_at"],
            started_at=data["start_date"],
            ended_at=data["end_date"],
        )


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """One task of one run. ``state`` is None before the scheduler has handled it; ``duration_s`` None before it ran."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    duration_s: float | None
    started_at: str | None
    ended_at: str | None

    @classmethod
    def of(cls, data: Json) -> TaskInstance:
        return cls(
            task_id=data["task_id"],
            map_index=data["map_index"],
            state=data["state"],
            try_number=data["try_number"],
            duration_s=data["duration"],
            started_at=data["start_date"],
            ended_at=data["end_date"],
        )


@dataclass(frozen=True, slots=True)
class Question:
    """A task that waits for a person, with what it asks and may be answered."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    subject: str
    options: tuple[str, ...]
