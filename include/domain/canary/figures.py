"""What is known of a rollout's newest step, as plain numbers: for people who look at it."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from include.domain.canary.counts import RolloutCounts
from include.domain.canary.harm import harm_evidence
from include.domain.canary.mismatch import mismatch_evidence
from include.domain.canary.plan import CanaryPlan

_LARGEST = 600.0


def figures(plan: CanaryPlan, counts: RolloutCounts) -> dict[str, Any]:
    """The counts of the newest stretch, and each evidence with the limit from which on it ends the share; empty before
    a share was seen. Evidence is a number from 0 up, 1 where nothing was counted."""
    if counts.newest is None:
        return {}
    seen, now = counts.evidence(timedelta(0)), counts.now
    step, newest = plan.steps[seen.step], seen.exposed[-1] if seen.exposed else None
    evidence = {
        "failures": _against(harm_evidence(seen.failed), plan.failures_alpha),
        "mismatch": _against(mismatch_evidence(seen.exposed), plan.mismatch_alpha),
    }
    if seen.slow is not None:
        evidence["slow"] = _against(harm_evidence(seen.slow), plan.slow_alpha)
    return {
        "step": seen.step,
        "share_ppm": step.share_ppm,
        "share_observed": None if newest is None else newest.share,
        "rows": seen.rows,
        "rows_needed": step.min_rows,
        "canary": list(seen.canary),
        "champion": list(seen.champion),
        "wire": seen.wired.value,
        "evidence": evidence,
        "compared": now.compared,
        "mean_delta": now.mean_delta if now.compared else None,
        "rows_a_unit": {arm: now.rows_a_unit(is_canary=arm == "canary") for arm in ("canary", "champion")},
        "without_unit": counts.without_unit,
        "slow_from_us": counts.slow_from_us,
        "by_exposure": {
            name: {"rows": of.rows, "failed": of.failed, "slow": of.slow}
            for name, of in sorted(counts.by_exposure.items())
        },
    }


def _against(log: float, alpha: float) -> dict[str, float]:
    return {"measured": math.exp(min(log, _LARGEST)), "limit": 1 / alpha}
