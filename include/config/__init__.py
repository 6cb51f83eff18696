"""The declarations of models and feature views, as typed values. Light enough for every Dag parse."""

from include.config.declared import BadDeclaration, Declarations, UnknownName
from include.config.loader import declarations, read_declarations
from include.config.types import FeatureView, ModelDeclaration

__all__ = [
    "BadDeclaration",
    "Declarations",
    "FeatureView",
    "ModelDeclaration",
    "UnknownName",
    "declarations",
    "declared_models",
    "declared_views",
    "read_declarations",
]


def declared_models() -> list[ModelDeclaration]:
    """The usable models, by name."""
    return list(declarations().models.values())


def declared_views() -> list[FeatureView]:
    """The usable feature views, by name."""
    return list(declarations().views.values())
