"""The value that a label means, however it was written: a number, a text, or a word for no or yes.

Nothing heavy is imported here, because the online service reads labels too; ``classes`` says more of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Sequence
from decimal import Decimal
from typing import Any

NO, YES = ("0", "false", "f", "no", "n"), ("1", "true", "t", "yes", "y")
"""The words for no and for yes, in lower case."""
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d{0,30})(?:\.\d{0,30})?(?:[eE][+-]?\d{1,3})?")
_WORDS = {**dict.fromkeys(NO, False), **dict.fromkeys(YES, True)}


def key_of(value: Any) -> Hashable | None:
    """What the value means apart from how it is written: a number or a text; None where there is no value.

    >>> len({key_of(v) for v in (1, 1.0, "1", " 1.0", Decimal("1.00"))})
    1
    >>> key_of("01"), key_of("Late ")
    ('01', 'Late')
    """
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return "true" if value else "false"
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        text = value.strip()
        return Decimal(text) if _NUMBER.fullmatch(text) else text or None
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return None
    try:
        # The shortest text that means it, so that 0.1 is the same in single and in double precision.
        return Decimal(str(value)) if math.isfinite(value) else str(value)
    except (TypeError, ArithmeticError):
        return str(value)


def truth_of(value: Any) -> bool | None:
    """Whether the value is a word for yes (True) or for no (False); None where it is neither."""
    key = key_of(value)
    if isinstance(key, Decimal):
        return bool(key) if key in (0, 1) else None
    return _WORDS.get(key.lower()) if isinstance(key, str) else None


def meaning(classes: Sequence[str], values: Iterable[Any]) -> list[int | None]:
    """The position of the class that each value means; None where it is none of them, or no value."""
    exact = {key_of(name): i for i, name in enumerate(classes)}
    truths = [truth_of(name) for name in classes]
    by_truth = dict(zip(truths, range(2), strict=True)) if sorted(map(str, truths)) == ["False", "True"] else {}
    found: list[int | None] = []
    for value in values:
        key = key_of(value)
        at = exact.get(key) if key is not None else None
        if at is None and by_truth and (truth := truth_of(value)) is not None:
            at = by_truth[truth]
        found.append(at)
    return found
