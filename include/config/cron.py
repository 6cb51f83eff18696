"""Crons as they are declared: five fields, in UTC. One that is none is told here, and not by Airflow at Dag parse."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _is_cron(text: str) -> str:
    from croniter import croniter

    fields = len(text.split())
    if not croniter.is_valid(text) or (fields != 5 and not text.startswith("@")):
        raise ValueError(
            "it is no cron; write five fields (minute, hour, day of the month, month, weekday) in quotes, such as "
            '"0 6 1 * *"'
        )
    return text


Cron = Annotated[str, AfterValidator(_is_cron)]


def times_a_day(cron: str) -> int:
    """How often the cron fires on a day on which it does.

    >>> times_a_day("0 6 1 * *"), times_a_day("0 * * * *")
    (1, 24)
    """
    from croniter import croniter

    minutes, hours = croniter.expand(cron)[0][:2]
    return (60 if "*" in minutes else len(minutes)) * (24 if "*" in hours else len(hours))
