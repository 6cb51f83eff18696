"""A model version's reference, small enough to keep with the model, exact enough to test against.

A profile is counts over bins that were fixed once. Profiles over the same bins add up: a month is the sum of its days,
without rereading them. Counting a window costs one pass over its rows.

How the odd values are counted
- **Missing**: NaN, None and NA, in a bin of their own. A column that is absent is missing in every row. What is no
  number in a numeric column is missing too.
- **Infinite**: in a bin of their own for each sign, apart from large finite values.
- **Ties**: a value that holds more than a bin's share of the reference gets a bin of its own, ``[v, next number after
  v)``. A constant is one such bin.
- **No value at all** (all missing): no edges; any value that appears later is outside the reference's range.
- **Categories** are compared as text; of one of more than 200 characters the beginning is kept, with a digest of the
  whole. The commonest are named, up to a limit; a value that is not named is
  *unseen*. With more than that the profile is marked ``truncated`` and part of the reference is unseen in itself.
- **Booleans** are the categories ``false`` and ``true``; numbers 0 and 1 are read as such.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.domain.losses import DayLoss, merged_losses

FORMAT = 1
MAX_NEW_CATEGORIES = 50
MAX_CATEGORY_LENGTH = 200
SCORE = "score"
PREDICTED_CLASS = "predicted_class"
BOOLEAN_CATEGORIES = ("false", "true")


class FeatureKind(Enum):
    """How a feature's values are compared."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"


class BadProfile(ValueError):
    """Profiles that cannot be read, or cannot be added because their bins differ."""


@dataclass(frozen=True, slots=True)
class ReferenceWindow:
    """How far one day of the reference was from its other days: the usual variation without drift, because rows in time
    are correlated."""

    day: str
    rows: int
    psi: float


@dataclass(frozen=True, slots=True)
class NumericProfile:
    """Counts of a numeric feature. ``counts`` has one more entry than ``edges``: below the first, ``[e_i, e_i+1)``,
    and above. Infinite values are in none of them: ``infinite`` counts the negative and the positive ones.

    ``centres`` are the reference's means within the bins (the outer two are at the edges), and ``scale`` its standard
    deviation, both of finite values; None where it has none.
    """

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int
    centres: tuple[float, ...]
    scale: float | None
    windows: tuple[ReferenceWindow, ...] = ()
    infinite: tuple[int, int] = (0, 0)

    @property
    def kind(self) -> FeatureKind:
        return FeatureKind.NUMERIC

    @property
    def rows(self) -> int:
        return self.missing + sum(self.counts) + sum(self.infinite)

    @property
    def outside(self) -> int:
        """Rows outside the reference's range, infinite ones included."""
        return self.counts[0] + (self.counts[-1] if len(self.counts) > 1 else 0) + sum(self.infinite)


@dataclass(frozen=True, slots=True)
class CategoricalProfile:
    """Counts of a categorical or boolean feature.

    ``categories`` are the reference's, commonest first; ``unseen`` counts rows with any other value, of which ``new``
    names the commonest (at most 50). ``truncated`` says that the reference has more categories than are named.
    """

    name: str
    kind: FeatureKind
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int
    unseen: int = 0
    new: tuple[tuple[str, int], ...] = ()
    truncated: bool = False
    windows: tuple[ReferenceWindow, ...] = ()

    @property
    def rows(self) -> int:
        return self.missing + self.unseen + sum(self.counts)


FeatureProfile = NumericProfile | CategoricalProfile


@dataclass(frozen=True, slots=True)
class Profile:
    """One window: its features, its scores, its losses by day. The reference is a window too."""

    rows: int
    features: tuple[FeatureProfile, ...]
    scores: tuple[FeatureProfile, ...] = ()
    """The scores; several for a multiclass model, one a class, and the predicted class."""
    losses: tuple[DayLoss, ...] = ()

    def feature(self, name: str) -> FeatureProfile:
        for feature in self.features:
            if feature.name == name:
                return feature
        known = ", ".join(f.name for f in self.features)
        raise BadProfile(f"The profile has no feature {name!r}; it has: {known}. Train again to profile it.")

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "rows": self.rows,
            "features": [_to_json(f) for f in self.features],
            "scores": [_to_json(f) for f in self.scores],
            "losses": [d.as_json() for d in self.losses],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Profile:
        """Read what :meth:`as_json` wrote.

        Raises:
            BadProfile: when it is not a profile of this format.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, Mapping) else type(data).__name__
            raise BadProfile(f"This is no profile of format {FORMAT}, but {found!r}. Rebuild it from the training set.")
        try:
            return cls(
                rows=int(data["rows"]),
                features=tuple(_from_json(f) for f in data["features"]),
                scores=tuple(_from_json(f) for f in data["scores"]),
                losses=tuple(DayLoss(**d) for d in data["losses"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadProfile(f"The profile is damaged ({error}). Rebuild it from the training set.") from None


# --- counting ---------------------------------------------------------------------------------------------------------


def count_window(reference: Profile, frame: pd.DataFrame, scores: NDArray[Any] | None = None) -> Profile:
    """Count a window of rows in the reference's bins, in one pass. An absent column is missing in every row."""
    names = [f.name.removeprefix(f"{SCORE}_") for f in reference.scores if f.name.startswith(f"{SCORE}_")]
    scored = () if scores is None else counted(reference.scores, score_frame(scores, names))
    return Profile(rows=len(frame), features=counted(reference.features, frame), scores=scored)


