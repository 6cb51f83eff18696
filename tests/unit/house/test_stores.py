"""Use cases get their stores from one place, so that a test can give them others."""

from __future__ import annotations

import re
from pathlib import Path

WORKFLOWS = Path(__file__).resolve().parents[3] / "include" / "workflows"
OPENS = re.compile(r"\b(Ledger\.open|Registry)\(")
OWN_WAY = {
    "stores.py": "the one place",
    "pages/sources.py": "a page keeps its ledger open, one for each address",
}


def test_a_use_case_opens_the_ledger_and_the_registry_through_stores_alone() -> None:
    opening = {
        str(file.relative_to(WORKFLOWS))
        for file in WORKFLOWS.rglob("*.py")
        if OPENS.search(file.read_text(encoding="utf-8"))
    }
    assert opening == set(OWN_WAY)
