"""``include/models/trusted_types.yaml``: types of a team's own that a model file may construct. Reviewed like code."""

from __future__ import annotations

import sys
from typing import Annotated

from pydantic import AfterValidator, Field

from include.config.base import Declared
from include.config.importing import Dotted

FILE = "trusted_types.yaml"


def _not_of_python(name: str) -> str:
    if name.partition(".")[0] in sys.stdlib_module_names:
        raise ValueError(
            f"{name} is of Python's own library, through which a model file could run anything; leave it out"
        )
    return name


TypeName = Annotated[Dotted, AfterValidator(_not_of_python)]


class TrustedTypes(Declared):
    """The file. One that is left out trusts nothing beyond Slipway's own list."""

    types: dict[TypeName, Annotated[str, Field(min_length=3)]] = Field(default_factory=dict)
    """Each type by its full name (module and class), with who reviewed it and why it may be constructed."""
