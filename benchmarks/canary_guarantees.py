"""``make bench B=canary_guarantees``: how often and how fast a canary is rolled back, as a table, and one JSON line.

Equal canaries that are looked at 2,000 times in 200,000 requests, by failures and slow answers together; clients that
repeat what failed; canaries with more failures; shares that are not as declared. The value is the median number of
requests after which 5 % failures beside 0.1 % are seen at a share of 5 %, the limit is what is promised: 1,100.
``ARGS="--times 4000"`` asks for more.
"""

from __future__ import annotations

import argparse
import math
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks._common import own_peak_mb, report
from include.domain.canary.counts import RolloutCounts
from include.domain.canary.harm import harm_evidences
from include.domain.canary.live_rows import LiveRow, ModelAnswer
from include.domain.canary.mismatch import mismatch_evidences
from include.domain.canary.plan import CanaryPlan, CanaryStep
from include.domain.canary.stretches import Stretch
from include.domain.canary.units import PPM
from include.domain.canary.wires import Wire
from include.domain.gates.canary import Following, guarded

FAILURES, SLOW, MISMATCH = 0.009, 0.001, 0.001
"""What the domain spends by default on failures, on slow answers, and on shares that are not as declared."""
PROMISED, REQUESTS = 1_100, 200_000
Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


def harmed(
    rng: np.random.Generator, runs: int, share: float, rates: tuple[float, float], looks: tuple[int, int]
) -> Counts:
    """``(runs, looks)`` each: harmed units of the canary and of the champion up to each look.

    Args:
        rates: the canary's and the champion's.
        looks: how many, and how many requests there are from one to the next.
    """
    ours = rng.binomial(looks[1], share, (runs, looks[0]))
    return rng.binomial(ours, rates[0]).cumsum(1), rng.binomial(looks[1] - ours, rates[1]).cumsum(1)


def found_after(evidence: NDArray[np.float64], alpha: float, every: int) -> NDArray[np.float64]:
    """``(runs,)``: after how many requests the evidence first reached 1 / alpha; infinite where it never did."""
    hit = evidence >= -math.log(alpha)
    return np.where(hit.any(axis=1), (hit.argmax(axis=1) + 1.0) * every, math.inf)


