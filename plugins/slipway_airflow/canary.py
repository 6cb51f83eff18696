"""A candidate's share of live traffic: a deferred task that judges its steps, and a trigger that keeps it alive.

The trigger renews the lease of the share. Where it is gone, because Airflow is, the share ends by itself; the task
finds that when it is back, and goes on at the same step. The ledger decides all of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import TriggerEvent

from include.domain.errors import Refusal
from slipway_airflow.connections import use_source_connection
from slipway_airflow.links import GATE_LINKS, push_links
from slipway_airflow.steps import STEP_DEFAULTS, refuse, title
from slipway_airflow.waiting import LedgerTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

LOOK_EVERY_S = 10.0


class CanaryOperator(BaseOperator):
    """Opens the candidate's rollout, and judges each of its steps when there is enough; green once every step passed,
    red for good when the candidate did harm or was taken out."""

    template_fields = ("journey",)
    operator_extra_links = GATE_LINKS

    def __init__(self, *, journey: Any, look_every_s: float = LOOK_EVERY_S, **kwargs: Any) -> None:
        super().__init__(task_display_name=title(kwargs["task_id"]), **{**STEP_DEFAULTS, **kwargs})
        self.journey = journey
        self.look_every_s = look_every_s

    def execute(self, context: Context) -> Any:
        from include.workflows import tasks

        use_source_connection()
        push_links(self, context)
        try:
            state = tasks.go_on_canary(self.journey, context["ti"].start_date)
        except Refusal as refusal:
            raise refuse(str(refusal)) from None
        self.log.info(state["sentence"])
        if state["finished"]:
            return state
        return self.defer(
            trigger=CanaryTrigger(self.journey["candidate_id"], state["pause_s"], self.look_every_s),
            method_name="resume",
        )

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """There is something to do: the same call does it, whatever it is."""
        return self.execute(context)


class CanaryTrigger(LedgerTrigger):
    """Renews the lease of the candidate's share, and fires when its step can be judged or somebody changed something.

    ``pause_s`` is for how many seconds a step that only waits for labels is left alone.
    """

    def __init__(self, candidate_id: str, pause_s: float, look_every_s: float) -> None:
        super().__init__()
        self.candidate_id, self.pause_s, self.look_every_s = candidate_id, pause_s, look_every_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "slipway_airflow.canary.CanaryTrigger",
            {"candidate_id": self.candidate_id, "pause_s": self.pause_s, "look_every_s": self.look_every_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from include.workflows import tasks

        watch = tasks.canary_watch(self.candidate_id, self.pause_s)
        await self.until(watch.has_something, self.look_every_s, f"the canary of {self.candidate_id}")
        yield TriggerEvent({"candidate_id": self.candidate_id})
