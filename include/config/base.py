"""What every declared type is made of: closed, frozen values and the words they are checked against."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from include.domain.intervals import duration

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Column = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Share = Annotated[float, Field(ge=0, le=1)]


def _to_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    # A bare number would be taken for seconds, which nobody means who writes ``lead: 2``.
    return duration(value if isinstance(value, str) else repr(value))


Duration = Annotated[timedelta, BeforeValidator(_to_duration)]


class Declared(BaseModel):
    """Frozen, closed to unknown keys, and closed to NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)
