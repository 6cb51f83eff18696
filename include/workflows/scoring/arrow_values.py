"""Moments and counts as Arrow has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def moment_of(moment: datetime) -> Any:
    """A moment to compare a column of times with."""
    import pyarrow as pa

    return pa.scalar(moment, pa.timestamp("us", tz="UTC"))


def count_true(mask: Any) -> int:
    """How many are true; a missing one is not."""
    import pyarrow.compute as pc

    return int(pc.sum(mask).as_py() or 0)
