"""Estimated performance: what the champion's loss probably is on rows whose labels have not come yet.

- **Classifiers** (confidence-based estimation, CBPE): a calibrated probability says how often each answer is wrong, so
  it says what the loss is expected to be. The champion's scores are calibrated on its holdout by isotonic regression.
- **Regression** (direct loss estimation, DLE): a forest learns on the holdout how large the loss of such a row is.

Both know how the loss follows from the row. They see a change of the *rows* and are blind to a change of what the
labels are, given the row (concept drift): no alarm is no proof.

**The check.** Every estimate is first made on held-out days by an estimator that was fitted on the other days. From
these estimates come the band of an ordinary day (a prediction interval over the reference's days, as for the inputs),
the bias, and the skill. An estimate is *void* where the rows lie outside the reference's support, where it missed the
realised loss of the held-out days, and where it separates bad rows from good ones no better than chance.

**The alarm.** Of one window an estimate is out of its band beyond that interval. Day after day such looks add up, so
the days since the version began to serve are judged together, by the e-detector that judges realised days too: at most
one alarm in ``run_length_days`` while nothing changes, however long it lasts.

**Label shift.** Were only the shares of the classes to have changed, a second estimate beside the first says what the
loss would be (:mod:`include.domain.drift.label_shift`). It is reported and raises nothing.

Sources: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017), for scores as confidence;
Zadrozny and Elkan (2002) for isotonic calibration, one class against the rest; the names CBPE and DLE are NannyML's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from include.domain.drift.calibration import Floats
from include.domain.drift.e_detector import LEAST_DAYS, LEAST_REFERENCE_DAYS, rise
from include.domain.drift.estimate_reference import EstimateReference
from include.domain.drift.input_drift import LEAST_WINDOWS, DriftVerdict
from include.domain.drift.label_shift import LabelShift
from include.domain.risk_bounds import Band
from include.domain.weights import counted_rows, mean_of
from include.domain.wording import count_of

LEAST_SKILL = 0.03
"""The correlation of estimated and realised losses below which an estimate is no evidence about a row."""

BIAS_OF_RISK = 0.1
"""The bias, as a share of the reference's risk, that an estimate may have; or the tolerance where that is larger."""


@dataclass(frozen=True, slots=True)
class EstimatedPerformance:
    """The verdict on rows without labels. Risks are in the metric's unit; rmse is the root of the mean squared error.

    ``out_of_band`` is None when there was too little to judge or the estimate is ``void``. ``usual_high`` is what the
    estimate of an ordinary day stays below with probability 1 - alpha. ``roc_auc`` is a binary classifier's.
    """

    metric: str
    out_of_band: bool | None
    void: bool
    reason: str
    risk: float | None
    usual: float | None
    usual_high: float | None
    tolerance: float
    rows: int
    reference_rows: int
    reference_days: int
    bias: float | None
    skill: float | None
    outside_share: float
    roc_auc: float | None = None
    label_shift: LabelShift | None = None
    """What the loss would be, were only the classes' shares to have changed; None where that cannot be said."""
    evidence: float | None = None
    """The logarithm of the evidence of all days of the version for a rise; None where one window was judged."""

    @property
    def loss(self) -> float | None:
        """The estimated mean loss of the window's rows, in the loss's own unit: of rmse the mean squared error."""
        return self.risk * self.risk if self.risk is not None and self.metric == "rmse" else self.risk

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"label_shift": self.label_shift.as_json() if self.label_shift else None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EstimatedPerformance:
        shift = data.get("label_shift")
        return cls(**(dict(data) | {"label_shift": LabelShift.from_json(shift) if shift else None}))


@dataclass(frozen=True, slots=True)
class BesideEstimate:
    """What goes with a window's estimated losses.

    Attributes:
        earlier: the estimated mean loss of each day of the version that was judged before, oldest first, in the
            loss's own unit; None judges the window alone.
        roc_auc: from :func:`expected_roc_auc`, to be reported.
        label_shift: to be reported.
        pooled_rows: the rows of the newest of the earlier days, for a version whose typical day has too few for
            itself; 0 where a day must have rows enough alone.
        weights: ``(n,)`` of the window's rows, 0 or more; None where all count the same.
    """

    earlier: tuple[float, ...] | None = None
    roc_auc: float | None = None
    label_shift: LabelShift | None = None
    pooled_rows: int = 0
    weights: Floats | None = None


ALONE = BesideEstimate()


def judged_before(estimates: Iterable[EstimatedPerformance], min_rows: int) -> tuple[float, ...]:
    """The mean losses that count among the days before: of enough rows, and not void."""
    losses = (e.loss for e in estimates if not e.void and e.rows >= min_rows)
    return tuple(loss for loss in losses if loss is not None)


