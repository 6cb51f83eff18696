"""One feature's histograms of two windows, and how much of its rows a comparison of them sees.

A category is compared on its own from a hundredth of the rows on; the rarer ones are pooled. Of a feature whose rows
are mostly of pooled values little more than their sum is compared, so that a missing difference there is no evidence.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import stats

from include.domain.drift.distances import Counts, HistogramComparison, compare, enough
from include.domain.drift.profile import CategoricalProfile, FeatureProfile, NumericProfile

LEAST_SHARE = 0.01
"""The share of both windows from which a category is compared on its own; the others are pooled."""


def compare_features(reference: FeatureProfile, current: FeatureProfile) -> HistogramComparison:
    """Compare one feature's histograms, its missing and its unseen rows included."""
    found = compare(*_histograms(reference, current))
    if not (isinstance(reference, CategoricalProfile) and isinstance(current, CategoricalProfile)):
        return found
    if reference.truncated:
        return found
    # Unseen rows vary more than the test on counts assumes. It counts them with the rare ones; they have a test of
    # their own.
    p = compare(*_histograms(reference, current, apart=False)).p
    return replace(found, p=min(1.0, 2 * min(p, _unseen_p(reference, current))))


def _unseen_p(reference: CategoricalProfile, current: CategoricalProfile) -> float:
    """The chance of as many unseen rows without drift (normal, one-sided).

    Good and Turing's estimate of their share, N1 / n, has the variance (N1 + 2 N2) / n^2, where N1 and N2 are the
    categories seen once and twice (Good 1953; Esty 1982). One row is added, so that a reference without rare
    categories still allows for one.
    """
    n, m = reference.rows, current.rows
    unseen = current.unseen + sum(now for past, now in zip(reference.counts, current.counts, strict=True) if past == 0)
    if not n or not m or not unseen:
        return 1.0
    once, twice = (sum(1 for c in reference.counts if c == k) for k in (1, 2))
    expected = m * (once + 1) / n
    spread = math.sqrt(m * m * (once + 2 * twice + 1) / (n * n) + expected)
    return float(stats.norm.sf((unseen - 0.5 - expected) / spread))


def pooled_share(reference: FeatureProfile, current: FeatureProfile) -> float:
    """The share of both windows' rows with a value, 0 to 1, whose value is too rare to be compared on its own."""
    if not (isinstance(reference, CategoricalProfile) and isinstance(current, CategoricalProfile)):
        return 0.0
    alone, tail = _categories(reference, current, apart=True)
    seen, pooled = float(np.sum(alone)), float(np.sum(tail))
    return pooled / (seen + pooled) if seen + pooled else 0.0


def _histograms(reference: FeatureProfile, current: FeatureProfile, apart: bool = True) -> tuple[Counts, Counts]:
    """Both windows' rows by bin; ``apart`` keeps the unseen rows apart from the rare ones."""
    if isinstance(reference, CategoricalProfile) and isinstance(current, CategoricalProfile):
        alone, tail = _categories(reference, current, apart)
        a, b = np.concatenate([alone, tail], axis=1)
    else:
        a, b = np.array(reference.counts, dtype=np.float64), np.array(current.counts, dtype=np.float64)
    return np.append(a, _odd(reference)), np.append(b, _odd(current))


def _odd(feature: FeatureProfile) -> tuple[float, ...]:
    """Rows without a value and, of numbers, infinite ones of each sign: bins of their own, as no value is near them."""
    infinite = feature.infinite if isinstance(feature, NumericProfile) else ()
    return (float(feature.missing), *map(float, infinite))


def _categories(reference: CategoricalProfile, current: CategoricalProfile, apart: bool) -> tuple[Counts, Counts]:
    """Both windows' rows, shape (2, bins): of the categories that are compared on their own, and of the rare and the
    unseen ones.

    Under no drift some rows of a high-cardinality feature are always of categories the reference did not hold. Good
    and Turing's estimate of their share is the share of the reference's categories seen once, so those are the
    reference's unseen rows. Where the reference names only its commonest categories nothing is known of the others:
    they are pooled with the rare.
    """
    new = () if reference.truncated else current.new
    a = np.concatenate([reference.counts, np.zeros(len(new))])
    b = np.concatenate([current.counts, np.array([n for _, n in new], dtype=np.float64)])
    unseen_now = float(current.unseen) - float(sum(n for _, n in new))
    whole_a, whole_b = np.append(a, reference.unseen), np.append(b, unseen_now)
    both = a + b
    alone = enough(whole_a, whole_b)[:-1] & (both >= LEAST_SHARE * (whole_a.sum() + whole_b.sum()))
    rare_a, rare_b = a[~alone], b[~alone]
    if reference.truncated or not apart:
        tail_a = [rare_a.sum() + reference.unseen]
        tail_b = [rare_b.sum() + unseen_now]
    else:
        tail_a = [rare_a[rare_a > 1].sum(), rare_a[rare_a == 1].sum()]
        tail_b = [rare_b[rare_a > 0].sum(), rare_b[rare_a == 0].sum() + unseen_now]
    return np.stack([a[alone], b[alone]]), np.array([tail_a, tail_b])


# --- shares of rows ---------------------------------------------------------------------------------------------------


def outside_share(past: FeatureProfile, now: FeatureProfile) -> float:
    """Rows outside the reference's range, less the share of infinite ones that the reference itself has."""
    if not isinstance(now, NumericProfile):
        return 0.0
    return max(share_of(now.outside, now.rows) - infinite_share(past), 0.0)


def infinite_share(feature: FeatureProfile) -> float:
    """Rows with an infinite value, of either sign."""
    return share_of(sum(feature.infinite), feature.rows) if isinstance(feature, NumericProfile) else 0.0


def new_categories(past: FeatureProfile, now: FeatureProfile) -> tuple[str, ...]:
    if not (isinstance(past, CategoricalProfile) and isinstance(now, CategoricalProfile)) or past.truncated:
        return ()
    return tuple(value for value, _ in now.new[:5])


def unseen_share(past: FeatureProfile, now: FeatureProfile) -> float:
    if not (isinstance(past, CategoricalProfile) and isinstance(now, CategoricalProfile)):
        return 0.0
    # Good and Turing: categories with at most c rows in the reference have the share of a later window that those with
    # at most c + 1 had in it. Unseen are those with none, and of a cut reference those it does not name.
    most = min(past.counts, default=0) if past.truncated else 0
    usual = past.unseen + sum(n for n in past.counts if n <= most + 1)
    return max(share_of(now.unseen, now.rows) - share_of(usual, past.rows), 0.0)


def share_of(part: int, whole: int) -> float:
    """0 of nothing."""
    return part / whole if whole else 0.0
