"""The state of a run in Airflow, read by a task with the right that every task has: no login is needed."""

from __future__ import annotations

from typing import Any

UNFINISHED = ["queued", "running"]


def state_of(ti: Any, dag_id: str, run_id: str) -> str:
    """``under way``, ``over`` or ``gone``. Raises what Airflow raises where it does not answer.

    Counts are used, because the state of a missing run is an error that cannot be distinguished from others. Runs under
    way are counted first, so that a run that ends in between is over, and not gone.
    """
    if ti.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=UNFINISHED):
        return "under way"
    return "over" if ti.get_dr_count(dag_id=dag_id, run_ids=[run_id]) else "gone"
