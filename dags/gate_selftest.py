"""Prove that each gate can fail: candidates that are bad in one known way, against every gate of every model.

Runs every Sunday at 05:00 UTC and by hand. A gate that no longer stops anything cannot be distinguished from one that
has nothing to stop, and it can break without a change of its code: a library is upgraded, a bound in a declaration is
moved, the published rows become too few. A week is soon enough, as every change of code or declaration runs the same in
the tests. It needs no partition and belongs to no day of data, so the clock starts it, and a week that was missed is
not caught up on. It writes nothing: the ledger, the registry and the prediction log are not touched.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag
from slipway_airflow import docs
from slipway_airflow.selftest import SelftestOperator

from include.config import declared_models
from include.workflows import tasks

MODELS = declared_models()


@dag(
    dag_id="gate_selftest",
    # Unpausing it must not run the Sunday that is past.
    schedule=CronTriggerTimetable("0 5 * * 0", timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,  # the times of latency_gate are taken with no other selftest beside them
    **docs.about_all(__doc__, ["selftest", *(model.name for model in MODELS)]),
)
def gate_selftest():
    for model in MODELS:
        SelftestOperator(task_id=f"selftest_{model.name}", model=model.name, run=tasks.selftest)


if MODELS:
    gate_selftest()
