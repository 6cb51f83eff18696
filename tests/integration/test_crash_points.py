"""No crash point without a sweep: whoever writes one finds here which step must pass it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from forking import PROJECT
from swept import PASSED


def test_every_crash_point_in_the_code_is_passed_by_a_sweep():
    passed = set().union(*PASSED.values())
    unswept = [
        f"{file.relative_to(PROJECT)}: {name}"
        for folder in ("include", "plugins", "dags")
        for file in sorted((PROJECT / folder).rglob("*.py"))
        for name in points_in(file.read_text(encoding="utf-8"))
        if not any(re.fullmatch(name, point) for point in passed)
    ]
    assert unswept == []


def test_every_crash_point_that_a_sweep_passes_is_in_the_code():
    names = [name for file in Path(PROJECT, "include").rglob("*.py") for name in points_in(file.read_text("utf-8"))]
    gone = {point for points in PASSED.values() for point in points if not any(re.fullmatch(n, point) for n in names)}
    assert gone == set()


def test_a_crash_point_is_found_under_whatever_name_it_is_called_and_with_what_is_filled_in():
    code = "from include.domain import faults\ncrashpoint('a.b')\nfaults.crashpoint(f'a.{x}.c')\nother('d')\n"
    assert points_in(code) == [r"a\.b", r"a\..+\.c"]


def points_in(code: str) -> list[str]:
    """The names given to ``crashpoint``, each as a regular expression, in the order of the lines."""
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and "crashpoint" in (
            getattr(node.func, "id", None),
            getattr(node.func, "attr", None),
        ):
            given = node.args[0]
            parts = given.values if isinstance(given, ast.JoinedStr) else [given]
            if not all(isinstance(part, ast.Constant | ast.FormattedValue) for part in parts):
                raise AssertionError(f"line {node.lineno}: a crash point whose name cannot be read")
            names.append("".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in parts))
    return names
