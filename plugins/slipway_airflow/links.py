"""The buttons on a task's page that lead from a red gate to what a person needs.

Every address follows from the task alone, so that a link costs no lookup and is there while a gate waits; the page
behind it reads what it needs from the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from include.config.settings import absolute
from include.workflows.gates import canary, shadow
from include.workflows.gates.gate import CANARY, SHADOW

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

RUNBOOK_PAGES = {SHADOW: shadow.NAME, CANARY: canary.NAME, "decide": "drift_escalated"}
"""The tasks whose runbook page has another name."""


def _at(path: str) -> str:
    return absolute(f"/slipway/{path}")


def _of_run(key: Any) -> str:
    return f"{quote(key.dag_id, safe='')}/{quote(key.run_id, safe='')}"


class ReleaseReport(BaseOperatorLink):
    """The candidate's release page: what every gate measured and allowed."""

    name: ClassVar[str] = "Release report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return _at(f"runs/{_of_run(ti_key)}")


class DriftReportLink(ReleaseReport):
    """What drifted on the day, and what was decided by which rule."""

    name: ClassVar[str] = "Drift report"

    @property
    def xcom_key(self) -> str:
        """The key under which runs before the class got this name kept their link."""
        return "_link_DriftReport"


class MlflowRun(BaseOperatorLink):
    """The candidate's run in MLflow."""

    name: ClassVar[str] = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return _at(f"go/mlflow/{_of_run(ti_key)}")


class ChampionReport(BaseOperatorLink):
    """The candidate that serves now."""

    name: ClassVar[str] = "Champion"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return _at(f"go/champion/{_of_run(ti_key)}")


class Runbook(BaseOperatorLink):
    """What the task's state means and what one may do."""

    name: ClassVar[str] = "Runbook"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return _at(f"runbook/{quote(RUNBOOK_PAGES.get(ti_key.task_id, ti_key.task_id), safe='')}")


GATE_LINKS = (ReleaseReport(), MlflowRun(), Runbook(), ChampionReport())
SHADOW_LINKS = GATE_LINKS
DRIFT_LINKS = (DriftReportLink(), Runbook())


def push_links(operator: Any, context: Any) -> None:
    """Hand the links out before a task waits. Airflow does so when a task ends, and to do it twice costs its requests
    twice."""
    ti = context["ti"]
    for link in operator.operator_extra_links:
        ti.xcom_push(key=link.xcom_key, value=link.get_link(operator, ti_key=ti))