def score_frame(scores: NDArray[Any], classes: Sequence[str] = ()) -> pd.DataFrame:
    """Scores as columns: ``score``, or ``score_<class>`` for each class and ``predicted_class``."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim == 1:
        return pd.DataFrame({SCORE: values})
    names = list(classes) or [str(i) for i in range(values.shape[1])]
    columns: dict[str, Any] = {f"{SCORE}_{name}": values[:, i] for i, name in enumerate(names)}
    finite = np.asarray(np.isfinite(values).all(axis=1))
    best = np.where(finite[:, None], values, 0.0).argmax(axis=1)
    columns[PREDICTED_CLASS] = [names[i] if known else None for i, known in zip(best, finite, strict=True)]
    return pd.DataFrame(columns)


def counted(features: Sequence[FeatureProfile], frame: pd.DataFrame) -> tuple[FeatureProfile, ...]:
    """The frame's rows in the bins of ``features``."""
    return tuple(_count(feature, column_of(frame, feature.name)) for feature in features)


def _count(like: FeatureProfile, column: pd.Series[Any]) -> FeatureProfile:
    if isinstance(like, NumericProfile):
        values = as_numbers(column)
        counts, missing = bin_counts(values, np.asarray(like.edges))
        # Only the outer bins can hold infinite values, and these bins are seldom filled: counting them again costs
        # little.
        low = int(np.count_nonzero(values == -np.inf)) if counts[0] else 0
        high = int(np.count_nonzero(values == np.inf)) if counts[-1] else 0
        counts[0] -= low
        counts[-1] -= high
        return replace(like, counts=tuple(int(c) for c in counts), missing=missing, infinite=(low, high), windows=())
    found, missing = category_counts(column, like.kind)
    named = set(like.categories)
    other = Counter({value: n for value, n in found.items() if value not in named})
    return replace(
        like,
        counts=tuple(found.get(c, 0) for c in like.categories),
        missing=missing,
        unseen=sum(other.values()),
        new=_commonest(other),
        windows=(),
    )


BLOCK = 16_384
"""Values compared at a time: a block of them and its masks stay in the processor's cache."""
MOST_EDGES = 100
"""Edges up to which comparing with each is quicker than searching among them."""


