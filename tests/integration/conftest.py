"""Fixtures of the integration tests."""

from ledger_fixtures import ledger, ledger_url

__all__ = ["ledger", "ledger_url"]
