"""Bring what a model was asked online so far today into its prediction log, every 15 minutes (`serving.collect_every`).

The day stays open: nothing is judged by it and no event goes out until `collect_<model>` has closed it. A run reads
what the journal has got since the last one, makes the open day's part of the log again, and stops where the whole day
is collected meanwhile.
"""

from airflow.sdk import dag
from slipway_airflow import assets, docs
from slipway_airflow.parsing import needed
from slipway_airflow.steps import skip, step

from include.config import ModelDeclaration, declared_models
from include.workflows import tasks


def live_dag(model: ModelDeclaration):
    @dag(
        dag_id=f"live_{model.name}",
        schedule=assets.while_live(model),
        catchup=False,
        max_active_runs=1,
        **docs.about(__doc__, model, "collect"),
    )
    def living():
        @step(retries=1)
        def collect_so_far(run_id=None, ti=None):
            collected = tasks.collect_so_far(model.name, run_id, ti.start_date)
            if collected["skipped"]:
                raise skip(collected["skipped"])
            return collected

        collect_so_far()

    return living()


for declared in declared_models():
    if declared.serving.mode == "online" and needed(f"live_{declared.name}"):
        live_dag(declared)
