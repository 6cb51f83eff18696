"""How far before the prediction each feature was available, as the join measured it."""

from __future__ import annotations

from datetime import timedelta

from include.domain.gates import Availability
from include.workflows.journey.facts import JoinAvailability


def availability_of(measured: JoinAvailability | None) -> Availability | None:
    """None for training sets built before availability was recorded."""
    if measured is None:
        return None
    by_most = {name: timedelta(seconds=seconds) for name, seconds in measured.by_most_s.items()}
    return Availability(measured.rows, dict(measured.late), by_most)
