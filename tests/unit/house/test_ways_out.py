"""Every command, ``make`` verb, key of a request, setting, page, step and declared key that a message, a page or the
documentation names exists, with the options that are named with it."""

from __future__ import annotations

import argparse
import ast
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from include import cli
from include.config.settings import PROJECT
from include.config.types import ModelDeclaration
from include.config.views import FeatureView
from include.domain.journey import FIELDS
from include.workflows import gates

CODE = ("include", "plugins", "dags")
HOLE = "§"
"""What stands for a value that is only known when the message is made."""


@dataclass(frozen=True)
class Said:
    """A text that somebody may read, and where it is."""

    where: str
    text: str


def of_python(file: Path) -> Iterator[Said]:
    """Every string, f-string and docstring of a module. Adjacent literals are one text, as Python joins them."""
    parts: set[int] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if id(node) in parts:
            continue
        if isinstance(node, ast.JoinedStr):
            parts.update(id(part) for part in node.values)
            text = "".join(str(p.value) if isinstance(p, ast.Constant) else HOLE for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        yield Said(f"{file.relative_to(PROJECT)}:{node.lineno}", text)


@cache
def everything() -> tuple[Said, ...]:
    found: list[Said] = []
    for folder in CODE:
        for file in sorted((PROJECT / folder).rglob("*.py")):
            found += of_python(file)
        for kind in ("*.html", "*.js", "*.yaml"):
            for file in sorted((PROJECT / folder).rglob(kind)):
                shown = html.unescape(re.sub(r"\{\{.*?\}\}", HOLE, file.read_text(encoding="utf-8")))
                found.append(Said(str(file.relative_to(PROJECT)), shown))
    pages = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
    found += [
        Said(str(page.relative_to(PROJECT)), page.read_text(encoding="utf-8"))
        for page in sorted(pages)
        if page.name != "CHANGELOG.md"  # it says what was, too
    ]
    return tuple(found)


# --- commands ---------------------------------------------------------------------------------------------------------

COMMAND = re.compile(r"(?<![\w/.@:-])(?:\.venv/bin/)?slipway +(?P<rest>[a-z-][^`\n|;#]*)")
PROSE = ("is", "and", "has", "of", "on", "for")
"""Words that may follow the project's name, where it is no command."""


def parsers() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


KNOWN = parsers()


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings}


def choices(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """What the first argument may be, where that is one of a few words."""
    first = next((a for a in parser._actions if not a.option_strings and a.choices), None)
    return tuple(map(str, first.choices)) if first is not None and first.choices else ()


def wrong_with(command: str) -> str | None:
    """What of a command line does not exist; None where all does."""
    words = re.split(r" {2,}", command.strip())[0].split(" ")  # what it does stands behind two spaces
    verb = words[0].rstrip(".,:)'\"")
    if verb.startswith("--"):
        return None if verb in options(cli.parser()) else f"slipway has no option {verb}"
    if verb in PROSE or HOLE in verb:
        return None
    if verb not in KNOWN:
        return f"slipway has no verb {verb!r}"
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", command.split("&&")[0]):
        if option not in options(KNOWN[verb]):
            return f"slipway {verb} has no option {option}"
    allowed, first = choices(KNOWN[verb]), words[1].rstrip(".,:)'\"") if len(words) > 1 else ""
    if allowed and re.fullmatch(r"[a-z_]+", first) and first not in allowed:
        return f"slipway {verb} has no {first!r}; it has {', '.join(allowed)}"
    return None


def commands() -> Iterator[tuple[Said, str]]:
    for said in everything():
        for found in COMMAND.finditer(said.text):
            yield said, found["rest"]


def test_every_command_that_is_named_exists_with_its_options():
    named = list(commands())
    assert len(named) > 150
    assert [f"{said.where}: {wrong}" for said, rest in named if (wrong := wrong_with(rest))] == []


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("repair view NAME, then clear", None),
        ("retrain m --as-of DAY --reason r", None),
        ("--version", None),
        ("promote m", "slipway has no verb 'promote'"),
        ("retrain m --force", "slipway retrain has no option --force"),
        ("repair everything", "slipway repair has no 'everything'"),
        ("--all", "slipway has no option --all"),
    ],
)
def test_what_does_not_exist_is_found(command, wrong):
    assert wrong_with(command) == wrong or str(wrong_with(command)).startswith(str(wrong) + ";")


def test_every_make_verb_that_is_named_exists():
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = [
        (said.where, verb)
        for said in everything()
        for verb in re.findall(
            r"(?:`|^)make ([a-z][a-z-]*)" if ".md" in said.where else r"`make ([a-z][a-z-]*)", said.text, re.M
        )
    ]
    assert len(named) > 20
    assert [(where, verb) for where, verb in named if verb not in there] == []


# --- keys -------------------------------------------------------------------------------------------------------------

ASKED_WITH = re.compile(r"(?:run|journey|retrain|ask) with `?(?P<key>[a-z_]+): ")


