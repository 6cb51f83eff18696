"""What a candidate must beat: answers that need no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration
from include.config.champion_gate import ChampionGate
from include.domain.naive import KnownValues, season_ago, value_at
from include.domain.weights import mean_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """Rows with their features and labels ``y``, a class as its position; ``event_time`` is when each happened, and may
    be None where no baseline needs it. ``weight`` is how much each counts, None where all count the same."""

    features: pd.DataFrame
    y: np.ndarray[Any, Any]
    event_time: pd.Series[Any] | None = None
    weight: np.ndarray[Any, Any] | None = None


def naive_baseline(model: ModelDeclaration, learned: LabelledRows, asked: LabelledRows) -> np.ndarray[Any, Any]:
    """The declared baseline's answer to each row of ``asked``, ``(n,)``; of a multiclass model the share of each class
    in the training rows, ``(n, classes)``.

    ``mean`` is the mean label (by weight, where rows have one) of the row's group in the training rows, and the overall
    mean where there is no group or the group is unseen. ``last_value`` and ``seasonal_naive`` use the labels of both
    sets that had matured when the row was asked for, and the overall mean of the training rows where there is none.
    """
    import numpy as np

    declared = model.gates.champion_gate
    if model.task == "multiclass":
        counts = np.bincount(learned.y, learned.weight, len(model.label.classes or []))
        return np.tile(counts / counts.sum(), (len(asked.y), 1))
    overall = mean_of(learned.y, learned.weight)
    if declared.baseline == "mean":
        return _means(declared.baseline_by, learned, asked.features, overall)
    answers = _from_the_past(model, declared, learned, asked)
    unknown = int(np.isnan(answers).sum())
    if unknown:
        print(
            f"The baseline {declared.baseline} had no matured label for {unknown:,} of {len(answers):,} rows; it "
            "answers these with the mean label of the training rows."
        )
    return np.where(np.isnan(answers), overall, answers)


def _means(by: list[str], learned: LabelledRows, features: pd.DataFrame, overall: float) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    if not by:
        return np.full(len(features), overall)
    labels = pd.Series(learned.y, index=learned.features.index)
    groups = [learned.features[c] for c in by]
    if learned.weight is None:
        means = labels.groupby(groups, observed=True).mean().rename("mean")
    else:
        each = pd.Series(learned.weight, index=labels.index)
        totals = [values.groupby(groups, observed=True).sum() for values in (labels * each, each)]
        means = (totals[0] / totals[1]).rename("mean")
    joined = features[by].merge(means.reset_index(), on=by, how="left")
    return joined["mean"].fillna(overall).to_numpy(dtype=float)


def _from_the_past(
    model: ModelDeclaration, declared: ChampionGate, learned: LabelledRows, asked: LabelledRows
) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    if learned.event_time is None or asked.event_time is None:
        raise ValueError(f"the baseline {declared.baseline} needs the time of each row")
    by, first = declared.baseline_by, len(learned.y)
    series: np.ndarray[Any, Any] = np.zeros(first + len(asked.y), dtype=np.intp)
    if by:
        groups = pd.concat([learned.features[by], asked.features[by]], ignore_index=True)
        series = groups.groupby(by, dropna=False, observed=True).ngroup().to_numpy(dtype=np.intp)
    at = np.concatenate([_microseconds(learned.event_time), _microseconds(asked.event_time)])
    event = at[first:]
    # A label is known once its window has closed, and the row is asked for by the lead before it happens.
    latest = event - (model.longest_lead + model.label.delay) // pd.Timedelta(microseconds=1).to_pytimedelta()
    if declared.baseline_season is not None:
        latest = season_ago(event, latest, declared.baseline_season // pd.Timedelta(microseconds=1).to_pytimedelta())
    known = KnownValues(series, at, np.concatenate([learned.y, asked.y]).astype(np.float64))
    return value_at(known, series[first:], latest)


def _microseconds(times: pd.Series[Any]) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    utc = pd.to_datetime(times, utc=True).dt.tz_localize(None)
    return utc.to_numpy(dtype="datetime64[us]").astype(np.int64)
