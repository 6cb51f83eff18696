"""Compare the served features of requests with the offline store's, value by value.

Runs each Monday over the week before, because skew that is not measured is found by customers. A red run names the
features, how many values differ, and the cause where one explains them all.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag
from slipway_airflow import assets, docs
from slipway_airflow.forms import DAYS_FORM
from slipway_airflow.parsing import needed
from slipway_airflow.steps import skip, step

from include.config import ModelDeclaration, declared_models
from include.workflows import tasks


def consistency_dag(model: ModelDeclaration):
    spine = assets.spine(model)

    @dag(
        dag_id=f"consistency_{model.name}",
        schedule=CronTriggerTimetable("0 5 * * 1", timezone="UTC", run_immediately=timedelta(0)),
        start_date=assets.starts(spine),
        end_date=assets.ends(spine),
        catchup=False,
        params=DAYS_FORM,
        **docs.about(__doc__, model, "consistency"),
    )
    def consistency():
        @step
        def check(params=None, dag_run=None):
            checked = tasks.check_consistency(model.name, params, dag_run.run_type, dag_run.run_after)
            if checked["skipped"]:
                raise skip(checked["skipped"])
            return checked

        check()

    return consistency()


for declared in declared_models():
    if needed(f"consistency_{declared.name}"):
        consistency_dag(declared)
