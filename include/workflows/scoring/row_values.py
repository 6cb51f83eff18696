"""What each row is worth by a metric that is declared in SQL, and the loss that a model's drift is watched by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from include.adapters import sql_engine
from include.config import ModelDeclaration
from include.config.measured_by import loss_of
from include.config.own_metrics import BusinessMetric

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.domain.metrics import Metric

Known = Callable[[], "pd.DataFrame | None"]
"""Features, keys and ``event_time`` of some rows, in their order; read only where the watched SQL needs them."""


def watched_metric(model: ModelDeclaration) -> BusinessMetric | None:
    """The business metric that ``drift.performance`` watches; None where it watches another loss."""
    name = model.drift.performance.metric
    return next((metric for metric in model.business_metrics if metric.name == name), None)


def reads_features(model: ModelDeclaration) -> bool:
    """Whether the watched SQL reads more of a row than its label and score."""
    declared = watched_metric(model)
    return declared is not None and _reads_more(model.business_sql(declared), model.task)


@cache
def _reads_more(sql: str, task: str) -> bool:
    """Whether the SQL fails on no rows of label and score alone. One that fails for another reason does so again where
    its rows are known, and is reported there."""
    import pyarrow as pa

    score = pa.list_(pa.float64()) if task == "multiclass" else pa.float64()
    label = pa.float64() if task == "regression" else pa.string()
    nothing = pa.schema([("row", pa.int64()), ("label", label), ("score", score)]).empty_table()
    try:
        sql_engine.run_sql(sql, {"scored": nothing}, None, what="the watched metric", file="its SQL")
    except sql_engine.SqlFailed:
        return True
    return False


def watched_loss(model: ModelDeclaration, known: Known | None = None) -> str | Metric:
    """What ``drift.performance`` watches, as ``row_losses`` takes it.

    Args:
        model: what is declared.
        known: what is known of the very rows whose labels and scores the loss will be given. Asked only for a business
            metric whose SQL reads more than label and score.

    Raises:
        NoModule, NoSuchName, WrongShape: when it is a team's own and cannot be used.
    """
    from include.domain.own_metrics import per_row

    declared = watched_metric(model)
    if declared is None:
        return loss_of(model)
    rows = known() if known is not None and reads_features(model) else None

    def value(labels: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import pandas as pd

        if rows is not None and len(rows) != len(labels):
            raise ValueError(f"the features of {len(rows):,} rows are known, and {len(labels):,} are measured")
        alone = pd.DataFrame(index=range(len(labels)))
        return row_values(model, declared, alone if rows is None else rows, labels, scores)

    value.__name__ = declared.name
    return per_row(better="lower", low=0)(value)


def name_of_loss(model: ModelDeclaration) -> str:
    """What is watched, with a digest of the SQL of a business metric: losses of two names are not compared."""
    declared = watched_metric(model)
    if declared is None:
        return model.drift.performance.metric
    sql = hashlib.sha256(model.business_sql(declared).encode()).hexdigest()[:12]
    return f"{declared.name} (SQL {sql})"


def watched_losses(
    model: ModelDeclaration, labels: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], known: Known | None = None
) -> np.ndarray[Any, Any]:
    """The watched loss of each row, ``(n,)``, 0 or more.

    Args:
        model: what is declared.
        labels: ``(n,)``; a class as its position.
        scores: ``(n,)`` or ``(n, classes)``.
        known: as ``watched_loss``.

    Raises:
        OwnMetricFailed: when the SQL does not run on these rows, or gives one of them no value of 0 or more.
        BadLoss: as ``row_losses``.
    """
    from include.domain.losses import row_losses

    return row_losses(watched_loss(model, known), labels, scores)


def row_values(
    model: ModelDeclaration, metric: BusinessMetric, known: pd.DataFrame, y: np.ndarray[Any, Any], answers: Any
) -> np.ndarray[Any, Any]:
    """The value of each row, ``(n,)``, NaN where the SQL gives NULL.

    Args:
        model: what is declared.
        metric: one of its business metrics.
        known: what is known of the rows beside label and score.
        y: the labels, a class as its position.
        answers: the scores, ``(n,)`` or ``(n, classes)``.

    Raises:
        SqlFailed: when the SQL does not run, or does not give each row one value.
    """
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
