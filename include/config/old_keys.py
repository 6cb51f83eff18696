"""Keys of ``gates`` that had another name. The former one is still read; `slipway validate` says the one it has now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMER = {"leakage": "leakage_gate"}
"""The key each former one is now."""


def renamed(gates: Any) -> Any:
    """The mapping with each former key under the name it has now; anything else, and a key that is there under both
    names, as it is.

    >>> renamed({"leakage": {"mode": "advisory"}, "smoke_gate": {}})
    {'leakage_gate': {'mode': 'advisory'}, 'smoke_gate': {}}
    """
    if not isinstance(gates, Mapping):
        return gates
    return {key if FORMER.get(key, key) in gates else FORMER.get(key, key): value for key, value in gates.items()}


def both_given(gates: Any) -> str | None:
    """What is wrong where a gate is declared under both of its names; None where none is."""
    if not isinstance(gates, Mapping):
        return None
    twice = next((old for old, now in FORMER.items() if old in gates and now in gates), None)
    return twice and f"{twice} is the former name of {FORMER[twice]}, and both are given; leave {twice} out"


def spellings(key: object) -> tuple[str, ...]:
    """Every name a file may have for a key: the one of now, and its former ones.

    >>> spellings("leakage_gate"), spellings("criteria")
    (('leakage_gate', 'leakage'), ('criteria',))
    """
    return (str(key), *(old for old, now in FORMER.items() if now == key))


def path_now(path: str) -> str:
    """A dotted path into a declaration, with a former key under the name it has now.

    >>> path_now("gates.leakage.auc_at_most")
    'gates.leakage_gate.auc_at_most'
    """
    block, _, rest = path.partition(".")
    gate, dot, field = rest.partition(".")
    return f"{block}.{FORMER[gate]}{dot}{field}" if block == "gates" and gate in FORMER else path
