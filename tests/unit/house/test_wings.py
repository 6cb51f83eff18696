"""The house: no circle of modules, and each wing of the use cases says what comes in and what goes out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WINGS = sorted(p.parent for p in (ROOT / "include/workflows").glob("*/__init__.py"))


def modules(*folders: str) -> dict[str, Path]:
    """Every module's full name to its file, without the migrations, which Alembic loads by itself."""
    found = {}
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            if "migrations" in file.parts:
                continue
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name.removeprefix("plugins.")] = file
    return found


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement below, at any depth. No import is inside an expression, and those are most of a tree."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        inner = getattr(node, part, [])
        for each in inner if isinstance(inner, list) else []:
            yield each
            yield from statements(each)


def imports(file: Path, known: dict[str, Path]) -> set[str]:
    """The modules a file imports, at its top, inside functions and for types alike."""
    used = set()
    for node in statements(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            used |= {each.name for each in node.names if each.name in known}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                used |= {inner} if inner in known else {node.module} & known.keys()
    return used


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_one_another_in_a_circle():
    known = modules("include", "plugins")
    graph = {name: imports(file, known) - {name} for name, file in known.items()}
    assert sum(map(len, graph.values())) > 500, "the graph was not read"
    assert circle_in(graph) == []


def test_a_circle_would_be_found():
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


@pytest.mark.parametrize("wing", WINGS, ids=lambda wing: wing.name)
def test_a_wing_says_in_its_first_lines_what_comes_in_and_what_goes_out(wing):
    said = ast.get_docstring(ast.parse((wing / "__init__.py").read_text(encoding="utf-8"))) or ""
    first = " ".join(said.split("\n\n")[0].split())
    assert re.search(r"\bIn: .+\. Out: .+\.$", first), f"{wing.name} says: {first}"


def test_the_use_cases_stand_in_wings():
    alone = {file.stem for file in (ROOT / "include/workflows").glob("*.py")}
    assert alone == {"__init__", "stores", "tasks"}
