"""Every path by which a declaration names something to import, and what is wrong with each.

``slipway validate`` asks this. It imports what is named, so nothing at parse may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from include.config.gates import metrics_used
from include.config.importing import BadPath
from include.config.measured_by import imported, loss_of
from include.config.notify import Channel
from include.config.own_metrics import LOSSES, of_the_project
from include.config.types import FeatureView, ModelDeclaration

Where = tuple[str | int, ...]
"""A field's place in the file."""


def wrong_in(model: ModelDeclaration) -> Iterator[tuple[Where, str]]:
    """What cannot be imported or has the wrong shape: where in the file, and the line that says so.

    The estimator and the steps of ``preprocess`` are not checked here: they are built, by ``cannot_be_built`` of
    ``workflows/scoring/fitted_models.py``.
    """
    yield from _wrong(_paths(model))


def wrong_in_view(view: FeatureView) -> Iterator[tuple[Where, str]]:
    """The same of a feature view."""
    yield from _wrong(_notifier(view.notify))


def _wrong(paths: Iterable[tuple[Where, Callable[[], Any]]]) -> Iterator[tuple[Where, str]]:
    for where, import_it in paths:
        try:
            import_it()
        except BadPath as error:
            yield where, str(error)


def _notifier(channel: Channel) -> Iterator[tuple[Where, Callable[[], Any]]]:
    if channel.via == "path":
        yield ("notify", "path"), channel.function


def _paths(model: ModelDeclaration) -> Iterator[tuple[Where, Callable[[], Any]]]:
    for i, gate in enumerate(model.gates.own):
        yield ("gates", "own", i, "path"), partial(gate.function, i)
    for dotted, name in metrics_used(model.gates):
        if not of_the_project(model.task, name) and all(name != metric.name for metric in model.business_metrics):
            where = tuple(int(part) if part.isdigit() else part for part in dotted.split("."))
            yield ("gates", *where), partial(imported, name, f"gates.{dotted}")
    watched = model.drift.performance.metric
    if watched.partition("(")[0] not in LOSSES and all(watched != metric.name for metric in model.business_metrics):
        yield ("drift", "performance", "metric"), lambda: loss_of(model)
    yield from _notifier(model.notify)
