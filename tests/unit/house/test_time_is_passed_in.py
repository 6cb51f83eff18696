"""Data time and wall time come from the caller: nothing in the domain or the workflows asks a clock for the time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.config.settings import PROJECT

ASKED = {"now", "utcnow", "today", "time", "time_ns"}
OF = {"datetime", "date", "time", "dt"}
"""The names that the standard library's clocks have where they are called. A stopwatch (``monotonic``) is no time."""
FILES = sorted(p for part in ("domain", "workflows") for p in (PROJECT / "include" / part).rglob("*.py"))


def asked(source: str) -> Iterator[int]:
    """The lines that ask a clock."""
    if not any(f".{name}" in source for name in ASKED):
        return  # most modules; to parse them all takes a second
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKED:
            of = node.func.value
            if (of.attr if isinstance(of, ast.Attribute) else getattr(of, "id", "")) in OF:
                yield node.lineno


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(PROJECT)))
def test_no_module_asks_a_clock(file: Path) -> None:
    assert list(asked(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source", ["datetime.now(UTC)", "datetime.datetime.utcnow()", "date.today()", "time.time()", "time.time_ns()"]
)
def test_a_clock_that_is_asked_is_found(source: str) -> None:
    assert list(asked(source)) == [1]


def test_a_stopwatch_and_a_time_that_was_given_are_no_clock() -> None:
    assert list(asked("time.monotonic(); self._now(); tell.now(line); now()")) == []
