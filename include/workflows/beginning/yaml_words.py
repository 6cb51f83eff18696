"""Words as YAML takes them for text."""

from __future__ import annotations

import json
import re

READ_AS_OTHER = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"})


def as_text(word: str) -> str:
    """
    >>> as_text("amount"), as_text("no"), as_text("10"), as_text("two words")
    ('amount', '"no"', '"10"', '"two words"')
    """
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", word) is not None and word.lower() not in READ_AS_OTHER
    return word if plain else json.dumps(word, ensure_ascii=False)


def listed(words: list[str] | tuple[str, ...]) -> str:
    """
    >>> listed(["a", "on"])
    '[a, "on"]'
    """
    return f"[{', '.join(map(as_text, words))}]"
