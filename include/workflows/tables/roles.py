"""What the columns of any two tables are, and what counts as drift between them."""

from __future__ import annotations

from dataclasses import dataclass

from include.config.base import as_share
from include.domain.gap import TOLERANCE_SHARE


@dataclass(frozen=True, slots=True)
class ColumnRoles:
    """Which column is what.

    Attributes:
        label: what became true.
        score: the model's answers; several for a multiclass model, one a class in order.
        time: when each row happened.
        features: the only columns that are compared; empty takes all that have no other role.
        ignore: columns that are left out.
        classes: the labels in the order of the scores; of one score the negative and the positive one.
    """

    label: str | None = None
    score: tuple[str, ...] = ()
    time: str | None = None
    features: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as drift; the fields are the declaration's (``drift.inputs``, ``drift.performance``)."""

    q: float = 0.05
    effect_at_least: float = 0.005
    share_at_least: float = 0.0
    min_rows: int = 300
    bins: int = 10
    metric: str | None = None
    tolerance: float | str = as_share(TOLERANCE_SHARE)
    """How much worse is in band: in the metric's unit, or a share as ``10%`` of how much better the reference is than
    the mean of its labels."""
    outside_at_most: float = 0.1
