"""The wait of a shadow window: a deferred task and a trigger that polls the ledger, so that no worker is held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.domain.errors import Refusal
from slipway_airflow.links import SHADOW_LINKS, push_links
from slipway_airflow.steps import STEP_DEFAULTS, refuse, title

if TYPE_CHECKING:
    from airflow.sdk import Context

LOOK_EVERY_S = 2.0
AWAY_S = 15.0
"""How much longer it waits after the ledger did not answer, so that the log has it a few times a minute."""


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


class ShadowWindowTrigger(BaseTrigger):
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

        while not await self._is_over(tasks.shadow_wait_is_over):
            await asyncio.sleep(self.look_every_s)
        yield TriggerEvent({"candidate_id": self.candidate_id})

    async def _is_over(self, look: Callable[[str], bool]) -> bool:
        """A wait of days outlasts a ledger that is away for minutes: while it does not answer, the wait goes on."""
        try:
            return await asyncio.to_thread(look, self.candidate_id)
        except ConnectionError as error:
            self.log.warning("Whether the wait of %s is over is not known yet: %s", self.candidate_id, error)
            await asyncio.sleep(AWAY_S)
            return False
