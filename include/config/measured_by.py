"""The metrics of a team's own that a declaration uses, imported. Not for Dag files: they read declarations as text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from include.config import importing
from include.config.gates import DeclaredGates, JudgedGates, metrics_used
from include.config.own_metrics import LOSSES, of_the_project
from include.config.types import ModelDeclaration

if TYPE_CHECKING:
    from include.domain.metrics import Metric


def metrics_of(model: ModelDeclaration) -> dict[str, Metric]:
    """The metrics of the team's own that the model's gates use, by the name they are declared with; imported now.

    Raises:
        NoModule, NoSuchName, WrongShape: when one cannot be used.
    """
    from include.domain.own_metrics import of_values

    business = {metric.name: of_values(metric.name, metric.direction) for metric in model.business_metrics}
    return business | metrics_in(model.gates, model.task, "gates.", without=business)


def metrics_in(
    gates: DeclaredGates | JudgedGates, task: str, prefix: str = "", *, without: Collection[str] = ()
) -> dict[str, Metric]:
    """The same for gates without a model; ``without`` are names that are known otherwise."""
    return {
        name: imported(name, f"{prefix}{where}")
        for where, name in metrics_used(gates)
        if name not in without and not of_the_project(task, name)
    }


def with_settings(model: ModelDeclaration) -> list[str]:
    """The metrics with settings that the gates use, each once."""
    return list(dict.fromkeys(name for _, name in metrics_used(model.gates) if "(" in name))


def loss_of(model: ModelDeclaration) -> str | Metric:
    """What ``drift.performance`` watches, as ``row_losses`` takes it.

    Raises:
        NoModule, NoSuchName, WrongShape: when it is a team's own and cannot be used.
    """
    name, where = model.drift.performance.metric, "drift.performance.metric"
    if name.partition("(")[0] in LOSSES:
        return name
    metric = imported(name, where)
    if metric.per_row is None or metric.worse_sign < 0 or metric.low < 0:
        shape = "a loss: decorated with per_row, better lower, low 0 or more"
        raise importing.WrongShape(where, name, f"is no loss of each row; what is watched is {shape}.")
    return metric


def imported(name: str, where: str) -> Metric:
    """The team's metric at an import path, under the name it is declared with."""
    from include.domain.metrics import Metric

    found = importing.found(name, where, importing.METRIC)
    if not isinstance(found, Metric):
        shape = importing.METRIC.shape
        raise importing.WrongShape(where, name, f"is {type(found).__name__} and no metric; a metric is {shape}.")
    return replace(found, name=name)
