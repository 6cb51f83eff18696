"""The rows a selftest judges on, and the two honest models: a champion, and a twin that may replace it.

The rows are real feature rows of the model's views where the offline store has enough of them, else rows made from the
declaration. The labels are made in both cases, from a known function of the features and seeded chance: so it is known
that the twin is honest, whatever happened in those days. Nothing is written, and the ledger is not opened.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from include.adapters import estimators
from include.config import ModelDeclaration, declarations
from include.domain.errors import Refusal
from include.domain.gates import Availability, Split, split_of
from include.domain.intervals import DAY, Interval
from include.domain.weights import counted_rows
from include.workflows import stores
from include.workflows.evidence.availability import availability_of
from include.workflows.evidence.baselines import LabelledRows, naive_baseline
from include.workflows.scoring import fitted_models, point_in_time_rows, row_weights
from include.workflows.scoring.point_in_time_rows import WEIGHT

STRENGTHS = (2.0, 4.0, 8.0)
"""How strongly the label depends on the features, weakest first: the weakest with which an honest model passes is
taken."""
MADE_FROM = datetime(2024, 1, 1, tzinfo=UTC)
"""The first day of made rows; any would do."""
FEWEST = 2000
"""Rows below which no selftest is made, however few the gates ask for: chance would decide it."""
SPARE = 1.1
"""Rows beyond the fewest that the gates ask for."""
MOST_HELD_OUT = 20_000
MADE_WORTH = 12 / 13
"""How many rows of equal weight a made row is worth: made weights are even between 0.5 and 1.5 (Kish)."""
CHAMPION_SHARE = 0.6
"""The share of the training rows the champion learned from, so that it is another model than its twin."""
WEAK_CHAMPION_SHARE = 0.03
"""The same where a gate asks for superiority: then an honest successor must have something to be better than."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows with their made labels: ``rows`` has the entity's keys and ``event_time``, ``features`` what models read,
    and ``weight`` how much each counts, above 0; None where the model declares none."""

    rows: pd.DataFrame
    features: pd.DataFrame
    y: np.ndarray[Any, Any]
    weight: np.ndarray[Any, Any] | None = None

    @property
    def days(self) -> np.ndarray[Any, Any]:
        return np.asarray(self.rows["event_time"].dt.strftime("%Y-%m-%d"), dtype=str)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Feature rows without labels: the training window, the holdout after it, and where they are from in words."""

    train: pd.DataFrame
    holdout: pd.DataFrame
    availability: Availability
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Everything a candidate is judged against. ``baseline`` is the naive baseline's answers to the holdout."""

    model: ModelDeclaration
    sentence: str
    train: Sample
    holdout: Sample
    availability: Availability
    split: Split | None
    champion: Any
    twin: Any
    baseline: np.ndarray[Any, Any]

    @property
    def seed(self) -> int:
        return seed_of(self.model)

    def fitted(self, features: pd.DataFrame, label: np.ndarray[Any, Any]) -> Any:
        """The declared estimator, fitted on training rows, which are known by their index."""
        return _fitted(self.model, features, label, self.train.weight)


def seed_of(model: ModelDeclaration) -> int:
    """The seed of everything that is drawn for the model."""
    return zlib.crc32(model.name.encode()) + model.training.seed


def rows_for(model: ModelDeclaration, *, stored: bool = True) -> Source:
    """Feature rows for the model's selftest: from the store when it has enough, else made.

    Args:
        stored: whether rows of the store may be used.
    """
    why = "made rows were asked for"
    if stored:
        try:
            found = _stored(model)
        except Refusal as refusal:
            found = str(refusal)
        if isinstance(found, Source):
            return found
        why = found
    return _made(model, why)


def world_of(model: ModelDeclaration, source: Source, strength: float) -> World:
    """Labels, champion, twin and baseline on these rows."""
    rng = np.random.default_rng([seed_of(model), int(strength)])
    kinds = fitted_models.kinds_of(model)
    together = pd.concat([source.train, source.holdout], ignore_index=True)
    y = labels(model, estimators.as_input(together, kinds), strength, rng)
    first = len(source.train)

    def sample(rows: pd.DataFrame, label: np.ndarray[Any, Any]) -> Sample:
        keep = rows.reset_index(drop=True)
        weight = None if model.weight is None else row_weights.in_table(model, keep, "the selftest's rows")
        return Sample(keep, estimators.as_input(keep, kinds), label, weight)

    train, holdout = sample(source.train, y[:first]), sample(source.holdout, y[first:])
    superiority = any(c.superiority for c in model.gates.champion_gate.comparisons)
    share = WEAK_CHAMPION_SHARE if superiority else CHAMPION_SHARE
    some = np.sort(rng.permutation(first)[: max(int(share * first), 50)])
    keys = declarations().view(model.entity.view).keys

    def fit(rows: np.ndarray[Any, Any] | slice) -> Any:
        return _fitted(model, train.features.iloc[rows], train.y[rows], train.weight)

    return World(
        model=model,
        sentence=source.sentence,
        train=train,
        holdout=holdout,
        availability=source.availability,
        split=split_of(train.rows, holdout.rows, keys),
        champion=fit(some),
        twin=fit(slice(None)),
        baseline=naive_baseline(
            model,
            LabelledRows(train.features, train.y, train.rows.get("event_time"), train.weight),
            LabelledRows(holdout.features, holdout.y, holdout.rows.get("event_time")),
        ),
    )


