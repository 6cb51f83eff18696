"""What is declared of the comparison with the champion: the margins, the gain that is asked for, and the baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from include.domain.errors import Refusal
from include.domain.metrics import Metric


class BadRule(Refusal, ValueError):
    """A rule that cannot be judged by; the message says which field, its value, and what is allowed."""


class FirstDeployment(Enum):
    """What replaces the comparison while a model has no champion."""

    BASELINE_ONLY = "baseline_only"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class ComparisonRule:
    """One paired comparison.

    ``margin`` (at least 0, in the metric's unit) is the loss that is tolerated; with ``superiority`` it is the gain
    that is demanded, and must be exceeded. ``alpha`` is this comparison's own, where it is not that of the rules. With
    ``measured`` the gain itself is judged and not its bound, beside a margin that is.
    """

    metric: str | Metric
    margin: float
    superiority: bool = False
    alpha: float | None = None
    measured: bool = False

    def __post_init__(self) -> None:
        if not np.isfinite(self.margin) or self.margin < 0:
            raise BadRule(f"margin of {self.metric} is {self.margin}; a margin is at least 0, in the metric's unit.")

    @property
    def criterion(self) -> str:
        """What the comparison is called: the metric, or for one that an alarm adds the gain in it."""
        return str(self.metric) if self.alpha is None else f"gain in {self.metric}"

    @property
    def limit(self) -> float:
        """Where the upper bound of the difference must be: at most the margin, or below its negative."""
        return -self.margin if self.superiority else self.margin

    def allowed(self, against: str = "champion") -> str:
        if self.measured:
            return f"measured better than {against}"
        if self.superiority:
            return f"better than {against} by > {self.margin:g}"
        return f"worse than {against} by <= {self.margin:g}"


@dataclass(frozen=True, slots=True)
class ChampionRules:
    """The declared rules of ``champion_gate``. ``alpha`` is one-sided and per set of rows; ``resamples`` above zero
    adds the percentile bootstrap's upper bound to the notes, where it decides nothing."""

    comparisons: tuple[ComparisonRule, ...]
    beat_baseline_on: str | Metric
    alpha: float = 0.05
    min_rows: int = 500
    first_deployment: FirstDeployment = FirstDeployment.BASELINE_ONLY
    resamples: int = 0
    gain_alpha: float = 0.1
    """The chance that a candidate which an alarm asked for is taken for better than the champion though it is not. It
    may be larger than ``alpha``, as the alarm is evidence too and the margins hold at ``alpha`` beside it: a candidate
    worse by a margin passes no more often."""

    @property
    def tolerated(self) -> ChampionRules:
        """The same margins as losses that are tolerated, without any gain."""
        margins = (ComparisonRule(r.metric, r.margin) for r in self.comparisons if r.alpha is None)
        return replace(self, comparisons=tuple(margins))

    def gaining(self, watched: str | Metric, *, dated: bool = True) -> ChampionRules:
        """The rules for a candidate that an alarm asked for: on the watched metric, or where it is not compared on the
        first one that is, it must be better than the champion as well, at ``gain_alpha``. Every margin stays.

        Where the change is not ``dated``, the held-out rows may have too few days of it to show a gain: then it must be
        measured better, and the margins alone have a bound.
        """
        names = [str(rule.metric) for rule in self.comparisons]
        chosen = self.comparisons[names.index(str(watched)) if str(watched) in names else 0]
        if chosen.superiority:
            return self
        gain = ComparisonRule(chosen.metric, 0.0, superiority=True, alpha=self.gain_alpha, measured=not dated)
        return replace(self, comparisons=(*self.comparisons, gain))
