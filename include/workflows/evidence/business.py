"""What each row is worth by the model's business metrics: declared SQL over the rows with their labels and scores.

The SQL reads one table, ``scored``:

- ``row``: the row's number; the query gives it back, so that the order of its answer does not matter;
- what is known of the row: its features, and where they are known its keys and ``event_time``;
- ``label``: the label as declared, a class by its name;
- ``score``: the probability of the last of two classes; a list of probabilities for more; the value of a regression.

It gives ``row`` and ``value``, each row once. It is asked once each for candidate, champion and baseline.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from include.adapters import sql_engine
from include.config import ModelDeclaration
from include.config.own_metrics import BusinessMetric
from include.domain.gates import Evidence, RowValues

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
            who: None if answers is None else _values(model, metric, known, y, answers)
            for who, answers in scores.items()
        }
        candidate = values[CANDIDATE]
        if candidate is not None:
            found[metric.name] = RowValues(candidate, values.get(CHAMPION), values.get(BASELINE))
    return found


def valued(model: ModelDeclaration, known: pd.DataFrame, evidence: Evidence) -> Evidence:
    """The evidence with the values of its rows, of which ``known`` is what is known."""
    answers = {CANDIDATE: evidence.candidate, CHAMPION: evidence.champion, BASELINE: evidence.baseline}
    return evidence.with_values(values_of(model, known, evidence.y, answers))


def _values(
    model: ModelDeclaration, metric: BusinessMetric, known: pd.DataFrame, y: np.ndarray[Any, Any], answers: Any
) -> np.ndarray[Any, Any]:
    import numpy as np
    import pyarrow as pa

    what, file = f"business metric {metric.name}", model.file.parent / metric.sql
    n, scores = len(y), np.asarray(answers, dtype=float)
    columns = {"row": pa.array(np.arange(n)), "label": _labels(model, y)}
    columns["score"] = pa.array(scores) if scores.ndim == 1 else pa.array(scores.tolist(), pa.list_(pa.float64()))
    table = pa.table({str(name): _column(known[name]) for name in known if name not in columns} | columns)
    given = sql_engine.run_sql(model.business_sql(metric), {"scored": table}, None, what=what, file=file)
    missing = [name for name in ("row", "value") if name not in given.column_names]
    if missing:
        raise sql_engine.SqlFailed(what, file, f"it gives no column {missing[0]!r}; it must give row and value")
    answered = given.select(["row", "value"]).to_pandas()
    rows = answered["row"].to_numpy()
    if len(rows) != n or not np.array_equal(np.sort(rows), np.arange(n)):
        raise sql_engine.SqlFailed(what, file, f"it gives {len(rows):,} rows of {n:,}; each row must be there once")
    try:
        values = answered["value"].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        raise sql_engine.SqlFailed(what, file, "value is no number; cast it to DOUBLE") from None
    found = np.full(n, np.nan)
    found[rows] = values
    return found


def _column(values: pd.Series[Any]) -> Any:
    import pandas as pd
    import pyarrow as pa

    if isinstance(values.dtype, pd.DatetimeTZDtype):
        naive = values.dt.tz_convert("UTC").dt.tz_localize(None)
        return pa.array(naive.to_numpy(dtype="datetime64[us]")).cast(pa.timestamp("us", tz="UTC"))
    return pa.array(values, from_pandas=True)


def _labels(model: ModelDeclaration, y: np.ndarray[Any, Any]) -> Any:
    import numpy as np
    import pyarrow as pa

    labels = np.asarray(y, dtype=float)
    if not model.is_classifier:
        return pa.array(labels)
    names = model.label.classes or []
    return pa.array([names[int(i)] if np.isfinite(i) and 0 <= i < len(names) else None for i in labels], pa.string())


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
        try:
            _values(model, metric, nothing, np.empty(0), scores)
        except sql_engine.SqlFailed as error:
            said = str(error)
            if "type" not in said.partition(" failed: ")[2].lower() or "not found" in said:
                found.append((("business_metrics", i, "sql"), f"business_metrics.{i}.sql: {said}"))
    return found


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
