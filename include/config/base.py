"""What every declared type is made of: closed, frozen values and the words they are checked against."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from include.domain.classes import conflict
from include.domain.intervals import duration

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Column = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Share = Annotated[float, Field(ge=0, le=1)]


def _to_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    # A bare number would be taken for seconds, and ``lead: 2`` hardly ever means seconds.
    return duration(value if isinstance(value, str) else repr(value))


Duration = Annotated[timedelta, BeforeValidator(_to_duration)]


def _texts(value: object) -> object:
    """Numbers as the texts they are written as: ``classes: [0, 1]`` names the same two as ``["0", "1"]``. A bare yes or
    no was already read as a boolean and is refused, because the written word is lost."""
    if not isinstance(value, list):
        return value
    return [str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in value]


def _told_apart(names: list[str]) -> list[str]:
    if len(names) < 2:
        raise ValueError("give two or more, in the order of the outputs")
    why = conflict(names)
    if why is not None:
        raise ValueError(f"{why}; give each once, in one spelling")
    return names


ClassNames = Annotated[list[str], BeforeValidator(_texts), AfterValidator(_told_apart)]
"""The class labels of a classifier, in the order of its outputs."""


class Declared(BaseModel):
    """Frozen, closed to unknown keys, and closed to NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)
