"""Score one day of a model: the champion serves, a challenger in its shadow window answers the same rows.

Of a model that is asked online the day is collected instead (``collect.py``).

Starts when that day of every view the model reads was published, because a row is scored on what was known when it was
asked.
"""

from airflow.sdk import dag
from slipway_airflow import assets, docs
from slipway_airflow.parsing import needed
from slipway_airflow.steps import skip, step

from include.config import ModelDeclaration, declared_models
from include.workflows import tasks


def score_dag(model: ModelDeclaration):
    @dag(
        dag_id=f"score_{model.name}",
        schedule=assets.each_partition_of(model),
        max_active_runs=4,
        **docs.about(__doc__, model, "score"),
    )
    def scoring():
        @step(outlets=[assets.scored(model)])
        def score(partition_key=None, run_id=None, outlet_events=None):
            scored = tasks.score(model.name, partition_key, run_id)
            if scored["skipped"]:
                raise skip(scored["skipped"])
            outlet_events[assets.scored(model)].extra = scored["facts"]
            return scored

        score()

    return scoring()


for declared in declared_models():
    if declared.serving.mode == "batch" and needed(f"score_{declared.name}"):
        score_dag(declared)