def _fitted(
    model: ModelDeclaration, features: pd.DataFrame, label: np.ndarray[Any, Any], weight: np.ndarray[Any, Any] | None
) -> Any:
    """The declared estimator, fitted as a journey does: by weights of mean 1, of the rows that the index names."""
    chosen = None if weight is None else weight[features.index.to_numpy()]
    scaled = None if chosen is None else chosen / chosen.mean()
    return estimators.fit(estimators.build(fitted_models.spec_of(model)), features, label, scaled)


# --- where rows come from --------------------------------------------------------------------------------------------


def _needed(model: ModelDeclaration) -> tuple[int, int, int]:
    """The fewest training rows, held-out rows and held-out days with which the model's gates judge at all."""
    gates = model.gates
    train = max(model.training.min_rows, FEWEST, 20 * len(model.features))
    held_out = max(gates.threshold_gate.min_rows, gates.champion_gate.min_rows, model.shadow.min_rows, FEWEST)
    if gates.slice_gate is not None:
        rules = gates.slice_gate.rules(gates.champion_gate)
        fewest = max(rules.min_rows, *(10 * rule.min_rows for rule in rules.fairness), 0)
        held_out = max(held_out, 5 * fewest)
    days = max(model.training.holdout_days, model.shadow.min_days, 5)
    return math.ceil(SPARE * train), math.ceil(SPARE * held_out), days


def _stored(model: ModelDeclaration) -> Source | str:
    """The newest published rows; or why they cannot be used."""
    train_rows, held_rows, days = _needed(model)
    store = stores.offline_store()
    newest = [store.newest_day(declarations().view(use.view)) for use in model.views]
    if any(day is None for day in newest):
        return "not every view of the model is published"
    as_of = Interval.of_day(min(day for day in newest if day is not None)).end
    keys = declarations().view(model.entity.view).keys
    starts = as_of - days * DAY
    held, _ = _joined(model, Interval(starts, as_of), as_of)
    held = _counting(model, held.drop_duplicates(keys, keep="last"))
    by = "" if model.weight is None else " by their weights"
    if (worth := _worth(model, _thinned(held, MOST_HELD_OUT))) < held_rows:
        return f"the last {days} published days have {worth:,} rows{by}, and {held_rows:,} are needed"
    window = min(math.ceil(1.5 * train_rows / (worth / days)), model.training.window_days)
    learned, availability = _joined(model, Interval(starts - window * DAY, starts), starts)
    learned = _counting(model, learned)
    if (count := _worth(model, learned)) < train_rows:
        return f"the {window} days before have {count:,} rows{by}, and {train_rows:,} are needed to learn from"
    learned = learned.tail(train_rows if model.weight is None else len(learned))
    held = _thinned(held, MOST_HELD_OUT)
    sentence = (
        f"{len(held):,} rows judged, {len(learned):,} learned from: real feature rows published until "
        f"{as_of:%Y-%m-%d}, labels made"
    )
    return Source(learned, held, availability, sentence)


def _joined(model: ModelDeclaration, interval: Interval, as_of: datetime) -> tuple[pd.DataFrame, Availability]:
    rows, measured = point_in_time_rows.joined(model, interval, as_of)
    availability = availability_of(measured)
    return rows.to_pandas(), availability or Availability(0, {})


def _counting(model: ModelDeclaration, rows: pd.DataFrame) -> pd.DataFrame:
    """Those that count: rows of the weight 0 are neither learned from nor judged on."""
    found = row_weights.in_table(model, rows, "the published rows")
    return rows if found is None else rows[found > 0].reset_index(drop=True)


def _worth(model: ModelDeclaration, rows: pd.DataFrame) -> int:
    """What bounds on the number of rows are held against."""
    return len(rows) if model.weight is None else counted_rows(rows[WEIGHT].to_numpy(dtype=float))


