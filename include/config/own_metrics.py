"""Metrics that a declaration names and the project does not have: by import path, entry point, or declared SQL."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from include.config import importing
from include.config.base import Declared, Name
from include.config.importing import ImportPath

METRICS = {
    "binary": ("roc_auc", "log_loss", "brier", "accuracy", "average_precision", "ece"),
    "multiclass": ("log_loss", "accuracy"),
    "regression": ("mae", "rmse", "r2"),
}
LOSSES = ("brier", "log_loss", "error", "mae", "rmse")
"""The losses that ``drift.performance`` may watch, beside a team's own."""

MetricName = ImportPath
"""A metric of the task; or a business metric of the model; or one of a team's own, by import path or entry point."""


def _is_free(name: str) -> str:
    known = {*LOSSES, *(metric for metrics in METRICS.values() for metric in metrics)}
    if name in known:
        raise ValueError("a metric of the project has this name; give yours another")
    return name


class BusinessMetric(Declared):
    """What a row is worth, computed by SQL from its label, its score and what is known of it."""

    name: Annotated[Name, AfterValidator(_is_free)]
    """Its name, which the gates use as ``metric``."""
    sql: Annotated[str, Field(pattern=r"^[A-Za-z_][\w-]*\.sql$")]
    """The file beside model.yaml: one SELECT over the table ``scored`` that gives ``row`` and ``value`` of each row."""
    direction: Literal["lower", "higher"]
    """Which direction is good."""


def _told_apart(metrics: list[BusinessMetric]) -> list[BusinessMetric]:
    names = [metric.name for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"business_metrics has {twice} twice; a metric's name is its own")
    return metrics


BusinessMetrics = Annotated[list[BusinessMetric], AfterValidator(_told_apart)]


def may_be_own(name: str) -> bool:
    """Whether the name can be one of a team's own metrics. Imports nothing."""
    return "." in name or ":" in name or importing.is_entry_point(name, importing.METRIC)
