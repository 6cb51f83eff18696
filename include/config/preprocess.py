"""What happens to columns between the feature views and the estimator."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from include.config.base import Column, Declared
from include.config.importing import ImportPath

Kind = Literal["numeric", "categorical", "boolean"]


class Step(Declared):
    """One transformer. Its import path alone may be written instead."""

    path: ImportPath
    """The import path of a scikit-learn transformer class; or an entry point of slipway.encoders."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Its constructor's keyword arguments; default its own defaults."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, data: Any) -> Any:
        return {"path": data} if isinstance(data, str) else data


class Preprocess(Declared):
    """One group of columns and what is done to it, in order. A column is in one group at most; columns in none only
    get what ``estimator.encode`` and ``estimator.impute`` say."""

    columns: Kind | Annotated[list[Column], Field(min_length=1)]
    """The features by name; or the word numeric, categorical or boolean: all of that kind which no group names."""
    steps: Annotated[list[Step], Field(min_length=1)]
    """The transformers, the first one first."""
    encode: Literal["ordinal", "one_hot", "none"] | None = None
    """How the group's categories become numbers before the steps; none for not at all, where a step does it; default
    what ``estimator.encode`` says, and none where a step is one of scikit-learn's encoders."""
    impute: bool | None = None
    """Whether the group's missing numbers are replaced by the training median before the steps; default what
    ``estimator.impute`` says, and false where a step is one of scikit-learn's imputers."""


def named_twice(groups: list[Preprocess]) -> tuple[int, str] | None:
    """The first group with a column, or a kind, that another group before it has, or it has twice; None for none."""
    seen: set[tuple[str, str]] = set()
    for number, group in enumerate(groups):
        for asked in [("kind", group.columns)] if isinstance(group.columns, str) else [("", c) for c in group.columns]:
            if asked in seen:
                return number, asked[1]
            seen.add(asked)
    return None
