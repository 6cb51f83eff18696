"""The values that one row is answered from: the caller's, and those that are looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from include.adapters.hot_features import FeaturesUnreachable, HotRow
from include.domain.journal.records import ViewServed, Why
from include.domain.serving.requests import AskedRow, NotAnswered
from include.domain.serving.route import ServedModel, ServedView


class LooksUp(Protocol):
    """Where values are looked up."""

    def row(self, view: str, version: int, keys: Sequence[Any]) -> HotRow | None: ...


@dataclass(slots=True)
class FoundRow:
    """One row with its values, and how they came."""

    features: dict[str, Any]
    keys: dict[str, Any]
    event_time: datetime | None
    given: Any
    views: dict[str, ViewServed]


def looked_up(lookup: LooksUp, row: AskedRow, served: ServedModel, at: datetime) -> FoundRow:
    """The row as the model takes it, as of ``at``.

    Raises:
        NotAnswered: when values of a view are missing, and its policy refuses that.
    """
    names = [each.name for each in served.features]
    lacking = {name for name in names if name not in row.features}
    if not lacking:
        return FoundRow({name: row.features[name] for name in names}, dict(row.keys), row.event_time, "all", {})
    found, event_time = dict(row.features), row.event_time
    # A feature of the entity may be the key of another view.
    known = {**row.features, **row.keys}
    views: dict[str, ViewServed] = {}
    for view in served.views:
        wanted = [name for name in view.features if name in lacking]
        if not wanted and not (view.is_entity and _lacks_keys(served, known)):
            continue
        values, how = _of_view(lookup, view, known, at)
        views[view.name] = how
        if how.missing is not None and view.missing == "refuse" and wanted:
            raise NotAnswered(
                422,
                f"the values of {view.name} are {how.missing}, and the model is not asked without them",
                [{"view": view.name, "problem": how.missing, "age_s": how.age_s}],
            )
        found.update({name: values.get(name) for name in wanted})
        if view.is_entity:
            event_time = event_time or how.event_time
            for name, value in values.items():
                known.setdefault(name, value)
    entity = served.views[0].keys if served.views else []
    features = {each.name: _of_kind(found.get(each.name), each.kind) for each in served.features}
    keys = {name: known[name] for name in entity if name in known}
    return FoundRow(features, keys, event_time, [name for name in names if name not in lacking], views)


def _of_view(
    lookup: LooksUp, view: ServedView, known: Mapping[str, Any], at: datetime
) -> tuple[Mapping[str, Any], ViewServed]:
    """The view's values, none where they may not be used, and how they came."""
    keys = [known.get(name) for name in view.keys]
    if any(key is None for key in keys):
        return {}, ViewServed(view.version, missing="absent")
    try:
        row = lookup.row(view.name.partition("@")[0], view.version, keys)
    except FeaturesUnreachable:
        return {}, ViewServed(view.version, missing="unreachable")
    if row is None:
        return {}, ViewServed(view.version, missing="absent")
    age = (at - row.event_time).total_seconds()
    why: Why | None = None
    if row.available_time > at or (row.event_time > at and not view.is_entity):
        why = "future"
    elif row.event_time <= at - timedelta(seconds=view.ttl_s):
        why = "stale"
    return ({} if why else row.features), ViewServed(view.version, row.event_time, round(age, 3), why, row.run_id)


def _lacks_keys(served: ServedModel, known: Mapping[str, Any]) -> bool:
    return any(key not in known for view in served.views for key in view.keys)


def _of_kind(value: Any, kind: str) -> Any:
    """A stored value as the model takes it."""
    if value is None:
        return None
    if kind == "categorical":
        return value if isinstance(value, str) else str(value)
    return bool(value) if kind == "boolean" else float(value)
