"""What each row is worth by the model's business metrics: declared SQL over the rows with their labels and scores.

The SQL reads one table, ``scored``:

- ``row``: the row's number; the query gives it back, so that the order of its answer does not matter;
- what is known of the row: its features, and where they are known its keys and ``event_time``;
- ``label``: the label as declared, a class by its name;
- ``score``: the probability of the last of two classes; a list of probabilities for more; the value of a regression.

It gives ``row`` and ``value``, each row once. It is asked once each for candidate, champion and baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from include.adapters import sql_engine
from include.config import ModelDeclaration
from include.config.measured_by import metrics_of
from include.config.own_metrics import BusinessMetric
from include.domain.gates import Evidence, RowValues
from include.domain.shadow import ShadowEvidence
from include.workflows.scoring.row_values import row_values
from include.workflows.scoring.served_features import FeaturesNotKept

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CANDIDATE, CHAMPION, BASELINE = "candidate", "champion", "baseline"
KEPT = "value"
"""The prefix before the name of a metric and of who answered, in the columns of a file of scores."""


def values_of(
    model: ModelDeclaration, known: pd.DataFrame, y: np.ndarray[Any, Any], scores: Mapping[str, Any]
) -> dict[str, RowValues]:
    """The values of the rows by each business metric.

    Args:
        model: what is declared.
        known: what is known of the rows.
        y: the labels, ``(n,)``; a class as its position.
        scores: by who answered (``CANDIDATE`` and so on) the answers to the same rows; None where there are none.

    Raises:
        SqlFailed: when the SQL does not run, or does not give each row one value.
    """
    found = {}
    for metric in model.business_metrics:
        values = {
            who: None if answers is None else row_values(model, metric, known, y, answers)
            for who, answers in scores.items()
        }
        candidate = values[CANDIDATE]
        if candidate is not None:
            found[metric.name] = RowValues(candidate, values.get(CHAMPION), values.get(BASELINE))
    return found


def in_shadow(model: ModelDeclaration, evidence: ShadowEvidence, known: Callable[[], pd.DataFrame]) -> ShadowEvidence:
    """The evidence of a shadow window with what its labelled rows are worth, where ``shadow.comparison`` names a
    business metric; ``known`` is asked for what is known of all its rows then."""
    import numpy as np

    rule = model.shadow.rules(model.gates.champion_gate, metrics_of(model)).comparison
    metric = next((m for m in model.business_metrics if rule is not None and m.name == str(rule.metric)), None)
    chosen = evidence.compared
    if metric is None or evidence.y is None or not chosen.any():
        return evidence
    answers = (evidence.challenger[chosen], evidence.champion[chosen], evidence.mean_label)
    values = []
    try:
        rows = known()
        for each in answers:
            worth = np.full(len(chosen), np.nan)
            worth[chosen] = row_values(model, metric, rows[chosen], evidence.y[chosen], each)
            values.append(worth)
    except (FeaturesNotKept, sql_engine.SqlFailed) as error:
        why = str(error).rstrip(".")
        return replace(evidence, unvalued=f"{metric.name} was not measured on matured labels: {why}.")
    missing = sum(int((~np.isfinite(worth[chosen])).sum()) for worth in values[:2])
    if missing:
        why = f"{metric.name} was not measured on matured labels: {missing:,} values are no number."
        return replace(evidence, unvalued=why)
    return replace(evidence, values=RowValues(*values))


def valued(model: ModelDeclaration, known: pd.DataFrame, evidence: Evidence) -> Evidence:
    """The evidence with the values of its rows, of which ``known`` is what is known."""
    answers = {CANDIDATE: evidence.candidate, CHAMPION: evidence.champion, BASELINE: evidence.baseline}
    return evidence.with_values(values_of(model, known, evidence.y, answers))


def wrong_in(model: ModelDeclaration, columns: Collection[str]) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the SQL of the model's business metrics: where in model.yaml, and the line that says so.

    The SQL runs on no rows, with every column a text, so that only errors that do not depend on types are reported.
    ``columns`` are those of its rows.
    """
    import numpy as np
    import pandas as pd

    found: list[tuple[tuple[str | int, ...], str]] = []
    nothing = pd.DataFrame({name: pd.Series([], dtype=object) for name in columns})
    scores = np.empty((0, model.class_count or 0)) if model.task == "multiclass" else np.empty(0)
    for i, metric in enumerate(model.business_metrics):
        said = _said(model, metric, nothing, scores)
        if said is not None:
            found.append((("business_metrics", i, "sql"), f"business_metrics.{i}.sql: {said}"))
    return found


def _said(model: ModelDeclaration, metric: BusinessMetric, nothing: pd.DataFrame, scores: Any) -> str | None:
    import numpy as np

    try:
        row_values(model, metric, nothing, np.empty(0), scores)
    except sql_engine.SqlFailed as error:
        said = str(error)
        if "type" not in said.partition(" failed: ")[2].lower() or "not found" in said:
            return said
    return None


def as_columns(values: Mapping[str, RowValues]) -> dict[str, np.ndarray[Any, Any]]:
    """The values as columns of a file of scores, beside whose these are."""
    columns = {}
    for name, found in values.items():
        for who, each in ((CANDIDATE, found.candidate), (CHAMPION, found.champion), (BASELINE, found.baseline)):
            if each is not None:
                columns[f"{KEPT}.{name}.{who}"] = each
    return columns


def kept_in(model: ModelDeclaration, rows: pd.DataFrame) -> dict[str, RowValues]:
    """The same, read from such a file; a metric that was not declared when it was written is left out."""

    def column(name: str, who: str) -> np.ndarray[Any, Any] | None:
        key = f"{KEPT}.{name}.{who}"
        return rows[key].to_numpy(dtype=float) if key in rows else None

    found = {}
    for metric in model.business_metrics:
        candidate = column(metric.name, CANDIDATE)
        if candidate is not None:
            found[metric.name] = RowValues(candidate, column(metric.name, CHAMPION), column(metric.name, BASELINE))
    return found
