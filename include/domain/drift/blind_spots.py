"""Features in which the test has no power: no drift in them is no evidence, so they count as not judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from include.domain.drift.feature_histograms import pooled_share
from include.domain.drift.profile import CategoricalProfile, FeatureProfile

MOST_POOLED = 0.5
"""Share of a feature's rows in pooled values above which no drift in it counts as not judged."""
MOST_POOLED_OF_MIXED = 0.1
"""The same of a feature of numbers and texts: the pooled values are its numbers, which no other test covers."""


@dataclass(frozen=True, slots=True)
class Doubts:
    """The caller's knowledge of the features beyond their counts.

    Attributes:
        why: why a feature without drift still counts as not judged, by name.
        mixed: features that hold numbers and texts.
    """

    why: Mapping[str, str] = field(default_factory=dict)
    mixed: frozenset[str] = frozenset()


NO_DOUBTS = Doubts()


def blind_to(reference: FeatureProfile, current: FeatureProfile, doubts: Doubts = NO_DOUBTS) -> str | None:
    """Why these counts without a difference are no evidence, as a clause after the feature's name; None when they
    are."""
    if reference.name in doubts.why:
        return doubts.why[reference.name]
    pooled = pooled_share(reference, current)
    if not isinstance(reference, CategoricalProfile) or pooled <= (
        MOST_POOLED_OF_MIXED if reference.name in doubts.mixed else MOST_POOLED
    ):
        return None
    values = f"{len(reference.categories):,}{' or more' if reference.truncated else ''}"
    return f"has {values} different values, and {pooled:.0%} of the rows one that is too rare to compare"
