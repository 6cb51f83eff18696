"""Answer the rows that are known ahead before their event, again at each answer time until each is due.

A run answers as of its own time, its partition, with what was known then: cleared or backfilled, it finds what was
answered and changes nothing. `score_<model>` closes the day: it takes over the answers that counted, and fills rows
that were missed. A manual run with `start` and `end` answers at every answer time of these days.
"""

from airflow.sdk import dag
from slipway_airflow import assets, docs
from slipway_airflow.forms import ANSWER_FORM
from slipway_airflow.parsing import needed
from slipway_airflow.steps import skip, step

from include.config import ModelDeclaration, declared_models
from include.workflows import tasks


def ahead_dag(model: ModelDeclaration):
    spine = assets.spine(model)

    @dag(
        dag_id=f"ahead_{model.name}",
        schedule=assets.answer_times(model),
        start_date=assets.starts(spine),
        end_date=assets.ends(spine),
        catchup=False,
        max_active_runs=1,
        params=ANSWER_FORM,
        **docs.about(__doc__, model, "score"),
    )
    def scoring_ahead():
        @step
        def answer(partition_key=None, params=None, run_id=None, ti=None):
            answered = tasks.score_ahead(model.name, partition_key, params, run_id, ti.start_date)
            if answered["skipped"]:
                raise skip(answered["skipped"])
            return answered

        answer()

    return scoring_ahead()


for declared in declared_models():
    if declared.score is not None and needed(f"ahead_{declared.name}"):
        ahead_dag(declared)
