"""What a model takes and gives, as MLflow writes it down and as the gates take it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from include.domain.gates import InputColumn, Signature

CLASSES = "slipway_classes"
"""The key of the description's metadata that holds a classifier's classes, in the order of its outputs."""


def model_signature(example: Any, output: Any) -> Any:
    """MLflow's signature of a model that answers the frame ``example`` with ``output``.

    It says of every column that it must be sent. MLflow would call those optional that happen to have a missing value
    in the example, and one without any value a number, so two equal models could differ in it.
    """
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema

    columns = [ColSpec("string" if example[name].dtype == object else "double", name) for name in example.columns]
    return ModelSignature(Schema(columns), infer_signature(model_output=output).outputs)


def read_signature(logged: Any, classes: Iterable[str] | None) -> Signature | None:
    """MLflow's signature as the gates take it; None where it does not say what is taken and given."""
    if logged is None or logged.inputs is None or logged.outputs is None or not logged.inputs.has_input_names():
        return None
    inputs = tuple(
        InputColumn(str(c.name), str(getattr(c.type, "name", c.type)), bool(c.required)) for c in logged.inputs.inputs
    )
    output = ", ".join(f"{o.type} {getattr(o, 'shape', '')}".strip() for o in logged.outputs.inputs)
    return Signature(inputs, output, tuple(map(str, classes)) if classes else None)
