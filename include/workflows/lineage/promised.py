"""What the ledger promised of a view's days, or of a day's predictions, compared with the table that keeps them.

Readers call ``require`` before they use a row; ``compared`` is the same for housekeeping, which reports instead of
refusing. The number of rows is compared by the table's log, without opening a file. So is the content, as long as the
day is in the very files that its publish wrote, which Delta never changes; otherwise the rows are hashed, and the hash
is compared with the one that the ledger recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.adapters.ledger import Ledger, Partition
from include.adapters.offline_store import DAMAGED, Held, OfflineStore
from include.config.types import FeatureView
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.wording import count_of
from include.workflows import stores

if TYPE_CHECKING:
    import pyarrow as pa

PATIENCE_S = 3.0
"""How long a reader waits for a publish that has committed to the table and is about to write to the ledger."""
TOLD = 3
NOT_KEPT = ""
"""The feature set of answers whose features are in the journal alone."""
UNTOLD = 0
"""The rows promised of a day that the ledger does not know."""


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """A day that does not hold what was promised."""

    day: str
    promised: int
    found: int | None
    """None where the rows cannot be read."""

    @property
    def sentence(self) -> str:
        """What was promised and what was found.

        >>> BrokenPromise("2024-03-01", 6, 0).sentence
        '2024-03-01: 6 rows were promised, none is there'
        """
        rows = count_of(self.promised, "row") if self.promised else "no row"
        was = "was" if self.promised < 2 else "were"
        if self.found is None:
            return f"{self.day}: {rows} {was} promised, and the files cannot be read"
        if self.found == self.promised:
            return f"{self.day}: {rows} {was} promised, and as many others are there"
        there = f"{count_of(self.found, 'row')} {'is' if self.found == 1 else 'are'}" if self.found else "none is"
        return f"{self.day}: {rows} {was} promised, {there} there"


class PromiseBroken(Refusal):
    """A table does not hold what the ledger promised of it. What was read is not used."""

    def __init__(self, view: FeatureView, version: int | None, broken: Sequence[BrokenPromise]) -> None:
        self.view, self.broken = view, tuple(broken)
        shown = "; ".join(each.sentence for each in broken[:TOLD])
        more = f"; and {count_of(len(broken) - TOLD, 'more day')}" if len(broken) > TOLD else ""
        at = "" if version is None else f" (table version {version})"
        super().__init__(
            f"{view.name} v{view.version}{at} does not hold what was published. {shown}{more}. Nothing was read from "
            f"it. Repair it: slipway repair view {view.name}, then clear the task."
        )


class PredictionsLost(Refusal):
    """The prediction log does not hold the answers that the ledger says were given."""

    def __init__(self, model: str, broken: Sequence[tuple[str, BrokenPromise]]) -> None:
        shown = "; ".join(f"{candidate} {each.sentence}" for candidate, each in broken[:TOLD])
        more = f"; and {len(broken) - TOLD} more" if len(broken) > TOLD else ""
        super().__init__(
            f"The prediction log of {model} does not hold what was answered. {shown}{more}. Nothing was judged from "
            f"it. Repair it: slipway repair predictions {model}, then clear the task."
        )


def require(
    ledger: Ledger, store: OfflineStore, view: FeatureView, days: Sequence[str], version: int | None = None
) -> None:
    """Nothing when the view's table holds, on each of the days, what the ledger promised. A file that is cut off or
    gone is found by the reader, which raises ``PartitionDamaged``.

    Args:
        days: those that are read, in order, without gaps; a day that was never published is promised to be empty.
        version: the table version that is read; None for the newest. An older one is compared with the promise of that
        time.

    Raises:
        PromiseBroken: naming the days, what was promised and what was found.
        TableMissing: when there is no such version.
    """
    # Whoever reads the files reports those that cannot be read, with the reason.
    broken = [each for each in compared(ledger, store, view, days, version) if each.found is not None]
    if broken:
        raise PromiseBroken(view, version, broken)


def compared(
    ledger: Ledger,
    store: OfflineStore,
    view: FeatureView,
    days: Sequence[str],
    version: int | None = None,
    *,
    patience_s: float | None = None,
    thorough: Callable[[str], bool] = lambda day: False,
) -> list[BrokenPromise]:
    """The days that do not hold what was promised, as ``require`` understands it.

    ``thorough`` says of a day whether its files are read even where they are the ones that the publish wrote.
    """
    give_up = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
    promised = _current(ledger, view, days)
    held = _held(store, view, days, version)
    hashes = _hashes(store, view, held, promised, version, thorough)
    broken = _broken(promised, held, hashes)
    while broken:
        # Rare from here on. An older version was pinned, or a publish is between its commit and the ledger.
        newest = store.current_version(view)
        if version is not None and newest is not None and version < newest:
            return _broken_then(ledger, view, version, broken, held, hashes)
        being_published = _is_being_published(ledger, view, newest)
        if being_published and time.monotonic() > give_up:
            return broken
        if being_published:
            time.sleep(0.1)
        # The promise is read again after the table: a publish may have changed the ledger meanwhile.
        promised, held = _current(ledger, view, days), _held(store, view, days, version)
        hashes = _hashes(store, view, held, promised, version, thorough)
        broken = _broken(promised, held, hashes)
        if not being_published:
            return broken
    return []


def _current(ledger: Ledger, view: FeatureView, days: Sequence[str]) -> dict[str, Partition]:
    end = Interval.of_day(days[-1]).end.date().isoformat()
    return {p.day: p for p in ledger.partitions.between(view.name, view.version, days[0], end)}


def _held(store: OfflineStore, view: FeatureView, days: Sequence[str], version: int | None) -> dict[str, Held]:
    return {day: held for day, held in store.held(view, version).items() if days[0] <= day <= days[-1]}


def _hashes(
    store: OfflineStore,
    view: FeatureView,
    held: Mapping[str, Held],
    promised: Mapping[str, Partition],
    version: int | None,
    thorough: Callable[[str], bool],
) -> dict[str, str]:
    """The hash of each day's rows: the recorded one when the very files of the publish are still there and the day need
    not be checked thoroughly (``thorough``), else computed from the rows."""
    path, known, unknown = store.view_path(view), dict[str, str](), list[str]()
    for day, found in sorted(held.items()):
        told = promised.get(day)
        same = told is not None and told.files == found.files and found.is_untouched(path)
        if told is not None and same and not thorough(day):
            known[day] = told.content_hash
        elif found.rows != 0:
            unknown.append(day)
    if not unknown:
        return known
    return known | store.hashes_held(view, unknown, {p.content_hash for p in promised.values()}, version)


def _broken(
    promised: Mapping[str, Partition], held: Mapping[str, Held], hashes: Mapping[str, str]
) -> list[BrokenPromise]:
    found = []
    for day in sorted({*promised, *held}):
        known = promised.get(day)
        wanted, there = known.rows if known else UNTOLD, _rows(held, day)
        same = wanted == 0 or (known is not None and hashes.get(day) == known.content_hash)
        if there is None and same:
            there = wanted
        if there != wanted or not same:
            found.append(BrokenPromise(day, wanted, None if hashes.get(day) == DAMAGED else there))
    return found


def _rows(held: Mapping[str, Held], day: str) -> int | None:
    return held[day].rows if day in held else 0


def _broken_then(
    ledger: Ledger,
    view: FeatureView,
    version: int,
    broken: Sequence[BrokenPromise],
    held: Mapping[str, Held],
    hashes: Mapping[str, str],
) -> list[BrokenPromise]:
    """The days whose rows match neither the present promise nor the promise at the table version."""
    found = []
    for each in broken:
        then = _promised_then(ledger.partitions.history(view.name, view.version, each.day), version)
        there = _rows(held, each.day)
        if not then:
            then_rows: int = UNTOLD
            holds = there == 0
        else:
            then_rows = then[-1].rows
            holds = any((p.rows == 0 and there == 0) or hashes.get(each.day) == p.content_hash for p in then)
        if not holds:
            found.append(BrokenPromise(each.day, then_rows, each.found))
    return found


def _promised_then(history: Iterable[Partition], version: int) -> list[Partition]:
    """What was promised of a day when its table had the version: the last publish up to it, and what was recorded
    after it without a new version of the table. None for a day that was published later."""
    at, then = -1, list[Partition]()
    written = -1
    for publish in history:
        written = written if publish.table_version is None else publish.table_version
        if written > version:
            continue
        if publish.table_version is not None or not then:
            at, then = written, [publish]
        elif written == at:
            then.append(publish)
    return then


def _is_being_published(ledger: Ledger, view: FeatureView, newest: int | None) -> bool:
    """Whether the table has a version that the ledger does not know."""
    if newest is None:
        return False
    known = ledger.partitions.newest_table_version(view.name, view.version)
    return known is None or newest > known


# --- predictions -----------------------------------------------------------------------------------------------------


def predictions(ledger: Ledger, model: str, interval: Interval, candidate_id: str | None = None) -> pa.Table | None:
    """The prediction log's rows, as ``OfflineStore.read_predictions`` gives them, once they are as many as the ledger
    says were answered, of each day and candidate.

    Raises:
        PredictionsLost: naming the days and candidates.
    """
    store = stores.offline_store()
    broken = predictions_compared(ledger, store, model, interval, candidate_id)
    if broken:
        raise PredictionsLost(model, broken)
    return store.read_predictions(model, interval, candidate_id)


def predictions_compared(
    ledger: Ledger,
    store: OfflineStore,
    model: str,
    interval: Interval | None = None,
    candidate_id: str | None = None,
) -> list[tuple[str, BrokenPromise]]:
    """The candidate and day of all answers that are fewer or more than the ledger says; of all days without an
    ``interval``, of all candidates without one."""
    bounds = (None, None) if interval is None else (interval.days[0], Interval.of_day(interval.days[-1]).end.date())
    made = ledger.lineage.scorings(model, bounds[0], bounds[1], candidate_id)
    if not made:
        return []
    held = store.predictions_held(model)
    found = []
    for each in made:
        there = held.get((each.day, each.candidate_id), 0)
        if there is not None and there != each.rows:
            found.append((each.candidate_id, BrokenPromise(each.day, each.rows, there)))
    return found


def served_compared(ledger: Ledger, store: OfflineStore, model: str) -> list[tuple[str, BrokenPromise]]:
    """The days for which features that the answers were computed from are missing, with ``the features of`` and the
    name of their table."""
    served: dict[tuple[str, str], int] = {}
    for each in ledger.lineage.scorings(model):
        if each.feature_set != NOT_KEPT:
            # A challenger beside online traffic has answered some of the rows that the champion was asked.
            place = (each.feature_set, each.day)
            served[place] = max(each.rows, served.get(place, 0))
    held = {name: store.served_held(model, name) for name in {name for name, _ in served}}
    found = []
    for (name, day), rows in sorted(served.items()):
        there = held[name].get(day, 0)
        if there is not None and there != rows:
            found.append((f"the features in {name}", BrokenPromise(day, rows, there)))
    return found
