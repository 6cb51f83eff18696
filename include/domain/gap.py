"""How much better than nothing a model is, and losses that are tolerated as a share of it.

A loss of 0.005 is little for a model whose Brier score is 0.06 below that of the mean label, and all there is for one
that is 0.005 below. So what is tolerated is by default a share of the **gap**: of how much better the model is than the
naive baseline on the same rows. Where it is no better, nothing is tolerated: the share of nothing is 0, and never less.
"""

from __future__ import annotations

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
class Tolerated:
    """A loss that is tolerated, with what it is of the gap.

    Attributes:
        amount: in the metric's unit, at least 0; of a share 0 until the gap is known.
        share: what was declared, of the gap; None where the amount itself was.
        gap: how much better than the naive baseline the reference is, in the metric's unit; None where it was not
            measured.
    """

    amount: float
    share: float | None = None
    gap: float | None = None

    @classmethod
    def of(cls, amount: float, share: float | None, gap: float | None) -> Tolerated:
        """With the amount that the share of this gap is, where one was declared.

        >>> Tolerated.of(0.0, 0.1, 0.04).amount, Tolerated.of(0.0, 0.1, -0.04).amount
        (0.004, 0.0)
        """
        return cls(amount if share is None else share * max(gap or 0.0, 0.0), share, gap)

    @property
    def unmeasured(self) -> bool:
        """Whether it is a share of a gap that was not measured."""
        return self.share is not None and self.gap is None

    def __str__(self) -> str:
        """Both figures where both are known: ``0.004, 10 % of the gap of 0.04 to the naive baseline``."""
        if self.share is None:
            if self.gap is None or self.gap <= 0 or self.amount == 0:
                return f"{self.amount:g}"
            return f"{self.amount:g} ({100 * self.amount / self.gap:.3g} % of the gap of {self.gap:.3g})"
        part = f"{100 * self.share:g} % of the gap"
        if self.gap is None:
            return f"0 ({part} to the naive baseline, which was not measured)"
        if self.gap <= 0:
            return f"0 ({part} to the naive baseline, and there is none: it is no worse)"
        return f"{self.amount:.3g} ({part} of {self.gap:.3g})"
