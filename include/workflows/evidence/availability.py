"""How far before the prediction each feature was available, as the join measured it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from include.domain.gates import Availability


def availability_of(measured: Mapping[str, Any] | None) -> Availability | None:
    """None for training sets built before availability was recorded."""
    if measured is None:
        return None
    by_most = {name: timedelta(seconds=seconds) for name, seconds in measured["by_most_s"].items()}
    return Availability(int(measured["rows"]), dict(measured["late"]), by_most)
