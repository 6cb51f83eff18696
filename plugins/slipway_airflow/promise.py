"""From when a journey's promise counts. In a module of its own, because Airflow loads a plugin in every process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk.definitions.deadline import BaseDeadlineReference


class AskedFor(BaseDeadlineReference):
    """The moment the run was asked for, which is when Airflow makes the run and its deadline.

    Airflow's own ``DAGRUN_QUEUED_AT`` is the same moment, but 3.3.2 cannot clear a run that has such a deadline: it
    counts again with an interval it has not deserialized, and answers 500.
    """

    def _evaluate_with(self, *, session: Any, **kwargs: Any) -> datetime:
        return datetime.now(UTC)
