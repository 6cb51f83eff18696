"""Training-serving consistency: were requests answered from the features that the offline store gives for them?

Two tables of the same requests are compared value by value: what was served, and what is recomputed as of each request.
Equal means equal to the last bit, and missing equals missing: the same definition made both, so anything else is skew.

The kind of a difference shows its cause. Two kinds of explanation are tried: the served value is the
recomputed one rounded, and it is what another recomputation gives (an hour earlier, without the ttl, from the table's
version of then). One that explains every difference of a feature names its cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

EXAMPLES = 3
DIGITS = range(7)
"""Decimal places that are tried to explain a difference by rounding."""


@dataclass(frozen=True, slots=True)
class Example:
    """One difference: ``served`` or ``recomputed`` is None where there was no value."""

    request_id: str
    served: float | str | bool | None
    recomputed: float | str | bool | None


@dataclass(frozen=True, slots=True)
class FeatureConsistency:
    """One feature over the compared requests; the four counts add up to ``rows``."""

    feature: str
    view: str
    rows: int
    matches: int
    mismatches: int
    """Both have a value, and they differ."""
    missing: int
    """The store has a value, and none was served."""
    extra: int
    """A value was served, and the store has none."""
    largest: float | None
    """The largest absolute difference of two numbers; None without any, and for what is no number."""
    cause: str | None
    """What explains every difference, in words; None where nothing does, or nothing differs."""
    examples: tuple[Example, ...] = ()

    @property
    def differing(self) -> int:
        return self.mismatches + self.missing + self.extra

    @property
    def sentence(self) -> str:
        """What was found, for a log and a red task."""
        if not self.differing:
            return f"{self.feature} ({self.view}): all {self.rows:,} values match."
        kinds = {"differ": self.mismatches, "were not served": self.missing, "should not have been": self.extra}
        found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
        by = f", by up to {self.largest:.6g}" if self.largest is not None else ""
        why = f"; {self.cause}" if self.cause else ""
        return f"{self.feature} ({self.view}): of {self.rows:,} values {found}{by}{why}."


@dataclass(frozen=True, slots=True)
class ViewAges:
    """How old the rows of one view were that online answers were given from, beside those that training reads."""

    view: str
    rows: int = 0
    """Answers whose values of the view were looked up."""
    oldest_s: float | None = None
    """The largest age; None of the entity's view, whose rows lie ahead, and without any row."""
    older: int = 0
    """Of ``rows``, answered from an older row than training reads for that moment."""
    behind_s: float | None = None
    """The most by which one was older; None where none was."""
    newer: int = 0
    """Answered from a row that training does not read yet for that moment."""
    missing: tuple[tuple[str, int], ...] = ()
    """Why values were served as missing, and how often."""

    @property
    def sentence(self) -> str:
        """For a log."""
        said = f"{self.view}: {self.rows:,} answers from its rows"
        if self.oldest_s is not None:
            said += f", at most {self.oldest_s:,.0f} s old"
        if self.older:
            said += f"; {self.older:,} from an older row than training reads, by up to {self.behind_s:,.0f} s"
        if self.newer:
            said += f"; {self.newer:,} from a row that training reads only later"
        return said + "".join(f"; {count:,} without values: {why}" for why, count in self.missing) + "."

    def with_more(self, other: ViewAges) -> ViewAges:
        """Both as one."""
        missing = Counter(dict(self.missing)) + Counter(dict(other.missing))
        return ViewAges(
            self.view,
            self.rows + other.rows,
            _larger(self.oldest_s, other.oldest_s),
            self.older + other.older,
            _larger(self.behind_s, other.behind_s),
            self.newer + other.newer,
            tuple(sorted(missing.items())),
        )


def _larger(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class ConsistencyReport:
    """All features of a model over the served requests of some days."""

    model: str
    start: str
    end: str
    """The day after the last."""
    days: int
    """Days that had served requests with kept features."""
    requests: int
    """Requests that were compared."""
    unknown: int
    """Served requests that the store has no row for any more."""
    unserved: int
    """Rows of the store that should have been scored, and were not served."""
    features: tuple[FeatureConsistency, ...]
    early: int = 0
    """Requests that were answered ahead at an earlier run than their last, which was missed; they are not compared."""
    online: int = 0
    """Of ``requests``, rows that were asked online: each value is compared with the store's of the row it came from."""
    given: int = 0
    """Online rows whose every value was the caller's; they are not compared."""
    ages: tuple[ViewAges, ...] = ()
    """By view, how old the rows were that online answers were given from. An older one is counted, and is no skew."""

    @property
    def skewed(self) -> tuple[FeatureConsistency, ...]:
        """The features with any difference, most differences first."""
        return tuple(sorted((f for f in self.features if f.differing), key=lambda f: (-f.differing, f.feature)))

    @property
    def is_consistent(self) -> bool:
        """Whether something was compared and everything matched. Without any comparison there is no evidence, so
        False."""
        return self.requests > 0 and not self.skewed and not self.unknown and not self.unserved

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "is_consistent": self.is_consistent}


