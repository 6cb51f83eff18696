"""Collect one day of a model that is asked online: the journal of its service becomes the day's prediction log.

Starts when that day of every view the model reads was published, and ends once no process can answer anything of the
day any more: until then it is tried again, and what is written so far is in the log.
"""

from airflow.sdk import dag
from slipway_airflow import assets, docs
from slipway_airflow.parsing import needed
from slipway_airflow.steps import OUTLASTING, skip, step

from include.config import ModelDeclaration, declared_models
from include.workflows import tasks


def collect_dag(model: ModelDeclaration):
    @dag(
        dag_id=model.answering_dag,
        schedule=assets.each_partition_of(model),
        max_active_runs=4,
        **docs.about(__doc__, model, "collect"),
    )
    def collecting():
        @step(outlets=[assets.scored(model)], **OUTLASTING)
        def collect(partition_key=None, run_id=None, ti=None, outlet_events=None):
            collected = tasks.collect(model.name, partition_key, run_id, ti.start_date)
            if collected["skipped"]:
                raise skip(collected["skipped"])
            outlet_events[assets.scored(model)].extra = collected["facts"]
            return collected

        collect()

    return collecting()


for declared in declared_models():
    if declared.serving.mode == "online" and needed(declared.answering_dag):
        collect_dag(declared)
