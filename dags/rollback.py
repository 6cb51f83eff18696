"""Champion back to the previous good champion, at once, without gates. A reason is required and kept.

Has no schedule: a person on call, or a service watching the model, starts it.
"""

from airflow.sdk import dag
from slipway_airflow import docs
from slipway_airflow.forms import ROLLBACK_FORM
from slipway_airflow.notify import Tell, Works
from slipway_airflow.parsing import needed
from slipway_airflow.steps import step

from include.config import ModelDeclaration, declared_models
from include.workflows import tasks


def rollback_dag(model: ModelDeclaration):
    @dag(
        dag_id=f"rollback_{model.name}",
        schedule=None,
        params=ROLLBACK_FORM,
        **docs.about(__doc__, model, "rollback"),
    )
    def rollback():
        @step(on_success_callback=[Tell("rolled_back"), Works()])
        def roll_back(dag_run=None):
            run, user = dag_run, dag_run.triggering_user_name
            return tasks.roll_back(model.name, run.run_id, run.conf, user, run.run_after)

        roll_back()

    return rollback()


for declared in declared_models():
    if needed(f"rollback_{declared.name}"):
        rollback_dag(declared)
