"""``make bench B=policy``: the default policy against the cheaper of "never" and "every 30 days", world by world.

A world's figure is a cost with the same price and the same shadow days for all: the mean over seeds with its 95 %
interval (Student's t), the cost against never and against a hindsight without luck, and the days until a model serves
that has learned from the change. Seeds are from 1000 on, on which no setting was chosen. Quick takes seeds in turn
until its minutes are over, and says which worlds it has not come to; ``ARGS="--full"`` takes five of each.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks._common import own_peak_mb, report
from benchmarks.policy_lab.study import Outcome, core_worlds, interval_of, outcomes
from benchmarks.policy_lab.today import today
from benchmarks.policy_lab.worlds import WITHOUT_CHANGE, World

FIRST_SEED = 1000
FULL_SEEDS = 5
QUICK_MINUTES = 4.5
WORLDS = core_worlds()


def measured(worlds: Sequence[World], seeds: int, minutes: float) -> tuple[list[Outcome], list[str]]:
    """The outcomes of the default policy, and the worlds of which not one seed was come to in so many minutes."""
    began, found = time.perf_counter(), list[Outcome]()
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        for world in worlds:
            if time.perf_counter() - began > 60 * minutes:
                break
            found += [o for o in outcomes(world, seed, [today]) if o.policy == "today"]
            print(f"{world.name}, seed {seed}: {found[-1].against_cheaper:.3f}", file=sys.stderr, flush=True)
    known = {o.world for o in found}
    return found, [world.name for world in worlds if world.name not in known]


def by_name(found: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each world, in order."""
    grouped: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        grouped[outcome.world].append(outcome)
    return dict(grouped)


def as_table(found: Iterable[Outcome]) -> str:
    """A row a world, as Markdown."""
    lines = [
        "| world | seeds | of the cheaper of never and every 30 days | of never | of hindsight | retrains "
        "| days until a model that learned from it |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in by_name(found).items():
        cheaper, never, best = (
            interval_of(getattr(o, f"against_{what}") for o in each) for what in ("cheaper", "never", "hindsight")
        )
        shown = f"{cheaper.mean:.3f}" if len(each) < 2 else f"{cheaper.mean:.3f} ({cheaper.low:.3f}–{cheaper.high:.3f})"
        retrains = float(np.mean([o.retrains for o in each]))
        lines.append(
            f"| {name} | {len(each)} | {shown} | {never.mean:.3f} | {best.mean:.3f} | {retrains:.1f} | {_days(each)} |"
        )
    return "\n".join(lines)


def _days(each: Sequence[Outcome]) -> str:
    days = [o.learned_after_days for o in each]
    if all(math.isnan(day) for day in days):
        return "–"
    finite, never = [day for day in days if math.isfinite(day)], sum(math.isinf(day) for day in days)
    words = "–".join(dict.fromkeys(f"{day:.0f}" for day in (min(finite), max(finite)))) if finite else ""
    return f"{words}{', ' if words and never else ''}{f'never in {never}' if never else ''}"


def main() -> None:
    asked = argparse.ArgumentParser(prog="policy", description=__doc__)
    asked.add_argument("--full", action="store_true", help=f"{FULL_SEEDS} seeds of every world, however long it takes")
    asked.add_argument("--minutes", type=float, default=QUICK_MINUTES, help="how long a quick one may take: 4.5")
    asked.add_argument("--worlds", default="all", help="parts of names of worlds, separated by semicolons; default all")
    given = asked.parse_args()
    parts = [part.strip() for part in given.worlds.split(";")]
    worlds = [w for w in WORLDS if given.worlds == "all" or any(part in w.name for part in parts)]
    if not worlds:
        asked.error(f"--worlds {given.worlds}: there are {'; '.join(w.name for w in WORLDS)}")
    began = time.perf_counter()
    found, left = measured(worlds, FULL_SEEDS if given.full else 100, math.inf if given.full else given.minutes)
    print(as_table(found), file=sys.stderr)
    if left:
        print(f"Not come to: {'; '.join(left)}.", file=sys.stderr)
    ratios = {name: interval_of(o.against_cheaper for o in each).mean for name, each in by_name(found).items()}
    still = {w.name for w in worlds if w.kind in WITHOUT_CHANGE}
    quiet = [o.against_never for o in found if o.world in still]
    report(
        "policy",
        float(np.median([*ratios.values()])),
        "of the cheaper of never and every 30 days",
        1.0,
        own_peak_mb(),
        worst=round(max(ratios.values()), 3),
        worst_world=max(ratios, key=lambda name: ratios[name]),
        beyond_1_02=sum(ratio > 1.02 for ratio in ratios.values()),
        without_change_against_never=round(max(quiet), 3) if quiet else None,
        of_hindsight=round(float(np.median([o.against_hindsight for o in found])), 3),
        worlds=len(ratios),
        not_measured=len(left),
        seeds=round(len(found) / max(len(ratios), 1), 1),
        seconds=round(time.perf_counter() - began, 1),
    )


if __name__ == "__main__":
    main()
