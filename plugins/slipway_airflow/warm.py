"""Builds one throw-away Dag when imported, in the process that tasks are forked from.

The first Dag of a process compiles schemas, expressions and signatures, which takes longer than the Dag itself; a task
forked afterwards finds them done. The Dag is registered nowhere.
"""

from typing import Any

from airflow.sdk import DAG

from slipway_airflow import assets, drift, shadow
from slipway_airflow.forms import RANGE_FORM, RETRAIN_FORM
from slipway_airflow.gates import GateOperator
from slipway_airflow.steps import step

__all__ = ["assets", "drift", "shadow"]


@step
def _nothing(params: Any = None, ti: Any = None) -> None: ...


with DAG("warm", schedule=None, params={**RANGE_FORM, **RETRAIN_FORM}, doc_md=__doc__):
    GateOperator(task_id="gate", judge=lambda reference, now: {}, journey=_nothing())
