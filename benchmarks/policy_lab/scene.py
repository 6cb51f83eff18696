"""What a policy may know at the end of a day, and what serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.policy_lab.models import Floats, Rows, Shelf


@dataclass(frozen=True, slots=True)
class Member:
    """A model that may serve. ``twin`` is what was judged: of the same recipe, without the newest rows; equal to
    ``rows`` where nothing was learned after the judgement."""

    rows: Rows
    twin: Rows
    recipe: str = "window"


@dataclass(slots=True, eq=False)
class Scene:
    """One replay: the stream, the day, and who serves.

    ``known`` is the end of the matured days: the labels of every day before it are known.
    """

    shelf: Shelf
    first: int
    pool_size: int = 1
    pool_days: int = 7
    eagerness: float = 1.0
    """How sharply the pool follows the recent loss: the weight is exp(-eagerness * summed loss)."""
    members: list[Member] = field(default_factory=list)
    """All that ever served, newest last."""
    served: dict[int, NDArray[Any]] = field(default_factory=dict)
    """The answers of each served day."""
    loss: Floats = field(init=False)
    """The realised loss of each day, ``(days,)``; NaN before the first."""
    weights: Floats = field(default_factory=lambda: np.ones(1))

    def __post_init__(self) -> None:
        self.loss = np.full(self.shelf.stream.days, np.nan)

    @property
    def champion(self) -> Member:
        return self.members[-1]

    def known(self, day: int) -> int:
        """The end of the matured days at the end of ``day``."""
        return day + 1 - self.shelf.stream.delay_days

    def fresh_loss(self, member: Member, first: int, last: int) -> Floats:
        """The member's loss of each day: the twin's where the model learned from the day, NaN where both did."""
        found = self.shelf.fit(member.rows).loss[first:last].copy()
        days = np.arange(first, last)
        seen = days < member.rows.last
        if seen.any():
            found[seen] = self.shelf.fit(member.twin).loss[first:last][seen]
            found[days < member.twin.last] = np.nan
        return found

    def serve(self, day: int) -> None:
        """Answer the day by the pool, weighted on what was known in the morning."""
        pool = self.members[-self.pool_size :]
        self.weights = self._weights(pool, self.known(day - 1))
        span = self.shelf.stream.rows(day, day + 1)
        answers = sum(
            w * self.shelf.fit(m.rows).answers[span] for w, m in zip(self.weights, pool, strict=True) if w > 1e-4
        )
        self.served[day] = np.asarray(answers)
        self.loss[day] = float(self.shelf.losses(self.served[day], span).sum())

    def _weights(self, pool: list[Member], known: int) -> Floats:
        if len(pool) == 1:
            return np.ones(1)
        losses = np.array([self.fresh_loss(m, known - self.pool_days, known) for m in pool])
        both = np.isfinite(losses).all(axis=0)
        total = losses[:, both].sum(axis=1)
        weight = np.exp(-self.eagerness * (total - total.min()))
        return np.asarray(weight / weight.sum(), dtype=np.float64)