def falsely_rolled_back(share: float, rate: float, times: int) -> int:
    """How many equal canaries are, by failures at the rate or by one slow answer in a hundred, in 2,000 looks."""
    rng, found = np.random.default_rng([1, int(1e6 * share), int(1e6 * rate)]), 0
    for _ in range(0, times, 200):
        gone = np.zeros(min(200, times), dtype=bool)
        for alpha, each in ((FAILURES, rate), (SLOW, 0.01)):
            counts = harmed(rng, len(gone), share, (each, each), (2_000, REQUESTS // 2_000))
            gone |= np.isfinite(found_after(harm_evidences(*counts, share), alpha, 1))
        found += int(gone.sum())
    return found


def requests_until_seen(share: float, rates: tuple[float, float], times: int, every: int = 5) -> float:
    """The median number of requests after which a canary that fails more is rolled back; infinite for more than
    200,000, which are looked at 2,000 times."""
    rng = np.random.default_rng([2, int(1e6 * share), int(1e6 * rates[0])])
    looks = (2_000, every)
    return float(
        np.median(found_after(harm_evidences(*harmed(rng, times, share, rates, looks), share), FAILURES, every))
    )


def falsely_by_repeats(times: int, *, by_units: bool) -> int:
    """How many equal canaries are rolled back where a request that fails is repeated, twenty times in the mean, and
    each request counts; or, by units, where it counts once."""
    rng, share, failing = np.random.default_rng(3), 0.05, 200
    mine = rng.random((times, failing)) < share
    repeats = np.ones((times, failing)) if by_units else rng.geometric(1 / 20, (times, failing))
    ours, theirs = (mine * repeats).cumsum(1), (~mine * repeats).cumsum(1)
    return int(np.isfinite(found_after(harm_evidences(ours, theirs, share), FAILURES, 1)).sum())


def mismatch_seen(declared: float, true: float, times: int, every: int = 50) -> NDArray[np.float64]:
    """``(times,)``: after how many units a wrong share is seen; infinite where it is not within 2,000 looks."""
    rng = np.random.default_rng([4, int(1e6 * declared), int(1e6 * true)])
    ours = rng.binomial(every, true, (times, 2_000)).cumsum(1)
    theirs = every * np.arange(1, 2_001) - ours
    return found_after(mismatch_evidences(ours, theirs, declared), MISMATCH, every)


def plan_of(share: float) -> CanaryPlan:
    """One step of this share, with what is declared by default."""
    hour = timedelta(hours=1)
    return CanaryPlan((CanaryStep(round(share * PPM), 500, hour, 24 * hour),), 0.005, Wire(5, 20), 0.05)


def through_the_guard(
    rng: np.random.Generator,
    share: float,
    rates: tuple[float, float],
    looks: tuple[int, int],
    drawn: float | None = None,
) -> tuple[Following, int] | None:
    """What the guard does to one rollout, row by row through its own counts, and after how many requests; None where it
    does nothing.

    Args:
        share: the declared one.
        rates: of failures, the canary's and the champion's.
        looks: how many, and how many requests there are from one to the next. Each request is a unit of its own.
        drawn: the share that is drawn really; None for the declared one.
    """
    plan, (times, every) = plan_of(share), looks
    ppm = plan.steps[0].share_ppm
    counts = RolloutCounts(1, plan.wire, (ppm,))
    counts.begin(Stretch(1, ppm))
    failed, fine = ModelAnswer(True, 100), ModelAnswer(False, 100, 0.5, "0")
    inside = rng.random(times * every) < (share if drawn is None else drawn)
    ours, theirs = (rng.random(times * every) < rate for rate in rates)
    for n in range(times * every):
        # On rows of the canary's share the champion is asked too; its own failures are drawn by themselves.
        champion = failed if theirs[n] else fine
        canary = (failed if ours[n] else fine) if inside[n] else None
        counts.add(LiveRow(f"r{n}", f"u{n}", 1, ppm, bool(inside[n]), canary, champion))
        if n % every == every - 1:
            found = guarded(plan, counts.evidence(timedelta(0)))
            if found is not None:
                return found[0], n + 1
    return None


def most_by_chance(alpha: float, times: int) -> int:
    """The largest count that a true rate of alpha explains; one run in a thousand has more."""
    return int(binom.ppf(0.999, times, alpha))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=2_000, help="how many rollouts of each kind (default: 2,000)")
    times: int = parser.parse_args().times
    most = most_by_chance(FAILURES + SLOW, times)
    print(f"equal canaries rolled back, of {times:,} (at most {most} by chance)")
    false = []
    for share, rate in ((0.01, 0.001), (0.05, 0.001), (0.25, 0.001), (0.5, 0.001), (0.05, 0.02)):
        false.append(falsely_rolled_back(share, rate, times))
        print(f"  share {share:4.0%}, {rate:.1%} failures: {false[-1]}")
    repeats = [falsely_by_repeats(times, by_units=by_units) for by_units in (True, False)]
    print(f"  clients repeat what fails: {repeats[0]} counted by units, {repeats[1]} by requests")
    print("requests until a canary that fails more is rolled back, median")
    seen = {}
    for share, canary, champion, every in (
        (0.01, 0.05, 0.001, 10),
        (0.05, 0.05, 0.001, 5),
        (0.25, 0.05, 0.001, 5),
        (0.05, 0.01, 0.001, 20),
        (0.05, 0.03, 0.02, 100),
    ):
        seen[share, canary] = requests_until_seen(share, (canary, champion), times, every)
        print(f"  share {share:4.0%}, {champion:.1%} -> {canary:.1%}: {seen[share, canary]:,.0f}")
    print("units until a wrong share is seen, median")
    wrong = {}
    for declared, true in ((0.05, 0.05), (0.05, 0.06), (0.05, 0.055), (0.5, 0.51)):
        wrong[true] = mismatch_seen(declared, true, times)
        hit = np.isfinite(wrong[true]).sum()
        print(f"  {declared:.1%} declared, {true:.1%} true: {np.median(wrong[true]):,.0f}, seen in {hit:,}")
    runs = max(20, times // 20)
    rng = np.random.default_rng(7)
    ended = [through_the_guard(rng, 0.05, (0.02, 0.02), (2_000, 5)) for _ in range(runs)]
    tripped = sum(each is not None and each[0] is Following.END for each in ended)
    found = [through_the_guard(rng, 0.05, (0.05, 0.001), (1_000, 5)) for _ in range(runs)]
    after = float(np.median([math.inf if each is None else each[1] for each in found]))
    print(f"row by row through the guard, {runs} rollouts of each kind")
    print(f"  equal, 2 % failures, 2,000 looks: {tripped} rolled back (at most {most_by_chance(0.01, runs)} by chance)")
    print(f"  share 5 %, 0.1 % -> 5 %: out after {after:,.0f} requests, median")
    report(
        "canary_guarantees",
        seen[0.05, 0.05],
        "requests",
        PROMISED,
        own_peak_mb(),
        falsely_rolled_back=[f / times for f in false],
        explained_by_chance=most / times,
        repeated_by_units=repeats[0] / times,
        repeated_by_requests=repeats[1] / times,
        guard_falsely_rolled_back=tripped / runs,
        guard_requests=after,
        mismatch_median=float(np.median(wrong[0.06])),
        mismatch_false=float(np.isfinite(wrong[0.05]).mean()),
    )


if __name__ == "__main__":
    main()
