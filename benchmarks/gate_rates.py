"""``make bench B=gate_rates``: how often the champion gate errs, as a table, and one JSON line.

Candidates that are worse by exactly the margin, on days that resemble their neighbours, are skewed or have rare large
losses: the share of them that passes, by Student's t over days (the bound of docs/adr/0004) and by the gate's own; and
how often a candidate that is better by 2 % is seen to be. The value is the largest share in units of its promise
(docs/adr/0038), the limit is 1 plus what so many holdouts explain by chance. ``ARGS="--times 4000"`` asks for more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit
from scipy.stats import binom

from benchmarks._common import own_peak_mb, report
from include.domain.attempts import parts_of
from include.domain.comparison import PairedScores, compare
from include.domain.metrics import Task

Floats = NDArray[np.float64]
ALPHA, GAIN_ALPHA, ROWS_A_DAY = 0.05, 0.1, 200
MARGIN, DAY, ROW = 3.1, 3.8, 20.0
"""In percent of the Brier score, as on flights: the margin, and the standard deviations between days and rows."""


def noise(rng: np.random.Generator, days: int, lag: float, kind: str) -> Floats:
    """``(days,)`` with mean 0 and, t3 apart, variance 1."""
    z = rng.standard_normal(days)
    for i in range(1, days):
        z[i] = lag * z[i - 1] + np.sqrt(1 - lag * lag) * z[i]
    if kind in ("skewed", "bursts"):
        exponential: Floats = -np.log(ndtr(-z)) - 1
        return exponential if kind == "skewed" else -exponential
    if kind == "t3":
        return z / np.sqrt(rng.chisquare(3, days))
    if kind == "weekly":
        return z + np.sin(2 * np.pi * (np.arange(days) + rng.integers(0, 7)) / 7)
    return z


def rows_of(rng: np.random.Generator, by_day: Floats, kind: str) -> tuple[Floats, NDArray[np.intp]]:
    """How much worse the candidate is on each row, and the rows' days."""
    day = np.repeat(np.arange(len(by_day)), ROWS_A_DAY)
    each = by_day[day] + ROW * rng.standard_normal(len(day))
    if kind == "catastrophes":
        each += 1000.0 * (rng.random(len(day)) < 0.001) - 1.0
    return each, day


def upper(worse: Floats, day: NDArray[np.intp], alpha: float) -> float:
    """The gate's bound of the mean difference, as a regression's absolute error."""
    paired = PairedScores(Task.REGRESSION, np.zeros(len(worse)), 5000 + worse, np.full(len(worse), 5000.0), day)
    high = compare(paired, "mae", alpha=alpha).high
    return np.inf if high is None else high


def former_upper(worse: Floats, day: NDArray[np.intp], alpha: float) -> float:
    """Student's t over the means of days of equal size."""
    means = np.bincount(day, worse) / np.bincount(day)
    n = len(means)
    return float(means.mean() + stdtrit(n - 1, 1 - alpha) * means.std(ddof=1) / np.sqrt(n))


@dataclass(frozen=True, slots=True)
class DayWorld:
    """Days of one kind, and the share of margin-worse candidates that may pass; None where nothing is promised."""

    name: str
    days: int
    lag: float
    kind: str
    promised: float | None


WORLDS = (
    DayWorld("independent", 14, 0.0, "normal", 0.05),
    DayWorld("lag .3", 14, 0.3, "normal", 0.06),
    DayWorld("lag .3, 28 days", 28, 0.3, "normal", 0.06),
    DayWorld("lag .3, 5 days", 5, 0.3, "normal", 0.06),
    DayWorld("lag .5", 14, 0.5, "normal", 0.08),
    DayWorld("lag .5, 5 days", 5, 0.5, "normal", 0.08),
    DayWorld("weekly", 14, 0.0, "weekly", 0.05),
    DayWorld("skewed", 14, 0.0, "skewed", 0.075),
    DayWorld("skewed, lag .3", 14, 0.3, "skewed", 0.075),
    DayWorld("bursts", 14, 0.0, "bursts", 0.05),
    DayWorld("t3 days", 14, 0.0, "t3", 0.075),
    DayWorld("catastrophes 1:1000", 14, 0.0, "catastrophes", 0.075),
    DayWorld("lag .7", 14, 0.7, "normal", None),
)
BOUNDS: tuple[Callable[[Floats, NDArray[np.intp], float], float], ...] = (former_upper, upper)


def passes(world: DayWorld, times: int) -> list[float]:
    """The share of candidates worse by the margin that pass, by the former bound and by the gate's."""
    found, rng = np.zeros(2), np.random.default_rng([7, world.days, int(10 * world.lag), len(world.kind)])
    spread = 0.2 if world.kind == "catastrophes" else DAY
    for _ in range(times):
        by_day = MARGIN + spread * noise(rng, world.days, world.lag, world.kind)
        worse, day = rows_of(rng, by_day, world.kind)
        found += [bound(worse, day, ALPHA) <= MARGIN for bound in BOUNDS]
    return [float(f) for f in found / times]


