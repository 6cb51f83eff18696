"""Every ten minutes: find what is overdue, and send the notices that were not sent yet.

A day that was published and is not scored, a scored day that is not judged, a view that publishes nothing, a shadow
window that gets no day, no housekeeping: a paused Dag and a lost event make nothing red, so this Dag has to check. Each
is reported once, and once more when it is over. It is on from the start; that it runs is watched by `slipway up`, by
the page of all models and by `slipway status`.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag
from slipway_airflow import docs, notify
from slipway_airflow.parsing import needed
from slipway_airflow.steps import step

from include.workflows import tasks


def watch_dag():
    @dag(
        dag_id="watch",
        schedule=CronTriggerTimetable("*/10 * * * *", timezone="UTC", run_immediately=timedelta(0)),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        **docs.about_all(__doc__, ["watch"]),
    )
    def watch():
        @step
        def look(ti=None):
            return tasks.watch(notify.sender({}), ti.start_date)

        look()

    return watch()


if needed("watch"):
    watch_dag()
