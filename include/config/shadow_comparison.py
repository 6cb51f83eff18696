"""``shadow.comparison`` as it is declared: the challenger against the champion on labels of the shadow window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from include.config.base import Declared, Tolerance, amount_and_share
from include.config.declared_gate import Alpha, Rows
from include.config.own_metrics import MetricName

if TYPE_CHECKING:
    from include.config.champion_gate import ChampionGate
    from include.config.declared_gate import Own
    from include.domain.gates import ComparisonRule


class DeclaredShadowComparison(Declared):
    """The challenger against the champion on the window's rows whose labels have matured. It is looked at once, when
    the window closes, and what closes the window are counts of rows and days, never what labels say."""

    metric: MetricName | None = None
    """The metric on which the two are compared, a business metric too; default that of the first comparison of
    ``gates.champion_gate``."""
    margin: Tolerance | None = None
    """The loss against the champion that is tolerated: in the metric's unit, or as a share, written 5%, of the gap
    between the champion and the mean label on the labelled rows, or of the champion's distance to a perfect model where
    that is less; default that of the same comparison."""
    asks: Literal["not_shown_worse", "no_worse"] = "not_shown_worse"
    """not_shown_worse: FAIL where labels show that the challenger is worse by more than the margin; an equal one is
    stopped at most alpha of the time. no_worse: PASS only where they show that it is not, as in ``champion_gate``,
    which takes as many rows; default not_shown_worse."""
    alpha: Alpha = 0.05
    """The chance of the error that ``asks`` bounds; default 0.05."""
    min_rows: Rows = 500
    """Fewest labelled rows that are compared; default 500."""
    labels: Literal["if_matured", "required"] = "if_matured"
    """What too few labels mean. if_matured: that is said in the report, and delays no one. required: INCONCLUSIVE,
    and the window stays open for ``min_days`` of labels, until its ``max_days``; default if_matured."""
    min_days: Annotated[int, Field(ge=3)] = 3
    """Days whose labels must have matured, where they are required; default 3."""

    def rule(self, champion: ChampionGate, own: Own) -> ComparisonRule | None:
        """As the domain takes it; None where neither this nor the champion gate names a metric."""
        from include.domain.gates import ComparisonRule

        named = champion.comparisons
        same = next((c for c in named if c.metric == self.metric), named[0] if named else None)
        metric = self.metric or (same.metric if same else None)
        if metric is None:
            return None
        margin = self.margin if self.margin is not None else (same.margin if same and same.metric == metric else 0.0)
        amount, share = amount_and_share(margin)
        return ComparisonRule(own.get(metric, metric), amount, share=share)