def least_rows_of_day(reference: EstimateReference | None, min_rows: int) -> int:
    """The rows from which on a day counts: ``min_rows``, or a third of the reference's typical day where that has fewer
    (:mod:`include.domain.risk_bounds` joins smaller days too).

    Days of a small model are as good as the reference's own, which have as few rows; that there are ``min_rows`` of
    them together is asked for apart.
    """
    rows = [d.rows for d in reference.days if d.rows] if reference is not None else []
    typical = float(np.median(rows)) if rows else math.inf
    return min_rows if typical >= min_rows else max(math.ceil(typical / 3), 1)


def rows_before(estimates: Iterable[EstimatedPerformance], least_rows: int, most_days: int) -> int:
    """The rows of the newest ``most_days`` estimates, given oldest first, that count among the days before."""
    newest = list(estimates)[-most_days:] if most_days > 0 else []
    return sum(e.rows for e in newest if not e.void and e.rows >= least_rows)


def outside_support(inputs: DriftVerdict, predictions: DriftVerdict) -> float:
    """The share of the model's inputs that the reference never had, 0 to 1.

    Rows outside a feature's range or with an unseen category, weighted by importance; or rows whose score no held-out
    row had, where those are more.
    """
    total = math.fsum(f.importance for f in inputs.features)
    weighted = math.fsum(f.importance * (f.outside_share + f.unseen_share) for f in inputs.features)
    scores = max((f.outside_share for f in predictions.features), default=0.0)
    return max(weighted / total if total else 0.0, scores)


def estimated_performance(
    reference: EstimateReference | None,
    losses: Floats,
    band: Band,
    *,
    min_rows: int = 300,
    outside_share: float = 0.0,
    outside_at_most: float = 0.1,
    beside: BesideEstimate = ALONE,
) -> EstimatedPerformance:
    """Judge the estimated losses of one window, of the length of the reference's days, against the reference; together
    with those of the days before it, where these are given.

    Args:
        reference: The version's; None when it has none.
        losses: Shape (n,): the estimated loss of each row.
        band: The band to keep: the tolerance is how much above an ordinary day's reach is still in band, and alpha the
            chance that a window like the reference's days is out of it. With days before it, ``run_length_days`` is
            how many days in its band a version serves on average before an alarm.
        min_rows: Fewest rows that are judged.
        outside_share: From :func:`outside_support`.
        outside_at_most: The share from which on the estimate is void, exclusive.
        beside: The days before, and what is reported with the estimate.
    """
    metric, tolerance, evidence = band.metric, band.tolerance, None
    usable = np.asarray(losses, dtype=np.float64)
    counts = np.isfinite(usable) if beside.weights is None else np.isfinite(usable) & (beside.weights > 0)
    usable, weights = usable[counts], None if beside.weights is None else beside.weights[counts]
    n = len(usable) if weights is None else counted_rows(weights)
    risk = mean_of(usable, weights) if len(usable) else None
    days = [d for d in reference.days if d.rows] if reference is not None else []
    usual = UsualWindow.of([d.estimated for d in days], [d.rows for d in days])
    high = usual.high(band.alpha, n, _variance(usable, weights)) if usual is not None and n else None
    void, out = False, None
    together, least = n + beside.pooled_rows, least_rows_of_day(reference, min_rows)
    root = math.sqrt if metric == "rmse" else float
    if reference is None:
        reason = f"{metric} was not estimated: the version keeps nothing to estimate it with. Train again."
    elif n < least or together < min_rows or risk is None:
        pool = f", {together} with the days before" if beside.pooled_rows and n >= least else ""
        wanted = min_rows if n >= least else least
        reason = f"{metric} was not estimated: {n} rows{pool}; at least {wanted} are needed."
    elif usual is None or high is None:
        had = count_of(len(days), "day")
        reason = f"{metric} was not estimated: the reference has {had}; at least {LEAST_WINDOWS} are needed."
    elif (why := _void(reference, tolerance, outside_share, outside_at_most)) is not None:
        void, reason = True, why
    elif beside.earlier is not None:
        out, evidence, reason = _over_days(reference, [*beside.earlier, risk], band)
    else:
        shown, bound = root(max(risk, 0.0)), root(max(high, 0.0))
        out = shown > bound + tolerance
        reason = (
            f"Estimated {'out of' if out else 'in'} band: {metric} {shown:.4g} on {n} rows without labels; a usual day "
            f"is estimated at up to {bound:.4g} on {len(reference.days)} reference days, tolerance {band.tolerated}."
        )
    if (shift := beside.label_shift) is not None and shift.shown and reference is not None:
        reason += f" {_shifted(shift, metric)}"
    return EstimatedPerformance(
        metric=metric,
        out_of_band=out,
        void=void,
        reason=reason,
        risk=None if risk is None else root(max(risk, 0.0)),
        usual=root(max(usual.mean, 0.0)) if usual else None,
        usual_high=None if high is None else root(max(high, 0.0)),
        tolerance=tolerance,
        rows=n,
        reference_rows=reference.rows if reference else 0,
        reference_days=len(reference.days) if reference else 0,
        bias=reference.bias if reference and reference.rows else None,
        skill=reference.skill if reference else None,
        outside_share=outside_share,
        roc_auc=beside.roc_auc,
        label_shift=beside.label_shift,
        evidence=evidence,
    )


