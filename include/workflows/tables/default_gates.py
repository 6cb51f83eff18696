"""Bounds for predictions without declared gates: a model that ignores its inputs just fails them.

They say whether a candidate is worth closer inspection. They are no standard: a team writes its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from include.config.base import as_share
from include.config.gates import JudgedGates
from include.config.measured_by import imported
from include.config.own_metrics import of_the_project
from include.config.problems import what_is_wrong
from include.domain import classes
from include.domain.errors import Refusal
from include.domain.gap import MARGIN_SHARE, has_gap

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COMPARED = {"binary": ("brier", "log_loss"), "multiclass": ("log_loss",), "regression": ("mae", "rmse")}
"""The losses that gates measure; the first replaces the others."""


class BadDefault(Refusal, ValueError):
    """What was given makes no gates."""


def floor(task: str, count: int, known: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The bound that a model which ignores its inputs just reaches, or fails.

    Args:
        task: of the model.
        count: how many classes there are.
        known: ``(n,)`` labels, a class as its position.
    """
    import numpy as np

    if task == "binary":
        return {"metric": "roc_auc", "at_least": 0.5}
    if task == "regression":
        # Not r2: it is measured against the mean of the judged rows, which no model knows before them.
        return {"metric": "mae", "at_most": float(f"{spread(known):.4g}")}
    shares = np.bincount(known.astype(int), minlength=max(count, 1)) / max(len(known), 1)
    return {"metric": "accuracy", "at_least": round(float(shares.max()), 4)}


def margin(task: str, name: str, known: np.ndarray[Any, Any], count: int) -> float | str:
    """The loss against a champion that is tolerated by this metric: the default share of the gap; where the gap to a
    model that ignores its inputs says nothing, or it has no value, half of that share of the metric's range from 0 to
    1, or of another metric the share itself.

    Args:
        task: of the model.
        name: the metric, or one of a team's own by import path.
        known: ``(n,)`` labels, a class as its position.
        count: how many classes there are.
    """
    import numpy as np

    from include.domain.metrics import Task, measure, metric_of

    metric = metric_of(Task(task), name) if of_the_project(task, name) else imported(name, "--metric")
    if task == "multiclass":
        shares = np.bincount(known.astype(int), minlength=count) / max(len(known), 1)
        naive: np.ndarray[Any, Any] = np.tile(shares, (len(known), 1))
    else:
        naive = np.full(len(known), known.mean() if len(known) else np.nan)
    if has_gap(metric.name) and measure(Task(task), metric, known, naive).value is not None:
        return as_share(MARGIN_SHARE)
    return MARGIN_SHARE / 2 if metric.low >= 0 and metric.high <= 1 else MARGIN_SHARE


def spread(known: np.ndarray[Any, Any]) -> float:
    """The mean distance of labels from their median; 1 where there is none."""
    import numpy as np

    return float(np.abs(known - np.median(known)).mean()) or 1.0 if len(known) else 1.0


def judged(task: str, label: pd.Series[Any], named: tuple[str, ...]) -> JudgedGates:
    """The gates that ``slipway judge`` takes where none are given. ``named`` are the classes; multiclass labels have
    some.

    Raises:
        BadDefault: when the named classes are none.
    """
    import numpy as np
    import pandas as pd

    names = list(named) or (list(classes.BINARY) if task == "binary" else [])
    if task == "regression":
        known = pd.to_numeric(label, errors="coerce").to_numpy(dtype=np.float64)
        known = known[np.isfinite(known)]
    else:
        known = classes.positions(names, label)[0]
        known = known[np.isfinite(known)]
    compared = COMPARED[task][0]
    data: dict[str, Any] = {
        "task": task,
        **({"classes": names} if named else {}),
        "threshold_gate": {"criteria": [floor(task, len(names), known)]},
        "champion_gate": {
            "comparisons": [{"metric": compared, "margin": as_share(MARGIN_SHARE)}],
            "beat_baseline_on": compared,
        },
    }
    try:
        return JudgedGates(**data)
    except ValidationError as error:
        raise BadDefault(f"--classes: {what_is_wrong(JudgedGates, error.errors()[0])}") from None


def stated(declared: JudgedGates) -> list[str]:
    """The defaults, as the file that would declare the same."""
    data = declared.model_dump(mode="json", exclude_unset=True)
    text = yaml.safe_dump(data, sort_keys=False, default_flow_style=None)
    return [
        "No --gates: these defaults were taken. They ask for little; write your own in a file (docs/judge.md).",
        *(f"  {line}" for line in text.splitlines()),
    ]
