"""The journal of every host, counted for one rollout: the same fold as the guard's, from the files themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.adapters.journal import JournalReader, segments
from include.adapters.ledger import RolloutRecord, RouteRecord
from include.config import declarations
from include.domain.canary.counts import RolloutCounts
from include.domain.canary.evidence import StepEvidence
from include.domain.canary.first_times import is_followed, unit_number
from include.domain.canary.journal_rows import live_row
from include.domain.canary.rollout import RolloutEvent
from include.domain.canary.step_time import StepTime, step_time
from include.domain.canary.stretches import Stretch
from include.domain.journal.records import AnswerRecord

BEFORE = timedelta(hours=1)
"""Files that were last written longer before the rollout are not read: what is slow is learned from what came since."""
MOST_PAIRS = 200_000
"""So many rows that both answered are kept for labels; beyond, those of half of all units, and so on."""


def begun(rollout: RolloutRecord, route_revision: int) -> dict[int, tuple[int, int]]:
    """By revision of the route under which the rollout had a share: the revision with which that step's counts begin,
    and the share in millionths.

    Args:
        rollout: one that the route is of.
        route_revision: the route's, as of the rollout's newest event. While a rollout lasts nothing else moves the
            route, so each event before was one revision earlier.
    """
    found: dict[int, tuple[int, int]] = {}
    begins = route_revision
    for back, each in zip(range(len(rollout.events) - 1, -1, -1), rollout.events, strict=True):
        if each.event is not RolloutEvent.FINISH:  # the last step goes on, and so do its counts
            begins = route_revision - back
        if each.state.share_ppm > 0:
            found[route_revision - back] = (begins, each.state.share_ppm)
    return found


class CountedRollout:
    """What the journal says of one rollout; each look goes on where the one before ended."""

    def __init__(self, rollout: RolloutRecord, folder: Path, *, keeps_rows: bool = False) -> None:
        """
        Args:
            rollout: the one that is counted.
            folder: of the journal.
            keeps_rows: whether rows that both models answered are kept, to be compared on labels.
        """
        self.rollout = rollout
        self.counts = RolloutCounts(
            rollout.number, rollout.plan.wire, tuple(step.share_ppm for step in rollout.plan.steps)
        )
        self.paired: list[AnswerRecord] = []
        """Rows of the canary's share that both models answered, where they are kept."""
        self.newest: datetime | None = None
        """The latest prediction time seen."""
        self._keeps, self._halvings = keeps_rows, 0
        declared = declarations().models.get(rollout.model)
        self._decides = declared is None or declared.is_classifier
        self._reader = JournalReader(folder, _long_before(folder, rollout.recorded_at - BEFORE))
        self._later: list[AnswerRecord] = []
        self._known = 0
        self._begun: dict[int, tuple[int, int]] = {}

    def read(self, route: RouteRecord | None, rollout: RolloutRecord | None = None, *, most: int | None = None) -> bool:
        """Count what is there by now; whether that is everything.

        Args:
            route: the model's, read before this; of another candidate or rollout, nothing new is counted.
            rollout: as it is by now, read in the same look as the route; None where it has not changed.
            most: how many records are read at most; None for all.
        """
        self.rollout = rollout or self.rollout
        if route is None or (route.canary_id, route.number) != (self.rollout.candidate_id, self.rollout.number):
            return True
        self._begun = begun(self.rollout, route.route_revision)
        for begins, share in self._begun.values():
            self.counts.begin(Stretch(begins, share))
        self._known = route.route_revision
        waiting, self._later = self._later, []
        for record in waiting:
            self._count(record)
        read = 0
        while entries := self._reader.read(5_000):
            for entry in entries:
                if isinstance(entry.record, AnswerRecord) and entry.record.model == self.rollout.model:
                    self._count(entry.record)
            read += len(entries)
            if most is not None and read >= most:
                return False
        return True

    def evidence(self, now: datetime) -> StepEvidence | None:
        """Of the newest step at ``now``, by the ledger's clock; None where it never had a share that was seen."""
        return self.counts.evidence(self.time(now).elapsed) if self.counts.stretches else None

    def time(self, now: datetime) -> StepTime:
        """How long the newest step has had its share."""
        return step_time(((each.recorded_at, each.event, each.state) for each in self.rollout.events), now)

    def _count(self, record: AnswerRecord) -> None:
        if record.route_revision > self._known:
            self._later.append(record)  # asked by a share that this look has not seen begin
            return
        self.newest = record.prediction_time if self.newest is None else max(self.newest, record.prediction_time)
        begins, share = self._begun.get(record.route_revision, (0, 0))
        if share == 0 or share != record.share_ppm:
            if record.role == "champion" and record.error is None and record.rows == 1:
                self.counts.usual(record.us_model)
            return
        if self.counts.add(replace(live_row(record, decides=self._decides), revision=begins)) and self._keeps:
            self._keep(record)

    def _keep(self, record: AnswerRecord) -> None:
        beside = record.beside
        if record.unit is None or beside is None or record.error is not None or beside.error is not None:
            return
        if is_followed(unit_number(record.unit), self._halvings):
            self.paired.append(record)
        while len(self.paired) > MOST_PAIRS:
            self._halvings += 1
            followed = self._halvings
            self.paired = [r for r in self.paired if r.unit and is_followed(unit_number(r.unit), followed)]


def _long_before(folder: Path, since: datetime) -> dict[str, int]:
    """Segments that were not written to since then, as if they had been read."""
    found = {}
    for each in segments(folder):
        try:
            stat = each.path.stat()
        except FileNotFoundError:
            continue
        if datetime.fromtimestamp(stat.st_mtime, UTC) < since:
            found[each.name] = stat.st_size
    return found
