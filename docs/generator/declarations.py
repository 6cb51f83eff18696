"""Every field of every declaration, read from the types: type, default, unit, since when, and what it means."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.generator import since
from docs.generator.markdown import code, first_paragraph, page, plain, table
from include.config.gates import JudgedGates
from include.config.source_file import SourceFile
from include.config.tiers import Tiers
from include.config.trusted_types import TrustedTypes
from include.config.types import FeatureView, ModelDeclaration

ROOTS: dict[str, tuple[type[BaseModel], str, str]] = {
    "model.yaml": (ModelDeclaration, "model", "A model: `include/models/NAME/model.yaml`"),
    "view.yaml": (FeatureView, "view", "A feature view: `include/features/NAME/view.yaml`"),
    "tiers.yaml": (Tiers, "tiers", "Defaults of a tier: `include/models/tiers.yaml`"),
    "trusted_types.yaml": (TrustedTypes, "trusted-types", "Types of your own: `include/models/trusted_types.yaml`"),
    "source.yaml": (SourceFile, "source", "The tables of your database: `source.yaml`, of `slipway new source`"),
    "gates.yaml": (JudgedGates, "judge", "The gates of `slipway judge --gates`"),
}
"""Each file that people write: its type, the name of its page, and what it is."""

NUMBERS = (int, float, timedelta)
UNITS = {
    # By the whole name, where the name does not end in its unit.
    "alpha": "probability",
    "gain_alpha": "probability",
    "shown_alpha": "probability",
    "slow_alpha": "probability",
    "mismatch_alpha": "probability",
    "share": "share of units",
    "usual": "share of units",
    "added_at_most": "share of units",
    "mean_delta_at_most": "the score's unit",
    "decisions_differ_at_most": "share of rows",
    "q": "rate",
    "margin": "the metric's unit, or a share of the gap",
    "floor": "the metric's unit, or a share of the gap",
    "tolerance": "the metric's unit, or a share of the gap",
    "price": "units of the loss",
    "at_least": "the metric's unit",
    "at_most": "the metric's unit",
    "gap_at_most": "the measure's unit",
    "disagreement": "the score's unit",
    "p99_delta_at_most": "the score's unit",
    "max_difference": "the score's unit",
    "effect_at_least": "PSI",
    "auc_at_most": "ROC AUC",
    "r2_at_most": "share",
    "bins": "bins",
    "blocks": "blocks of days",
    "fits_at_most": "fits",
    "repeats": "rows",
    "inputs": "days",
    "predictions": "days",
    "performance": "days",
    "estimated": "days",
    "resamples": "resamples",
    "windows": "reports",
    "budget_per_month": "journeys",
    "futile_before_escalation": "journeys",
    "large_rows": "rows",
    "rows": "rows",
    "days": "days",
    "seed": "none",
    "version": "none",
}
ENDINGS = (
    ("_days", "days"),
    ("_rows", "rows"),
    ("_s", "seconds"),
    ("_ms_at_most", "ms"),
    ("_ms_per_1k_at_most", "ms per 1,000 rows"),
    ("_mb_at_most", "MB"),
    ("times_champion_at_most", "multiple"),
)


@dataclass(frozen=True, slots=True)
class FieldPart:
    """One field as a reader of a declaration sees it."""

    name: str
    type: str
    default: str
    unit: str
    since: str
    meaning: str
    numeric: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One type where it is first met, and where in the file that is ("" for the file itself)."""

    kind: type[BaseModel]
    path: str
    fields: tuple[FieldPart, ...]


