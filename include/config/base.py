"""What every declared type is made of: closed, frozen values and the words they are checked against."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from include.domain.classes import conflict
from include.domain.gap import has_gap
from include.domain.intervals import duration

NAME = r"^[a-z][a-z0-9_]{0,62}$"
COLUMN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
Name = Annotated[str, Field(pattern=NAME)]
Column = Annotated[str, Field(pattern=COLUMN)]
Share = Annotated[float, Field(ge=0, le=1)]


def _to_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    # A bare number would be taken for seconds, and ``lead: 2`` hardly ever means seconds.
    return duration(value if isinstance(value, str) else repr(value))


Duration = Annotated[timedelta, BeforeValidator(_to_duration)]


def tolerated_as(value: object) -> float | str:
    """A number of 0 or more as it is; ``5%`` as the text, a share of the gap to the naive baseline.

    Raises:
        ValueError: it is neither; the message says what is allowed.
    """
    text = value.strip() if isinstance(value, str) else ""
    number: object = text.removesuffix("%").strip() if text else value
    try:
        amount = float(number) if isinstance(number, str | int | float) and not isinstance(number, bool) else -1.0
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf") or (text.endswith("%") and amount > 100):
        raise ValueError("give a number of 0 or more in the metric's unit, or a share of the gap to the baseline as 5%")
    return f"{amount:.12g}%" if text.endswith("%") else amount


Tolerance = Annotated[float | str, BeforeValidator(tolerated_as)]
"""A loss that is tolerated: in the metric's unit, or as a share, written ``5%``, of the gap between the reference and
the naive baseline, or of the reference's distance to a perfect model where that is less."""


def amount_and_share(declared: float | str) -> tuple[float, float | None]:
    """A ``Tolerance`` as the domain takes it: the amount, and the share where one is declared (the amount is 0 then).

    >>> amount_and_share(0.01), amount_and_share("5%")
    ((0.01, None), (0.0, 0.05))
    """
    if isinstance(declared, str):
        return 0.0, float(declared.removesuffix("%")) / 100
    return declared, None


def refuse_share(metric: str, **declared: float | str) -> None:
    """Refuse shares of a gap that says nothing, in the words of a declaration.

    Args:
        metric: what is compared.
        declared: by field, as declared or left out.

    Raises:
        ValueError: the message says what to declare.
    """
    for name, value in declared.items():
        if isinstance(value, str) and not has_gap(metric):
            raise ValueError(
                f"{name} is a share of the gap to the naive baseline ({value}), and {metric} of a model that ignores "
                "its inputs may be the best there is; give a number in the metric's unit, such as 0.02"
            )


def as_share(share: float) -> str:
    """A share as it is declared: ``0.05`` is ``5%``."""
    return f"{100 * share:g}%"


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
