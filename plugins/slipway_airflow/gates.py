"""The gate operator: green on PASS, red for good on FAIL, and waiting for a person on INCONCLUSIVE.

The colour is only a display. The ledger decides, and the workflow wrote it before this operator chose a colour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLTimeoutError, HITLTriggerEventError
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from include.domain.errors import Refusal
from include.workflows import tasks
from slipway_airflow.connections import use_source_connection
from slipway_airflow.links import GATE_LINKS, push_links
from slipway_airflow.notify import Failed, Tell
from slipway_airflow.steps import STEP_DEFAULTS, refuse, title

if TYPE_CHECKING:
    from airflow.sdk import Context

APPROVE = "Approve"
REJECT = "Reject"
MIN_REASON = 10
ANSWER = "approval_reason"
"""The form's field. No field of the Dag's own form may have this name: Airflow would fill in what the run was started
with, and an approval would carry the reason of the request it judges.
"""

Judge = Callable[[Mapping[str, Any], datetime], Mapping[str, Any]]
"""Takes the journey's reference and the task's start, at which overrides are measured; gives verdict, passed, table,
markdown, reason (``include.workflows.gates.run``)."""


class GateOperator(HITLOperator):
    """Runs one gate of one journey.

    :param judge: the workflow that judges and writes the result to the ledger.
    :param approve: the workflow that records a person's approval of an INCONCLUSIVE gate; None where no one may
    approve.
    :param journey: the reference the first task returned.
    :param asks: its question, for people; empty where none is written.
    :param may_answer: says why a user may not answer, or None; an answer of such a user does not count.
    :param assigned_users: whom Airflow itself lets answer; None leaves that to ``may_answer``.
    """

    template_fields = (*HITLOperator.template_fields, "journey")
    operator_extra_links = GATE_LINKS

    def __init__(
        self,
        *,
        judge: Judge,
        journey: Any,
        approve: Callable[..., Mapping[str, Any]] | None = None,
        asks: str = "",
        answer_within: timedelta = timedelta(days=3),
        may_answer: Callable[[Mapping[str, Any], str, str], str | None] = tasks.refusal_to_answer,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("params", None)  # Airflow hands the Dag's own params down; the form has its own.
        super().__init__(
            subject=f"{kwargs['task_id']} is inconclusive: may this candidate go on?",
            options=[APPROVE, REJECT],
            defaults=[REJECT],
            response_timeout=answer_within,
            params={
                ANSWER: Param(
                    "",
                    type="string",
                    title="Reason",
                    description=f"Why this candidate may go on, at least {MIN_REASON} characters. Kept with your name.",
                )
            },
            notifiers=[Tell("waiting")],
            on_failure_callback=[Tell("gate_failed"), Failed(), show_table_last],
            task_display_name=title(kwargs["task_id"]),
            doc_md=asks or None,
            **{**STEP_DEFAULTS, **kwargs},
        )
        self.judge = judge
        self.approve = approve
        self.journey = journey
        self.may_answer = may_answer
        self.table = ""

    def execute(self, context: Context) -> Any:
        use_source_connection()
        try:
            outcome = self.judge(self.journey, context["ti"].start_date)
        except Refusal as refusal:
            raise refuse(str(refusal)) from None
        self.table = str(outcome["table"])
        if outcome["passed"]:
            print(self.table)
            return outcome["reference"]
        if outcome["verdict"] == "INCONCLUSIVE" and self.approve is not None:
            print(self.table)
            self.body = str(outcome["markdown"])
            push_links(self, context)
            return super().execute(context)
        raise refuse(str(outcome["reason"]))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        again = "Clear this task and what follows it to judge again and get a new form."
        try:
            answer = super().execute_complete(context, event)
        except HITLTimeoutError:
            raise refuse(f"No one answered in time, which is a rejection at {self.task_id}. {again}") from None
        except (ValueError, HITLTriggerEventError) as error:
            raise refuse(f"The answer could not be used: {error}. The gate stays closed. {again}") from None
        by = answer["responded_by_user"]
        refusal = self.may_answer(self.journey, self.task_id, by["name"]) if by else None
        if refusal is not None:
            self.log.warning("%s The answer does not count; the question is asked again.", refusal)
            return super().execute(context)
        if APPROVE not in answer["chosen_options"]:
            who = f"{by['name']} rejected this candidate" if by else "No one answered in time, which is a rejection"
            raise refuse(f"{who} at {self.task_id}. {again}")
        reason = str(answer["params_input"].get(ANSWER) or "").strip()
        if by is None or len(reason) < MIN_REASON:
            raise refuse(
                f"An approval needs a reason of at least {MIN_REASON} characters; got {reason!r}. The gate "
                f"stays closed. {again}"
            )
        if self.approve is None:
            raise refuse(f"{self.task_id} takes no answer by a form. {again}")
        try:
            outcome = self.approve(self.journey, self.task_id, by["name"], reason, event["responded_at"])
        except Refusal as refusal:
            raise refuse(str(refusal)) from None
        print(outcome["table"])
        return outcome["reference"]


def show_table_last(context: Context) -> None:
    """After Airflow's own lines: the table, so that it is what the on-call person sees at the end of the log."""
    table = getattr(context["task"], "table", "")
    if table:
        print(table)