def bin_counts(values: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Rows in each bin, shape (edges + 1,), and missing ones. Infinite values are in the outer two.

    A binary search guesses wrong at every other step on unordered values; comparing all values with each edge in turn
    does not, and is about six times as fast for ten bins.
    """
    if len(edges) > MOST_EDGES:
        present = values[~np.isnan(values)]
        codes = np.searchsorted(edges, present, side="right")
        return np.bincount(codes, minlength=len(edges) + 1), len(values) - len(present)
    below = np.zeros(len(edges) + 1, dtype=np.int64)
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        for i, edge in enumerate(edges):
            below[i] += np.count_nonzero(block < edge)
        below[-1] += np.count_nonzero(block == block)
    return np.diff(below, prepend=0), len(values) - int(below[-1])


def column_of(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """The column, or one of missing values where the frame has none of that name."""
    return frame[name] if name in frame.columns else pd.Series([None] * len(frame), dtype="object", index=frame.index)


def as_numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    """The column as floats; what is missing or no number is NaN."""
    if not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)):
        column = pd.to_numeric(column, errors="coerce")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


_BOOLEANS = {"True": "true", "False": "false", "1": "true", "0": "false", "1.0": "true", "0.0": "false"}


def category_counts(column: pd.Series[Any], kind: FeatureKind) -> tuple[dict[str, int], int]:
    """Rows of each value as text, and rows without one."""
    counts: Counter[str] = Counter()
    for value, n in column.value_counts(dropna=True, sort=False).items():
        if not n:
            continue  # a categorical column names values that no row has
        text = str(value)
        counts[_BOOLEANS.get(text, text.lower()) if kind is FeatureKind.BOOLEAN else _short(text)] += int(n)
    return dict(counts), int(column.isna().sum())


def _short(text: str) -> str:
    """The text in at most 200 characters. Two different long texts stay different, even if they differ late."""
    if len(text) <= MAX_CATEGORY_LENGTH:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[: MAX_CATEGORY_LENGTH - len(digest) - 1]}#{digest}"


def _commonest(values: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(values.items(), key=lambda item: (-item[1], item[0]))[:MAX_NEW_CATEGORIES])


# --- adding -----------------------------------------------------------------------------------------------------------


def merge(a: Profile, b: Profile) -> Profile:
    """The profile of both windows together.

    Raises:
        BadProfile: when they were not counted in the same bins.
    """
    return Profile(
        rows=a.rows + b.rows,
        features=_merged_all(a.features, b.features),
        scores=_merged_all(a.scores, b.scores),
        losses=merged_losses(a.losses, b.losses),
    )


def _merged_all(a: Sequence[FeatureProfile], b: Sequence[FeatureProfile]) -> tuple[FeatureProfile, ...]:
    if [f.name for f in a] != [f.name for f in b]:
        raise BadProfile(
            f"Profiles of other features cannot be added: {', '.join(f.name for f in a) or 'none'} "
            f"and {', '.join(f.name for f in b) or 'none'}."
        )
    return tuple(merged_feature(x, y) for x, y in zip(a, b, strict=True))


def merged_feature(a: FeatureProfile, b: FeatureProfile) -> FeatureProfile:
    """The counts of both windows together."""
    return _combined(a, b, 1, a.windows + b.windows)


def without(a: FeatureProfile, b: FeatureProfile) -> FeatureProfile:
    """The counts of ``a`` less those of ``b``, a part of it."""
    return _combined(a, b, -1, ())


def _combined(a: FeatureProfile, b: FeatureProfile, sign: int, windows: tuple[ReferenceWindow, ...]) -> FeatureProfile:
    counts = tuple(x + sign * y for x, y in zip(a.counts, b.counts, strict=False))
    missing = a.missing + sign * b.missing
    if isinstance(a, NumericProfile) and isinstance(b, NumericProfile) and a.edges == b.edges:
        low, high = (x + sign * y for x, y in zip(a.infinite, b.infinite, strict=True))
        return replace(a, counts=counts, missing=missing, infinite=(low, high), windows=windows)
    if isinstance(a, CategoricalProfile) and isinstance(b, CategoricalProfile) and a.categories == b.categories:
        new = Counter(dict(a.new))
        for value, n in b.new:
            new[value] += sign * n
        return replace(
            a, counts=counts, missing=missing, unseen=a.unseen + sign * b.unseen, new=_commonest(+new), windows=windows
        )
    raise BadProfile(
        f"Two profiles of {a.name!r} have other bins; only windows counted in one reference's bins add up."
    )


# --- JSON -------------------------------------------------------------------------------------------------------------


def _to_json(feature: FeatureProfile) -> dict[str, Any]:
    return asdict(feature) | {"kind": feature.kind.value}


def _from_json(data: Mapping[str, Any]) -> FeatureProfile:
    values = dict(data)
    kind = FeatureKind(values.pop("kind"))
    windows = tuple(ReferenceWindow(**w) for w in values.pop("windows"))
    counts = tuple(int(c) for c in values.pop("counts"))
    if kind is FeatureKind.NUMERIC:
        edges = tuple(float(e) for e in values.pop("edges"))
        centres = tuple(float(c) for c in values.pop("centres"))
        if len(counts) != len(edges) + 1:
            raise ValueError(f"{values.get('name')!r} has {len(counts)} counts for {len(edges)} edges")
        counts, infinite = _infinite_apart(counts, values.pop("infinite", None))
        return NumericProfile(edges=edges, centres=centres, counts=counts, windows=windows, infinite=infinite, **values)
    categories = tuple(str(c) for c in values.pop("categories"))
    if len(counts) != len(categories):
        raise ValueError(f"{values.get('name')!r} has {len(counts)} counts for {len(categories)} categories")
    new = tuple((str(value), int(n)) for value, n in values.pop("new"))
    return CategoricalProfile(kind=kind, categories=categories, counts=counts, windows=windows, new=new, **values)


def _infinite_apart(counts: tuple[int, ...], infinite: Sequence[int] | None) -> tuple[tuple[int, ...], tuple[int, int]]:
    """The counts and the infinite values. A reference from before these were counted apart has them in its outer bins,
    and nothing else there: its edges hold all of its finite values."""
    if infinite is not None:
        low, high = (int(n) for n in infinite)
        return counts, (low, high)
    if len(counts) < 2:
        return (0,), (0, counts[0])
    return (0, *counts[1:-1], 0), (counts[0], counts[-1])
