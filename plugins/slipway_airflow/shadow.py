"""The wait of a shadow window: a deferred task and a trigger that polls the ledger, so that no worker is held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import TriggerEvent

from include.domain.errors import Refusal
from slipway_airflow.links import SHADOW_LINKS, push_links
from slipway_airflow.steps import STEP_DEFAULTS, refuse, title
from slipway_airflow.waiting import LedgerTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

LOOK_EVERY_S = 2.0


class ShadowWindowOperator(BaseOperator):
    """Opens the candidate's shadow window and waits until it has its rows and its days, or ran out of days."""

    template_fields = ("journey",)
    operator_extra_links = SHADOW_LINKS

    def __init__(self, *, journey: Any, look_every_s: float = LOOK_EVERY_S, **kwargs: Any) -> None:
        super().__init__(task_display_name=title(kwargs["task_id"]), **{**STEP_DEFAULTS, **kwargs})
        self.journey = journey
        self.look_every_s = look_every_s

    def execute(self, context: Context) -> Any:
        from include.workflows import tasks

        push_links(self, context)
        try:
            state = tasks.open_shadow_window(self.journey)
        except Refusal as refusal:
            raise refuse(str(refusal)) from None
        return self._go_on_or_wait(state)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Check again: the window is closed now, or starts again because the champion was replaced."""
        return self.execute(context)

    def _go_on_or_wait(self, state: Mapping[str, Any]) -> Any:
        self.log.info(state["sentence"])
        if state["closed"]:
            return state
        trigger = ShadowWindowTrigger(candidate_id=self.journey["candidate_id"], look_every_s=self.look_every_s)
        return self.defer(trigger=trigger, method_name="resume")


class ShadowWindowTrigger(LedgerTrigger):
    """Fires when the ledger says that the window is closed or that the candidate is no longer waiting in it."""

    def __init__(self, candidate_id: str, look_every_s: float) -> None:
        super().__init__()
        self.candidate_id = candidate_id
        self.look_every_s = look_every_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "slipway_airflow.shadow.ShadowWindowTrigger",
            {"candidate_id": self.candidate_id, "look_every_s": self.look_every_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from include.workflows import tasks

        await self.until(lambda: tasks.shadow_wait_is_over(self.candidate_id), self.look_every_s, self.candidate_id)
        yield TriggerEvent({"candidate_id": self.candidate_id})
