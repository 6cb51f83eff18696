"""Requests and their logged answers, as scoring, the shadow window and the drift sensor all read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration, declarations

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SERVED = "served"
"""The role of the champion's answers."""
SHADOW = "shadow"
"""The role of a challenger's answers, which nobody is served."""


def request_ids(model: ModelDeclaration, rows: pd.DataFrame) -> list[str]:
    """One id for each request, the same in every table: the entity's keys, joined."""
    keys = [rows[key].astype(str) for key in declarations().view(model.entity.view).keys]
    return ["|".join(parts) for parts in zip(*keys, strict=True)]


def scores_in(model: ModelDeclaration, log: pd.DataFrame) -> np.ndarray[Any, Any]:
    """The scores of logged rows as the domain takes them: (n,), or (n, k) for a multiclass model."""
    if model.task == "multiclass":
        return log[[f"score_{c}" for c in model.label.classes or []]].to_numpy(dtype=float)
    return log["score"].to_numpy(dtype=float)
