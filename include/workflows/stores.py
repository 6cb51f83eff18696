"""The stores of the project, opened as the settings say: the ledger, the model registry, the tables of features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from include.adapters.ledger import Ledger
from include.adapters.offline_store import AheadTables, OfflineStore
from include.adapters.registry import ModelRegistry, Registry
from include.config.settings import settings


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    with Ledger.open(settings().ledger_url) as ledger:
        yield ledger


def registry() -> ModelRegistry:
    return Registry(settings().mlflow_url)


def offline_store() -> OfflineStore:
    return OfflineStore(settings().store)


def ahead_tables() -> AheadTables:
    return AheadTables(settings().store)
