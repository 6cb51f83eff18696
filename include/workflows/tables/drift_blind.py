"""Features that a test cannot see into: they are never quiet, they are not judged.

A category is compared on its own from a hundredth of the rows on; the rarer ones are pooled. Of a column whose rows
are nearly all of rare values little more than their sum is compared, so silence says nothing of it.
"""

from __future__ import annotations

from dataclasses import replace

from include.domain.drift.input_drift import LEAST_SHARE, Drift
from include.domain.drift.profile import CategoricalProfile, FeatureProfile, Profile
from include.workflows.tables.drift_columns import Compared

MOST_POOLED = 0.5
"""Share of a column's rows in pooled values above which its silence is not taken for an answer."""
MOST_POOLED_OF_MIXED = 0.1
"""The same of a column of numbers and texts: the pooled values are its numbers, which nothing else looks at."""


def pooled_share(reference: FeatureProfile, current: FeatureProfile) -> float:
    """The share of rows with a value, 0 to 1, whose value is too rare to be compared on its own."""
    import numpy as np

    if not (isinstance(reference, CategoricalProfile) and isinstance(current, CategoricalProfile)):
        return 0.0
    both = np.array(reference.counts, dtype=np.float64) + np.array(current.counts, dtype=np.float64)
    present = float(both.sum()) + reference.unseen + current.unseen
    if not present:
        return 0.0
    alone = both >= LEAST_SHARE * (present + reference.missing + current.missing)
    return 1 - float(both[alone].sum()) / present


def without_blind_spots(
    drift: Drift, reference: Profile, current: Profile, columns: Compared, *, share_at_least: float
) -> tuple[Drift, dict[str, str]]:
    """The same drift, where features that are quiet because nothing was seen of them are not judged.

    Args:
        columns: which of them are doubtful or mixed.
        share_at_least: as in :func:`include.domain.drift.input_drift.input_drift`, of the features that are left.

    Returns:
        The drift, and why each such feature is not judged.
    """
    profiles = {past.name: (past, now) for past, now in zip(reference.features, current.features, strict=True)}
    why: dict[str, str] = {}
    for feature in drift.features:
        if feature.drifted is not False:
            continue
        past, now = profiles[feature.name]
        most = MOST_POOLED_OF_MIXED if feature.name in columns.mixed else MOST_POOLED
        if feature.name in columns.doubtful:
            why[feature.name] = columns.doubtful[feature.name]
        elif (pooled := pooled_share(past, now)) > most:
            values = len(past.categories) if isinstance(past, CategoricalProfile) else 0
            least = f"{values:,} or more" if isinstance(past, CategoricalProfile) and past.truncated else f"{values:,}"
            why[feature.name] = (
                f"has {least} different values, and {pooled:.0%} of the rows one that is too rare to compare; "
                "group them, or leave it out with --ignore"
            )
    if not why:
        return drift, {}
    features = tuple(
        replace(f, drifted=None, reason=f"{f.name} was not judged: {why[f.name]}.") if f.name in why else f
        for f in drift.features
    )
    judged = [f for f in features if f.drifted is not None]
    if not judged:
        reason = "Inputs were not judged: no column could be."
        return replace(drift, drifted=None, share=0.0, reason=reason, features=features), why
    total = sum(f.importance for f in judged)
    drifted = [f for f in judged if f.drifted]
    share = sum(f.importance for f in drifted) / total if total else 0.0
    out = bool(drifted) and share >= share_at_least
    named = ", ".join(f.name for f in sorted(drifted, key=lambda f: -f.effect)[:5])
    reason = (
        f"Inputs {'drifted' if out else 'did not drift'}: {len(drifted)} of {len(judged)} features"
        + (f" ({named})" if drifted else "")
        + f" on {drift.rows} rows; {len(why)} were not judged."
    )
    return replace(drift, drifted=out, share=share, reason=reason, features=features), why
