"""Days of few rows are judged together: the newest days until a lane has its least rows.

Every judged day looks at such a pool, so the pools of neighbouring days overlap. A lane that compares a pool with the
reference once (inputs, predictions) keeps its rate **per report**: a share ``q`` of the reports at most, in fewer and
longer runs than those of single days. What must keep a rate over time (the estimate) never sees a row twice: there the
pool only says whether there are rows enough, and the days are judged as days.

A pool is of one version, because counts add up only in the bins of one reference, and no longer than the declared days,
because older rows say little about today. The reference's own windows are made of as many days
(:func:`include.domain.drift.reference.build_profile`), so that what is usual is that of a pool and not of a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from include.domain.drift.profile import BadProfile, FeatureProfile, NumericProfile, Profile, merge


@dataclass(frozen=True, slots=True)
class CountedDay:
    """One scored day of a version, counted in the bins of its reference; ``day`` is ``YYYY-MM-DD``."""

    day: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class Pool:
    """What a lane judges: the day alone, or the newest days together.

    Attributes:
        profile: the counts of all of them.
        days: which, oldest first; the judged day is the last.
    """

    profile: Profile
    days: tuple[str, ...]

    @property
    def is_pooled(self) -> bool:
        return len(self.days) > 1


def pooled(today: CountedDay, earlier: Iterable[CountedDay], *, min_rows: int, most_days: int) -> Pool:
    """The judged day, with as many of the days before it as are needed for ``min_rows`` rows.

    Args:
        today: The judged day.
        earlier: Days of the same version, in any order; those after it or too old are left out.
        min_rows: Rows from which on a window is judged.
        most_days: How many days back a pool may begin, the judged day included; 1 pools nothing.
    """
    oldest = (date.fromisoformat(today.day) - timedelta(days=most_days - 1)).isoformat()
    found, days = today.profile, [today.day]
    for each in sorted(earlier, key=lambda d: d.day, reverse=True):
        if found.rows >= min_rows:
            break
        if oldest <= each.day < today.day and each.profile.rows:
            found = merge(found, each.profile)
            days.append(each.day)
    return Pool(found, tuple(reversed(days)))


def said(days: Sequence[str]) -> str:
    """Which days were pooled, as a sentence.

    >>> said(["2013-06-01", "2013-06-03"])
    'Pooled: 2 days from 2013-06-01 to 2013-06-03.'
    """
    return f"Pooled: {len(days)} days from {days[0]} to {days[-1]}."


# --- kept with a report -----------------------------------------------------------------------------------------------


def kept_counts(profile: Profile) -> dict[str, Any]:
    """A day's counts as small JSON, without the bins, which are the reference's; empty bins are left out."""
    return {
        "rows": profile.rows,
        "features": [_counts(f) for f in profile.features],
        "scores": [_counts(f) for f in profile.scores],
    }


def read_counts(reference: Profile, kept: Mapping[str, Any]) -> Profile:
    """What :func:`kept_counts` kept of a day, in the bins of the version's reference.

    Raises:
        BadProfile: when it was counted in other bins.
    """
    scores = _read(reference.scores, kept["scores"]) if kept["scores"] else ()
    return Profile(int(kept["rows"]), _read(reference.features, kept["features"]), scores)


def _counts(feature: FeatureProfile) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": feature.name,
        "bins": len(feature.counts),
        "counts": [[i, n] for i, n in enumerate(feature.counts) if n],
        "missing": feature.missing,
    }
    if isinstance(feature, NumericProfile):
        return found | {"infinite": list(feature.infinite)}
    return found | {"unseen": feature.unseen, "new": [list(each) for each in feature.new]}


def _read(reference: Sequence[FeatureProfile], kept: Sequence[Mapping[str, Any]]) -> tuple[FeatureProfile, ...]:
    if [(f.name, len(f.counts)) for f in reference] != [(k["name"], k["bins"]) for k in kept]:
        raise BadProfile("The day was counted in other bins than the reference's. Judge the day again.")
    return tuple(_one(like, day) for like, day in zip(reference, kept, strict=True))


def _one(like: FeatureProfile, kept: Mapping[str, Any]) -> FeatureProfile:
    counts = [0] * len(like.counts)
    for at, rows in kept["counts"]:
        counts[at] = rows
    if isinstance(like, NumericProfile):
        low, high = kept["infinite"]
        return replace(like, counts=tuple(counts), missing=kept["missing"], infinite=(int(low), int(high)), windows=())
    new = tuple((str(value), int(n)) for value, n in kept["new"])
    return replace(like, counts=tuple(counts), missing=kept["missing"], unseen=kept["unseen"], new=new, windows=())
