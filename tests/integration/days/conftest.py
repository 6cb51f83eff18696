"""Days of real tables one after the other, and what starts a process, in the world that unit tests begin in too."""

from __future__ import annotations

from light_fixtures import ledger, tale, world

__all__ = ["ledger", "tale", "world"]
