"""Whether the drift sensor can ever judge a model: its declared minimums against the days there are."""

from __future__ import annotations

import math
from collections.abc import Iterator

from include.adapters.ledger import Ledger
from include.config import Declarations, ModelDeclaration
from include.domain.drift.input_drift import LEAST_WINDOWS

LOOKED_AT = 28
"""How many of the newest published days are averaged into an ordinary day."""
MOST_POOLED = 90
"""The largest ``drift.pool_days`` there is."""
LEAST_DAYS = 2
"""Held-out days below which the variation between days is unknown (``include/domain/performance.py``)."""


def rows_a_day(ledger: Ledger, known: Declarations, model: ModelDeclaration) -> float | None:
    """The mean rows of the newest published days of the model's entity; None before the first."""
    view = known.view(model.entity.view)
    days = ledger.partitions.between(view.name, view.version, None, None)
    newest = sorted(days, key=lambda p: p.day)[-LOOKED_AT:]
    return sum(p.rows for p in newest) / len(newest) if newest else None


def never_judged(model: ModelDeclaration, rows: float | None) -> Iterator[str]:
    """One line for each part of the sensor that cannot judge, with the way out.

    Args:
        rows: of an ordinary day, including rows that get no label; None before the first publish.
    """
    days = model.training.holdout_days
    if days < LEAST_DAYS:
        yield _line(
            model,
            f"training.holdout_days is {days}",
            f"realised performance is judged against at least {LEAST_DAYS} held-out days",
            f"Hold out {LEAST_DAYS} or more",
        )
    if days < LEAST_WINDOWS and model.drift.estimated.acts:
        yield _line(
            model,
            f"training.holdout_days is {days}",
            f"performance is estimated against at least {LEAST_WINDOWS} held-out days",
            f"Hold out {LEAST_WINDOWS} or more, or set drift.estimated.acts to false",
        )
    if rows is None or not rows > 0:
        return
    least = model.drift.performance.min_rows
    if rows * days < least:
        yield _line(
            model,
            f"drift.performance.min_rows is {least:,}",
            f"the holdout's {days} days have about {math.floor(rows * days):,} rows ({rows:,.0f} a day), so realised "
            "performance is never judged",
            f"Set it to {math.floor(rows * days * 0.8):,} or less, or training.holdout_days to "
            f"{math.ceil(least / rows)} or more",
        )
    parts = {"inputs": "input drift", "predictions": "prediction drift", "estimated": "estimated performance"}
    days = model.drift.pool_days
    for name, what in parts.items():
        least = getattr(model.drift, name).min_rows
        if rows * days < least:
            together = "a day has" if days == 1 else f"{days} days, as many as drift.pool_days allows, have"
            yield _line(
                model,
                f"drift.{name}.min_rows is {least:,}",
                f"{together} about {rows * days:,.0f} rows, so {what} is never judged",
                f"Set it to {math.floor(rows * days * 0.8):,} or less"
                + (f", or drift.pool_days to {math.ceil(least / rows)} or more" if least / rows <= MOST_POOLED else ""),
            )


def _line(model: ModelDeclaration, is_so: str, but: str, way_out: str) -> str:
    return f"{model.name}: {is_so}, but {but}. {way_out}."
