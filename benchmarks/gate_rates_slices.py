"""How often ``slice_gate`` passes equal models, and how often it stops one that is worse somewhere: ``make bench
B=gate_rates_slices``.

Worlds: forty slices of 300 rows with a floor of .02, eight strict slices of 6,000 rows (accuracy, margin .01), and
equalized odds (margin .05) of six groups of 2,000 rows; rows in 14 days, without and with days that differ. Each is
judged as the gate judges today (pooled) and with each strict slice alone. One JSON line: ``value`` is the lowest share
of equal models passed, ``limit`` the goal of 0.8, and the whole table is in ``table``.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._common import own_peak_mb, report
from include.domain.gates import Evidence, FairnessRule, Measure, Mode, SliceRules, slice_gate
from include.domain.metrics import Task

PAIRS = 100
DAYS = 14
DISCORDANT = 0.1
"""The share of rows on which exactly one of the two models is wrong."""
Columns = dict[str, NDArray[Any]]


def sliced(rng: np.random.Generator, slices: int, rows: int, worse: float, day_sd: float) -> tuple[Evidence, Columns]:
    """Decisions of two models, right 85 % of the time; on the first slice the candidate is wrong more often by
    ``worse``. On a day one of the two is worse by normal noise of ``day_sd``, on every slice alike."""
    n = slices * rows
    where, day = np.repeat(np.arange(slices), rows), rng.integers(0, DAYS, n)
    apart = np.where(where == 0, worse, 0.0) + day_sd * rng.standard_normal(DAYS)[day]
    y, draw = (rng.random(n) < 0.5).astype(float), rng.random(n)
    ours = DISCORDANT / 2 + np.maximum(apart, 0)
    theirs = DISCORDANT / 2 + np.maximum(-apart, 0)
    both = 0.15 - DISCORDANT / 2
    wrong = draw < ours + both, (draw >= ours) & (draw < ours + both + theirs)
    one, other = (np.where(w, 1 - y, y) * 0.8 + 0.1 for w in wrong)
    return Evidence(Task.BINARY, y, one, other, days=day), {"where": where.astype(str)}


def grouped(rng: np.random.Generator, groups: int, rows: int, apart: float, day_sd: float) -> tuple[Evidence, Columns]:
    """Positive decisions around 40 %, the same by both models on nine rows in ten; the candidate's share in the first
    group is higher by ``apart``."""
    n = groups * rows
    member, day = rng.integers(0, groups, n), rng.integers(0, DAYS, n)
    y, common = (rng.random(n) < 0.4).astype(float), rng.random(n)
    moved = day_sd * rng.standard_normal((groups, DAYS))[member, day]

    def answers(by: NDArray[np.float64] | float) -> NDArray[np.float64]:
        draw = np.where(rng.random(n) < 0.9, common, rng.random(n))
        return np.where(draw < 0.4 + by, 0.8, 0.2)

    ours = answers(apart * (member == 0) + moved)
    return Evidence(Task.BINARY, y, ours, answers(0.0), days=day), {"where": member.astype(str)}


SMALL = SliceRules("accuracy", 0.01, 0.02, by=("where",), large_rows=10**9, min_rows=300)
STRICT = SliceRules("accuracy", 0.01, 0.02, by=("where",), large_rows=1000, min_rows=300)
ALONE = SliceRules("accuracy", 0.01, 0.02, by=("where",), large_rows=1000, min_rows=300, pooled=False)
FAIR = SliceRules("accuracy", 0.1, 0.1, fairness=(FairnessRule("where", Measure.EQUALIZED_ODDS, 0.05),))
WORLDS: dict[str, tuple[SliceRules, Any, tuple[int, int], tuple[float, ...]]] = {
    "40 slices x 300, floor .02": (SMALL, sliced, (40, 300), (0.0, 0.05, 0.1)),
    "8 strict slices x 6,000, margin .01": (STRICT, sliced, (8, 6000), (0.0, 0.01, 0.015, 0.02)),
    "the same, each alone": (ALONE, sliced, (8, 6000), (0.0, 0.01, 0.015, 0.02)),
    "equalized odds, 6 groups x 2,000, margin .05": (FAIR, grouped, (6, 2000), (0.0, 0.05, 0.075)),
}
"""By name: the rules, the world, its slices and rows in each, and by how much the first is worse."""


def rates(name: str, worse: float, day_sd: float) -> dict[str, float]:
    """The share of each verdict."""
    rules, world, size, _ = WORLDS[name]
    rng, found = np.random.default_rng(13), Counter[str]()
    for _ in range(PAIRS):
        evidence, columns = world(rng, *size, worse, day_sd)
        found[slice_gate(rules, evidence, columns, mode=Mode.BLOCKING, has_champion=True).verdict.value] += 1
    return {verdict: count / PAIRS for verdict, count in sorted(found.items())}


def main() -> None:
    table = {
        f"{name}; worse by {worse:g}; days differ by {day_sd:g}": rates(name, worse, day_sd)
        for name, (_, _, _, steps) in WORLDS.items()
        for worse in steps
        for day_sd in (0.0, 0.01)
    }
    equal = [row.get("PASS", 0.0) for name, row in table.items() if "worse by 0;" in name and "alone" not in name]
    report("slice_gate: equal models passed", min(equal), "share", 0.8, own_peak_mb(), pairs=PAIRS, table=table)


if __name__ == "__main__":
    main()