def test_every_key_that_a_journey_is_asked_with_is_one_that_a_request_has():
    named = [(said.where, found["key"]) for said in everything() for found in ASKED_WITH.finditer(said.text)]
    assert len(named) > 2
    assert [(where, key) for where, key in named if key not in FIELDS] == []


def fields_of(kind: Any) -> dict[str, Any] | None:
    """The fields of a declared block, behind whatever is optional or one of several; None where anything may stand."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    origin = get_origin(kind)
    if origin is Annotated:
        return fields_of(get_args(kind)[0])
    if origin in (Union, list, tuple) or str(origin) == "<class 'types.UnionType'>":
        found = [known for each in get_args(kind) if (known := fields_of(each)) is not None]
        return {name: of for known in found for name, of in known.items()} if found else None
    return None


ROOTS = {"model": fields_of(ModelDeclaration) or {}, "view": fields_of(FeatureView) or {}}


def lacking(path: str) -> str | None:
    """The first part of a dotted path that no declaration has; None where one has them all."""
    found = [_lacking(known, path.split(".")) for known in ROOTS.values()]
    return None if None in found else max(found, key=lambda lack: lack[0])[1]


def _lacking(at: dict[str, Any] | None, parts: list[str]) -> tuple[int, str] | None:
    """How deep, and which."""
    for depth, part in enumerate(parts):
        if at is None:
            return None
        if part not in at:
            return depth, part
        at = fields_of(at[part])
    return None


DOTTED = re.compile(r"(?<![\w./:@-])(?P<path>[a-z][a-z_]*(?:\.[a-z][a-z_0-9]*)+)(?![\w(/])(?!\.[a-z(])")
STARTS = {name for known in ROOTS.values() for name, of in known.items() if fields_of(of) is not None}
FILES = {"db", "html", "md", "parquet", "png", "py", "sql", "yaml"}
"""What a file's name ends in that begins like a declared key."""
SHORT = {"drift.q"}
"""What ``--set`` understands because one key only ends so."""


def paths() -> Iterator[tuple[str, str]]:
    for said in everything():
        if "/adr/" in said.where or "old_keys" in said.where:
            continue  # a decision record says what was; a former key is named as one
        for found in DOTTED.finditer(said.text):
            path = found["path"]
            is_other = said.text == path or path.rpartition(".")[2] in FILES  # a crash point, a file
            if path.split(".")[0] in STARTS and path not in SHORT and not is_other:
                yield said.where, path


def test_every_declared_key_that_is_named_exists():
    named = list(paths())
    assert len(named) > 80
    assert sorted({f"{where}: {path} ({lack})" for where, path in named if (lack := lacking(path))}) == []


@pytest.mark.parametrize(
    ("path", "lack"),
    [
        ("training.window_days", None),
        ("drift.data.missing_jump", None),
        ("gates.champion_gate.first_deployment", None),
        ("training.windows", "windows"),
        ("drift.inputs.qq", "qq"),
    ],
)
def test_a_key_that_no_declaration_has_is_found(path, lack):
    assert lacking(path) == lack


# --- pages, settings, steps -------------------------------------------------------------------------------------------


def test_every_page_of_the_documentation_that_is_named_is_there():
    named = [(s.where, page) for s in everything() for page in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", s.text)]
    assert len(named) > 20
    assert [(where, page) for where, page in named if not (PROJECT / page).is_file()] == []


def test_every_setting_that_is_named_is_read():
    code = [said.text for said in everything() if said.where.startswith(CODE)]
    shell = [PROJECT / "Makefile", PROJECT / "docker-compose.yaml", *(PROJECT / "deploy").rglob("*")]
    scripts = "".join(file.read_text(encoding="utf-8", errors="ignore") for file in shell if file.is_file())
    tests = "".join(file.read_text(encoding="utf-8") for file in (PROJECT / "tests").rglob("*.py"))
    read = {text for text in code if re.fullmatch(r"SLIPWAY_[A-Z_]+", text)}
    read |= set(re.findall(r"SLIPWAY_[A-Z_]+", scripts)) | set(re.findall(r'"(SLIPWAY_TEST_[A-Z_]+)"', tests))
    named = [
        (s.where, name)
        for s in everything()
        for name in re.findall(r"\bSLIPWAY_[A-Z_]*[A-Z]\b", s.text)
        if s.text != name
    ]
    assert len(named) > 40
    assert sorted({f"{where}: {name}" for where, name in named if name not in read}) == []


CLEARED = re.compile(r"[Cc]lear (?:the|this|its journey's) run from `?(?P<step>[a-z_]+)`? on")


def test_every_step_from_which_a_run_is_to_be_cleared_is_a_step():
    steps = {gate.name for gate in gates.GATES} | {"shadow_window"}
    for file in (*(PROJECT / "dags").glob("*.py"), PROJECT / "include/workflows/tasks.py"):
        tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        steps |= {node.name for node in tree if isinstance(node, ast.FunctionDef)}
    named = [(said.where, found["step"]) for said in everything() for found in CLEARED.finditer(said.text)]
    assert len(named) > 10
    assert [(where, step) for where, step in named if step not in steps] == []
