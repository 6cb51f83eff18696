"""Signs that a table's features contain the label: reported before a simulated loss is trusted.

The same strength of one feature alone that ``leakage_gate`` judges, the share of a regression's label that two numbers
explain together (their sum may be the label), and a first champion that answers held-out rows almost without a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration
from include.domain.gates.leakage import strength
from include.domain.metrics import Task, measure
from include.workflows.simulation.replayed_candidate import ReplayedCandidate, read_by

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ROWS = 20_000
"""Most training rows that are tested."""
BOUND = 0.99
"""Area under the curve, or share of variance explained, beyond which a feature is named."""
FLAWLESS = {Task.BINARY: ("roc_auc", 0.99), Task.MULTICLASS: ("accuracy", 0.99), Task.REGRESSION: ("r2", 0.99)}
_NAMED = 3
_MOST_PAIRED = 200


def leaks(model: ModelDeclaration, first: ReplayedCandidate) -> list[str]:
    """A remark for each sign in the rows that the first champion learned from and was held out."""
    import numpy as np

    declared = model.gates.leakage_gate
    bound = BOUND if declared is None else (declared.auc_at_most if model.is_classifier else declared.r2_at_most)
    trusted = set(declared.known_strong if declared is not None else ())
    rows = first.train[np.unique(np.linspace(0, len(first.train) - 1, min(len(first.train), ROWS)).astype(int))]
    features, y = read_by(model, first.stream).iloc[rows], first.stream.y[rows]
    task = Task(model.task)
    alone = {str(n): s for n in features.columns if (s := strength(task, y, features[n])) is not None and s > bound}
    found = [
        f"{name} alone {_reaches(task, value)}: known at prediction time?"
        for name, value in sorted(alone.items(), key=lambda item: -item[1])[:_NAMED]
        if name not in trusted
    ]
    if len(alone) > _NAMED:
        found.append(f"{len(alone) - _NAMED} more features do so alone.")
    if task is Task.REGRESSION and not alone:
        found += [
            f"{first_name} and {second} together explain {share:.3f} of the label's variance: known at prediction time?"
            for first_name, second, share in _pairs(features, y, bound, trusted)
        ]
    if not found and not trusted:
        metric, least = FLAWLESS[task]
        value = measure(task, metric, first.stream.y[first.holdout], first.holdout_scores()).value
        if value is not None and value >= least:
            found.append(
                f"The first champion reaches {metric} {value:.3f} on held-out rows, almost without a fault: are all "
                "features known at prediction time?"
            )
    return found


def _reaches(task: Task, value: float) -> str:
    return f"explains {value:.3f} of the label's variance" if task is Task.REGRESSION else f"reaches AUC {value:.3f}"


def _pairs(
    features: pd.DataFrame, y: np.ndarray[Any, Any], bound: float, trusted: set[str]
) -> Iterator[tuple[str, str, float]]:
    """The pairs of numbers of which a straight line explains more than the bound, the best first.

    The share is ``(a^2 + b^2 - 2abc) / (1 - c^2)`` of the correlations with the label and of each other.
    """
    import numpy as np

    numbers = features.select_dtypes("number").iloc[:, :_MOST_PAIRED]
    numbers = numbers[[c for c in numbers.columns if c not in trusted and numbers[c].nunique() > 1]]
    if numbers.shape[1] < 2 or len(y) < 10 or not np.ptp(y) > 0:
        return
    filled = numbers.fillna(numbers.median())
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        whole = np.corrcoef(np.column_stack([filled.to_numpy(dtype=np.float64), y]), rowvar=False)
        with_label, between = whole[:-1, -1], whole[:-1, :-1]
        top = with_label[:, None] ** 2 + with_label**2 - 2 * with_label[:, None] * with_label * between
        share = np.where(between**2 < 1 - 1e-9, top / (1 - between**2), np.nan)
    upper = np.triu(np.nan_to_num(share, nan=0.0, posinf=0.0), 1)
    best = [divmod(int(at), upper.shape[1]) for at in np.argsort(-upper, axis=None)[:_NAMED]]
    names = [str(c) for c in numbers.columns]
    yield from ((names[i], names[j], float(upper[i, j])) for i, j in best if upper[i, j] > bound)
