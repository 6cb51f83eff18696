"""Fixtures of use cases on stores in memory: a ledger, or a whole world that begins at a moment of the tale.

What most tests do not need is imported by the fixture that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from light_world import LightWorld, Tale

    from include.adapters.ledger import Ledger


FAULT = re.compile(r"test_f\d{3}_")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A fresh ledger in memory where the use cases find it, and an empty home; its invariants must hold at the end."""
    from light_world import ledger_of_this_process
    from memory_ledger import MemoryLedger

    from include.adapters.ledger import ledger_invariants

    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    with MemoryLedger() as held, ledger_of_this_process(held):
        yield held.ledger
        assert ledger_invariants(held.ledger) == []


@pytest.fixture(scope="session")
def tale(tmp_path_factory: pytest.TempPathFactory) -> Tale:
    """Shared with the other processes of a run side by side, each of which has a folder below the same one."""
    from light_world import Tale

    base = tmp_path_factory.getbasetemp()
    return Tale((base.parent if base.name.startswith("popen-") else base) / "tale")


@pytest.fixture
def world(request: pytest.FixtureRequest, tale: Tale, tmp_path: Path) -> Iterator[LightWorld]:
    """The world at the moment that the test is marked with; without a mark its first candidate is evaluated.

    Its invariants hold at the end; after a fault test they were looked at already (``tests/conftest.py``).
    """
    from invariants import check_invariants
    from light_world import EVALUATED

    marked = request.node.get_closest_marker("moment")
    with tale.at(marked.args[0] if marked else EVALUATED, tmp_path / "world") as at_that_moment:
        yield at_that_moment
        if not FAULT.match(request.node.name):
            check_invariants(at_that_moment)
