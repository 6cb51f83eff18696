"""The single changes that are tried: Cosmic Ray's operators, without those that change nothing or only repeat another.

Cosmic Ray replaces each operator by every other one. Of those the ones that are left are the neighbour (``<`` by
``<=``), the opposite (``<`` by ``>=``) and one other kind of arithmetic; its operators know no membership, no ``min``
and no ``any``, so these are added. Changes of text are not tried: the wording of a message decides nothing. Nor is a
dataclass made changeable or given a ``__dict__``, which ``tests/unit/house/test_frozen.py`` holds for all of them at
once, nor are two of them that hold arrays compared, which nobody does.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator

ARITHMETIC = {
    "Add": ("Sub",),
    "Sub": ("Add",),
    "Mul": ("Div",),
    "Div": ("Mul",),
    "FloorDiv": ("Mul",),
    "Mod": ("Mul",),
    "Pow": ("Mul",),
    "BitOr": ("BitAnd",),
    "BitAnd": ("BitOr",),
    "BitXor": ("BitAnd",),
    "LShift": ("RShift",),
    "RShift": ("LShift",),
}
COMPARISON = {
    "Lt": ("LtE", "GtE"),
    "LtE": ("Lt", "Gt"),
    "Gt": ("GtE", "LtE"),
    "GtE": ("Gt", "Lt"),
    "Eq": ("NotEq",),
    "NotEq": ("Eq",),
    "Is": ("IsNot",),
    "IsNot": ("Is",),
}
NEGATION = ("ReplaceUnaryOperator_USub_UAdd", "ReplaceUnaryOperator_Invert_USub", "ReplaceUnaryOperator_Delete_Not")
WHOLE = (
    "AddNot",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ReplaceAndWithOr",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ZeroIterationForLoop",
)


class Membership(Operator):  # type: ignore[misc]  # Cosmic Ray has no types
    """``in`` by ``not in`` and back."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        for _, sign in self._signs(node):
            yield sign.start_pos, sign.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        place, sign = list(self._signs(node))[index]
        node.children[place] = get_ast(" not in" if self._said(sign) == "in" else " in")
        return node

    @classmethod
    def _signs(cls, node: Any) -> Iterator[tuple[int, Any]]:
        if node.type == "comparison":
            for place, child in enumerate(node.children):
                if place % 2 and cls._said(child) in ("in", "not in"):
                    yield place, child

    @staticmethod
    def _said(sign: Any) -> str:
        return " ".join(sign.get_code().split())

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("a in b", "a not in b"), Example("a not in b", "a in b"))


class Extremes(Operator):  # type: ignore[misc]  # Cosmic Ray has no types
    """``min`` by ``max``, ``any`` by ``all``, ``minimum`` by ``maximum``, ``floor`` by ``ceil``, and back."""

    PAIRS = (("min", "max"), ("any", "all"), ("minimum", "maximum"), ("floor", "ceil"))
    OTHER = dict(PAIRS) | {b: a for a, b in PAIRS}

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "name" and node.value in self.OTHER and self._is_called(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.value = self.OTHER[node.value]
        return node

    @staticmethod
    def _is_called(node: Any) -> bool:
        after = node.get_next_leaf()
        return after is not None and after.value == "(" and node.get_previous_leaf().value != "def"

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("min(a)", "max(a)"), Example("x.all()", "x.any()"))


@dataclass(frozen=True)
class Change:
    """One changed line of one module."""

    module: str
    """Its path below the project's folder."""
    operator: str
    occurrence: int
    """Which of the operator's places in the module, from 0."""
    line: int
    end: int
    """The first and the last line that differ, from 1."""
    within: str
    """The function or class around it; empty for the module itself."""
    was: str
    becomes: str
    """The changed lines, without what surrounds them."""
    source: str
    """The whole changed module."""

    @property
    def name(self) -> str:
        return f"{self.operator}[{self.occurrence}]"


@cache
def operators() -> dict[str, Operator]:
    found: dict[str, Operator] = {"Membership": Membership(), "Extremes": Extremes()}
    wanted = {f"ReplaceBinaryOperator_{a}_{b}" for a, others in ARITHMETIC.items() for b in others}
    wanted |= {f"ReplaceComparisonOperator_{a}_{b}" for a, others in COMPARISON.items() for b in others}
    wanted |= {*NEGATION, *WHOLE}
    for name in cosmic_ray.plugins.operator_names():
        short = name.partition("/")[2]
        if short in wanted:
            found[short] = cosmic_ray.plugins.get_operator(name)()
    missing = wanted - set(found)
    if missing:
        raise RuntimeError(f"Cosmic Ray has no operator {', '.join(sorted(missing))}; its names have changed.")
    return found


def changes_of(root: Path, module: str) -> Iterator[Change]:
    """Every change of one module, in the order of its lines; none that only changes an annotation or a docstring."""
    source = (root / module).read_text(encoding="utf-8")
    unchanged = _meaning(source)
    tree = get_ast(source)
    found = []
    for name, operator in operators().items():
        places = ((node, at) for node in ast_nodes(tree) for at in operator.mutation_positions(node))
        for occurrence, (node, _) in enumerate(places):
            if _is_held_by_the_house(node) or _is_a_sign_of_a_signature(node):
                continue
            changed = mutate_code(source, operator, occurrence)
            if changed is None:
                raise RuntimeError(f"Cosmic Ray lost the place {occurrence} of {name} in {module}.")
            if name == "ExceptionReplacer":
                # What it writes is no name of the module; an exception that is never raised is what it means.
                changed = changed.replace("CosmicRayTestingException", "NotImplementedError")
            try:
                meaning = _meaning(changed)
            except SyntaxError:
                continue
            if meaning == unchanged:
                continue
            first, last, was, becomes = _difference(source, changed)
            within = str(ASTQuery(node).get_definition_name() or "")
            found.append(Change(module, name, occurrence, first, last, within, was, becomes, changed))
    return iter(sorted(found, key=lambda c: (c.line, c.operator, c.occurrence)))


def _is_held_by_the_house(node: Any) -> bool:
    """Whether this is the value of a dataclass's ``frozen=True``, ``slots=True`` or ``eq=False``."""
    said = (_word(node, 2), node.value) if node.type == "keyword" else ()
    return said in (("frozen", "True"), ("slots", "True"), ("eq", "False"))


def _is_a_sign_of_a_signature(node: Any) -> bool:
    """Whether this is the ``*`` behind which arguments are named, which Cosmic Ray takes for a product."""
    return node.type == "operator" and node.parent.type in ("parameters", "param", "lambdef")


def _word(node: Any, before: int) -> str:
    """The word so many leaves before this one; empty where there is none."""
    leaf = node
    for _ in range(before):
        leaf = leaf.get_previous_leaf() if leaf is not None else None
    return "" if leaf is None else str(leaf.value)


def _meaning(source: str) -> str:
    """The module's syntax tree without its annotations, which nothing evaluates, and without its docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            # The text of a field's annotation is read by dataclasses only for ClassVar and InitVar.
            node.annotation = ast.Constant("")
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _difference(before: str, after: str) -> tuple[int, int, str, str]:
    """First and last differing line of ``before``, and what stands there before and after, on one line each."""
    old, new = before.splitlines(), after.splitlines()
    first = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    end_old, end_new = len(old), len(new)
    while end_old > first and end_new > first and old[end_old - 1] == new[end_new - 1]:
        end_old, end_new = end_old - 1, end_new - 1
    was, becomes = (" ".join(" ".join(lines).split()) for lines in (old[first:end_old], new[first:end_new]))
    return first + 1, max(end_old, first + 1), was, becomes
