"""Judge one day of scored traffic: drift, performance, and whether the model should be retrained.

Starts when a day of predictions was published, because a day without predictions has nothing to judge.
"""

from airflow.sdk import dag
from slipway_airflow import assets, docs
from slipway_airflow.drift import DecideOperator, act_on
from slipway_airflow.notify import Tell, Works
from slipway_airflow.parsing import needed
from slipway_airflow.steps import step

from include.config import ModelDeclaration, declared_models
from include.workflows import tasks


def drift_dag(model: ModelDeclaration):
    @dag(
        dag_id=f"drift_{model.name}",
        schedule=assets.each_scored_partition(model),
        max_active_runs=4,
        **docs.about(__doc__, model, "drift"),
    )
    def drift():
        @step
        def measure(partition_key=None, run_id=None):
            return tasks.measure_drift(model.name, partition_key, run_id)

        told = [Tell("incident"), Works()]
        act_on(model, DecideOperator(task_id="decide", report=measure(), on_success_callback=told))

    return drift()


for declared in declared_models():
    if needed(f"drift_{declared.name}"):
        drift_dag(declared)
