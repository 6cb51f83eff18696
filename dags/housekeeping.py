"""Every night: compare every store with the ledger, end journeys whose run is gone, say which overrides have lapsed.

Each pair of stores is one task, `compare_<pair>`: red when the store does not hold what the ledger promised, tried
again when it did not answer. `slipway repair` says what each repair does.

`end_stranded_journeys` asks Airflow about the run of each candidate in flight. Where the run was deleted, or ended
without closing its journey, the candidate is closed with the reason, its owner is notified, and the model may be
retrained again. Where Airflow does not answer nothing is closed, and the task is tried again.

An alias that was moved by hand in MLflow is put back. Differences that no program may settle (the champion's version
was deleted, its artifact replaced, the ledger restored from an older backup) makes the task red, with the way out in
its last line.

Files of the online service's journal that are older than their models want (`serving.keep`, 30 days) are removed once
every answer in them is in the prediction log; what stays, and why, is in the task's log.

Notices that no task could send, or that a killed one had begun to send, are sent.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, get_current_context
from slipway_airflow import docs, notify, runs
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

        @step
        def end_stranded_journeys(ti=None):
            found = tasks.end_stranded_journeys(lambda dag_id, run_id: runs.state_of(ti, dag_id, run_id))
            for closed in found["tell"]:
                run = (f"retrain_{closed['model']}", closed["run_id"])
                notify.tell("stranded", *run, ti.task_id, get_current_context())
            tasks.require_every_run_asked(found)
            return found

        def compare(pair):
            @step(task_id=f"compare_{pair}")
            def compared(ti=None):
                return tasks.compare_pair(pair, ti.start_date)

            compared()

        @step
        def remove_old_journal(ti=None):
            return tasks.remove_old_journal(ti.start_date, ti.run_id)

        @step
        def send_notices(ti=None):
            return tasks.send_notices(notify.sender({}), ti.start_date)

        reconcile_aliases()
        end_stranded_journeys()
        for check in pairs.CHECKS:
            if check.name != "registry":  # reconcile_aliases compares MLflow with the ledger
                compare(check.name)
        report_lapsed_overrides()
        remove_old_journal()
        send_notices()

    return housekeeping()


if needed("housekeeping"):
    housekeeping_dag()
