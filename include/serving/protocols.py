"""What other services' clients send and expect: MLflow's scoring server, and the Open Inference Protocol v2.

Both are read into Slipway's own rows, and answered from Slipway's own answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from include.domain.serving.requests import MOST_ROWS, AskedRequest, NotAnswered, asked_of, is_id, rows_of
from include.domain.serving.route import ServedModel
from include.serving.answering import AnsweredRequest

OF_KIND = {"numeric": "FP64", "categorical": "BYTES", "boolean": "BOOL"}


@dataclass(frozen=True, slots=True)
class Protocol:
    """How requests are read, and answers said."""

    name: str
    read: Callable[[Any, ServedModel], AskedRequest]
    said: Callable[[AnsweredRequest], dict[str, Any]]


def _said(answered: AnsweredRequest) -> dict[str, Any]:
    """While a candidate has a share, ``served_by`` is of each row for whoever may know it, and for others null."""
    served, by = answered.served, answered.served_by
    tells = answered.drawn and answered.tells
    return {
        "request_id": answered.request_id,
        "model": served.model,
        "served_by": by[0] if len(by) == 1 else None,
        "revision": served.revision,
        "predictions": [
            {
                "score": each.score,
                "predicted": each.predicted,
                **({"missing": each.missing} if each.missing else {}),
                **({"served_by": each.served_by, "arm": each.arm} if tells else {}),
            }
            for each in answered.predictions
        ],
    }


# --- MLflow ----------------------------------------------------------------------------------------------------------

_MLFLOW = ("dataframe_split", "dataframe_records", "instances", "inputs")


def _mlflow(given: Any, served: ServedModel) -> AskedRequest:
    if not isinstance(given, dict):
        raise NotAnswered(422, "the body is no JSON object")
    forms = [name for name in _MLFLOW if name in given]
    if len(forms) != 1:
        raise NotAnswered(422, f"the body has one of {', '.join(_MLFLOW)}")
    form, data = forms[0], given[forms[0]]
    if form == "dataframe_split":
        split = data if isinstance(data, dict) else {}
        columns, rows = split.get("columns", 0), split.get("data", 0)
        if not _is_list_of(columns, str) or not _is_list_of(rows, list):
            raise NotAnswered(422, "dataframe_split has columns, a list of names, and data, a list of rows")
        if len(set(columns)) != len(columns) or any(len(row) != len(columns) for row in rows):
            raise NotAnswered(422, "dataframe_split has a name twice, or a row of another length than its columns")
        records = [dict(zip(columns, row, strict=True)) for row in rows]
    elif isinstance(data, dict):
        records = _records_of_columns(data)
    elif _is_list_of(data, dict):
        records = data
    else:
        raise NotAnswered(422, f"{form} is a list of objects, or an object of lists")
    return AskedRequest(None, rows_of([_row(record, served) for record in records[: MOST_ROWS + 1]], served))


def _records_of_columns(data: dict[str, Any]) -> list[dict[str, Any]]:
    columns = {name: value if isinstance(value, list) else [value] for name, value in data.items()}
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise NotAnswered(422, "its columns have different lengths, or there are none")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _row(record: dict[str, Any], served: ServedModel) -> dict[str, Any]:
    """Columns that are keys and no features are keys."""
    features = {each.name for each in served.features}
    known = {key for view in served.views for key in view.keys} - features
    keys = {name: value for name, value in record.items() if name in known}
    return {"features": {name: value for name, value in record.items() if name not in known}, "keys": keys}


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(each, kind) for each in value)


def _mlflow_said(answered: AnsweredRequest) -> dict[str, Any]:
    return {"predictions": [each.score for each in answered.predictions]}


# --- Open Inference Protocol v2 --------------------------------------------------------------------------------------


def _oip(given: Any, served: ServedModel) -> AskedRequest:
    if not isinstance(given, dict) or not _is_list_of(given.get("inputs"), dict):
        raise NotAnswered(422, "the body has inputs, a list of tensors")
    request_id = given.get("id")
    if request_id is not None and not is_id(request_id):
        raise NotAnswered(422, "id is a text of 1 to 200 visible characters")
    columns: dict[str, Any] = {}
    for tensor in given["inputs"]:
        name, data, shape = tensor.get("name"), tensor.get("data"), tensor.get("shape")
        if not isinstance(name, str) or not isinstance(data, list) or not _is_list_of(shape, int) or name in columns:
            raise NotAnswered(422, "each input has a name of its own, a shape of whole numbers, and data, a list")
        flat = [one for each in data for one in (each if isinstance(each, list) else [each])]
        if any(isinstance(size, bool) or size < 0 for size in shape) or len(shape) > 2 or prod(shape) != len(flat):
            raise NotAnswered(422, f"input {name[:80]!r} has {len(flat)} values, which do not fit its shape")
        if len(shape) == 2 and shape[1] != 1:
            raise NotAnswered(422, f"input {name[:80]!r} has several values a row; give one tensor for each feature")
        columns[name] = flat
    if not columns:
        raise NotAnswered(422, "there are no inputs")
    rows = [_row(record, served) for record in _records_of_columns(columns)[: MOST_ROWS + 1]]
    return AskedRequest(request_id, rows_of(rows, served))


def _oip_said(answered: AnsweredRequest) -> dict[str, Any]:
    served, scores = answered.served, [each.score for each in answered.predictions]
    n = len(scores)
    several = isinstance(scores[0], list)
    flat = [v for s in scores for v in (s if isinstance(s, list) else [s])]
    return {
        "model_name": served.model,
        "model_version": str(served.version),
        "id": answered.request_id,
        "outputs": [
            {
                "name": "score",
                "datatype": "FP64",
                "shape": [n, len(flat) // n] if several else [n],
                "data": flat,
            },
            {
                "name": "predicted",
                "datatype": "BYTES",
                "shape": [n],
                "data": [each.predicted for each in answered.predictions],
            },
        ],
    }


def oip_metadata(served: ServedModel) -> dict[str, Any]:
    """``GET /v2/models/{model}``."""
    several = served.task == "multiclass"
    return {
        "name": served.model,
        "versions": [str(served.version)],
        "platform": "slipway_packed",
        "inputs": [{"name": f.name, "datatype": OF_KIND[f.kind], "shape": [-1]} for f in served.features],
        "outputs": [
            {"name": "score", "datatype": "FP64", "shape": [-1, len(served.classes)] if several else [-1]},
            {"name": "predicted", "datatype": "BYTES", "shape": [-1]},
        ],
    }


OURS = Protocol("slipway", asked_of, _said)
MLFLOW = Protocol("mlflow", _mlflow, _mlflow_said)
OIP = Protocol("oip", _oip, _oip_said)
