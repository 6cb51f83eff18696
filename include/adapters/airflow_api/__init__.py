"""Airflow's REST API (3.3), as far as Slipway uses it."""

from include.adapters.airflow_api.client import AirflowApi, BadRunId
from include.adapters.airflow_api.records import COMPONENTS, FINISHED, DagRun, Health, Question, TaskInstance
from include.adapters.airflow_api.transport import (
    AirflowError,
    AirflowRefused,
    AirflowUnreachable,
    AlreadyThere,
)

__all__ = [
    "COMPONENTS",
    "FINISHED",
    "AirflowApi",
    "AirflowError",
    "AirflowRefused",
    "AirflowUnreachable",
    "AlreadyThere",
    "BadRunId",
    "DagRun",
    "Health",
    "Question",
    "TaskInstance",
]
