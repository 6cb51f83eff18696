"""A model's inputs and outputs, as MLflow records them and as the gates read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from include.domain.gates import InputColumn, Signature

CLASSES = "slipway_classes"
"""The key of the description's metadata that holds a classifier's classes, in the order of its outputs."""


def model_signature(example: Any, output: Any) -> Any:
    """MLflow's signature of a model that answers the frame ``example`` with ``output``.

    Every column is required in it. MLflow would make a column optional because the example has a missing value there,
    and numeric when it has no value at all, so that two equal models could have different signatures.
    """
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema

    columns = [ColSpec("string" if example[name].dtype == object else "double", name) for name in example.columns]
    return ModelSignature(Schema(columns), infer_signature(model_output=output).outputs)


def read_signature(logged: Any, classes: Iterable[str] | None) -> Signature | None:
    """MLflow's signature as the gates read it; None when it lacks inputs or outputs."""
    if logged is None or logged.inputs is None or logged.outputs is None or not logged.inputs.has_input_names():
        return None
    inputs = tuple(
        InputColumn(str(c.name), str(getattr(c.type, "name", c.type)), bool(c.required)) for c in logged.inputs.inputs
    )
    output = ", ".join(f"{o.type} {getattr(o, 'shape', '')}".strip() for o in logged.outputs.inputs)
    return Signature(inputs, output, tuple(map(str, classes)) if classes else None)
