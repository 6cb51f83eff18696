"""``make bench B=policy_lab``: retraining policies over made worlds, as a table, and one JSON line.

The value is the cost of the product's default policy against the cheaper of "never" and "every 30 days", in the median
world; the limit is 1, the cheaper of the two. ``ARGS="--seeds 8 --worlds turned,quiet"`` asks for more or fewer.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from benchmarks._common import own_peak_mb, report
from benchmarks.policy_lab.combinations import CHOSEN
from benchmarks.policy_lab.engine import policy
from benchmarks.policy_lab.study import by_world, core_worlds, outcomes, table
from benchmarks.policy_lab.today import today

JUDGED = "today"


def main() -> None:
    asked = argparse.ArgumentParser(prog="policy_lab", description=__doc__)
    asked.add_argument("--seeds", type=int, default=2, help="how many seeds of each world; default 2")
    asked.add_argument("--worlds", default="turned,creep,quiet", help="names of worlds, or all")
    given = asked.parse_args()
    worlds = [w for w in core_worlds() if given.worlds == "all" or w.name in given.worlds.split(",")]
    if not worlds:
        asked.error(f"--worlds {given.worlds}: there are {'; '.join(w.name for w in core_worlds())}; or all")
    began = time.perf_counter()
    found = [
        o for world in worlds for seed in range(given.seeds) for o in outcomes(world, seed, [today, policy(CHOSEN)])
    ]
    print(table(found), file=sys.stderr)
    ratios = by_world(found, JUDGED, lambda o: o.against_cheaper)
    report(
        "policy_lab",
        float(np.median([*ratios.values()])),
        "of the cheaper of never and every 30 days",
        1.0,
        own_peak_mb(),
        worst=round(max(ratios.values()), 3),
        worlds=len(worlds),
        seeds=given.seeds,
        seconds=round(time.perf_counter() - began, 1),
    )


if __name__ == "__main__":
    main()
