"""What a declaration says of how its model is served, beside the model itself: it holds again with each start."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from include.config import ModelDeclaration, declarations
from include.config.serving import unit_of
from include.domain.serving.route import ServedModel


def declared_terms(declared: ModelDeclaration, features: Collection[str]) -> dict[str, Any]:
    """The fields of a served model that are its declaration's and not its champion's."""
    serving = declared.serving
    return {
        "deadline_s": serving.deadline.total_seconds(),
        "on_journal_full": serving.when_full(declared.tier),
        "durability": serving.durability,
        "unit": unit_of(serving, declarations().view(declared.entity.view).keys),
        "omit": [feature for feature in serving.omit if feature in features],
    }


def as_declared_now(served: ServedModel) -> ServedModel:
    """The same champion by what is declared now; the same object where nothing has changed."""
    declared = declarations().model(served.model)
    found = msgspec.structs.replace(served, **declared_terms(declared, [each.name for each in served.features]))
    return served if found == served else found
