"""One candidate's way: train on what is known now, pass every gate, answer in shadow, be promoted or not. One that is
asked online takes a growing share of live traffic in between.

Starts by a drift decision, by the API or this form, and by the model's declared cron; never by a backfill. Promotion
re-reads the ledger, so marking a red gate green promotes nothing.
"""

from airflow.sdk import chain, dag
from airflow.sdk.api.datamodels._generated import DagRunType
from slipway_airflow import approvers, assets, deadline, docs
from slipway_airflow.canary import CanaryOperator
from slipway_airflow.forms import RETRAIN_FORM
from slipway_airflow.gates import GateOperator
from slipway_airflow.notify import Tell, Works
from slipway_airflow.parsing import needed
from slipway_airflow.shadow import ShadowWindowOperator
from slipway_airflow.steps import OUTLASTING, skip, step

from include.config import ModelDeclaration, declared_models
from include.workflows import tasks


def retrain_dag(model: ModelDeclaration):
    spine = assets.spine(model)

    @dag(
        dag_id=f"retrain_{model.name}",
        schedule=assets.declared_schedule(model),
        start_date=assets.starts(spine),
        end_date=assets.ends(spine),
        catchup=False,
        deadline=deadline.promised(model),
        allowed_run_types=[DagRunType.SCHEDULED, DagRunType.MANUAL, DagRunType.OPERATOR_TRIGGERED],
        params=RETRAIN_FORM,
        **docs.about(__doc__, model, "retrain"),
    )
    def retrain():
        @step
        def open_journey(dag_run=None):
            run, who = dag_run, dag_run.triggering_user_name
            begun = tasks.begin_journey(model.name, run.run_id, run.run_type, run.conf, run.run_after, who)
            if begun["refused"]:
                raise skip(begun["refused"])
            return begun["reference"]

        @step
        def register_challenger(journey, ti=None):
            return tasks.register_challenger(journey, ti.start_date)

        @step(on_success_callback=[Tell("promoted"), Works()])
        def promote(journey, ti=None):
            return tasks.promote(journey, ti.start_date)

        journey = open_journey()

        shared = {"approve": tasks.approve, "journey": journey, "assigned_users": approvers.assigned(model)}

        def gates_after(name, **more):
            return [
                GateOperator(task_id=each, judge=tasks.judge(each), asks=tasks.asks(model, each), **shared, **more)
                for each in tasks.gates_after(model, name)
            ]

        chain(
            journey,
            step(tasks.build_training_set)(journey),
            gates_after("build_training_set"),
            step(tasks.train, execution_timeout=model.training.timeout)(journey),
            step(tasks.evaluate)(journey),
            gates_after("evaluate"),
            *([step(tasks.refit, execution_timeout=model.training.timeout)(journey)] if tasks.refits(model) else []),
            register_challenger(journey),
            *gates_after("register_challenger"),
            ShadowWindowOperator(task_id="shadow_window", journey=journey, **OUTLASTING),
            *gates_after("shadow_window"),
            *gates_after("approval", answer_within=model.promotion.approval_timeout),
            *([CanaryOperator(task_id="canary", journey=journey, **OUTLASTING)] if model.canary else []),
            *gates_after("canary", answer_within=model.promotion.approval_timeout),
            promote(journey),
            step(tasks.close_journey, **OUTLASTING)(journey).as_teardown(setups=journey),
        )

    return retrain()


for declared in declared_models():
    if needed(f"retrain_{declared.name}"):
        retrain_dag(declared)