def compare(
    served: pd.DataFrame,
    recomputed: pd.DataFrame,
    features: Mapping[str, str],
    others: Mapping[str, pd.DataFrame] | None = None,
) -> tuple[FeatureConsistency, ...]:
    """Compare ``features`` (feature to its view's name) of the requests that both tables have.

    Args:
        served, recomputed: indexed by request id, one column a feature; rows are matched by index.
        others: further recomputations by what they would mean, for example ``"it is the value of 1 h earlier"``,
            tried in order.
    """
    shared = served.index.intersection(recomputed.index, sort=False)
    left, right = served.loc[shared], recomputed.loc[shared]
    alternatives = {why: frame.reindex(shared) for why, frame in (others or {}).items()}
    found = []
    for name, view in features.items():
        tried = {why: frame[name] for why, frame in alternatives.items()}
        found.append(_compare(name, view, left[name], right[name], tried))
    return tuple(found)


def merged(parts: list[FeatureConsistency]) -> FeatureConsistency:
    """One feature's results of several days as one; a cause is kept when every day that differs has the same."""
    first = parts[0]
    causes = {p.cause for p in parts if p.differing}
    sizes = [p.largest for p in parts if p.largest is not None]
    return FeatureConsistency(
        feature=first.feature,
        view=first.view,
        rows=sum(p.rows for p in parts),
        matches=sum(p.matches for p in parts),
        mismatches=sum(p.mismatches for p in parts),
        missing=sum(p.missing for p in parts),
        extra=sum(p.extra for p in parts),
        largest=max(sizes) if sizes else None,
        cause=causes.pop() if len(causes) == 1 else None,
        examples=tuple(e for p in parts for e in p.examples)[:EXAMPLES],
    )


def _compare(
    name: str, view: str, served: pd.Series[Any], recomputed: pd.Series[Any], others: Mapping[str, pd.Series[Any]]
) -> FeatureConsistency:
    has, should = served.notna().to_numpy(), recomputed.notna().to_numpy()
    same = _same(served, recomputed)
    differs = ~same
    mismatch = differs & has & should
    largest = None
    if mismatch.any() and _numeric(served) and _numeric(recomputed):
        largest = float(np.abs(served.to_numpy(float)[mismatch] - recomputed.to_numpy(float)[mismatch]).max())
    places = np.flatnonzero(differs)[:EXAMPLES]
    return FeatureConsistency(
        feature=name,
        view=view,
        rows=len(served),
        matches=int(same.sum()),
        mismatches=int(mismatch.sum()),
        missing=int((differs & ~has).sum()),
        extra=int((differs & ~should).sum()),
        largest=largest,
        cause=_cause(served, recomputed, differs, others) if differs.any() else None,
        examples=tuple(
            Example(str(served.index[i]), _plain(served.iloc[i]), _plain(recomputed.iloc[i])) for i in places
        ),
    )


def _cause(
    served: pd.Series[Any], recomputed: pd.Series[Any], differs: np.ndarray[Any, Any], others: Mapping[str, Any]
) -> str | None:
    if _numeric(served) and _numeric(recomputed):
        given, exact = served.to_numpy(float)[differs], recomputed.to_numpy(float)[differs]
        for digits in reversed(DIGITS):
            if np.array_equal(np.round(exact, digits), given, equal_nan=True):
                return f"the served value is rounded to {digits} decimal places"
        if np.array_equal(exact.astype(np.float32).astype(float), given, equal_nan=True):
            return "the served value was held in 32 bits"
    for why, other in others.items():
        if _same(served[differs], other[differs]).all():
            return why
    return None


def _same(one: pd.Series[Any], other: pd.Series[Any]) -> np.ndarray[Any, Any]:
    missing = one.isna().to_numpy() & other.isna().to_numpy()
    if _numeric(one) and _numeric(other):
        equal = one.to_numpy(float) == other.to_numpy(float)
    else:
        equal = one.astype(object).to_numpy() == other.astype(object).to_numpy()
    return np.asarray(missing | (equal & one.notna().to_numpy() & other.notna().to_numpy()), dtype=bool)


def _numeric(values: pd.Series[Any]) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values)) and not bool(pd.api.types.is_bool_dtype(values))


def _plain(value: Any) -> float | str | bool | None:
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return float(value) if isinstance(value, int | float | np.number) else str(value)
