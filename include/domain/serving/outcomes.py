"""Outcomes as they are told over HTTP: read strictly, and refused by field and place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from include.domain.serving.requests import LONGEST_ID, MOST_NAMED, MOST_ROWS, NotAnswered, is_id
from include.domain.serving.route import ServedModel
from include.domain.spellings import meaning

FIELDS = ("request_id", "row", "value")


@dataclass(frozen=True, slots=True)
class ToldOutcome:
    """What came of one row."""

    request_id: str
    row: int | None
    value: str | float


def told_outcomes(given: Any, model: ServedModel) -> list[ToldOutcome]:
    """``{request_id, row, value}``, or several of them in ``outcomes``.

    Raises:
        NotAnswered: naming every field and place that is wrong, at most 20 of them. Nothing of it counts then.
    """
    if not isinstance(given, dict):
        raise NotAnswered(422, "the body is no JSON object")
    several = "outcomes" in given
    each_of = given["outcomes"] if several else [given]
    if several and (unknown := sorted(set(given) - {"outcomes"})):
        raise NotAnswered(422, f"{unknown[0][:80]!r} is not known beside outcomes")
    if not isinstance(each_of, list):
        raise NotAnswered(422, "outcomes is no list")
    if not 0 < len(each_of) <= MOST_ROWS:
        count = f"there are {len(each_of):,} outcomes; give 1 to {MOST_ROWS:,}"
        raise NotAnswered(413 if each_of else 422, count)
    wrong: list[dict[str, Any]] = []
    found = [_outcome(i, one, model, wrong) for i, one in enumerate(each_of)]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        where = f"outcome {wrong[0]['outcome']}: " if several else ""
        raise NotAnswered(422, f"{where}{wrong[0]['field']} {wrong[0]['problem']}{more}", wrong[:MOST_NAMED])
    return found


def _outcome(number: int, given: Any, model: ServedModel, wrong: list[dict[str, Any]]) -> ToldOutcome:
    def refuse(name: str, problem: str) -> None:
        wrong.append({"outcome": number, "field": name[:80], "problem": problem})

    if not isinstance(given, dict):
        refuse("outcome", "is no JSON object")
        return ToldOutcome("", None, "")
    for name in sorted(set(given) - set(FIELDS)):
        refuse(name, f"is not known; an outcome has {', '.join(FIELDS)}")
    request_id, row = given.get("request_id"), given.get("row")
    if not is_id(request_id):
        refuse("request_id", f"is a text of 1 to {LONGEST_ID} visible characters")
    if row is not None and (isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < MOST_ROWS):
        refuse("row", f"is a whole number from 0 to {MOST_ROWS - 1}, the row's place in its request")
    return ToldOutcome(str(request_id), row, _value(given.get("value"), model, refuse))


def _value(given: Any, model: ServedModel, refuse: Any) -> str | float:
    """The class as it is declared, or the finite number."""
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if model.task == "regression":
        try:
            if is_number and math.isfinite(float(given)):
                return float(given)
        except OverflowError:
            pass
        refuse("value", "is no finite number")
        return 0.0
    at = meaning(model.classes, [given])[0] if isinstance(given, str | int | float) else None
    if at is None:
        refuse("value", f"is none of the model's classes; these are {', '.join(model.classes)}")
        return ""
    return model.classes[at]
