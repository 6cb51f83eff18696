"""Every night: hold every store against the ledger, and say which overrides have lapsed.

Each pair of stores is one task, `compare_<pair>`: red when the store does not hold what the ledger promised, tried
again when it did not answer. `slipway repair` says what each repair does.

An alias that was moved by hand in MLflow is put back. What no program may settle (the champion's version was deleted,
its artifact replaced, the ledger restored from an older backup) makes the task red, with the way out in its last line.

Notices that no task could send, or that a killed one had begun to send, are sent.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag
from slipway_airflow import docs, notify
from slipway_airflow.parsing import needed
from slipway_airflow.steps import step

from include.workflows import pairs, tasks


def housekeeping_dag():
    @dag(
        dag_id="housekeeping",
        schedule=CronTriggerTimetable("17 3 * * *", timezone="UTC", run_immediately=timedelta(0)),
        catchup=False,
        max_active_runs=1,
        **docs.about_all(__doc__, ["housekeeping"]),
    )
    def housekeeping():
        @step
        def reconcile_aliases():
            return tasks.reconcile_aliases()

        @step
        def report_lapsed_overrides(ti=None):
            return tasks.report_lapsed_overrides(ti.start_date)

        def compare(pair):
            @step(task_id=f"compare_{pair}")
            def compared(ti=None):
                return tasks.compare_pair(pair, ti.start_date)

            compared()

        @step
        def send_notices(ti=None):
            return tasks.send_notices(notify.sender({}), ti.start_date)

        reconcile_aliases()
        for check in pairs.CHECKS:
            if check.name != "registry":  # reconcile_aliases holds MLflow against the ledger
                compare(check.name)
        report_lapsed_overrides()
        send_notices()

    return housekeeping()


if needed("housekeeping"):
    housekeeping_dag()