@cache
def meanings(kind: type[BaseModel]) -> dict[str, str]:
    """The docstring below each field, those of the types it derives from included."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if not (isinstance(each, type) and issubclass(each, BaseModel)) or each is BaseModel:
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assigned: str | None = None
        for node in getattr(body, "body", ()):
            if assigned and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                found[assigned] = " ".join(plain(str(node.value.value)).split())
            is_field = isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            assigned = node.target.id if is_field else None
    return found


def sections(file: str) -> list[Section]:
    """The types of one file, in the order in which a reader meets them, each once."""
    root, _, _ = ROOTS[file]
    return list(_walk(file, root, "", {}))


def page_of(file: str) -> str:
    """The reference page of one file."""
    _, _, title = ROOTS[file]
    parts = [f"# {title}", INTRO]
    for section in sections(file):
        if section.path:
            parts.append(f"## `{section.path}` {{ #{anchor(section.kind)} }}")
        parts.append(first_paragraph(section.kind.__doc__))
        rows = [
            [code(f.name), f.type, f.default, "" if f.unit == "none" else f.unit, f.since, f.meaning]
            for f in section.fields
        ]
        parts.append(table(("field", "type", "default", "unit", "since", "meaning"), rows))
    return page(*parts)


INTRO = (
    "Made from the types in `include/config/`. A field that is not listed here is refused, with file and line. "
    "A time is written as `30m`, `2h` or `7d`. `since` is the version that brought a field; *next* is not released yet."
)


def anchor(kind: type[BaseModel]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def _walk(file: str, kind: type[BaseModel], path: str, seen: dict[type, str]) -> Iterator[Section]:
    seen[kind] = path
    fields, below = [], []
    for name, field in kind.model_fields.items():
        whole = f"{path}.{name}" if path else name
        fields.append(_part(file, kind, name, field, whole))
        below += [(each, whole) for each in _types_in(field.annotation)]
    yield Section(kind, path, tuple(fields))
    for each, whole in below:
        if each not in seen:
            yield from _walk(file, each, whole, seen)


def _part(file: str, kind: type[BaseModel], name: str, field: FieldInfo, whole: str) -> FieldPart:
    numeric = _is_numeric(field.annotation)
    return FieldPart(
        name=name,
        type=type_of(field.annotation, field.metadata),
        default=_default(field),
        unit=unit_of(name, field.annotation, field.metadata) if numeric else "",
        since=since.version_of(file, whole),
        meaning=meanings(kind).get(name) or _of_its_type(field.annotation),
        numeric=numeric,
    )


def _of_its_type(annotation: Any) -> str:
    """What a block means: the first sentence about its type."""
    kinds = _types_in(annotation)
    return re.split(r"(?<=\.) ", first_paragraph(kinds[0].__doc__))[0] if kinds else ""


def unit_of(name: str, annotation: Any, metadata: list[Any]) -> str:
    """The unit of a number; "" for a number without one that is known, which a test refuses."""
    if name in UNITS:
        return UNITS[name]
    if timedelta in _leaves(annotation):
        return "time"
    ending = next((unit for end, unit in ENDINGS if name.endswith(end)), "")
    low, high = _limits(annotation, metadata)
    return ending or ("share" if (low, high) == (0, 1) else "")


def type_of(annotation: Any, metadata: list[Any] | None = None) -> str:
    """A type in words, with the values that are allowed."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is not None and hasattr(annotation, "__metadata__"):
        return type_of(args[0], [*annotation.__metadata__, *(metadata or [])])
    if origin in (Union, types.UnionType):
        return " or ".join(type_of(each, metadata) for each in args if each is not type(None))
    if origin is Literal:
        return " or ".join(code(each) for each in args)
    if origin is list:
        return f"list of {type_of(args[0])}"
    if origin is tuple and args[-1] is Ellipsis:
        return f"list of {type_of(args[0])}"
    if origin is tuple:
        return f"[{', '.join(type_of(each) for each in args)}]"
    if origin is dict:
        return f"mapping of {type_of(args[0])} to {type_of(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{anchor(annotation)})"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(code(each.value) for each in annotation)
    return _words(annotation) + _bounds(metadata or [])


def _words(annotation: Any) -> str:
    words = {int: "whole number", float: "number", str: "text", bool: "true or false", timedelta: "time", date: "date"}
    return words.get(annotation, "anything" if annotation is Any else str(annotation))


def _bounds(metadata: list[Any]) -> str:
    found = []
    for each in _flat(metadata):
        for name, sign in (("gt", "above"), ("ge", "from"), ("lt", "below"), ("le", "to")):
            value = getattr(each, name, None)
            if value is not None:
                found.append(f"{sign} {value}")
    return f", {' '.join(found)}" if found else ""


def _flat(metadata: list[Any]) -> Iterator[Any]:
    for each in metadata:
        yield from _flat(each.metadata) if isinstance(each, FieldInfo) else [each]


def _limits(annotation: Any, metadata: list[Any]) -> tuple[Any, Any]:
    """The least and the greatest value allowed, as annotated; None where there is none."""
    inner = [each for arg in get_args(annotation) for each in getattr(arg, "__metadata__", ())]
    flat = list(_flat([*metadata, *inner, *getattr(annotation, "__metadata__", ())]))
    low = next((each.ge for each in flat if isinstance(each, annotated_types.Ge)), None)
    high = next((each.le for each in flat if isinstance(each, annotated_types.Le)), None)
    return low, high


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default if field.default is not PydanticUndefined else field.get_default(call_default_factory=True)
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, BaseModel):
        return "its own defaults"
    return code(_shown(value))


def _shown(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
            if value.total_seconds() % size == 0:
                return f"{int(value.total_seconds() // size)}{unit}"
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _leaves(annotation: Any) -> Iterator[Any]:
    args = () if get_origin(annotation) is Literal else get_args(annotation)
    if not args:
        yield annotation
    for each in args:
        yield from _leaves(each)


def _types_in(annotation: Any) -> list[type[BaseModel]]:
    return [each for each in _leaves(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]


def _is_numeric(annotation: Any) -> bool:
    return any(each in NUMBERS for each in _leaves(annotation) if isinstance(each, type) and each is not bool)
