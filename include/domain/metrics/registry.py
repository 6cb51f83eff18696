"""The metrics of each task by name: those that need no setting, and how the others are made from theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from include.domain import metric_names
from include.domain.errors import Refusal
from include.domain.metrics import decisions, probabilities, ranking, values
from include.domain.metrics.kinds import Metric, Task

METRICS: dict[Task, dict[str, Metric]] = {
    task: {m.name: m for m in metrics}
    for task, metrics in {
        Task.BINARY: (
            ranking.ROC_AUC,
            probabilities.LOG_LOSS,
            probabilities.BRIER,
            decisions.ACCURACY,
            ranking.AVERAGE_PRECISION,
            probabilities.ECE,
        ),
        Task.MULTICLASS: (
            probabilities.LOG_LOSS,
            decisions.ACCURACY,
            probabilities.BRIER,
            ranking.MACRO_ROC_AUC,
            decisions.BALANCED_ACCURACY,
            decisions.MACRO_PRECISION,
            decisions.MACRO_RECALL,
            decisions.MACRO_F1,
        ),
        Task.REGRESSION: (values.MAE, values.RMSE, values.R2, values.MAPE, values.POISSON_DEVIANCE),
    }.items()
}
"""Those without settings: what every evaluation measures."""

MADE: dict[Task, dict[str, Callable[..., Metric]]] = {
    Task.BINARY: {
        "precision": decisions.precision,
        "recall": decisions.recall,
        "f_beta": decisions.f_beta,
        "balanced_accuracy": decisions.balanced_accuracy_of_two,
        "cost": decisions.cost,
    },
    Task.MULTICLASS: {"cost": decisions.cost},
    Task.REGRESSION: {"pinball": values.pinball},
}
"""Those with settings, by how they are made."""


class UnknownMetric(Refusal, KeyError):
    """A metric that the task does not have."""

    def __init__(self, task: Task, name: str, why: str | None = None) -> None:
        known = ", ".join([*METRICS[task], *MADE[task]])
        self.message = (
            f"There is no metric {name!r} for a {task.value} model; it is measured by one of {known}."
            if why is None
            else f"The metric {name!r} cannot be measured: {why}."
        )
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


def metric_of(task: Task, name: str | Metric) -> Metric:
    """The task's metric of that name, ``f_beta(beta=2, threshold=0.3)`` with its settings; a metric is returned
    unchanged.

    Raises:
        UnknownMetric: naming the ones the task has, or the setting that is wrong.
    """
    if isinstance(name, Metric):
        return name
    found = METRICS[task].get(name)
    return found if found is not None else _made(task, name)


@cache
def _made(task: Task, text: str) -> Metric:
    if not metric_names.is_known(task.value, text):
        raise UnknownMetric(task, text)
    why = metric_names.why_not(task.value, text)
    if why is not None:
        raise UnknownMetric(task, text, why)
    name, settings = metric_names.split(text)
    return replace(MADE[task][name](**settings), name=metric_names.normal(text))
