"""Use cases on stores in memory: a ledger, or a whole world that begins at a moment of the tale."""

from __future__ import annotations

from light_fixtures import ledger, tale, world

__all__ = ["ledger", "tale", "world"]
