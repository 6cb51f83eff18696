"""What every declared gate has, and the ranges of its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from include.config.base import Declared
from include.domain.verdicts import Mode

if TYPE_CHECKING:
    from include.domain.metrics import Metric

Own = Mapping[str, "Metric"]
"""The team's own metrics, by the names they are declared with."""
Margin = Annotated[float, Field(ge=0)]
Rows = Annotated[int, Field(ge=1)]
Alpha = Annotated[float, Field(gt=0, lt=0.5)]
Positive = Annotated[float, Field(gt=0)]


class DeclaredGate(Declared):
    """What every declared gate has."""

    mode: Mode = Mode.BLOCKING
    """blocking stops the journey, advisory only reports; default blocking."""

    def columns_named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """The columns that must be features of the model, each with where in the gate it is named; default none."""
        return iter(())
