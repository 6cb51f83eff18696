"""One candidate's way: train on what is known now, pass every gate, answer in shadow, be promoted or not.

Starts by a drift decision, by the API or this form, and by the model's declared cron. A backfill never starts one: a
candidate belongs to the moment it was asked for. Promotion re-reads the ledger, so marking a red gate green promotes
nothing.
"""

from airflow.sdk import CronTriggerTimetable, chain, dag
from airflow.sdk.api.datamodels._generated import DagRunType
from slipway_airflow import assets
from slipway_airflow.forms import RETRAIN_FORM
from slipway_airflow.gates import GateOperator
from slipway_airflow.parsing import needed
from slipway_airflow.shadow import ShadowWindowOperator
from slipway_airflow.steps import step

from include.config import ModelDeclaration, declared_models
from include.workflows import tasks


def retrain_dag(model: ModelDeclaration):
    cron = model.training.schedule
    spine = assets.spine(model)

    @dag(
        dag_id=f"retrain_{model.name}",
        schedule=CronTriggerTimetable(cron, timezone="UTC") if cron else None,
        start_date=assets.starts(spine),
        end_date=assets.ends(spine),
        catchup=False,
        allowed_run_types=[DagRunType.SCHEDULED, DagRunType.MANUAL, DagRunType.OPERATOR_TRIGGERED],
        params=RETRAIN_FORM,
        tags=["retrain", model.name],
        doc_md=f"{__doc__}\n\n{model.description}",
    )
    def retrain():
        @step
        def open_journey(dag_run=None):
            run, user = dag_run, dag_run.triggering_user_name
            return tasks.open_journey(model.name, run.run_id, run.run_type, run.conf, run.run_after, user)

        @step
        def build_training_set(journey):
            return tasks.build_training_set(journey)

        @step
        def train(journey):
            return tasks.train(journey)

        @step
        def evaluate(journey):
            return tasks.evaluate(journey)

        @step
        def register_challenger(journey, ti=None):
            return tasks.register_challenger(journey, ti.start_date)

        @step
        def promote(journey, ti=None):
            return tasks.promote(journey, ti.start_date)

        @step
        def close_journey(journey):
            return tasks.close_journey(journey)

        journey = open_journey()

        def gate(name):
            return GateOperator(task_id=name, judge=tasks.judge(name), approve=tasks.approve, journey=journey)

        def gates_after(name):
            return [gate(each) for each in tasks.gates_after(model, name)]

        promotion = [gate("approval"), promote(journey)] if model.promotion.approval == "always" else [promote(journey)]
        chain(
            journey,
            build_training_set(journey),
            gates_after("build_training_set"),
            train(journey),
            evaluate(journey),
            gates_after("evaluate"),
            register_challenger(journey),
            *gates_after("register_challenger"),
            ShadowWindowOperator(task_id="shadow_window", journey=journey),
            gate("shadow_gate"),
            *promotion,
            close_journey(journey).as_teardown(setups=journey),
        )

    return retrain()


for declared in declared_models():
    if needed(f"retrain_{declared.name}"):
        retrain_dag(declared)
