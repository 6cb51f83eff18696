"""Has the daily loss risen, and since which day? An e-detector, whose power does not fade with the champion's age.

A sequence starts on every day. Each compares the days from its start with the reference by an e-process: evidence that
has mean at most 1 while nothing rose. The detector is their **sum**, and alarms where it reaches the declared run
length. Without a change the sum grows by at most 1 a day on average, so an alarm is on average no earlier than after
that many days (Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection",
2022, theorem 2.4). A start today has the same weight as one of two years ago, so power does not fade with age. The
change point is the start whose evidence is largest.

Three things are done because days are not independent normal draws:

- **Days resemble their neighbours.** With lag-1 correlation r a day is worth (1 - r) / (1 + r) of an independent one.
  r is estimated on the reference and drawn towards ``PRIOR_LAG`` while the reference is short.
- **Days are skewed.** A day counts as at most half as far again above the median as the worst day of the reference, or
  four standard deviations where that is more, so that no single catastrophe is an alarm; a rise that stays is one after
  a few days.
- **The reference grows.** Days of the model older than ``STARTS`` days join it, unless they are themselves an alarm.

The tests hold it to at most one alarm a year on quiet independent, dependent, log-normal and t3 days, and its power at
two years of age to nine tenths of a new champion's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from include.domain.drift.sequences import t_bound

Floats = NDArray[np.float64]

PRIOR_LAG = 0.3
PRIOR_DAYS = 14
"""How many reference days the prior lag weighs as much as."""
WORST = 1.5
"""How far above the reference's median a day may count, in distances of its worst day."""
WORST_SPREADS = 4.0
"""The same in standard deviations, where that is farther: a reference may have no bad day yet."""
SCALE = 2.0
"""The rise that the test is tuned for, in standard deviations between days."""
STARTS = 60
"""The newest days, on each of which a rise may have begun; older days were judged while they were new."""
LEAST_REFERENCE_DAYS = 5
LEAST_DAYS = 2


@dataclass(frozen=True, slots=True)
class Rise:
    """The result of the test.

    Attributes:
        alarm: whether the evidence reached the run length; None where there were too few days to say.
        log_evidence: the logarithm of the summed evidence; minus infinity without a day.
        since: the position in ``current`` of the likeliest first day of the rise; None where nothing was judged.
        lag: the lag-1 correlation that was allowed for.
        effective_days: the equivalent number of independent days of the reference.
        shown: the position of the first day that the next four are about: ``since`` in an alarm, else the first day
            that did not join the reference.
        usual: the mean of the reference, of what joined it too; NaN where nothing was judged.
        mean: of the days from ``shown`` on, each counted as far as it may; NaN where nothing was judged.
        half: how far from ``usual`` that mean must lie to be an alarm; infinite where no distance is enough.
        share: which part of ``half`` is the current days' own uncertainty; the rest is the reference's.
    """

    alarm: bool | None
    log_evidence: float
    since: int | None
    lag: float
    effective_days: float
    shown: int = 0
    usual: float = math.nan
    mean: float = math.nan
    half: float = math.inf
    share: float = 0.5


def rise(reference: Sequence[float] | Floats, current: Sequence[float] | Floats, *, run_length_days: float) -> Rise:
    """Compare the current days with the reference's; valid at any time.

    Args:
        reference: The mean loss of each reference day, in order; days the model did not learn from.
        current: The mean loss of each day since, in order.
        run_length_days: How many quiet days there are on average before a false alarm, more than 1.

    >>> quiet, risen = [0.10, 0.12, 0.11, 0.13, 0.09] * 6, [0.11, 0.10] + [0.16, 0.17] * 4
    >>> found = rise(quiet, risen, run_length_days=365)
    >>> found.alarm, found.since
    (True, 2)
    >>> rise(quiet[:3], risen, run_length_days=365).alarm is None
    True
    """
    past, now = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    lag = lag_of(past)
    worth = (1 - lag) / (1 + lag)
    if len(past) < LEAST_REFERENCE_DAYS or len(now) < LEAST_DAYS:
        return Rise(None, -math.inf, None, lag, worth * len(past))
    old = len(now) - STARTS
    if old >= LEAST_DAYS and not _alarms(rise_evidence(past, now[:old], worth), run_length_days):
        past, now = np.concatenate([past, now[:old]]), now[old:]
    else:
        old = 0
    evidence = rise_evidence(past, now, worth)
    total, since = float(np.logaddexp.reduce(evidence)), int(np.argmax(evidence))
    alarm = _alarms(evidence, run_length_days)
    shown = since if alarm else 0
    usual, mean, half, share = _bounds(past, now[shown:], worth, math.log(run_length_days) - total + evidence[shown])
    return Rise(
        alarm=alarm,
        log_evidence=total,
        since=old + since,
        lag=lag,
        effective_days=worth * len(past),
        shown=old + shown,
        usual=usual,
        mean=mean,
        half=half,
        share=share,
    )