def seen(days: int, lag: float, kind: str, times: int) -> list[float]:
    """How often a candidate better by 2 % is seen to be better: former bound, the gate's at alpha, at the gain's."""
    found, rng = np.zeros(3), np.random.default_rng([8, days, int(10 * lag), len(kind)])
    for _ in range(times):
        worse, day = rows_of(rng, -2.0 + DAY * noise(rng, days, lag, kind), kind)
        found += [former_upper(worse, day, ALPHA) < 0, upper(worse, day, ALPHA) < 0, upper(worse, day, GAIN_ALPHA) < 0]
    return [float(f) for f in found / times]


def weekly_year(times: int) -> list[float]:
    """How often a margin-worse recipe, judged every week of a year on the newest fortnight, passes at least once: with
    alpha for each holdout, as no two are the same, by the former bound and by the gate's; and as the gate shares alpha
    among attempts on days that overlap, with a lag-1 correlation of .2 and of .5."""
    found, rng = np.zeros(4), np.random.default_rng(9)
    for _ in range(times):
        weeks, alike = (_weeks(rng, lag) for lag in (0.2, 0.5))
        found[:2] += [any(bound(*rows, ALPHA) <= MARGIN for rows in weeks) for bound in BOUNDS]
        found[2:] += [
            any(upper(*rows, ALPHA / parts_of(k)) <= MARGIN for k, rows in enumerate(of, 1)) for of in (weeks, alike)
        ]
    return [float(f) for f in found / times]


def _weeks(rng: np.random.Generator, lag: float) -> list[tuple[Floats, NDArray[np.intp]]]:
    by_day = MARGIN + DAY * noise(rng, 14 + 7 * 51, lag, "normal")
    return [rows_of(rng, by_day[7 * w : 7 * w + 14], "normal") for w in range(52)]


def series(times: int) -> list[float]:
    """How often 26 journeys of candidates, each worse than its champion by 0.4 margins, end beyond the margin: by the
    former bound, by the gate's, and by the gate's with the anchor."""
    found, rng = np.zeros(3), np.random.default_rng(10)
    for _ in range(times):
        found[2] += _crept(rng, 0.4) > 1
        promoted = np.zeros(2)
        for _ in range(26):
            rows = rows_of(rng, 0.4 * MARGIN + DAY * noise(rng, 14, 0.2, "normal"), "normal")
            promoted += [bound(*rows, ALPHA) <= MARGIN for bound in BOUNDS]
        found[:2] += 0.4 * promoted > 1
    return [float(f) for f in found / times]


def _crept(rng: np.random.Generator, step: float) -> float:
    """How many margins worse than the first champion the last of a series is, with the anchor as the gate counts it.
    The difference to the anchor has half of its days' noise in common with that to the champion."""
    level = anchor = 0.0
    judged: int | None = None
    for _ in range(26):
        days, other = (noise(rng, 14, 0.2, "normal") for _ in range(2))
        worse = upper(*rows_of(rng, step * MARGIN + DAY * days, "normal"), ALPHA)
        moves = worse < 0
        passes = worse <= MARGIN
        if judged is not None:
            judged += 1
            apart = (level + step - anchor) * MARGIN + DAY * (0.5 * days + np.sqrt(0.75) * other)
            from_anchor = upper(*rows_of(rng, apart, "normal"), ALPHA / judged)
            passes, moves = passes and from_anchor <= MARGIN, from_anchor < 0
        if passes:
            level += step
            anchor, judged = (level, None) if moves else (anchor, judged or 0)
    return level


def main() -> None:
    asked = argparse.ArgumentParser(prog="gate_rates", description=__doc__)
    asked.add_argument("--times", type=int, default=1000, help="holdouts of each world; default 1000")
    times = asked.parse_args().times
    worst = 0.0
    print("worse by the margin, passes in percent: former | now | promised", file=sys.stderr)
    for world in WORLDS:
        former, now = passes(world, times)
        promised = "-" if world.promised is None else f"{100 * world.promised:g}"
        print(f"{world.name:22} {100 * former:5.1f} | {100 * now:5.1f} | {promised}", file=sys.stderr)
        worst = max(worst, now / world.promised if world.promised else 0.0)
    print("better by 2 %, seen in percent: former | now | now, as a gain", file=sys.stderr)
    power = {}
    for days, lag, kind in ((14, 0.0, "normal"), (14, 0.2, "normal"), (14, 0.0, "bursts"), (28, 0.2, "normal")):
        found = seen(days, lag, kind, times)
        power[f"{days} days, lag {lag:g}, {kind}"] = found[2]
        print(f"{days} days, lag {lag:g}, {kind:8} " + " | ".join(f"{100 * f:5.1f}" for f in found), file=sys.stderr)
    chains = {"weekly for a year": weekly_year(max(times // 5, 20)), "26 slightly worse": series(max(times // 5, 20))}
    print(
        "at least once, in percent: former | now | with shared alpha (weekly: also at lag .5), or with the anchor",
        file=sys.stderr,
    )
    for name, found in chains.items():
        print(f"{name:22} " + " | ".join(f"{100 * f:5.1f}" for f in found), file=sys.stderr)
    report(
        "gate_rates",
        worst,
        "of the promised share, in the worst world",
        float(binom.ppf(0.999, times, 0.05) / times / 0.05),
        own_peak_mb(),
        times=times,
        least_power=min(power.values()),
        weekly_year=chains["weekly for a year"][2],
        slightly_worse=chains["26 slightly worse"][2],
    )


if __name__ == "__main__":
    main()
