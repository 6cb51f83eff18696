"""How much each row counts, where a model declares ``weight``: a column of its entity's view.

It is no input of the model, so it may be known later than the answer: a row counts by what its view has now, in
training, in gates, in the shadow window and in the drift sensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration, declarations
from include.domain import weights
from include.domain.intervals import Interval
from include.domain.weights import BadWeights
from include.workflows.scoring import point_in_time_rows
from include.workflows.scoring.point_in_time_rows import WEIGHT
from include.workflows.scoring.request_ids import request_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    Weights = np.ndarray[Any, Any]


def checked(model: ModelDeclaration, values: Any, what: str) -> Weights:
    """The weights as ``(n,)``; ``what`` says in words whose they are.

    Raises:
        BadWeights: when one is missing, infinite or below 0, or all are 0.
    """
    try:
        return weights.checked(values, f"weight {model.weight!r} of {what}")
    except BadWeights as error:
        view = model.entity.view
        raise BadWeights(
            f"{model.name}: {error} Correct it in the SQL of view {view!r}, bound it there with "
            f"quality.max_null_share, and publish the days again."
        ) from None


def in_table(model: ModelDeclaration, rows: pa.Table | pd.DataFrame, what: str) -> Weights | None:
    """The checked weights of joined rows; None where the model declares none, or there are no rows."""
    if model.weight is None or not len(rows):
        return None
    column = rows[WEIGHT] if WEIGHT in (rows.columns if hasattr(rows, "iloc") else rows.column_names) else None
    if column is None:
        raise BadWeights(
            f"{model.name}: the rows of {what} were kept before weight was declared. Build them again: clear the run "
            "from open_journey on."
        )
    return checked(model, column.to_numpy(), what)


def without_zeros(model: ModelDeclaration, rows: pa.Table, what: str) -> pa.Table:
    """The rows that count: those of the weight 0 are neither learned from nor judged on.

    Raises:
        BadWeights: as ``checked``.
    """
    import pyarrow as pa

    found = in_table(model, rows, what)
    if found is None or (found > 0).all():
        return rows
    left_out = int((found == 0).sum())
    print(f"{left_out:,} of {rows.num_rows:,} rows have the weight 0 and are left out.")
    return rows.filter(pa.array(found > 0))


def of_requests(
    model: ModelDeclaration, interval: Interval, requests: Sequence[str] | pd.Index[Any], what: str
) -> Weights | None:
    """The checked weights of some requests of an interval, in their order; None where the model declares none.

    Raises:
        BadWeights: as ``checked``.
        TableMissing, PromiseBroken: when the view cannot be read.
    """
    import pandas as pd

    if model.weight is None or not len(requests):
        return None
    rows = point_in_time_rows.weights_of(model, declarations(), interval).to_pandas()
    known = pd.Series(rows[WEIGHT].to_numpy(dtype=float), index=request_ids(model, rows))
    return checked(model, known.reindex(pd.Index(requests)).to_numpy(), what)


def of_answers(
    model: ModelDeclaration, interval: Interval, requests: Sequence[str] | pd.Index[Any], what: str
) -> Weights | None:
    """The weights of answers, each named by its request. Where each of several answers to one request is judged
    (``label_joins: each``), they count together as much as one; None where all rows count the same.

    Raises:
        BadWeights, TableMissing, PromiseBroken: as ``of_requests``.
    """
    import pandas as pd

    found = of_requests(model, interval, requests, what)
    if model.serving.label_joins != "each" or not len(requests):
        return found
    named = pd.Series(list(requests))
    answers = named.map(named.value_counts()).to_numpy(dtype=float)
    if (answers == 1).all():
        return found
    shares: Weights = (1.0 if found is None else found) / answers
    return shares