def _alarms(evidence: Floats, run_length_days: float) -> bool:
    return float(np.logaddexp.reduce(evidence)) >= math.log(run_length_days)


def _bounds(reference: Floats, current: Floats, worth: float, needed: float) -> tuple[float, float, float, float]:
    """Mean of the reference, mean of the days, and the distance between them at which their own log evidence is
    ``needed``, with the days' share of it."""
    k, n = len(reference), len(current)
    days, usual = _counted(reference, current), float(reference.mean())
    mean = float(days.mean())
    pooled = float(((days - mean) ** 2).sum() + ((reference - usual) ** 2).sum()) / (k + n - 2)
    effective = worth / (1 / k + 1 / n)
    far = t_bound(max(worth * (k + n) - 2, 1.0), effective, SCALE, math.exp(-needed)) if needed > 0 else 0.0
    return usual, mean, far * math.sqrt(max(pooled, 1e-300) / effective), k / (k + n)


def _counted(reference: Floats, current: Floats) -> Floats:
    """The days, none of them farther above the reference's median than a day may count."""
    middle = float(np.median(reference))
    worst = max(WORST * (float(reference.max()) - middle), WORST_SPREADS * float(reference.std(ddof=1)))
    # Days that are all equal say nothing of how bad a day may be.
    farthest = worst if worst > 1e-9 * abs(middle) else math.inf
    return np.minimum(current, middle + farthest)


def lag_of(days: Floats) -> float:
    """The lag-1 correlation, at least 0 and at most 0.9, corrected for its bias on few days (Kendall 1954) and drawn
    towards the prior.

    >>> round(lag_of(np.zeros(0)), 2)
    0.3
    """
    n = len(days)
    apart = days - days.mean() if n else days
    squares = float((apart * apart).sum())
    if n < 4 or squares <= n * (1e-9 * float(days.mean())) ** 2:
        return PRIOR_LAG
    found = float((apart[1:] * apart[:-1]).sum()) / squares
    found += (1 + 4 * max(found, 0.0)) / n
    return (min(max(found, 0.0), 0.9) * n + PRIOR_LAG * PRIOR_DAYS) / (n + PRIOR_DAYS)


def rise_evidence(reference: Floats, current: Floats, worth: float) -> Floats:
    """``(days,)``: the logarithm of the evidence that the mean rose on each day of ``current`` and stayed up.

    The evidence is that of :func:`include.domain.drift.sequences.t_evidence`, in one pass for all starts.

    Args:
        reference: ``(k,)``.
        current: ``(n,)``.
        worth: the number of independent days that one day is equivalent to, in (0, 1].
    """
    k = len(reference)
    days = _counted(reference, current)
    n = np.arange(len(days), 0, -1).astype(float)
    total, squares = np.cumsum(days[::-1])[::-1], np.cumsum((days * days)[::-1])[::-1]
    mean, usual = total / n, float(reference.mean())
    spread = np.maximum(squares - total * total / n, 0.0) + float(((reference - usual) ** 2).sum())
    variance = np.maximum(spread / (k + n - 2), 1e-300)
    freedom = np.maximum(worth * (k + n) - 2, 1.0)
    effective = worth / (1 / k + 1 / n)
    t = (mean - usual) / np.sqrt(variance / effective)
    tau = SCALE * np.sqrt(effective)
    correlation = t / np.sqrt(t * t + freedom) * tau / np.sqrt(1 + tau * tau)
    left = 1 - correlation * correlation
    below = special.stdtr(freedom + 1, np.sqrt(freedom + 1) * correlation / np.sqrt(left))
    with np.errstate(divide="ignore"):
        halves = np.log(below)
    fit = (freedom + 1) / 2 * np.log1p(-correlation * correlation)
    return np.asarray(math.log(2) - 0.5 * np.log1p(tau * tau) - fit + halves, dtype=np.float64)


def expected_loss(metric: str, predictions: Floats) -> Floats | None:
    """``(rows,)``: each row's loss on average, were the predicted probabilities true ones; None for numbers.

    A day's mean loss less its expected one is the day's evidence about the *model*: hard rows are hard for every model
    and the probabilities say how hard. It is the control variate of the realised loss that the estimate of performance
    without labels gives for nothing.

    Args:
        metric: ``brier``, ``log_loss`` or ``error``, as in :func:`include.domain.losses.row_losses`.
        predictions: ``(rows,)`` the positive class's probability, or ``(rows, classes)``.

    >>> [expected_loss(m, np.array([0.2])).round(3).tolist() for m in ("brier", "log_loss", "error")]
    [[0.16], [0.5], [0.2]]
    """
    p = predictions if predictions.ndim == 2 else np.column_stack([1 - predictions, predictions])
    if metric == "brier":
        found = (1 - (p * p).sum(axis=1)) / 2
        return np.asarray(found, dtype=np.float64)
    if metric == "log_loss":
        return np.asarray(special.entr(p).sum(axis=1), dtype=np.float64)
    if metric == "error":
        return np.asarray(1 - p.max(axis=1), dtype=np.float64)
    return None
