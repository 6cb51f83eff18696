"""A listener: writes how a journey or a rollback ended as the note of its run, where the grid and the list show it.

A task cannot write the note of its run, so the process that ends the run does: the scheduler, or the API server when
somebody marks it. A slow or broken ledger makes neither wait long or fail.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger("slipway")
KINDS = ("retrain_", "rollback_")
WAIT_S = 5.0
LONGEST = 1000
"""What Airflow keeps of a note, in characters."""


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    note(dag_run)


def note(dag_run: Any) -> None:
    """Put the outcome above the present note; a run that is cleared and ends again keeps both."""
    if not dag_run.dag_id.startswith(KINDS):
        return
    sentence = _asked(dag_run.dag_id, dag_run.run_id)
    earlier = str(dag_run.note or "")
    if sentence and not earlier.startswith(sentence):
        dag_run.note = "\n\n".join(part for part in (sentence, earlier) if part)[:LONGEST]


def _asked(dag_id: str, run_id: str) -> str | None:
    """The sentence; None when there is none, or the ledger does not answer in time.

    The caller waits, so the scheduler forks no task beside the thread.
    """
    found: list[str | None] = []

    def ask() -> None:
        from include.workflows.pages import notices

        try:
            found.append(notices.outcome(dag_id, run_id))
        except Exception as error:  # noqa: BLE001 - a note is worth no broken scheduler
            log.warning("The outcome of %s %s is not in its note: %s", dag_id, run_id, error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(WAIT_S)
    return found[0] if found else None
