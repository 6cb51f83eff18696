"""Scores of one model to some rows: asked of packed arrays, and whether they are answers at all."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from include.domain.packed.reader import NotAnswerable, Packed
from include.domain.serving.requests import NotAnswered
from include.domain.serving.route import ServedModel


@dataclass(frozen=True, slots=True)
class ModelSaid:
    """What one model said to some rows: scores, or why there are none."""

    scores: Sequence[Any] = ()
    error: str | None = None
    us: int = 0


def wrong_scores(scores: Sequence[Any], rows: int, served: ServedModel) -> str | None:
    """Why these are no answers of such a model to so many rows; None when they are."""
    if len(scores) != rows:
        return f"it gave {len(scores)} answers to {rows} rows"
    wanted = len(served.classes) if served.task == "multiclass" else 0
    for score in scores:
        values = score if isinstance(score, list) else [score]
        if isinstance(score, list) != bool(wanted) or (wanted and len(values) != wanted):
            return f"an answer has {len(values)} scores, and {wanted or 1} are asked for"
        if not all(map(math.isfinite, values)):
            return "its answer is no finite number"
    return None


def us_since(before: float) -> int:
    return round((time.perf_counter() - before) * 1e6)


def packed_scores(packed: Packed, rows: list[dict[str, Any]]) -> list[Any]:
    try:
        if len(rows) == 1:
            one = packed.one(rows[0])
            return [one if isinstance(one, float) else one.tolist()]
        found: list[Any] = packed.many({name: [row[name] for row in rows] for name in packed.features}).tolist()
        return found
    except NotAnswerable as error:
        raise NotAnswered(422, f"the model does not answer this: {error}") from None


def finite(scores: Sequence[Any]) -> None:
    for i, score in enumerate(scores):
        if not all(map(math.isfinite, score if isinstance(score, list) else [score])):
            raise NotAnswered(422, f"the model's answer to row {i} is no finite number")


def predicted_of(score: Any, served: ServedModel) -> str:
    """As the batch log has it: the likelier class, or the value."""
    if served.task == "binary":
        return served.classes[int(score > 0.5)]
    if served.task == "multiclass":
        return served.classes[max(range(len(score)), key=score.__getitem__)]
    return f"{score:.6g}"
