"""What all tiers of tests share: this folder is on the path (``invariants``), and no fault test may end without them.

A test that carries a fault's number ends with ``check_invariants`` on its world (or its ledger), whether it says so
itself or not. A test of a pure function has neither, and nothing it could have left behind.
"""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Generator
from typing import Any

import pytest
from airflow_process import airflow_imported
from databases import postgres_url
from xdist.scheduler import LoadFileScheduling

__all__ = ["airflow_imported", "postgres_url"]

FAULT = re.compile(r"test_f\d{3}_")
WORLDS = ("world", "stage")
SERVICES = ("tests/e2e/", "tests/distributed/")
"""The folders whose tests start a whole Airflow; only one of those runs at a time."""
FIRST = SERVICES
"""What comes first. Services wait more than they work, beside the others where there are two workers."""
MOVING_S = 60.0
"""How long a running Airflow may be between two writes whenever it is looked at, before that is a fault."""


def settled(world: Any, patience_s: float) -> None:
    """The invariants hold, at the latest after ``patience_s``."""
    from invariants import InvariantsBroken, check_invariants  # most tests need none of what it imports

    until = time.monotonic() + patience_s
    while True:
        try:
            check_invariants(world)
            return
        except InvariantsBroken:
            if time.monotonic() >= until:
                raise
            time.sleep(0.5)


class _Together(LoadFileScheduling):
    """A file stays together, for its fixtures' sake, and so does everything that starts an Airflow."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return SERVICES[0] if file.startswith(SERVICES) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Together:
    """Which tests go to which worker; ``--dist loadgroup`` would need a marker that pytest 9 no longer lets it set."""
    return _Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders of ``FIRST`` in their order, then the others in theirs."""
    last = len(FIRST)
    items.sort(key=lambda item: next((n for n, folder in enumerate(FIRST) if item.nodeid.startswith(folder)), last))


def pytest_configure() -> None:
    """Garbage is looked for seldom, also in the process that only hands out the tests: a tenth of the time."""
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_finish() -> None:
    """What stays until the end, modules and tests, is no longer looked through for garbage."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # or libraries would say at the end that they leaked


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    result = yield
    if FAULT.match(item.name):
        fixtures = getattr(item, "funcargs", {})
        for name in WORLDS:
            if hasattr(fixtures.get(name), "declared"):
                settled(fixtures[name], MOVING_S if name == "stage" else 0.0)
        if "ledger" in fixtures:
            from include.adapters.ledger import ledger_invariants

            broken = ledger_invariants(fixtures["ledger"])
            if broken:
                raise AssertionError("\n".join(broken))
    return result
