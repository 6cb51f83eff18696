"""After what time something that is missing is reported.

Every time is counted by the clock from when the ledger learned the last thing, never from the day of the data: history
that is replayed today is as fresh as what happened today.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

from include.config.base import Declared, Duration


def _some_time(value: timedelta | None) -> timedelta | None:
    if value is not None and value <= timedelta(0):
        raise ValueError("give some time, for example 6h or 2d")
    return value


Patience = Annotated[Duration, AfterValidator(_some_time)]


class ModelFreshness(Declared):
    """How long the steps that follow a published day may take to come."""

    scored_within: Patience = timedelta(hours=6)
    """From the publish of a day, in every view the model reads, to its answers by the champion; default 6h."""
    judged_within: Patience = timedelta(hours=6)
    """From the answers of a day to its drift report; default 6h."""
    shadowed_within: Patience = timedelta(days=3)
    """From one scored day of an open shadow window to the next; default 3d."""


class ViewFreshness(Declared):
    """How long a view may publish nothing."""

    published_within: Annotated[Duration | None, AfterValidator(_some_time)] = None
    """From one publish of a day that was not published before to the next; default 36h while the view's calendar goes
    on, and no limit for a calendar whose end has passed, which is history."""
