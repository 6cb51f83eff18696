"""What is simulated: a declared model, or one made from a table's columns; and the variants that ``--set`` asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration, yaml_text
from include.config.declared import BadDeclaration
from include.config.loader import checked_against_views, checked_declaration
from include.config.measured_by import imported
from include.config.old_keys import path_now
from include.config.own_metrics import may_be_own
from include.config.types import FeatureView
from include.domain import metric_names
from include.domain.errors import Refusal
from include.workflows.simulation.stream import Stream
from include.workflows.tables import default_gates

if TYPE_CHECKING:
    pass

DECLARED = "declared"
"""The name of the declaration as it is."""


class BadSetting(Refusal, ValueError):
    """A ``--set`` that cannot be used."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One declaration to replay, by the name it is shown under."""

    name: str
    model: ModelDeclaration


def variants(
    model: ModelDeclaration, sets: Sequence[Sequence[str]], views: dict[str, FeatureView] | None
) -> tuple[Variant, ...]:
    """The declaration as it is, and for each entry of ``sets`` the one with those ``PATH=VALUE`` changed.

    A value is YAML: ``0.01``, ``[3, 5]``, ``advisory``. A path may leave out blocks when only one field fits:
    ``drift.q`` is ``drift.inputs.q``. ``views`` are those of the project; None where the model was
    made from a table.

    Raises:
        BadSetting: naming the ``--set``, the field, its value and what is allowed.
    """
    found = [Variant(DECLARED, model)]
    for given in sets:
        changes = _changes(given, model.model_dump())
        name = ", ".join(f"{path}={value}" for path, value in changes.items())
        if any(v.name == name for v in found):
            raise BadSetting(f"--set {name} is given twice; each is one variant to compare.")
        found.append(Variant(name, _changed(model, changes, name, views)))
    return tuple(found)


def _changes(given: Sequence[str], declared: Mapping[str, Any]) -> dict[str, str]:
    """Whole path and value of each, in order."""
    changes: dict[str, str] = {}
    for text in given:
        path, separator, value = text.partition("=")
        path = path.strip()
        if not separator or not path or not value.strip():
            raise BadSetting(f"--set {text!r} is no PATH=VALUE; write for example drift.inputs.q=0.01.")
        path = _whole_path(path_now(path), declared)
        if path in changes:
            raise BadSetting(f"--set gives {path} twice, {changes[path]} and {value}; in one --set each field has one.")
        changes[path] = value.strip()
    return changes


def _whole_path(path: str, declared: Mapping[str, Any]) -> str:
    """The path with the blocks that were left out; as it is where it is a field, or none of that name is below it."""
    *blocks, name = path.split(".")
    below: Any = declared
    for block in blocks:
        below = below.get(block) if isinstance(below, dict) else None
    if not isinstance(below, dict) or name in below:
        return path
    meant = [".".join((*blocks, *found)) for found in _paths_to(name, below)]
    if len(meant) > 1:
        raise BadSetting(f"--set {path}: {path} is not a field; {', '.join(meant)} are. Which one is meant?")
    return meant[0] if meant else path


