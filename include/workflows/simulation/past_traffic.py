"""What a model was asked online in the past, as the journal has it: each row once, with the champion's answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from include.adapters.journal import JournalReader
from include.domain.canary.journal_rows import live_row
from include.domain.canary.made_candidates import AskedBefore
from include.domain.canary.units import unit_text
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.journal.records import AnswerRecord


class NoPastTraffic(Refusal):
    """The journal has no answers of the model in these days."""


@dataclass(slots=True)
class PastTraffic:
    """The rows of some days, in the order of time, and what could not be taken."""

    rows: list[AskedBefore] = field(default_factory=list)
    without_unit: int = 0
    """Rows that name no entity and no unit: in a canary the champion answers them."""
    repeated: int = 0
    """Rows that were asked again."""

    @property
    def seconds(self) -> float:
        """From the first row to the last."""
        return (self.rows[-1].at - self.rows[0].at).total_seconds() if self.rows else 0.0


def past_traffic(model: str, folder: Path, interval: Interval) -> PastTraffic:
    """The rows of the model whose ``prediction_time`` is in the interval.

    A unit that was not written down, because no candidate had a share, is the first of the entity's keys, which is the
    default of ``serving.unit``.

    Raises:
        NoPastTraffic: there are none.
    """
    found, first = PastTraffic(), dict[str, AskedBefore]()
    for entry in JournalReader(folder).all() if folder.is_dir() else ():
        record = entry.record
        if (
            not isinstance(record, AnswerRecord)
            or record.model != model
            or not interval.contains(record.prediction_time)
        ):
            continue
        champion = live_row(record).champion
        if champion is None:
            continue  # its values could not be looked up: it is of neither model
        unit = record.unit if record.unit is not None else unit_text(next(iter(record.keys.values()), None))
        if unit is None:
            found.without_unit += 1
            continue
        before = first.get(record.asked_id)
        found.repeated += before is not None
        if before is None or record.prediction_time < before.at:
            whole = None if record.omitted else record.features
            first[record.asked_id] = AskedBefore(record.asked_id, unit, record.prediction_time, champion, whole)
    found.rows = sorted(first.values(), key=lambda each: (each.at, each.asked_id))
    if not found.rows:
        raise NoPastTraffic(
            f"The journal in {folder} has no answer of {model} from {interval.start:%Y-%m-%d} to "
            f"{interval.end:%Y-%m-%d} that a canary could have taken; give days on which it was asked online."
        )
    return found
