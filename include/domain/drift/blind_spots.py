"""Features that the test cannot see into: that they show no drift says nothing, so they are not judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from include.domain.drift.feature_histograms import pooled_share
from include.domain.drift.profile import CategoricalProfile, FeatureProfile

MOST_POOLED = 0.5
"""Share of a feature's rows in pooled values above which its silence is not taken for an answer."""
MOST_POOLED_OF_MIXED = 0.1
"""The same of a feature of numbers and texts: the pooled values are its numbers, which nothing else looks at."""


@dataclass(frozen=True, slots=True)
class Doubts:
    """What a caller knows of the features beyond their counts.

    Attributes:
        why: why a feature that shows no drift is not judged all the same, by name.
        mixed: features that hold numbers and texts.
    """

    why: Mapping[str, str] = field(default_factory=dict)
    mixed: frozenset[str] = frozenset()


NO_DOUBTS = Doubts()


def blind_to(reference: FeatureProfile, current: FeatureProfile, doubts: Doubts = NO_DOUBTS) -> str | None:
    """Why no difference in these counts is no answer, in words that follow the feature's name; None where it is one."""
    if reference.name in doubts.why:
        return doubts.why[reference.name]
    pooled = pooled_share(reference, current)
    if not isinstance(reference, CategoricalProfile) or pooled <= (
        MOST_POOLED_OF_MIXED if reference.name in doubts.mixed else MOST_POOLED
    ):
        return None
    values = f"{len(reference.categories):,}{' or more' if reference.truncated else ''}"
    return f"has {values} different values, and {pooled:.0%} of the rows one that is too rare to compare"
