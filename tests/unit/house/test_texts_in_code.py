"""What docstrings and comments name is there: a parameter, a field, a file, a module, a name in it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("include", "plugins", "dags", "benchmarks", "docs/generator", "tests")

SECTION = r"^(?P<indent> *){name}:\n(?P<body>(?:(?P=indent) +[^\n]*\n|\n)+)"
ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*): ")
DOTTED = re.compile(r"(?<![\w/.])include(?:\.\w+)+")
FILE = re.compile(r"(?<![\w/.-])(?:include|plugins|dags|benchmarks|docs|tests)(?:/[\w-]+)*/\w+\.(?:py|md|yaml|sql)\b")
IMPORT = re.compile(r" *(?:from|import) ")
QUOTED = re.compile(r"``([^`\n]+)``|`([^`\n]+)`")


@cache
def sources() -> dict[str, str]:
    """Every Python file by its path."""
    return {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for folder in FOLDERS
        for file in sorted((ROOT / folder).rglob("*.py"))
        if file != Path(__file__)
    }


@cache
def tree_of(path: str) -> ast.Module:
    return ast.parse(sources()[path])


# --- sections --------------------------------------------------------------------------------------------------------


def described(docstring: str | None, section: str) -> list[str]:
    """The names that a section of a docstring describes."""
    found = re.search(SECTION.format(name=section), f"{docstring or ''}\n", re.MULTILINE)
    if found is None:
        return []
    lines = [line for line in found["body"].splitlines() if line.strip()]
    depth = min(len(line) - len(line.lstrip()) for line in lines)
    entries = [ENTRY.match(line[depth:]) for line in lines]
    return [name.lstrip("*") for entry in entries if entry for name in entry["names"].split(", ")]


def strange(tree: ast.Module) -> tuple[int, list[str]]:
    """How many names the sections Args and Attributes describe, and which are no parameter and no field. A class's Args
    are those of its ``__init__``, or its fields."""
    seen, found = 0, []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            sections = {"Args": parameters(node)}
        elif isinstance(node, ast.ClassDef):
            methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
            made = parameters(methods["__init__"]) if "__init__" in methods else set(bound(node))
            sections = {"Args": made, "Attributes": fields(node)}
        else:
            continue
        for section, known in sections.items():
            names = described(ast.get_docstring(node, clean=False), section)
            seen += len(names)
            found += [f"{node.lineno} {node.name}: {name}" for name in names if name not in known]
    return seen, found


def fields(node: ast.ClassDef) -> set[str]:
    """What a class declares, and what its methods set."""
    own = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and ast.unparse(each.value) == "self"
    }
    return own | set(bound(node))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    given = function.args
    rest = [each for each in (given.vararg, given.kwarg) if each is not None]
    return {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, *rest)}


def bound(node: ast.Module | ast.ClassDef, within: str = "") -> Iterator[str]:
    """The names that a module or class has, and those of its classes as ``Class.name``."""
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield within + each.name
        if isinstance(each, ast.ClassDef):
            yield from bound(each, f"{within}{each.name}.")
        elif isinstance(each, ast.Import | ast.ImportFrom):
            yield from (within + (name.asname or name.name.partition(".")[0]) for name in each.names)
        elif isinstance(each, ast.Assign | ast.AnnAssign):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            yield from (
                within + name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            )


def test_each_name_in_a_section_args_or_attributes_is_a_parameter_or_a_field():
    seen, found = 0, []
    for path in sources():
        if re.search(r"^ *(?:Args|Attributes):$", sources()[path], re.MULTILINE):
            count, wrong = strange(tree_of(path))
            seen += count
            found += [f"{path}:{each}" for each in wrong]
    assert seen > 300, "the sections were not read"
    assert found == []


@pytest.mark.parametrize(
    ("head", "section", "lines", "found"),
    [
        ("def f(a, *b, c, **d)", "Args", ["a, c: one: of", "    x: two.", "*b: more."], []),
        ("def f(a)", "Args", ["a: one.", "", "b: gone."], ["1 f: b"]),
        ("class C", "Attributes", ["x: one.", "b: gone."], ["1 C: b"]),
        ("class C", "Args", ["x: one.", "b: gone."], ["1 C: b"]),
    ],
)
def test_a_name_that_is_no_parameter_and_no_field_is_noticed(
    head: str, section: str, lines: list[str], found: list[str]
):
    body = "\n".join(f"        {line}" for line in lines)
    code = f'{head}:\n    """Is.\n\n    {section}:\n{body}\n    """\n    x: int\n'
    assert strange(ast.parse(code))[1] == found


# --- places ----------------------------------------------------------------------------------------------------------


def texts(source: str) -> Iterator[tuple[int, str]]:
    """The docstrings of a file, those below a field too, and its comments, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def named(source: str) -> list[tuple[int, str]]:
    """The modules in backticks, and the files, that a file's texts name, with their lines."""
    plain = "\n".join(line for line in source.splitlines() if not IMPORT.match(line))
    if not (DOTTED.search(plain) or FILE.search(plain)):
        return []  # to take a file apart takes long
    return [
        (line, name)
        for line, text in texts(source)
        for name in [
            *(name for quoted in QUOTED.findall(text) for name in DOTTED.findall(" ".join(quoted))),
            *FILE.findall(text),
        ]
    ]


def is_there(name: str) -> bool:
    """Whether a path is a file, and ``include.x.y`` a package, a module, or a name in one."""
    if "/" in name:
        return (ROOT / name).is_file()
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        place, rest = Path(*parts[:depth]), ".".join(parts[depth:])
        if not rest and (ROOT / place).is_dir():
            return True
        for file in (place.with_suffix(".py").as_posix(), (place / "__init__.py").as_posix()):
            if file in sources():
                return not rest or rest in bound(tree_of(file))
    return False


def test_each_module_and_file_that_a_text_names_is_there():
    found = [(path, line, name) for path, source in sources().items() for line, name in named(source)]
    assert len(found) > 40, "the texts were not read"
    assert [f"{path}:{line} {name}" for path, line, name in found if not is_there(name)] == []


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ('"""See ``include.domain.losses.row_losses`` and `include.domain`."""', []),
        ('"""See :class:`include.domain.verdicts.GateResult.verdict`."""', []),
        ('"""See ``include.domain.losses.no_losses``."""', ["include.domain.losses.no_losses"]),
        ("x = 1  # as `include.domain.nowhere.at_all` does", ["include.domain.nowhere.at_all"]),
        ('X = 1\n"""Read by ``include/cli.py`` and tests/unit/nowhere.py."""', ["tests/unit/nowhere.py"]),
        ("import include.domain.nowhere", []),
    ],
)
def test_a_module_or_file_that_is_gone_is_noticed(text: str, gone: list[str]):
    assert [name for _, name in named(text) if not is_there(name)] == gone
