"""Reads the declarations. A broken one breaks its own model only, and says file, line, field, value and what is
allowed."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from include.config.gates import JudgedGates
from include.config.types import FeatureView, ModelDeclaration
from include.domain.errors import Refusal

ROOT = Path(os.environ.get("SLIPWAY_DECLARATIONS") or Path(__file__).resolve().parents[1])
"""The folder that holds ``models/`` and ``features/``."""

T = TypeVar("T", FeatureView, ModelDeclaration, JudgedGates)
Named = TypeVar("Named", FeatureView, ModelDeclaration)


_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Every task reads the declarations anew: libyaml's loader, where PyYAML was built with it, is ten times as fast."""


class BadDeclaration(Refusal, ValueError):
    """A declaration that cannot be used; the message has one line for each thing wrong with it."""

    def __init__(self, file: Path, problems: list[str]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("\n".join(problems))


class UnknownName(Refusal, KeyError):
    """A model or view that nobody declared."""

    def __init__(self, kind: str, name: str, declared: list[str]) -> None:
        close = difflib.get_close_matches(name, declared, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        self.message = f"There is no {kind} {name!r}; declared are: {', '.join(declared) or 'none'}.{hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Declarations:
    """All that was declared: what can be used, and what is broken and why."""

    views: dict[str, FeatureView]
    models: dict[str, ModelDeclaration]
    broken: dict[Path, BadDeclaration]

    def model(self, name: str) -> ModelDeclaration:
        if name not in self.models:
            raise UnknownName("model", name, sorted(self.models))
        return self.models[name]

    def view(self, name: str) -> FeatureView:
        if name not in self.views:
            raise UnknownName("view", name, sorted(self.views))
        return self.views[name]


def read_declarations(root: Path | None = None) -> Declarations:
    """Read every view and model below ``root``; what is broken is kept beside what can be used."""
    root = root or ROOT
    broken: dict[Path, BadDeclaration] = {}
    views = dict(_read_all(root / "features", "view.yaml", FeatureView, "features.sql", broken))
    models = {}
    for name, model in _read_all(root / "models", "model.yaml", ModelDeclaration, "label.sql", broken):
        file = root / "models" / name / "model.yaml"
        problems = list(_against_views(file, model, views))
        if problems:
            broken[file] = BadDeclaration(file, problems)
        else:
            models[name] = model
    return Declarations(views, models, broken)


@cache
def declarations() -> Declarations:
    """The project's declarations, read once a process."""
    return read_declarations()


def _read_all(
    folder: Path, file_name: str, kind: type[Named], sql: str, broken: dict[Path, BadDeclaration]
) -> Iterator[tuple[str, Named]]:
    for file in sorted(folder.glob(f"*/{file_name}")):
        try:
            declared = read_declaration(file, kind)
            if declared.name != file.parent.name:
                where = _line(file, ("name",))
                raise BadDeclaration(
                    file, [f"{where}: name is {declared.name!r}; it must be the folder's name, {file.parent.name!r}."]
                )
            if not (file.parent / sql).is_file():
                raise BadDeclaration(file, [f"{_shown(file)}: {sql} is missing beside it; write the query there."])
        except BadDeclaration as error:
            broken[file] = error
        else:
            yield declared.name, declared


def read_declaration(file: Path, kind: type[T]) -> T:
    """Read one YAML file into its type.

    Raises:
        BadDeclaration: naming file, line, field, value and what is allowed.
    """
    try:
        data = _parsed(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{_shown(file)}:{mark.line + 1}" if mark else _shown(file)
        raise BadDeclaration(
            file, [f"{place}: this is not YAML: {getattr(error, 'problem', None) or error}."]
        ) from None
    if not isinstance(data, dict):
        raise BadDeclaration(
            file, [f"{_shown(file)}: the file must be a mapping of fields, not {type(data).__name__}."]
        )
    try:
        declared = kind.model_validate(data)
    except ValidationError as error:
        raise BadDeclaration(file, [_problem(file, kind, e) for e in error.errors(include_url=False)]) from None
    declared._folder = file.parent
    return declared


def _parsed(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_YAML)
    except yaml.YAMLError:
        return yaml.safe_load(text)  # slower, and its message says more


def _against_views(file: Path, model: ModelDeclaration, views: dict[str, FeatureView]) -> Iterator[str]:
    for i, use in enumerate(model.views):
        view, here = views.get(use.view), ("views", i, "view")
        if view is None:
            usable = ", ".join(sorted(views)) or "none"
            yield f"{_line(file, here)}: views.{i}.view is {use.view!r}; usable views are: {usable}."
            continue
        if use.version != view.version:
            declared = f"{use.view} is declared in version {view.version}"
            yield f"{_line(file, here)}: views.{i}.version is {use.version}; {declared}."
        for feature in use.features:
            if feature not in view.features:
                yield (
                    f"{_line(file, here)}: views.{i}.features has {feature!r}; "
                    f"{use.view} has: {', '.join(view.features)}." + _did_you_mean(feature, view.features)
                )
    yield from _gates_against_features(file, model)
    spine = views.get(model.entity.view)
    if spine is None:
        return
    given = {*spine.keys, *spine.features, *spine.carries}
    for i, use in enumerate(model.views):
        view = views.get(use.view)
        for key in view.keys if view else ():
            if key not in given:
                yield (
                    f"{_line(file, ('views', i, 'view'))}: views.{i}.view {use.view!r} is joined by {key!r}, "
                    f"which {model.entity.view!r} does not give; it gives: {', '.join(sorted(given))}."
                )


def _gates_against_features(file: Path, model: ModelDeclaration) -> Iterator[str]:
    """The columns that gates name: a journey has the features of its rows, and nothing else to judge by."""
    gates, named = model.gates, list[tuple[tuple[str | int, ...], str]]()
    named += ((("champion_gate", "baseline_by", i), c) for i, c in enumerate(gates.champion_gate.baseline_by))
    if gates.leakage is not None:
        named += ((("leakage", "known_strong", i), c) for i, c in enumerate(gates.leakage.known_strong))
    if gates.slice_gate is not None:
        for field in ("by", "protected"):
            named += ((("slice_gate", field, i), c) for i, c in enumerate(getattr(gates.slice_gate, field)))
        rules = enumerate(gates.slice_gate.fairness)
        named += ((("slice_gate", "fairness", i, "groups"), rule.groups) for i, rule in rules)
    for where, column in named:
        if column not in model.features:
            yield (
                f"{_line(file, ('gates', *where))}: gates.{'.'.join(map(str, where))} is {column!r}, "
                f"which the model takes from no view; its features are: {', '.join(model.features)}."
                + _did_you_mean(column, model.features)
            )


def _problem(file: Path, kind: type[BaseModel], error: Any) -> str:
    loc = tuple(p for p in error["loc"] if not (isinstance(p, str) and p.startswith(("function-", "tuple", "list"))))
    field = ".".join(str(p) for p in loc) or "the file"
    place = _line(file, loc)
    if error["type"] == "extra_forbidden":
        allowed = _fields_at(kind, loc[:-1])
        return f"{place}: {field} is not a field; allowed are: {', '.join(allowed)}." + _did_you_mean(
            str(loc[-1]), allowed
        )
    if error["type"] == "missing":
        return f"{place}: {field} is missing; it has no default."
    message = error["msg"].removeprefix("Value error, ").rstrip(".")
    if error["type"] == "value_error":
        # A check across fields speaks of one of them by its name: that is where a person has to look.
        place = _line(file, (*loc, *(int(part) if part.isdigit() else part for part in message.split()[0].split("."))))
    value = repr(error["input"])
    if not loc or len(value) > 80:
        return f"{place}: {message}."
    return f"{place}: {field} is {value}; {message[0].lower()}{message[1:]}."


def _did_you_mean(word: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _fields_at(kind: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The field names of the declared type found by walking ``loc`` through the annotations."""
    current: Any = kind
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = current.model_fields[part].annotation
        current = next((t for t in _types_in(annotation) if isinstance(t, type) and issubclass(t, BaseModel)), None)
        if current is None:
            return []
    return list(current.model_fields)


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types_in(inner)


def _line(file: Path, loc: tuple[Any, ...]) -> str:
    """``file:line`` of the deepest part of ``loc`` that the YAML has."""
    node = yaml.compose(file.read_text(encoding="utf-8"), Loader=_YAML)
    line = node.start_mark.line if node else 0
    for part in loc:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        if found is None:
            break
        line, node = found[0].start_mark.line, found[1]
    return f"{_shown(file)}:{line + 1}"


def _shown(file: Path) -> str:
    """The path as a person would name it: from the project's root on."""
    project = ROOT.parent
    return str(file.relative_to(project)) if file.is_relative_to(project) else str(file)
