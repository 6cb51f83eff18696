"""What is declared of the comparison with the champion: the margins, the gain that is asked for, and the baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from include.domain.errors import Refusal
from include.domain.gap import Gap, Tolerated, in_notes, to_perfect
from include.domain.gates.evidence import Evidence
from include.domain.metrics import Metric, metric_of
from include.domain.weighted_metrics import measure_weighted


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
    ``measured`` the gain itself is judged and not its bound, beside a margin that is. ``share`` declares the margin as
    a share of the ``gap``: where the champion is between the naive baseline and a perfect model on the judged rows
    (``on``).
    """

    metric: str | Metric
    margin: float
    superiority: bool = False
    alpha: float | None = None
    measured: bool = False
    share: float | None = None
    gap: Gap | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.margin) or self.margin < 0:
            raise BadRule(f"margin of {self.metric} is {self.margin}; a margin is at least 0, in the metric's unit.")

    def on(self, evidence: Evidence) -> ComparisonRule:
        """The rule with the gap of these rows, and where the margin is a share of it with the margin."""
        gap = gap_on(evidence, self.metric)
        return replace(self, margin=Tolerated.of(self.margin, self.share, gap).amount, gap=gap)

    @property
    def nothing_to_lose(self) -> bool:
        """Whether the margin is a share of the gap of a champion that is no better than the baseline."""
        return self.share is not None and self.gap is not None and self.gap.above_naive <= 0

    def as_json(self) -> dict[str, float | None]:
        """The margin as a note of the gate has it, with what it is a share of."""
        return {"margin": self.margin, "share": self.share, **in_notes(self.gap)}

    @property
    def tolerated(self) -> Tolerated:
        """The margin with what it is of the gap."""
        return Tolerated(self.margin, self.share, self.gap)

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
            return f"better than {against} by > {self._by()}"
        return f"worse than {against} by <= {self._by()}"

    def _by(self) -> str:
        return f"{self.margin:g}" if self.share is None else f"{self.margin:.3g}"


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

    def on(self, evidence: Evidence) -> ChampionRules:
        """The rules with each margin as an amount, by the gap between champion and baseline on these rows."""
        return replace(self, comparisons=tuple(rule.on(evidence) for rule in self.comparisons))

    @property
    def of_champion(self) -> ChampionRules:
        """What is asked of the candidate beside the champion itself, once margins are amounts.

        A champion that is no better than the baseline has nothing of which a share could be lost. Beside a gain that
        must be shown in the same metric, its margin would ask for the same gain again, at another level: it is left
        out.
        """
        gained = {str(rule.metric) for rule in self.comparisons if rule.alpha is not None and not rule.measured}
        kept = [r for r in self.comparisons if not (r.nothing_to_lose and r.alpha is None and str(r.metric) in gained)]
        return replace(self, comparisons=tuple(kept))

    @property
    def tolerated(self) -> ChampionRules:
        """The same margins as losses that are tolerated, without any gain."""
        margins = (replace(r, superiority=False) for r in self.comparisons if r.alpha is None)
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


def gap_on(evidence: Evidence, metric: str | Metric) -> Gap | None:
    """Where the champion is between the naive baseline and a perfect model on the rows; None where it or the baseline
    did not answer or has no value."""
    seen = evidence.seen_by(metric)
    if seen.champion is None or seen.baseline is None:
        return None
    found = [measure_weighted(seen.task, metric, seen.y, s, seen.weight).value for s in (seen.champion, seen.baseline)]
    if found[0] is None or found[1] is None:
        return None
    kind = metric_of(seen.task, metric)
    return Gap((found[1] - found[0]) * kind.worse_sign, to_perfect(found[0], kind.worse_sign, kind.low, kind.high))