def _paths_to(name: str, below: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for block, inner in below.items():
        if isinstance(inner, dict):
            if name in inner:
                yield (block, name)
            yield from ((block, *rest) for rest in _paths_to(name, inner))


def _changed(
    model: ModelDeclaration, changes: Mapping[str, str], name: str, views: dict[str, FeatureView] | None
) -> ModelDeclaration:
    data = model.model_dump(mode="json", exclude_unset=True)
    _restore_durations(data, model)
    for path, value in changes.items():
        _put(data, path, _value(path, value))
    try:
        changed = checked_declaration(data, model._folder)
        return changed if views is None else checked_against_views(changed, views)
    except BadDeclaration as error:
        raise BadSetting(f"--set {name}: {error.problems[0]}") from None


def _value(path: str, text: str) -> Any:
    import yaml

    try:
        return yaml_text.parsed(text)
    except yaml_text.KeyGivenTwice as error:
        raise BadSetting(f"--set {path}: {error}") from None
    except yaml.YAMLError:
        raise BadSetting(
            f"--set {path}: {text!r} is no YAML value; quote a text that has : or brackets in it."
        ) from None


def _put(data: Any, path: str, value: Any) -> None:
    """Set the field; a part that is not there yet becomes a mapping, which the declaration's types then judge."""
    parts = path.split(".")
    here = data
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if isinstance(here, list):
            if not part.isdigit() or int(part) >= len(here):
                before = ".".join(parts[:i])
                raise BadSetting(
                    f"--set {path}: {before} is a list of {len(here)}; its entries are {before}.0"
                    + (f" to {before}.{len(here) - 1}." if len(here) > 1 else ".")
                )
            if last:
                here[int(part)] = value
            else:
                here = here[int(part)]
        elif isinstance(here, dict):
            if last:
                here[part] = value
            else:
                if here.get(part) is None:
                    here[part] = {}
                here = here[part]
        else:
            before = ".".join(parts[:i])
            raise BadSetting(f"--set {path}: {before} is a value, {here!r}, and has no fields.")


def _restore_durations(data: dict[str, Any], model: ModelDeclaration) -> None:
    """Durations as they are written, ``36h``; as JSON they would be ISO texts, which no declaration may hold."""

    def walk(dumped: Any, declared: Any) -> None:
        pairs: list[tuple[Any, Any, Any]] = []
        if isinstance(dumped, dict):
            pairs = [
                (key, dumped[key], declared.get(key) if isinstance(declared, dict) else getattr(declared, key))
                for key in dumped
            ]
        elif isinstance(dumped, list):
            pairs = [(i, dumped[i], declared[i]) for i in range(len(dumped))]
        for key, below, value in pairs:
            if isinstance(value, timedelta):
                dumped[key] = f"{int(value.total_seconds()) // 60}m"
            else:
                walk(below, value)

    walk(data, model)


# --- a declaration from a table --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TableModel:
    """The settings that a table's columns do not give. Durations are whole days where they are windows."""

    estimator: str
    params: Mapping[str, Any]
    label: str
    label_delay: timedelta
    train_days: int = 90
    holdout_days: int = 14
    encode: str = "ordinal"
    impute: bool = False
    metric: str | None = None
    """The loss; None takes brier, log_loss or mae, by the task."""
    weight: str | None = None
    """The column that says how much each row counts; None where all count the same."""


def is_classifier(path: str, params: Mapping[str, Any]) -> bool:
    """Whether the estimator at the import path is one; otherwise it is a regressor.

    Raises:
        EstimatorUnusable: when there is no such estimator, it refuses the parameters, or cannot be scored.
    """
    from sklearn.base import is_classifier as classifies
    from sklearn.base import is_regressor

    spec = estimators.EstimatorSpec(path, params, "ordinal", False, {"x": "numeric"}, 0)
    found = estimators.build(spec).named_steps["estimator"]
    if not classifies(found):
        if not is_regressor(found):
            raise estimators.EstimatorUnusable(f"estimator.path {path!r} is neither a classifier nor a regressor.")
        return False
    if not hasattr(found, "predict_proba"):
        raise estimators.EstimatorUnusable(
            f"estimator.path {path!r} gives no probabilities (predict_proba), which the loss and the gates are "
            "measured on; name another, or its arguments with --params."
        )
    return True


def declared_for(given: TableModel, stream: Stream) -> ModelDeclaration:
    """A declaration of the table's columns: bounds that a model which ignores its inputs just fails, and a shadow
    window that its days can fill. What a declaration may leave out is left out here too, so both mean the same. Every
    field may be ``--set``.

    Raises:
        BadSetting: when what was given makes no declaration.
    """
    import numpy as np

    classes = stream.classes
    task = "regression" if classes is None else "binary" if len(classes) == 2 else "multiclass"
    metric, asked = _measured_by(given.metric, task)
    known = stream.y[np.isfinite(stream.y)]
    unit = default_gates.spread(known) if task == "regression" else 1.0
    counts = np.unique(stream.day, return_counts=True)[1]
    usual = int(np.median(counts)) if len(counts) else 1
    beaten = metric if metric in default_gates.COMPARED[task] else default_gates.COMPARED[task][0]
    compared = asked or beaten
    margin = default_gates.margin(task, compared, known, len(classes or []))
    data = {
        "name": "stream",
        "description": "A model made from the columns of a table.",
        "task": task,
        "owners": {"model": "whoever simulates", "data": "whoever simulates", "on_call": "whoever simulates"},
        "entity": {"view": "stream", "lead": "0m"},
        **({} if given.weight is None else {"weight": _identifier(given.weight)}),
        "label": {
            "name": _identifier(given.label),
            "delay": f"{int(given.label_delay.total_seconds()) // 60}m",
            "source": [{"table": "stream"}],
            **({} if classes is None else {"classes": classes}),
        },
        "views": [{"view": "stream", "features": list(stream.kinds)}],
        "estimator": {
            "path": given.estimator,
            "params": dict(given.params),
            "encode": given.encode,
            "impute": given.impute,
        },
        "training": {"window_days": given.train_days, "holdout_days": given.holdout_days, "min_rows": 200},
        "gates": {
            "threshold_gate": {"criteria": [default_gates.floor(task, len(classes or []), known)]},
            "champion_gate": {
                "comparisons": [{"metric": compared, "margin": margin}],
                "beat_baseline_on": beaten,
            },
        },
        "shadow": {
            "min_rows": _between(50, 3 * usual, 1000),
            "min_days": 3,
            "max_days": 10,
            "disagreement": [1e-9, 1.0 if task != "regression" else 10 * unit],
            "p99_delta_at_most": 1.0 if task != "regression" else 100 * unit,
        },
        "drift": {
            "performance": {"metric": metric},
        },
    }
    try:
        return checked_declaration(data, Path())
    except BadDeclaration as error:
        raise BadSetting(error.problems[0]) from None


def _measured_by(name: str | None, task: str) -> tuple[str, str | None]:
    """The loss that is watched, and the metric that gates compare where another was asked for.

    Raises:
        BadSetting: when the task has no such metric.
    """
    usual = {"binary": "brier", "multiclass": "log_loss", "regression": "mae"}[task]
    if name is None:
        return usual, None
    plain = name.partition("(")[0]
    if plain in metric_names.LOSSES[task]:
        return name, name if metric_names.is_known(task, name) else None
    if metric_names.is_known(task, name):
        return usual, name
    if may_be_own(name):
        found = imported(name, "--metric")
        is_loss = found.per_row is not None and found.worse_sign > 0 and found.low >= 0
        return (name if is_loss else usual), name
    allowed = dict.fromkeys((*metric_names.LOSSES[task], *metric_names.NAMES[task]))
    raise BadSetting(
        f"--metric is {name!r}; of a {task} model it is one of {', '.join(allowed)}, or one of your own by its import "
        "path."
    )


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


def _identifier(text: str) -> str:
    import re

    cleaned = re.sub(r"\W", "_", text, flags=re.ASCII)[:60] or "label"
    return cleaned if re.match(r"[A-Za-z_]", cleaned) else f"l_{cleaned}"
