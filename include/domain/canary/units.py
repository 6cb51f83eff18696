"""Which arm a unit is in: a salted hash, so no cookie and no table, the same on every host and after each restart.

A unit has one place in [0, 1) for a whole rollout, and is in the canary while its place is below the share. So raising
the share keeps every unit that was in, and lowering it takes none in. Another rollout has another salt, and draws
again.
"""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Any

PPM = 1_000_000
_PLACES = 1 << 64


def new_salt() -> str:
    """A salt for one rollout."""
    return secrets.token_hex(16)


def place(salt: str, unit: str) -> int:
    """The unit's place, in [0, 2**64).

    >>> place("s", "flight 7") == place("s", "flight 7"), place("s", "flight 7") == place("t", "flight 7")
    (True, False)
    """
    key = blake2b(salt.encode(), digest_size=32).digest()
    return int.from_bytes(blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), "big")


def within(found: int, share_ppm: int) -> bool:
    """Whether a place is in a share, given in millionths; none is in 0, all are in 1,000,000.

    >>> within(0, 0), within(2**64 - 1, 1_000_000)
    (False, True)
    """
    return found * PPM < share_ppm * _PLACES


def unit_text(value: Any) -> str | None:
    """A unit as the text that is drawn by; None for what is no unit. The same number is the same unit in every form.

    >>> unit_text(7), unit_text(7.0), unit_text("7"), unit_text(7.5), unit_text(None), unit_text(" ")
    ('7', '7', '7', '7.5', None, None)
    """
    if value is None or isinstance(value, bool | list | dict):
        return None
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value).strip() or None
