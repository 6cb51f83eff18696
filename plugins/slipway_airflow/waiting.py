"""A wait that outlasts the ledger: its trigger asks, in a thread, whether there is something to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow.triggers.base import BaseTrigger

AWAY_S = 15.0
"""How much longer it waits after the ledger did not answer, so that the log has it a few times a minute."""


class LedgerTrigger(BaseTrigger):
    """Asks the ledger from time to time. A wait of days outlasts a ledger that is away for minutes: while it does not
    answer, the wait goes on."""

    async def until(self, is_over: Callable[[], bool], every_s: float, what: str) -> None:
        """Come back once ``is_over`` says so; ``what`` is waited for, in words for the log."""
        while not await self._asked(is_over, what):
            await asyncio.sleep(every_s)

    async def _asked(self, is_over: Callable[[], bool], what: str) -> bool:
        try:
            return await asyncio.to_thread(is_over)
        except ConnectionError as error:
            self.log.warning("Whether %s is over is not known yet: %s", what, error)
            await asyncio.sleep(AWAY_S)
            return False
