"""Metrics that a declaration names and the project does not have: by import path, entry point, or declared SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from include.config import importing
from include.config.base import Declared, Name
from include.domain import metric_names

METRICS = {task: tuple(names) for task, names in metric_names.NAMES.items()}
"""The names of each task's metrics; some need settings beside."""
LOSSES = tuple(dict.fromkeys(name for names in metric_names.LOSSES.values() for name in names))
"""The losses that ``drift.performance`` may watch, beside a team's own."""


def _as_text(given: Any) -> Any:
    """``{name: f_beta, beta: 2, threshold: 0.3}`` as the text it is known by; a text in its usual spelling."""
    if isinstance(given, Mapping):
        settings = dict(given)
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise ValueError("a metric with settings needs its name: {name: f_beta, beta: 2, threshold: 0.3}")
        return metric_names.text_of(name, settings)
    return metric_names.normal(given) if isinstance(given, str) else given


WITH_SETTINGS = r"[a-z]\w*\(.+\)"
MetricName = Annotated[
    str,
    BeforeValidator(_as_text),
    Field(pattern=rf"^({importing.DOTTED}|{importing.ENTRY_POINT}|{WITH_SETTINGS})$"),
]
"""A metric of the task, with its settings where it needs some; or a business metric of the model; or one of a team's
own, by import path or entry point."""


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
    if "(" in name:
        return False
    return "." in name or ":" in name or importing.is_entry_point(name, importing.METRIC)


def of_the_project(task: str, text: str) -> bool:
    """Whether the text, settings and all, is a metric that the project has for the task."""
    return metric_names.is_known(task, text) and metric_names.why_not(task, text) is None
