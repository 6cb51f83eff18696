"""The promise of a journey: Airflow's deadline alert, which notifies the person that the declaration names when it is
broken.

The scheduler finds the deadline missed, the triggerer runs the callback: so a journey that waits for a person, for rows
in shadow, or for a worker that never comes is reported too. A journey that has ended by then is not reported.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.sdk import AsyncCallback, DeadlineAlert

from slipway_airflow.notify import tell
from slipway_airflow.promise import AskedFor

if TYPE_CHECKING:
    from include.config import ModelDeclaration

UNDER_WAY = ("queued", "running")


def promised(model: ModelDeclaration) -> DeadlineAlert:
    """Counted from when the run was asked for; a clear does not start it again."""
    return DeadlineAlert(
        name=f"{model.name} promises",
        reference=AskedFor(),
        interval=model.promise,
        callback=AsyncCallback(journey_is_late),
    )


async def journey_is_late(context: dict[str, Any]) -> str:
    """Called by the triggerer with the run as Airflow's REST gives it."""
    run = context["dag_run"]
    if run["state"] not in UNDER_WAY:
        return f"No one is notified: run {run['dag_run_id']} is {run['state']}."
    return await asyncio.to_thread(tell, "late", run["dag_id"], run["dag_run_id"], "", context)
