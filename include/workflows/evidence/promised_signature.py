"""What a model's declaration promises its callers, where there is no champion yet."""

from __future__ import annotations

from include.config import ModelDeclaration
from include.domain.gates import InputColumn, Signature
from include.workflows.scoring import fitted_models


def promised_signature(model: ModelDeclaration, candidate: Signature | None) -> Signature | None:
    """What the declaration promises callers. It says nothing about the answer's number type, so that type is not
    compared."""
    if candidate is None:
        return None
    kinds = fitted_models.kinds_of(model)
    inputs = tuple(InputColumn(f, "string" if kind == "categorical" else "double") for f, kind in kinds.items())
    return Signature(inputs, candidate.output, tuple(model.label.classes or ()) if model.is_classifier else None)
