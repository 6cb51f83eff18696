"""From a drift report to what happens: nothing, one retrain with a deterministic run id, or a red task for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseOperator, BranchMixIn

from include.domain.errors import Refusal
from slipway_airflow.links import DRIFT_LINKS
from slipway_airflow.notify import Tell
from slipway_airflow.steps import STEP_DEFAULTS, refuse, step, title

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.config import ModelDeclaration

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
        # Before the branch, which ends the task when it skips every successor; then nothing returned is kept.
        for key, value in (("return_value", decision), *decision.items()):
            context["ti"].xcom_push(key, value)
        return self.do_branch(context, FOLLOWED_BY.get(decision["action"], []))


def act_on(model: ModelDeclaration, decision: DecideOperator) -> None:
    """The two tasks of which at most one follows a decision."""
    retrain = TriggerDagRunOperator(
        task_id="trigger_retrain",
        task_display_name=title("trigger_retrain"),
        trigger_dag_id=f"retrain_{model.name}",
        trigger_run_id=decision.output["journey_run_id"],
        conf=decision.output["conf"],
        logical_date=None,
        skip_when_already_exists=True,
        retries=STEP_DEFAULTS["retries"],
        retry_delay=STEP_DEFAULTS["retry_delay"],
    )

    @step(task_id="escalate", retries=0, on_failure_callback=Tell("escalated"))
    def escalate(decided: dict[str, Any]) -> None:
        raise Refusal(f"A person is needed, retraining is not the answer: {decided['reason']}")

    decision >> [retrain, escalate(decision.output)]
