"""The OpenAPI document of what is served now: each path that is answered, and what it takes and says."""

from __future__ import annotations

from typing import Any

from include.domain.serving.requests import LONGEST_ID, MOST_ROWS
from include.domain.serving.route import ServedModel
from include.serving.protocols import OF_KIND

Schema = dict[str, Any]

_TYPES = {"numeric": ["number", "null"], "categorical": ["string", "null"], "boolean": ["boolean", "null"]}
_ID: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID, "pattern": "^[ -~]+$"}
_MISSING: Schema = {"enum": ["absent", "stale", "future", "unreachable"]}
_PROBLEM: Schema = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "details": {"type": "array", "items": {"type": "object"}}},
    "required": ["error"],
}
_REFUSALS = {
    "400": "the body is no JSON",
    "401": "a token is asked for",
    "403": "the token is not for this",
    "404": "there is no such model here",
    "408": "the body did not come in time",
    "409": "the request id was used for another content",
    "413": "the body or its rows are too many",
    "415": "a body of another kind",
    "422": "what is wrong, by field and row",
    "429": "too many at once; see Retry-After",
    "503": "no checked model, or it cannot be written down",
    "504": "not within the deadline",
}


def openapi(models: list[ServedModel]) -> dict[str, Any]:
    """The document, with the features of each model."""
    paths: dict[str, Any] = {
        "/livez": _get("whether this worker answers", _object(live={"type": "boolean"})),
        "/readyz": _get("whether every declared model is answered for", _object(ready={"type": "boolean"}), "503"),
        "/v1/status": _get("who answers for each model", {"type": "object"}),
        "/metrics": _get("the counters of all workers, as Prometheus reads them", None),
        "/v2": _get("the Open Inference Protocol", {"type": "object", "required": ["name", "version", "extensions"]}),
        "/v2/health/live": _get("as /livez", _object(live={"type": "boolean"})),
        "/v2/health/ready": _get("as /readyz", _object(ready={"type": "boolean"}), "503"),
    }
    for served in models:
        paths.update(_of_model(served))
    return {"openapi": "3.1.0", "info": {"title": "Slipway online", "version": "1"}, "paths": paths}


def _of_model(served: ServedModel) -> dict[str, Any]:
    name = served.model
    metadata = _get("its tensors", {"type": "object"}, "404")
    infer = _post("predictions, by the Open Inference Protocol v2", _tensors(served), _tensors_said(served))
    return {
        f"/v1/models/{name}/predict": _post("a score and what it predicts, for each row", _ours(served), _said(served)),
        f"/v1/models/{name}/outcomes": _post("what came of answered rows", _outcomes(served), _outcomes_said()),
        f"/{name}/invocations": _post("predictions, by MLflow's scoring protocol", _mlflow(served), _scores(served)),
        f"/v2/models/{name}/infer": infer,
        f"/v2/models/{name}/versions/{served.version}/infer": infer,
        f"/v2/models/{name}": metadata,
        f"/v2/models/{name}/ready": _get("whether it is answered for", {"type": "object"}),
    }


# --- what is taken ---------------------------------------------------------------------------------------------------


def _ours(served: ServedModel) -> Schema:
    keys = {key: {"type": ["string", "number"]} for view in served.views for key in view.keys}
    features = {each.name: {"type": _TYPES[each.kind]} for each in served.features}
    row = {
        "features": _object(**features),
        "keys": _object(**keys),
        "event_time": {"type": ["string", "null"], "format": "date-time"},
    }
    rows = {"type": "array", "items": _object(**row), "minItems": 1, "maxItems": MOST_ROWS}
    request_id = {"request_id": {"anyOf": [_ID, {"type": "null"}]}}
    return {"anyOf": [_object(**row, **request_id), _object("rows", rows=rows, **request_id)]}


def _outcomes(served: ServedModel) -> Schema:
    value = {"type": "number"} if served.task == "regression" else {"enum": served.classes}
    row = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": MOST_ROWS - 1}, {"type": "null"}]}
    one = _object("request_id", "value", request_id=_ID, row=row, value=value)
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_ROWS}
    return {"anyOf": [one, _object("outcomes", outcomes=several)]}