def _variance(losses: Floats, weights: Floats | None) -> float:
    return mean_of((losses - mean_of(losses, weights)) ** 2, weights)


def _over_days(
    reference: EstimateReference, days: Sequence[float], band: Band
) -> tuple[bool | None, float | None, str]:
    """Whether the estimates have risen by more than the tolerance, by all days of the version so far."""
    root = math.sqrt if band.metric == "rmse" else float
    past = [d.estimated for d in reference.days if d.rows]
    usual = float(np.mean(past))
    shift = (root(max(usual, 0.0)) + band.tolerance) ** 2 - usual if band.metric == "rmse" else band.tolerance
    found = rise(past, np.asarray(days) - shift, run_length_days=band.run_length_days)
    if found.alarm is None:
        had = f"{count_of(len(days), 'day')} of this version and {count_of(len(past), 'reference day')}"
        why = f"{band.metric} was not judged without labels: {had}; {LEAST_DAYS} and {LEAST_REFERENCE_DAYS} are needed."
        return None, None, why
    shown, newest = root(max(usual, 0.0)), root(max(days[-1], 0.0))
    # Evidence of days that have passed is no alarm of today.
    out = found.alarm and newest > shown + band.tolerance
    verdict = (
        f"Estimated {'out of' if out else 'in'} band: {band.metric} {newest:.4g} on rows without labels, {shown:.4g} "
        f"is usual, tolerance {band.tolerated}; by {count_of(len(days), 'day')} together, one alarm in "
        f"{band.run_length_days:g} days at most while nothing changes."
    )
    return out, found.log_evidence, verdict


def _shifted(shift: LabelShift, metric: str) -> str:
    most = int(np.argmax(np.abs(np.asarray(shift.shares) - shift.usual)))
    share = f"class {most} would be {shift.shares[most]:.1%} instead of {shift.usual[most]:.1%}"
    return f"Were only the classes' shares to have changed, {share}, and {metric} {shift.risk:.4g}."


def _void(reference: EstimateReference, tolerance: float, outside: float, outside_at_most: float) -> str | None:
    metric = reference.metric
    if outside > outside_at_most:
        return (
            f"The estimate of {metric} is void: {outside:.1%} of what the model reads is outside the reference's "
            f"support; {outside_at_most:.1%} is allowed."
        )
    # A squared loss is compared with the tolerance as it moves its root: 2 * rmse * tolerance, to first order.
    unit = 2 * math.sqrt(max(reference.realised, 0.0)) if metric == "rmse" else 1.0
    allowed = max(tolerance * unit, BIAS_OF_RISK * abs(reference.realised))
    if abs(reference.bias) > allowed:
        return (
            f"The estimate of {metric} is void: it is not calibrated. On held-out days it was off by "
            f"{reference.bias:+.4g} from {reference.realised:.4g}; {allowed:.4g} is allowed."
        )
    if reference.skill < LEAST_SKILL:
        return (
            f"The estimate of {metric} is void: on held-out rows it told bad ones from good ones no better than chance "
            f"(correlation {reference.skill:.2g}; at least {LEAST_SKILL:g} is needed)."
        )
    return None


@dataclass(frozen=True, slots=True)
class UsualWindow:
    """Mean and standard deviation over the reference's windows of the mean loss of one."""

    mean: float
    sd: float
    k: int
    rows: float

    @classmethod
    def of(cls, means: Sequence[float], rows: Sequence[int]) -> UsualWindow | None:
        """None with too few windows to estimate how they vary."""
        if len(means) < LEAST_WINDOWS:
            return None
        # As scipy.stats.hmean, whose checks of its arguments take 6 % of a simulated day.
        harmonic = len(rows) / math.fsum(1 / n for n in rows)
        return cls(float(np.mean(means)), float(np.std(means, ddof=1)), len(means), harmonic)

    def high(self, alpha: float, rows: int, variance: float) -> float:
        """The prediction interval's upper end; a window of fewer rows than the reference's varies more by chance.

        Args:
            alpha: The chance that a window like these lies above it.
            rows: Rows of the window.
            variance: Of one row's loss within it.
        """
        chance = max(variance * (1 / rows - 1 / self.rows), 0.0)
        width = math.sqrt(self.sd**2 * (1 + 1 / self.k) + chance)
        return float(self.mean + stats.t.isf(alpha, self.k - 1) * width)
