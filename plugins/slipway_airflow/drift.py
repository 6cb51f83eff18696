"""From a drift report to what happens: nothing, one retrain with a deterministic run id, or a red task for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseOperator, BranchMixIn
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse, GetDagRun, TriggerDagRun

from include.domain.errors import Refusal
from slipway_airflow.links import DRIFT_LINKS
from slipway_airflow.notify import Tell
from slipway_airflow.steps import STEP_DEFAULTS, refuse, skip, step, title

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.config import ModelDeclaration

BY_A_DAG = "operator_triggered"
"""The type of a run that a Dag started. No caller of Airflow's REST can give a run this type."""
FOLLOWED_BY = {"retrain": "trigger_retrain", "escalate": "escalate"}


class DecideOperator(BaseOperator, BranchMixIn):
    """Decides on one report, writes the decision to the ledger, and lets only the task that follows from it run."""

    template_fields = ("report",)
    operator_extra_links = DRIFT_LINKS
    inherits_from_skipmixin = True

    def __init__(self, *, report: Any, **kwargs: Any) -> None:
        super().__init__(task_display_name=title(kwargs["task_id"]), **{**STEP_DEFAULTS, **kwargs})
        self.report = report

    def execute(self, context: Context) -> Any:
        from include.workflows import tasks

        try:
            decision = tasks.decide(self.report)
        except Refusal as refusal:
            raise refuse(str(refusal)) from None
        self.log.info("%s: %s", decision["action"], decision["reason"])
        # Pushed before the branch: when it skips every successor it ends the task, and a returned value is not kept.
        for key, value in (("return_value", decision), *decision.items()):
            context["ti"].xcom_push(key, value)
        return self.do_branch(context, FOLLOWED_BY.get(decision["action"], []))


class TriggerJourneyOperator(TriggerDagRunOperator):
    """Starts the journey of one decision, once: its run id follows from the model and the day.

    Any user who may start a run can take that id first. A run that is there already is the sensor's own only when a Dag
    started it and it carries this decision's report; any other is named in the log, and the journey gets the next id.
    """

    TRIED = 5
    """Run ids that are tried before a person is asked."""

    def execute(self, context: Context) -> None:
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        first, conf = str(self.trigger_run_id), dict(self.conf or {})
        for run_id in (first, *(f"{first}__{n}" for n in range(2, self.TRIED + 1))):
            asked = TriggerDagRun(dag_id=self.trigger_dag_id, run_id=run_id, conf=conf, logical_date=None)
            answer = SUPERVISOR_COMMS.send(asked)
            if not isinstance(answer, ErrorResponse):
                context["ti"].xcom_push(key="trigger_run_id", value=run_id)
                self.log.info("Started %s of %s.", run_id, self.trigger_dag_id)
                return
            if answer.error != ErrorType.DAGRUN_ALREADY_EXISTS:
                raise RuntimeError(f"Airflow did not start {run_id} of {self.trigger_dag_id}: {answer.detail}")
            found = SUPERVISOR_COMMS.send(GetDagRun(dag_id=self.trigger_dag_id, run_id=run_id))
            if is_own(found.run_type, found.conf, conf):
                context["ti"].xcom_push(key="trigger_run_id", value=run_id)
                raise skip(f"{run_id} of {self.trigger_dag_id} was started by an earlier try.")
            self.log.error(
                "%s of %s is not the drift sensor's run: %s started it (%s). The journey gets another run id.",
                run_id,
                self.trigger_dag_id,
                found.triggering_user_name or "no signed-in user",
                found.run_type,
            )
        raise refuse(
            f"Somebody has taken {self.TRIED} run ids of this decision, {first} the first of them, so no journey was "
            f"started. Find out who started those runs of {self.trigger_dag_id}, delete them, and clear this task."
        )


def is_own(run_type: str, conf: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> bool:
    """Whether a run that is there already came from this decision.

    >>> is_own("operator_triggered", {"report_id": "r", "trigger": "drift"}, {"report_id": "r", "trigger": "drift"})
    True
    >>> is_own("manual", {"report_id": "r", "trigger": "drift"}, {"report_id": "r", "trigger": "drift"})
    False
    """
    return str(run_type) == BY_A_DAG and bool(asked.get("report_id")) and dict(conf or {}) == dict(asked)


def act_on(model: ModelDeclaration, decision: DecideOperator) -> None:
    """The two tasks of which at most one follows a decision."""
    retrain = TriggerJourneyOperator(
        task_id="trigger_retrain",
        task_display_name=title("trigger_retrain"),
        trigger_dag_id=f"retrain_{model.name}",
        trigger_run_id=decision.output["journey_run_id"],
        conf=decision.output["conf"],
        logical_date=None,
        retries=STEP_DEFAULTS["retries"],
        retry_delay=STEP_DEFAULTS["retry_delay"],
    )

    @step(task_id="escalate", retries=0, on_failure_callback=Tell("escalated"))
    def escalate(decided: dict[str, Any]) -> None:
        raise Refusal(f"A person is needed, retraining is not the answer: {decided['reason']}")

    decision >> [retrain, escalate(decision.output)]
