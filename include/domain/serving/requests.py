"""A request for predictions: read strictly, and refused by field and row when it cannot be answered."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from include.domain.serving.route import ServedModel

MOST_ROWS = 1_000
MOST_BYTES = 1024 * 1024
MOST_DEEP = 32
LONGEST_ID = 200
MOST_NAMED = 20


class NotAnswered(Exception):
    """A request that gets no prediction: its HTTP status, and what is wrong for the caller."""

    def __init__(self, status: int, message: str, details: list[dict[str, Any]] | None = None) -> None:
        self.status, self.message, self.details = status, message, details or []
        self.model = ""
        """The model that was asked, where that is known."""
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class AskedRow:
    """One row of a request."""

    features: dict[str, Any]
    """As the caller gave them; those that are left out are looked up."""
    keys: dict[str, Any] = field(default_factory=dict)
    event_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request whose form is right."""

    request_id: str | None
    rows: list[AskedRow]


def parsed(body: bytes) -> Any:
    """The JSON of a body, read strictly.

    Raises:
        NotAnswered: for no UTF-8, no JSON, NaN and Infinity, a number beyond a double, a key given twice, or nesting
            deeper than 32.
    """
    if len(body) > MOST_BYTES:
        raise NotAnswered(413, f"the body has {len(body):,} bytes; at most {MOST_BYTES:,} are read")
    deep = 0
    if body.count(b"[") + body.count(b"{") > MOST_DEEP:
        for c in body:  # brackets in texts count too: only what is far too deep is refused here
            deep += (c in b"[{") - (c in b"]}")
            if deep > MOST_DEEP * 8:
                raise NotAnswered(422, f"the body is nested deeper than {MOST_DEEP}")
    try:
        text = body.decode("utf-8")
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a character pair is no text
    except UnicodeError:
        raise NotAnswered(400, "the body is no UTF-8 text") from None
    except RecursionError:
        raise NotAnswered(422, f"the body is nested deeper than {MOST_DEEP}") from None
    except json.JSONDecodeError as error:
        raise NotAnswered(400, f"the body is no JSON: {error.msg} at character {error.pos}") from None
    except ValueError:
        raise NotAnswered(422, "the body holds a number that is too long") from None
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotAnswered(422, f"{twice[:80]!r} is given twice in one object")
    return found


def _no_constant(text: str) -> Any:
    raise NotAnswered(422, f"{text} is no number of JSON; give null for a missing value")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotAnswered(422, f"{text[:40]} is larger than a number can be")
    return number


def asked_of(given: Any, model: ServedModel) -> AskedRequest:
    """The request in Slipway's own form: ``{request_id, keys, features, event_time}``, or several rows in ``rows``.

    Raises:
        NotAnswered: naming every field and row that is wrong, at most 20 of them.
    """
    if not isinstance(given, dict):
        raise NotAnswered(422, "the body is no JSON object")
    request_id = given.get("request_id")
    if request_id is not None and not is_id(request_id):
        raise NotAnswered(422, f"request_id is a text of 1 to {LONGEST_ID} visible characters")
    if "rows" in given:
        rows, known = given["rows"], {"request_id", "rows"}
        if not isinstance(rows, list):
            raise NotAnswered(422, "rows is no list")
    else:
        rows, known = [{k: v for k, v in given.items() if k != "request_id"}], set(given)
    unknown = sorted(set(given) - known)
    if unknown:
        raise NotAnswered(422, f"{unknown[0][:80]!r} is not known beside rows")
    return AskedRequest(request_id, rows_of(rows, model))


def is_id(text: Any) -> bool:
    """Whether it can be the id of a request."""
    return isinstance(text, str) and 0 < len(text) <= LONGEST_ID and text.isprintable() and text.isascii()


def rows_of(given: list[Any], model: ServedModel) -> list[AskedRow]:
    """Each row, checked against what the champion takes.

    Raises:
        NotAnswered: as ``asked_of``.
    """
    if not 0 < len(given) <= MOST_ROWS:
        raise NotAnswered(422 if not given else 413, f"there are {len(given):,} rows; give 1 to {MOST_ROWS:,}")
    wrong: list[dict[str, Any]] = []
    kinds = {each.name: each.kind for each in model.features}
    rows = [_row(i, row, kinds, model, wrong) for i, row in enumerate(given)]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        first = wrong[0]
        where = first["field"] if len(given) == 1 else f"row {first['row']}: {first['field']}"
        raise NotAnswered(422, f"{where} {first['problem']}{more}", wrong[:MOST_NAMED])
    return rows


def _row(
    number: int, given: Any, kinds: Mapping[str, str], model: ServedModel, wrong: list[dict[str, Any]]
) -> AskedRow:
    def refuse(name: str, problem: str) -> None:
        wrong.append({"row": number, "field": name[:80], "problem": problem})

    if not isinstance(given, dict):
        refuse("row", "is no JSON object")
        return AskedRow({})
    for name in sorted(set(given) - {"keys", "features", "event_time"}):
        refuse(name, "is not known; a row has keys, features and event_time")
    features, keys = given.get("features", {}), given.get("keys", {})
    if not isinstance(features, dict) or not isinstance(keys, dict):
        refuse("keys" if isinstance(features, dict) else "features", "is no JSON object")
        return AskedRow({})
    taken: dict[str, Any] = {}
    for name, value in features.items():
        kind = kinds.get(name)
        if kind is None:
            refuse(f"features.{name}", "is not among the features of the model")
            continue
        problem = problem_with(value, kind)
        if problem:
            refuse(f"features.{name}", problem)
        else:
            taken[name] = float(value) if kind == "numeric" and value is not None else value
    known = {key for view in model.views for key in view.keys}
    for name, value in keys.items():
        if name not in known:
            refuse(f"keys.{name}", f"is no key of the model; its keys are {', '.join(sorted(known)) or 'none'}")
        elif value is None or isinstance(value, list | dict | bool):
            refuse(f"keys.{name}", "is a text or a number")
    _ask_for_what_is_left_out(taken, features, keys, model, refuse)
    return AskedRow(taken, keys, _moment(given.get("event_time"), refuse))


def _ask_for_what_is_left_out(
    taken: dict[str, Any], features: dict[str, Any], keys: dict[str, Any], model: ServedModel, refuse: Any
) -> None:
    entity = model.views[0].keys if model.views else []
    lacks = [each.name for each in model.features if each.name not in features]
    if lacks and not all(key in keys for key in entity):
        refuse(
            f"features.{lacks[0]}",
            f"is not given, and cannot be looked up without keys: {', '.join(entity) or 'the model has none'}",
        )


def problem_with(value: Any, kind: str) -> str | None:
    """Why the value cannot be one of a feature of the kind; None when it can. None is a missing value.

    >>> problem_with(True, "numeric"), problem_with(3, "numeric"), problem_with(7, "categorical")
    ('is true or false, and a number is asked for', None, 'is no text')
    """
    if value is None:
        return None
    if kind == "categorical":
        return None if isinstance(value, str) else "is no text"
    if kind == "boolean":
        return None if isinstance(value, bool) else "is not true or false"
    if isinstance(value, bool):
        return "is true or false, and a number is asked for"
    if not isinstance(value, int | float):
        return "is no number"
    try:
        return None if math.isfinite(float(value)) else "is no finite number"
    except OverflowError:
        return "is larger than a number can be"


def _moment(given: Any, refuse: Any) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        refuse("event_time", "is no time such as 2026-03-01T12:00:00Z")
        return None
