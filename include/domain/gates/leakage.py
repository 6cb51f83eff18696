"""Leakage: signs that the features contain what is not known when the prediction is asked for.

Three signs, each naming what it found: a feature that alone predicts the label implausibly well, a feature that was
available only after the prediction time, and training rows that are in the holdout again. Judged before anything is
fitted: a leak makes every later figure too good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from include.domain.errors import Refusal
from include.domain.metrics import Floats, Ints, Task, as_floats, roc_auc
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound

BINS = 32
"""Equal-mass bins of a number, for relations that are not monotone."""
_NAMED = 5


class NoFeatures(Refusal, ValueError):
    """Features of another number of rows than the labels."""

    def __init__(self, name: str, rows: int, expected: int) -> None:
        super().__init__(f"Feature {name!r} has {rows} rows, the labels {expected}; they must be of the same rows.")


@dataclass(frozen=True, slots=True)
class LeakageRules:
    """The bounds of the leakage tests.

    Attributes:
        auc_at_most: area under the curve one feature alone may reach (classifiers).
        r2_at_most: share of the label's variance one feature alone may explain (regression).
        known_strong: features that a person has reviewed; they are shown and not judged.
        entities_may_repeat: whether an entity may be on both sides of the split, at different times.
        min_rows: fewest rows on which a feature's strength means anything.
    """

    auc_at_most: float = 0.99
    r2_at_most: float = 0.99
    known_strong: tuple[str, ...] = ()
    entities_may_repeat: bool = True
    min_rows: int = 200


@dataclass(frozen=True, slots=True)
class Availability:
    """When features were known. ``late`` counts by feature the rows whose available time is after the prediction time;
    ``by_most`` says by how much at most; ``rows`` is how many were checked."""

    rows: int
    late: Mapping[str, int]
    by_most: Mapping[str, timedelta] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Split:
    """How training window and holdout are separated: the latest event time of the one, the earliest of the other, the
    rows (same keys, same event time) and the entities (same keys) that are in both."""

    train_ends: datetime
    holdout_starts: datetime
    shared_rows: int
    shared_entities: int
    holdout_rows: int


def leakage_gate(
    rules: LeakageRules,
    task: Task,
    y: ArrayLike,
    features: Mapping[str, ArrayLike],
    availability: Availability | None,
    split: Split | None,
    *,
    mode: Mode = Mode.BLOCKING,
) -> GateResult:
    """Judge a training set.

    Args:
        rules: what was declared.
        task: what the label is.
        y: training labels, ``(n,)``, as in ``metrics``.
        features: by name the training values, ``(n,)``: numbers, texts or booleans, missing values included. A data
            frame is one.
        availability: None when it was not measured, which is INCONCLUSIVE.
        split: None when it was not measured, which is INCONCLUSIVE.
        mode: blocking or advisory.

    Raises:
        NoFeatures: a feature is not of the same rows.
    """
    labels = as_floats("y", y)
    strengths = {name: strength(task, labels, features[name]) for name in features}
    criteria = (_implausible(rules, task, labels, strengths), _too_late(availability), *_overlap(rules, split))
    strongest = sorted(((n, s) for n, s in strengths.items() if s is not None), key=lambda item: -item[1])
    notes: dict[str, Any] = {
        "strongest alone": {name: round(s, 4) for name, s in strongest[: 2 * _NAMED]},
        "known strong": [name for name in rules.known_strong if name in strengths],
    }
    return GateResult("leakage_gate", mode, criteria, notes)


def strength(task: Task, y: Floats, values: ArrayLike) -> float | None:
    """How well the feature alone predicts the label; None when labels or rows do not allow a measurement.

    For a classifier the area under the curve, 0.5 to 1; for regression the share of variance explained, 0 to 1.

    The best of several simple ways is taken: by rank with missing values last and first, and by the mean label of the
    feature's values or bins in the other half of the rows, so that an identifier of every row explains nothing.

    Raises:
        NoFeatures: the feature is not of the same rows.

    >>> y = np.tile([0.0, 1.0], 50)
    >>> strength(Task.BINARY, y, y * 3), strength(Task.BINARY, y, np.where(y == 1, None, 1.0))
    (1.0, 1.0)
    """
    series = values.reset_index(drop=True) if isinstance(values, pd.Series) else pd.Series(np.asarray(values))
    if len(series) != len(y):
        raise NoFeatures(str(series.name), len(series), len(y))
    if len(y) < 4 or not np.isfinite(y).all() or len(np.unique(y)) < 2:
        return None
    numbers = _numbers(series)
    codes = _codes(series) if numbers is None else _bins(numbers)
    if task is Task.REGRESSION:
        return max([0.0, _explained(y, _means_elsewhere(codes, y)), *_correlations(y, numbers)])
    found: list[float] = []
    for target in np.unique(y)[1:] if len(np.unique(y)) == 2 else np.unique(y):
        positive = (y == target).astype(np.float64)
        tried = [_means_elsewhere(codes, positive)]
        if numbers is not None:
            missing = np.isnan(numbers)
            tried += [np.where(missing, end, numbers) for end in (-np.inf, np.inf)] if missing.any() else [numbers]
        areas = [roc_auc(positive, score) for score in tried]
        found += [max(area, 1 - area) for area in areas]
    return max(found)


def late_rows(available: ArrayLike, prediction: ArrayLike) -> tuple[int, timedelta]:
    """How many rows became available after their prediction was made, and by how much at most; a missing available time
    is a feature that was not there, which is not late."""
    lateness = pd.Series(pd.to_datetime(np.asarray(available), utc=True)) - pd.Series(
        pd.to_datetime(np.asarray(prediction), utc=True)
    )
    late = lateness[lateness > pd.Timedelta(0)]
    return len(late), late.max().to_pytimedelta() if len(late) else timedelta(0)


def split_of(
    train: pd.DataFrame, holdout: pd.DataFrame, keys: list[str], event_time: str = "event_time"
) -> Split | None:
    """How two sets of rows are separated; None when one of them is empty."""
    if train.empty or holdout.empty:
        return None
    whole = [*keys, event_time]
    return Split(
        train_ends=train[event_time].max().to_pydatetime(),
        holdout_starts=holdout[event_time].min().to_pydatetime(),
        shared_rows=len(holdout[whole].merge(train[whole].drop_duplicates(), on=whole)),
        shared_entities=len(holdout[keys].drop_duplicates().merge(train[keys].drop_duplicates(), on=keys)),
        holdout_rows=len(holdout),
    )


# --- the strength of one feature -------------------------------------------------------------------------------------


def _numbers(series: pd.Series[Any]) -> Floats | None:
    """The values as floats, missing as NaN; None where they are no numbers."""
    if not pd.api.types.is_numeric_dtype(series.dtype):
        return None
    found: Floats = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return found


def _codes(series: pd.Series[Any]) -> Ints:
    """A code for each distinct value, missing values having one too."""
    return pd.factorize(series)[0].astype(np.intp) + 1


def _bins(numbers: Floats) -> Ints:
    """Equal-mass bins from 1, few distinct numbers each their own; 0 is missing."""
    known = ~np.isnan(numbers)
    codes = np.zeros(len(numbers), dtype=np.intp)
    distinct, place = np.unique(numbers[known], return_inverse=True)
    if len(distinct) > BINS:
        middle = (rankdata(numbers[known]) - 0.5) / int(known.sum())
        place = (middle * BINS).astype(np.intp)
    codes[known] = place + 1
    return codes


def _means_elsewhere(codes: Ints, y: Floats) -> Floats:
    """For each row the mean label of its code in the half of the rows it is not in; the mean of all for a new code."""
    half = np.random.default_rng(0).permutation(len(y)) % 2 == 0
    count, score = int(codes.max()) + 1, np.full(len(y), float(y.mean()))
    for learned, used in ((half, ~half), (~half, half)):
        rows = np.bincount(codes[learned], minlength=count)
        sums = np.bincount(codes[learned], y[learned], count)
        means = np.divide(sums, rows, out=np.full(count, y[learned].mean()), where=rows > 0)
        score[used] = means[codes[used]]
    return score


def _explained(y: Floats, predicted: Floats) -> float:
    return float(1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2))


def _correlations(y: Floats, numbers: Floats | None) -> list[float]:
    """The squared correlation of values and of ranks over the rows with a value, as a share of the whole variance."""
    if numbers is None:
        return []
    known: NDArray[np.bool_] = np.isfinite(numbers)
    if int(known.sum()) < 4:
        return []
    found = []
    whole = float(np.sum((y - y.mean()) ** 2))
    x, target = numbers[known], y[known]
    share = float(np.sum((target - target.mean()) ** 2)) / whole
    for first, second in ((x, target), (rankdata(x), rankdata(target))):
        first, second = first - first.mean(), second - second.mean()
        scale = float(np.sum(first**2) * np.sum(second**2))
        if np.isfinite(scale) and scale > 0:
            found.append(min(1.0, float(np.sum(first * second)) ** 2 / scale) * min(share, 1.0))
    return found


# --- judging ---------------------------------------------------------------------------------------------------------


def _implausible(rules: LeakageRules, task: Task, y: Floats, strengths: Mapping[str, float | None]) -> CriterionResult:
    regression = task is Task.REGRESSION
    bound = rules.r2_at_most if regression else rules.auc_at_most
    name = f"one feature's {'r2' if regression else 'roc_auc'}"
    judged = {n: s for n, s in strengths.items() if n not in rules.known_strong and s is not None}
    unknown = len(judged) < len(set(strengths) - set(rules.known_strong))
    strongest = max(judged.items(), key=lambda item: item[1], default=(None, None))
    value = None if unknown else strongest[1]
    if strengths and not judged and not unknown:
        value = 0.0  # every feature was reviewed by a person
    result = against_bound(name, value, Direction.AT_MOST, bound, rows=len(y), min_rows=rules.min_rows)
    if result.verdict is Verdict.INCONCLUSIVE:
        if not strengths:
            return _unmeasured(name, "there are no features", result.allowed, len(y))
        return result if len(y) < rules.min_rows else _unmeasured(name, _why(y), result.allowed, len(y))
    if result.verdict is Verdict.PASS:
        return result
    leaks = sorted(((n, s) for n, s in judged.items() if s > bound), key=lambda item: -item[1])
    named = ", ".join(f"{n} ({s:.4f})" for n, s in leaks[:_NAMED])
    more = f" and {len(leaks) - _NAMED} more" if len(leaks) > _NAMED else ""
    what = "explains the label" if regression else "tells the classes apart"
    reason = (
        f"Alone, {named}{more} {what} beyond {bound:g} on {len(y):,} rows, which looks like the label itself. "
        "If it is honest, name it in known_strong."
    )
    return replace(result, reason=reason)


def _why(y: Floats) -> str:
    missing = len(y) - int(np.isfinite(y).sum())
    if missing:
        return f"{missing:,} of {len(y):,} labels are missing or infinite"
    return "all labels are the same"


def _too_late(availability: Availability | None) -> CriterionResult:
    name = "features from after the prediction"
    if availability is None or not availability.late:
        return _unmeasured(name, "no available times were looked at", "<= 0", 0)
    late = {n: count for n, count in availability.late.items() if count > 0}
    result = against_bound(name, len(late), Direction.AT_MOST, 0, rows=availability.rows)
    if result.verdict is not Verdict.FAIL:
        return result
    named = ", ".join(
        f"{n} ({count:,} rows{f', by up to {availability.by_most[n]}' if n in availability.by_most else ''})"
        for n, count in sorted(late.items(), key=lambda item: -item[1])[:_NAMED]
    )
    more = f" and {len(late) - _NAMED} more" if len(late) > _NAMED else ""
    return replace(result, reason=f"The available time is after the prediction time in {named}{more}.")


def _overlap(rules: LeakageRules, split: Split | None) -> list[CriterionResult]:
    if split is None:
        return [_unmeasured("overlap of training and holdout", "the split was not looked at", "none", 0)]
    rows = split.holdout_rows
    shared = against_bound("training rows in the holdout", split.shared_rows, Direction.AT_MOST, 0, rows=rows)
    if shared.verdict is Verdict.FAIL:
        shared = replace(
            shared,
            reason=f"{split.shared_rows:,} of {rows:,} held-out rows were trained on: same keys, same event time.",
        )
    apart = split.train_ends < split.holdout_starts
    order = CriterionResult(
        criterion="training ends before the holdout",
        verdict=Verdict.PASS if apart else Verdict.FAIL,
        measured=None,
        allowed="train < holdout",
        rows=rows,
        reason=f"The newest training row is of {split.train_ends.isoformat()}, the oldest held-out row of "
        f"{split.holdout_starts.isoformat()}" + ("." if apart else ": the candidate saw the days it is judged on."),
    )
    found = [shared, order]
    if not rules.entities_may_repeat:
        entities = against_bound("entities on both sides", split.shared_entities, Direction.AT_MOST, 0, rows=rows)
        if entities.verdict is Verdict.FAIL:
            reason = f"{split.shared_entities:,} entities are in training and in the holdout: they can be recognised."
            entities = replace(entities, reason=reason)
        found.append(entities)
    return found


def _unmeasured(criterion: str, why: str, allowed: str, rows: int) -> CriterionResult:
    return CriterionResult(
        criterion=criterion,
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed=allowed,
        rows=rows,
        reason=f"{criterion} could not be measured: {why}; that is no evidence.",
    )
