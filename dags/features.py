"""Materialize one day of a feature view: write, audit, publish.

Runs at midnight UTC for the day that just ended, because only a day that is over is complete. The same Dag replays any
range: a backfill makes one run a day; a manual run with `start` and `end` does the whole range in one pass, as history,
which starts no scoring and no drift watch unless its form asks for them.
"""

from airflow.sdk import dag
from slipway_airflow import assets, docs, gates
from slipway_airflow.forms import RANGE_FORM
from slipway_airflow.parsing import needed
from slipway_airflow.steps import step

from include.config import FeatureView, declared_views
from include.workflows import tasks


def features_dag(view: FeatureView):
    @dag(
        dag_id=f"features_{view.slug}",
        schedule=assets.daily_partitions(view),
        start_date=assets.starts(view),
        end_date=assets.ends(view),
        catchup=False,
        max_active_runs=4,
        params=RANGE_FORM,
        **docs.about_view(__doc__, view),
    )
    def features():
        @step
        def materialize(partition_key=None, params=None, run_id=None, ti=None):
            return tasks.materialize(view.ref, partition_key, params, run_id, ti.start_date)

        @step(outlets=[assets.partition(view)])
        def publish(staged, params=None, outlet_events=None):
            published = tasks.publish(staged, params)
            outlet_events[assets.partition(view)].extra = published["facts"]
            outlet_events[assets.partition(view)].add_partitions(published["announce"])
            return published

        staged = materialize()
        audited = gates.GateOperator(task_id=tasks.AUDIT_GATE, judge=tasks.audit, journey=staged)
        audited >> publish(staged)

    return features()


for declared in declared_views():
    if needed(f"features_{declared.slug}"):
        features_dag(declared)
