"""How much better than nothing a model is, how far from perfect, and losses that are tolerated as a share of it.

A loss of 0.005 is little for a model whose Brier score is 0.06 below that of the mean label, and all there is for one
that is 0.005 below. So what is tolerated is by default a share of the **gap**: of how much better the model is than the
naive baseline on the same rows. Where it is no better, nothing is tolerated: the share of nothing is 0, and never less.

A model that loses 8 where the baseline loses 60 is much better than nothing, and a tenth of that is 65 % of its
own loss. So the share is of the gap or of the model's **distance to a perfect one**, whichever is less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TOLERANCE_SHARE = 0.1
"""The rise of the risk that is still in band, where nothing else is declared."""
MARGIN_SHARE = 0.05
"""The loss against the champion that a gate lets pass, where nothing else is declared."""
WITHOUT_GAP = ("ece", "precision", "recall", "f_beta", "macro_precision")
"""Metrics of which a model that ignores its inputs may have the best value, or none: a mean label is calibrated, and
where it is above the threshold it finds every positive row. A gap to it says nothing of what a model is worth."""


def has_gap(metric: str) -> bool:
    """Whether a share of the gap is a tolerable loss by this metric.

    >>> has_gap("brier"), has_gap("recall(threshold=0.3)")
    (True, False)
    """
    return metric.partition("(")[0] not in WITHOUT_GAP


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a model is between the naive baseline and a perfect one, on the same rows and in the metric's unit.

    Attributes:
        above_naive: how much better than the naive baseline; below zero where it is worse.
        to_perfect: how far from the best value there is, at least 0: of a loss the loss itself, of an area under the
            curve what is missing to 1. None where there is no best value, or it is not known.
    """

    above_naive: float
    to_perfect: float | None = None

    @property
    def room(self) -> float:
        """What a share is taken of: the less of the two, at least 0.

        >>> Gap(62.5, 8.0).room, Gap(0.04, 0.17).room, Gap(0.04).room, Gap(-0.01, 0.2).room
        (8.0, 0.04, 0.04, 0.0)
        """
        return max(self.above_naive if self.to_perfect is None else min(self.above_naive, self.to_perfect), 0.0)

    @property
    def nearly_perfect(self) -> bool:
        """Whether it is nearer to a perfect model than to the baseline."""
        return self.to_perfect is not None and self.to_perfect < self.above_naive

    def __str__(self) -> str:
        """What a share is of, after "of ": ``the gap of 0.04``, ``the 8 to a perfect model, less than the gap of
        62.5``."""
        if self.nearly_perfect:
            return f"the {self.to_perfect:.3g} to a perfect model, less than the gap of {self.above_naive:.3g}"
        return f"the gap of {self.above_naive:.3g}"


def in_notes(gap: Gap | None) -> dict[str, float | None]:
    """The two figures as the note of a gate names them.

    >>> in_notes(Gap(62.5, 8.0)), in_notes(None)
    ({'gap': 62.5, 'to_perfect': 8.0}, {'gap': None, 'to_perfect': None})
    """
    return {"gap": gap.above_naive if gap else None, "to_perfect": gap.to_perfect if gap else None}


def to_perfect(value: float, worst_first: int, low: float, high: float) -> float | None:
    """How far a metric's value is from the best end of its range; None where that end is infinite.

    >>> to_perfect(8.0, 1, 0.0, math.inf), to_perfect(0.75, -1, 0.0, 1.0), to_perfect(1.0, -1, 0.0, math.inf)
    (8.0, 0.25, None)
    """
    best = low if worst_first > 0 else high
    return abs(value - best) if math.isfinite(best) else None


@dataclass(frozen=True, slots=True)
class Tolerated:
    """A loss that is tolerated, with what it is of the gap.

    Attributes:
        amount: in the metric's unit, at least 0; of a share 0 until the gap is known.
        share: what was declared, of the gap's room; None where the amount itself was.
        gap: where the reference is between the naive baseline and a perfect model; None where it was not measured.
    """

    amount: float
    share: float | None = None
    gap: Gap | None = None

    @classmethod
    def of(cls, amount: float, share: float | None, gap: Gap | None) -> Tolerated:
        """With the amount that the share of this gap is, where one was declared.

        >>> Tolerated.of(0.0, 0.1, Gap(0.04)).amount, Tolerated.of(0.0, 0.1, Gap(-0.04)).amount
        (0.004, 0.0)
        """
        return cls(amount if share is None else share * (0.0 if gap is None else gap.room), share, gap)

    @property
    def unmeasured(self) -> bool:
        """Whether it is a share of a gap that was not measured."""
        return self.share is not None and self.gap is None

    def __str__(self) -> str:
        """Both figures where both are known: ``0.004 (10 % of the gap of 0.04)``."""
        if self.share is None:
            if self.gap is None or self.gap.room <= 0 or self.amount == 0:
                return f"{self.amount:g}"
            return f"{self.amount:g} ({100 * self.amount / self.gap.room:.3g} % of {self.gap})"
        part = f"{100 * self.share:g} % of the gap"
        if self.gap is None:
            return f"0 ({part} to the naive baseline, which was not measured)"
        if self.gap.above_naive <= 0:
            return f"0 ({part} to the naive baseline, and there is none: it is no worse)"
        return f"{self.amount:.3g} ({100 * self.share:g} % of {self.gap})"
