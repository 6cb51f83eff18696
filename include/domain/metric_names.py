"""The names of the metrics, and the settings that some need; read where nothing may be imported, so numpy is not.

A metric with settings is declared as ``{name: f_beta, beta: 2, threshold: 0.3}`` and is known everywhere by one text,
``f_beta(beta=2, threshold=0.3)``, which may be written instead. What each metric is: ``include/domain/metrics``.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.domain.errors import Refusal


class BadSettings(Refusal, ValueError):
    """A metric without a setting it needs, or with one it does not know or cannot use. The message is a clause."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that a metric needs: ``is_right`` says whether one can be used, ``allowed`` says in words which can."""

    allowed: str
    is_right: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_cost_matrix(value: Any) -> bool:
    """Square, of numbers of 0 or more, one of them above 0."""
    if not isinstance(value, list) or len(value) < 2:
        return False
    square = all(isinstance(row, list) and len(row) == len(value) for row in value)
    return square and all(_number(c) and c >= 0 for row in value for c in row) and any(any(row) for row in value)


SETTINGS: dict[str, Setting] = {
    "beta": Setting("a number above 0", lambda v: _number(v) and v > 0),
    "matrix": Setting(
        "the cost of each answer, a row of numbers of 0 or more for each label: [[0, 1], [5, 0]]", _is_cost_matrix
    ),
    "quantile": Setting("a number between 0 and 1, both excluded", lambda v: _number(v) and 0 < v < 1),
    "threshold": Setting("a number between 0 and 1, both excluded", lambda v: _number(v) and 0 < v < 1),
}

NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "binary": {
        "roc_auc": (),
        "log_loss": (),
        "brier": (),
        "accuracy": (),
        "average_precision": (),
        "ece": (),
        "precision": ("threshold",),
        "recall": ("threshold",),
        "f_beta": ("beta", "threshold"),
        "balanced_accuracy": ("threshold",),
        "cost": ("matrix", "threshold"),
    },
    "multiclass": {
        "log_loss": (),
        "accuracy": (),
        "brier": (),
        "macro_roc_auc": (),
        "balanced_accuracy": (),
        "macro_precision": (),
        "macro_recall": (),
        "macro_f1": (),
        "cost": ("matrix",),
    },
    "regression": {
        "mae": (),
        "rmse": (),
        "r2": (),
        "mape": (),
        "poisson_deviance": (),
        "pinball": ("quantile",),
    },
}
"""The metrics of each task, each with the settings it needs."""

LOSSES: dict[str, tuple[str, ...]] = {
    "binary": ("brier", "log_loss", "error", "cost"),
    "multiclass": ("brier", "log_loss", "error", "cost"),
    "regression": ("mae", "rmse", "pinball"),
}
"""The losses of each row that may be watched for drift. One that some rows cannot have is not among them (``mape`` of a
label of 0): a single such row would leave the day without a verdict."""

HIGHER_IS_BETTER = frozenset(
    {
        "roc_auc",
        "macro_roc_auc",
        "accuracy",
        "balanced_accuracy",
        "average_precision",
        "precision",
        "recall",
        "f_beta",
        "macro_precision",
        "macro_recall",
        "macro_f1",
        "r2",
    }
)
"""Of the others less is better."""
AT_MOST_ONE = HIGHER_IS_BETTER | {"brier", "ece"}
"""The metrics that are never above 1; of the others only those of which less is better are never below 0."""


