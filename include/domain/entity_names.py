"""How an entity is named: its key values as one text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import islice, product
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

import numpy as np


def entity_of(keys: Sequence[Any]) -> str:
    """The key values as one text: JSON, so that no two different entities share one."""
    return "[" + ",".join([_quoted(key) if type(key) is str else _encoded(key) for key in keys]) + "]"


EXACT = 2**53
"""Up to here a double represents every whole number exactly."""
PLAIN_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
MOST_SPELLINGS = 8


def spelled_otherwise(keys: Sequence[Any]) -> list[str]:
    """The same entity with its whole numbers in another type: 7, 7.0 and the text '7' are one key."""
    spellings: list[list[Any]] = []
    for key in keys:
        plain = _builtin(key)
        if isinstance(plain, str) and PLAIN_NUMBER.fullmatch(plain):
            plain = int(plain)
        if isinstance(plain, Decimal | float) and isfinite(plain) and -EXACT <= plain <= EXACT and plain % 1 == 0:
            plain = int(plain)
        is_whole = isinstance(plain, int) and not isinstance(plain, bool)
        spellings.append([plain, str(plain), float(plain)] if is_whole else [plain])
    found = [entity_of(each) for each in islice(product(*spellings), MOST_SPELLINGS + 1)]
    return [each for each in found if each != entity_of(keys)]


def _builtin(key: Any) -> Any:
    return key.item() if isinstance(key, np.generic) else key


def entities_of(entities: Sequence[Sequence[Any]]) -> list[str]:
    """``entity_of`` each of them."""
    if entities and len(entities[0]) == 1:
        return ["[" + _quoted(key) + "]" if type(key) is str else entity_of((key,)) for (key,) in entities]
    return [entity_of(keys) for keys in entities]


_quoted = encode_basestring
"""The encoder's result for texts, computed directly."""
_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
