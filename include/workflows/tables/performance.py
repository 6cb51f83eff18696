"""Performance on any two tables: the current rows judged by the reference's labels and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config.base import amount_and_share
from include.config.measured_by import imported
from include.config.own_metrics import may_be_own
from include.config.problems import did_you_mean
from include.domain.drift.calibration import BadEstimate, expected_losses, expected_roc_auc
from include.domain.drift.estimate_reference import (
    EstimateReference,
    classifier_reference,
    cross_fitted,
    estimate_reference,
)
from include.domain.drift.estimated import BesideEstimate, EstimatedPerformance, estimated_performance, outside_support
from include.domain.drift.input_drift import DriftVerdict
from include.domain.drift.once import RiskRise, ScoredRows, metric_fall, risk_rise
from include.domain.drift.profile import FeatureKind, as_numbers, column_of
from include.domain.gap import Gap, Tolerated, to_perfect
from include.domain.losses import BadLoss, row_losses
from include.domain.metric_names import LOSSES, NAMES, why_not
from include.domain.metrics import Metric, OwnMetricFailed, Task, measure, metric_of
from include.domain.risk_bounds import Band
from include.workflows.tables.alike_values import aligned
from include.workflows.tables.checks import some
from include.workflows.tables.drift_columns import agree_on_numbers
from include.workflows.tables.labels import label_values
from include.workflows.tables.reading import BadTable, Table
from include.workflows.tables.roles import ColumnRoles, Limits

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_NO_INPUTS = DriftVerdict(None, "No column was compared.", 0, 0.0, ())
BLOCKS = 10
"""Blocks of rows a reference without windows is cut into, to check estimates of losses."""


class Lane:
    """Performance, where the reference has labels and scores: what losses are compared with."""

    def __init__(self, roles: ColumnRoles, limits: Limits, kinds: Mapping[str, str]) -> None:
        self.roles, self.limits, self.kinds = roles, limits, kinds
        self.metric: str | None = None
        self.loss: str | Metric | None = None
        """What a row loses; None where the metric is of all rows together."""
        self.whole: tuple[Task, Metric, ScoredRows] | None = None
        """The metric of all rows together with its task, and the reference's rows; None where rows have losses."""
        self.tolerance = Tolerated(0.0)
        self.losses: np.ndarray[Any, Any] | None = None
        self.windows: np.ndarray[Any, Any] | None = None
        self.estimate: EstimateReference | None = None
        self.columns: set[str] = set()
        self.remarks: list[str] = []
        self.chunked = False
        self.asked: tuple[str, ...] = ()
        """The parts that must be judged: by labels where there are some, and by an estimate where there are none."""
        self.lacking: dict[str, str] = {}

    @property
    def needs_features(self) -> bool:
        return self.estimate is not None and self.estimate.trees is not None

    @classmethod
    def of(
        cls,
        past: Table,
        now: Table,
        roles: ColumnRoles,
        limits: Limits,
        kinds: Mapping[str, str],
        windows: np.ndarray[Any, Any] | None,
    ) -> Lane:
        """What ``past`` gives to judge ``now`` by.

        Args:
            kinds: The features, and the kind of each.
            windows: Shape (reference rows,): the window of each, of the length the current ones are judged in; None
                where the current table is judged as a whole.
        """
        import numpy as np

        lane = cls(roles, limits, kinds)
        lane.chunked = windows is not None
        if not roles.score or roles.label is None:
            return lane
        lane.asked = ("realised",) if roles.label in now.names else ("estimated",)
        agree_on_numbers(past, now, [name for name in (*roles.score, roles.label) if name in now.kinds])
        y = label_values(past.column(roles.label), roles.score, roles.classes)
        scores = scores_of(past, roles.score)
        usable = np.isfinite(y) & np.isfinite(scores).reshape(len(y), -1).all(axis=1)
        if not usable.any():
            raise BadTable(f"{past.path} has no row with both a label and a score.")
        usual = _metric(y[usable], scores[usable])
        task, found = chosen(limits.metric or usual, usual, scores)
        lane.metric = found if isinstance(found, str) else found.name
        blocks = np.arange(past.rows) * BLOCKS // past.rows if windows is None else windows
        lane.windows = blocks[usable]
        lane.columns = set(roles.score) | ({roles.label} if roles.label in now.names else set())
        if isinstance(found, Metric) and not (found.own and is_loss(found)):
            lane._of_all_rows(
                task, found, ScoredRows(y[usable], scores[usable], None if windows is None else blocks[usable])
            )
            return lane
        lane.loss = found
        lane.losses = lane._losses(y[usable], scores[usable])
        lane.tolerance = lane._tolerated(lane._gap(y[usable], scores[usable]))
        names = [f"{w:012d}" for w in lane.windows.tolist()]
        try:
            if task is Task.REGRESSION:
                features = lane._inputs(past.frame(list(lane.kinds)).loc[usable])
                lane.estimate = lane._regression(names, features, scores[usable], lane.losses)
                lane.columns |= set(lane.kinds)
            else:
                lane.estimate = classifier_reference(lane.loss, names, y[usable], scores[usable])
        except BadEstimate as error:
            lane.remarks.append(f"Performance without labels was not estimated: {error}")
            lane.lacking["estimated"] = str(error)
        return lane

    def _inputs(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The features as the loss is estimated from them; a value of a numeric feature that is no number is
        missing."""
        import pandas as pd

        columns = {}
        for name, kind in self.kinds.items():
            column = aligned(column_of(frame, name), FeatureKind(kind))
            columns[name] = column if kind == "categorical" else pd.Series(as_numbers(column), index=frame.index)
        return estimators.as_input(pd.DataFrame(columns, index=frame.index), self.kinds)

    def _gap(self, y: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> Gap | None:
        """Where the reference's risk is between that of the mean label and 0, in the metric's unit."""
        if self.losses is None or self.loss is None:
            return None
        try:
            naive = row_losses(self.loss, y, _mean_label(y, scores))
        except (BadLoss, OwnMetricFailed):
            return None
        risks = [float(losses.mean()) for losses in (naive, self.losses)]
        naive_risk, risk = (r**0.5 for r in risks) if self.metric == "rmse" else risks
        return Gap(naive_risk - risk, risk)

    def _tolerated(self, gap: Gap | None) -> Tolerated:
        return Tolerated.of(*amount_and_share(self.limits.tolerance), gap)

    def _losses(self, y: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        try:
            return row_losses(self.loss or str(self.metric), y, scores)
        except (BadLoss, OwnMetricFailed) as error:
            raise BadTable(f"--metric {self.metric}: {error}") from None

    def _of_all_rows(self, task: Task, metric: Metric, reference: ScoredRows) -> None:
        """Judge a metric that no single row has: by labels alone."""
        self.whole = (task, metric, reference)
        measured = measure(task, metric, reference.y, reference.scores)
        if measured.value is None:
            raise BadTable(f"--metric {metric}: the reference gives none: {measured.reason}.")
        naive = measure(task, metric, reference.y, _mean_label(reference.y, reference.scores)).value
        best = to_perfect(measured.value, metric.worse_sign, metric.low, metric.high)
        gap = None if naive is None else Gap(metric.worse_sign * (naive - measured.value), best)
        self.tolerance = self._tolerated(gap)
        why = f"{metric} is of all rows together, so without labels it cannot be estimated row by row"
        self.lacking["estimated"] = why
        if "estimated" in self.asked:
            self.remarks.append(f"Performance without labels was not estimated: {why}.")

    def _regression(
        self, names: list[str], features: pd.DataFrame, scores: np.ndarray[Any, Any], losses: np.ndarray[Any, Any]
    ) -> EstimateReference:
        def fitted(rows: Any) -> Any:
            return estimators.fit_loss_trees(features.iloc[rows], scores[rows], losses[rows], self.kinds, seed=0)

        found = cross_fitted(names, lambda known, asked: fitted(known).estimated(features.iloc[asked], scores[asked]))
        return estimate_reference(str(self.metric), names, losses, found, trees=fitted(slice(None)))

    def judged(
        self, rows: pd.DataFrame | None, inputs: DriftVerdict | None, predictions: DriftVerdict | None, alpha: float
    ) -> tuple[EstimatedPerformance | None, RiskRise | None]:
        import numpy as np

        if self.metric is None or rows is None or predictions is None:
            return None, None
        if self.whole is not None:
            return None, self._fell(rows, alpha)
        if self.losses is None or self.loss is None:
            return None, None
        scores = score_values(rows, self.roles.score)
        answered = np.isfinite(scores).reshape(len(rows), -1).all(axis=1)
        limits, estimated, auc = self.limits, None, None
        if self.estimate is not None:
            if self.estimate.calibration is not None:
                probabilities = self.estimate.calibration(scores[answered])
                losses = expected_losses(self.loss, scores[answered], probabilities)
                auc = expected_roc_auc(scores[answered], probabilities) if scores.ndim == 1 else None
            elif self.estimate.trees is not None:
                losses = self.estimate.trees.estimated(self._inputs(rows.loc[answered]), scores[answered])
            estimated = estimated_performance(
                self.estimate,
                losses,
                band=Band(
                    self.metric,
                    self.tolerance.amount,
                    alpha,
                    share=self.tolerance.share,
                    gap=self.tolerance.gap,
                ),
                min_rows=limits.min_rows,
                outside_share=outside_support(inputs or _NO_INPUTS, predictions),
                outside_at_most=limits.outside_at_most,
                beside=BesideEstimate(roc_auc=auc),
            )
        if self.roles.label not in rows:
            return estimated, None
        y = label_values(rows[self.roles.label], self.roles.score, self.roles.classes)
        known = answered & np.isfinite(y)
        realised = risk_rise(
            self.losses,
            self._losses(y[known], scores[known]),
            metric=self.metric,
            tolerance=self.tolerance,
            alpha=alpha,
            min_rows=limits.min_rows,
            windows=self.windows if self.chunked else None,
        )
        return estimated, realised

    def _fell(self, rows: pd.DataFrame, alpha: float) -> RiskRise | None:
        import numpy as np

        if self.whole is None or self.roles.label not in rows:
            return None
        task, metric, reference = self.whole
        scores = score_values(rows, self.roles.score)
        y = label_values(rows[self.roles.label], self.roles.score, self.roles.classes)
        known = np.isfinite(scores).reshape(len(rows), -1).all(axis=1) & np.isfinite(y)
        limits = self.limits
        return metric_fall(
            task,
            metric,
            reference,
            ScoredRows(y[known], scores[known]),
            tolerance=self.tolerance,
            alpha=alpha,
            min_rows=limits.min_rows,
        )


# --- which metric ----------------------------------------------------------------------------------------------------


def chosen(name: str, usual: str, scores: np.ndarray[Any, Any]) -> tuple[Task, str | Metric]:
    """The task, and the loss by its name, or a metric of all rows or of a team's own as it is.

    Args:
        name: As ``--metric`` gives it.
        usual: What would be measured without one, which tells probabilities from numbers.
        scores: Shape (n,), or (n, classes).

    Raises:
        BadTable: where there is no such metric for these scores.
    """
    numbers, many = usual not in LOSSES["binary"], scores.ndim == 2
    order = (Task.REGRESSION, Task.BINARY) if numbers else (Task.BINARY, Task.REGRESSION)
    tasks = (Task.MULTICLASS,) if many else order
    plain = name.partition("(")[0]
    for task in tasks:
        if plain in (*LOSSES[task.value], *NAMES[task.value]):
            wrong = why_not(task.value, name)
            if wrong is not None and plain in NAMES[task.value]:
                raise BadTable(f"--metric {name}: {wrong}.")
            return (task, name) if plain in LOSSES[task.value] else (task, metric_of(task, name))
    if may_be_own(name):
        return tasks[0], imported(name, "--metric")
    allowed = dict.fromkeys(each for task in tasks for each in (*LOSSES[task.value], *NAMES[task.value]))
    raise BadTable(
        f"--metric is {name!r}; for these scores it is one of {', '.join(allowed)}, or one of your own by its import "
        "path." + did_you_mean(plain, list(allowed))
    )


def is_loss(metric: Metric) -> bool:
    """Whether each row has a value of 0 or more, of which less is better."""
    return metric.per_row is not None and metric.worse_sign > 0 and metric.low >= 0


# --- from columns to numbers -----------------------------------------------------------------------------------------


def scores_of(table: Table, names: Sequence[str]) -> np.ndarray[Any, Any]:
    """The scores of all rows, as :func:`score_values`."""
    return score_values(table.frame(names), names)


def score_values(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Shape (n,), or (n, classes) where several columns are named; a missing score is NaN."""
    import numpy as np
    import pandas as pd

    for name in names:
        column = frame[name]
        if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
            raise BadTable(f"Score {name!r} holds {some(column.dropna())}; scores are numbers.")
    values = frame[list(names)].to_numpy(dtype=np.float64, na_value=np.nan)
    return values if len(names) > 1 else values[:, 0]


def _mean_label(y: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What a model that ignores its inputs answers, in the shape of the scores."""
    import numpy as np

    if scores.ndim == 1:
        return np.full(len(y), y.mean())
    return np.tile(np.bincount(y.astype(np.intp), minlength=scores.shape[1]) / len(y), (len(y), 1))


def _metric(y: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> str:
    """Brier score for classes with probabilities, mean absolute error for numbers."""
    import numpy as np

    probabilities = bool(((scores >= 0) & (scores <= 1)).all())
    return "brier" if scores.ndim == 2 or (probabilities and bool(np.isin(y, (0, 1)).all())) else "mae"