def why_no_bound(text: str, at_least: float | None, at_most: float | None) -> str | None:
    """Why a bound on a metric of the project makes no sense, as a clause; None where it does, or where the metric is a
    team's own.

    >>> why_no_bound("roc_auc", None, 0.9)
    'at_most is 0.9, and of roc_auc more is better: the better candidate would fail; give at_least'
    """
    name = text.partition("(")[0]
    if not any(name in of_task for of_task in NAMES.values()):
        return None
    higher = name in HIGHER_IS_BETTER
    if higher and at_most is not None:
        return f"at_most is {at_most:g}, and of {name} more is better: the better candidate would fail; give at_least"
    if not higher and at_least is not None:
        return f"at_least is {at_least:g}, and of {name} less is better: the better candidate would fail; give at_most"
    bound = at_least if at_least is not None else at_most
    field = "at_least" if at_least is not None else "at_most"
    if bound is not None and name in AT_MOST_ONE and bound > 1:
        what = "no candidate could pass" if higher else "every candidate would pass"
        return f"{field} is {bound:g}, and {name} is never above 1: {what}; give a share, such as {bound / 100:g}"
    if bound is not None and not higher and bound < 0:
        return f"{field} is {bound:g}, and {name} is never below 0: no candidate could pass; give 0 or more"
    return None


def split(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the settings in a metric's text; a text that is neither is a name without settings.

    >>> split("f_beta(beta=2, threshold=0.3)")
    ('f_beta', {'beta': 2, 'threshold': 0.3})
    """
    if "(" not in text:
        return text, {}
    try:
        call = ast.parse(text, mode="eval").body
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args:
            return call.func.id, {str(k.arg): ast.literal_eval(k.value) for k in call.keywords if k.arg}
    except (SyntaxError, ValueError):
        pass
    raise BadSettings(f"{text!r} is no metric with settings; write it as f_beta(beta=2, threshold=0.3)")


def text_of(name: str, settings: Mapping[str, Any]) -> str:
    """The text by which a metric with these settings is known.

    Raises:
        BadSettings: a setting that no task's metric of that name needs, one that is missing, or a value that cannot
            be used. A name that is unknown is returned with its settings as they are: it may be a team's own.

    >>> text_of("f_beta", {"threshold": 0.3, "beta": 2.0})
    'f_beta(beta=2, threshold=0.3)'
    """
    needs = [of_task[name] for of_task in NAMES.values() if name in of_task]
    if needs and not any(set(settings) == set(need) for need in needs):
        longest = max(needs, key=len)
        missing = next((s for s in longest if s not in settings), None)
        strange = next((s for s in settings if s not in longest), None)
        if strange is not None:
            takes = f"it takes {' and '.join(longest)}" if longest else "it takes none"
            raise BadSettings(f"{name} has no setting {strange!r}; {takes}")
        raise BadSettings(f"{name} needs {missing}: {SETTINGS[str(missing)].allowed}")
    if not needs and settings:
        raise BadSettings(f"{name!r} is no metric that takes settings; these are {', '.join(with_settings())}")
    for setting, value in settings.items():
        if not SETTINGS[setting].is_right(value):
            raise BadSettings(f"{setting} of {name} is {value!r}; it must be {SETTINGS[setting].allowed}")
    if not settings:
        return name
    return f"{name}({', '.join(f'{s}={_plain(settings[s])}' for s in sorted(settings))})"


def normal(text: str) -> str:
    """The text with its settings in order, each as it is always written. Raises: BadSettings."""
    name, settings = split(text)
    return text_of(name, settings) if settings else name


def with_settings() -> list[str]:
    """The names of the metrics that need settings."""
    return sorted({name for of_task in NAMES.values() for name, needs in of_task.items() if needs})


def is_known(task: str, text: str) -> bool:
    """Whether the task has a metric of that name, whatever its settings."""
    return text.partition("(")[0] in NAMES[task]


def why_not(task: str, text: str) -> str | None:
    """Why a text whose name the task has is no metric of it, as a clause; None where it is one."""
    try:
        name, settings = split(text)
        needs = NAMES[task].get(name, ())
        if set(settings) - set(needs) and name in NAMES[task]:
            extra = next(s for s in settings if s not in needs)
            return f"{name} of a {task} model has no setting {extra!r}"
        for need in needs:
            if need not in settings:
                shown = ", ".join([f"name: {name}", *(f"{s}: ..." for s in needs)])
                return f"{name} needs {need}, {SETTINGS[need].allowed}; write {{{shown}}}"
        text_of(name, settings)
    except BadSettings as error:
        return str(error)
    return None


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return repr(int(value)) if float(value).is_integer() else repr(value)