def _mlflow(served: ServedModel) -> Schema:
    values = {each.name: {"type": _TYPES[each.kind]} for each in served.features}
    record = {"type": "object", "properties": values}
    records = {"type": "array", "items": record, "minItems": 1, "maxItems": MOST_ROWS}
    columns = {"type": "object", "properties": {name: {"type": "array"} for name in values}}
    names = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    split = _object("columns", "data", columns=names, data={"type": "array", "items": {"type": "array"}})
    split["properties"]["index"] = {}
    return {
        "anyOf": [
            {"type": "object", "properties": {"dataframe_split": split}, "required": ["dataframe_split"]},
            {"type": "object", "properties": {"dataframe_records": records}, "required": ["dataframe_records"]},
            {"type": "object", "properties": {"instances": records}, "required": ["instances"]},
            {"type": "object", "properties": {"inputs": {"anyOf": [columns, records]}}, "required": ["inputs"]},
        ]
    }


def _tensors(served: ServedModel) -> Schema:
    tensor = {
        "type": "object",
        "properties": {
            "name": {"enum": [each.name for each in served.features]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "datatype": {"enum": sorted({*OF_KIND.values(), "FP32", "INT64", "INT32"})},
            "data": {"type": "array"},
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    inputs = {"type": "array", "items": tensor, "minItems": 1}
    return {"type": "object", "properties": {"id": _ID, "inputs": inputs}, "required": ["inputs"]}


# --- what is said ----------------------------------------------------------------------------------------------------


def _score(served: ServedModel) -> Schema:
    return {"type": "array", "items": {"type": "number"}} if served.task == "multiclass" else {"type": "number"}


def _said(served: ServedModel) -> Schema:
    missing = {"type": "object", "additionalProperties": _MISSING}
    one = _object("score", "predicted", score=_score(served), predicted={"type": "string"}, missing=missing)
    return _object(
        *("request_id", "model", "served_by", "revision", "predictions"),
        request_id={"type": "string"},
        model={"const": served.model},
        served_by={"type": "string"},
        revision={"type": "integer"},
        predictions={"type": "array", "items": one, "minItems": 1},
    )


def _outcomes_said() -> Schema:
    known = {"type": "string", "format": "date-time"}
    return _object(*("model", "outcomes", "known"), model={"type": "string"}, outcomes={"type": "integer"}, known=known)


def _scores(served: ServedModel) -> Schema:
    return _object("predictions", predictions={"type": "array", "items": _score(served)})


def _tensors_said(served: ServedModel) -> Schema:
    outputs = {"type": "array", "items": {"type": "object", "required": ["name", "datatype", "shape", "data"]}}
    return {
        "type": "object",
        "properties": {"model_name": {"const": served.model}, "id": {"type": "string"}, "outputs": outputs},
        "required": ["model_name", "outputs"],
    }


def _object(*required: str, **properties: Schema) -> Schema:
    """An object that has no other field."""
    made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**made, "required": list(required)} if required else made


def _post(what: str, taken: Schema, said: Schema) -> Schema:
    responses = {code: _response(why, _PROBLEM) for code, why in _REFUSALS.items()}
    body = {"required": True, "content": {"application/json": {"schema": taken}}}
    return {"post": {"summary": what, "requestBody": body, "responses": {"200": _response(what, said), **responses}}}


def _get(what: str, said: Schema | None, *refusals: str) -> Schema:
    kind = "application/json" if said is not None else "text/plain"
    shown = {"description": what, "content": {kind: {"schema": said or {"type": "string"}}}}
    responses = {code: _response(what, {"type": "object"}) for code in ("401", *refusals)}
    return {"get": {"summary": what, "responses": {"200": shown, **responses}}}


def _response(what: str, schema: Schema) -> Schema:
    return {"description": what, "content": {"application/json": {"schema": schema}}}