def _thinned(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    return rows if len(rows) <= most else rows.iloc[np.linspace(0, len(rows) - 1, most).astype(int)]


def _made(model: ModelDeclaration, why: str) -> Source:
    train_rows, held_rows, days = _needed(model)
    if model.weight is not None:
        train_rows, held_rows = (math.ceil(rows / MADE_WORTH) for rows in (train_rows, held_rows))
    rng = np.random.default_rng(seed_of(model))
    train_days = min(max(model.training.window_days, 5), 60)
    starts = MADE_FROM + train_days * DAY
    train = _frame(model, train_rows, MADE_FROM, train_days, rng, 0)
    holdout = _frame(model, held_rows, starts, days, rng, train_rows)
    known_before = Availability(train_rows, dict.fromkeys(model.features, 0))
    sentence = (
        f"{held_rows:,} rows judged, {train_rows:,} learned from: rows and labels made from the declaration ({why})"
    )
    return Source(train, holdout, known_before, sentence)


def _frame(
    model: ModelDeclaration, count: int, start: datetime, days: int, rng: np.random.Generator, first: int
) -> pd.DataFrame:
    """Made rows, evenly over the days. Columns that gates slice by get three values, other categories eight."""
    keys = declarations().view(model.entity.view).keys
    sliced: set[str] = set()
    if model.gates.slice_gate is not None:
        sliced = set(model.gates.slice_gate.columns)
    step = days * timedelta(days=1) / count
    columns: dict[str, Any] = {key: [f"{key}-{first + i}" for i in range(count)] for key in keys}
    columns["event_time"] = pd.to_datetime([start + i * step for i in range(count)], utc=True)
    for name, kind in fitted_models.kinds_of(model).items():
        if kind == "categorical":
            texts = np.array([f"{name}-{letter}" for letter in ("abc" if name in sliced else "abcdefgh")], dtype=object)
            columns[name] = texts[rng.integers(0, len(texts), count)]
        elif kind == "boolean":
            columns[name] = rng.random(count) < 0.5
        else:
            columns[name] = rng.standard_normal(count)
    if model.weight is not None:
        columns[WEIGHT] = rng.uniform(0.5, 1.5, count)
    return pd.DataFrame(columns)


# --- made labels -----------------------------------------------------------------------------------------------------


def labels(
    model: ModelDeclaration, features: pd.DataFrame, strength: float, rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """A label for each row: class positions, or values in the unit of the declared bounds.

    A classifier's classes follow a logistic model of the features; a regression's value is their sum and noise, of such
    a size that an honest model's mean absolute error is about a third of the bound that is declared on it.
    """
    n = len(features)
    if model.task == "regression":
        unit = _unit(model)
        value = _signal(model, features, 0) * 2 * strength * unit + unit * rng.standard_normal(n)
        return np.asarray(value, dtype=float)
    if model.task == "binary":
        chance = 1 / (1 + np.exp(1 - strength * _signal(model, features, 0)))
        return np.asarray(rng.random(n) < chance, dtype=np.int64)
    count = len(model.label.classes or [])
    scores = strength * np.column_stack([_signal(model, features, k) for k in range(count)])
    return np.asarray(np.argmax(scores + rng.gumbel(size=scores.shape), axis=1), dtype=np.int64)


def _unit(model: ModelDeclaration) -> float:
    """The standard deviation of a regression's noise: a third of the tightest bound on its error, else ten margins."""
    gates = model.gates
    bounds = [c.bound for c in gates.threshold_gate.criteria if c.metric in ("mae", "rmse") and c.bound > 0]
    margins = [
        10 * c.margin
        for c in gates.champion_gate.comparisons
        if c.metric in ("mae", "rmse") and isinstance(c.margin, float) and c.margin > 0
    ]
    return min(bounds) / 3 if bounds else min(margins) if margins else 1.0


def _signal(model: ModelDeclaration, features: pd.DataFrame, which: int) -> np.ndarray[Any, Any]:
    """The part of the label that the features explain, ``(n,)``, with mean 0 and standard deviation 1: a sum over up to
    six of them."""
    kinds = fitted_models.kinds_of(model)
    usable = [f for f in features.columns if features[f].nunique() > 1 and features[f].isna().mean() < 0.5]
    texts = [f for f in usable if kinds[f] == "categorical"][:2]
    numbers = [f for f in usable if kinds[f] != "categorical"][: 6 - len(texts)]
    total = np.zeros(len(features))
    for f in (*texts, *numbers):
        drawn = _draw(f"{seed_of(model)} {which} {f}")
        part = features[f].map(lambda v, f=f: _draw(f"{f} {which} {v}")) if kinds[f] == "categorical" else features[f]
        values = part.to_numpy(dtype=float)
        spread = float(np.nanstd(values)) or 1.0
        scaled = np.clip((values - np.nanmean(values)) / spread, -2.5, 2.5)
        total += (1 if drawn > 0 else -1) * (0.7 + 0.3 * abs(drawn)) * np.nan_to_num(scaled)
    return np.asarray((total - total.mean()) / (float(total.std()) or 1.0))


def _draw(text: str) -> float:
    """A fixed number from -1 to 1 for the text."""
    return zlib.crc32(text.encode()) / 2**31 - 1
