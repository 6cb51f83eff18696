"""The race of recipes: the same for a journey and for a simulated one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration
from include.workflows.scoring.row_values import watched_loss

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.domain.recipes import Raced


def fitted(
    model: ModelDeclaration,
    build: Callable[[], Any],
    features: pd.DataFrame,
    label: np.ndarray[Any, Any],
    days: np.ndarray[Any, Any],
    changed_on: str | None,
) -> tuple[Any, Raced | None, int]:
    """The fitted pipeline of the winner, what the race found (None where nothing raced), and the rows it learned from.

    Args:
        model: what is declared.
        build: makes an unfitted pipeline.
        features: ``(n, features)`` of the training set, in the order of time.
        label: ``(n,)``; a class as its position.
        days: ``(n,)``: the day of each row, ``YYYY-MM-DD``.
        changed_on: the change point of the alarm that asked, None where none did.

    Raises:
        Refusal: when the winner cannot be fitted.
    """
    from include.domain.losses import row_losses
    from include.domain.recipes import Raced, heat_of, winner_of

    heat = heat_of(days, label if model.is_classifier else None, changed_on)
    if heat is None or changed_on is None:
        return estimators.fit(build(), features, label), None, len(label)
    losses = {}
    for recipe, rows in heat.race_rows.items():
        pipeline = estimators.fit(build(), features.iloc[rows], label[rows])
        scores = estimators.predict(pipeline, features.iloc[heat.judged], classes=model.class_count)
        losses[recipe] = float(row_losses(watched_loss(model), label[heat.judged], scores).mean())
    raced = Raced(winner_of(losses), losses, len(heat.judged), changed_on)
    chosen = heat.rows[raced.winner]
    return estimators.fit(build(), features.iloc[chosen], label[chosen]), raced, len(chosen)
