"""Ledger and Delta: each published day of each view, by rows, files and content.

At night the files of a day are read only where they are not the ones that its publish wrote, and of the others every
day once in four weeks: so the cost of a night does not grow with all that was ever published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime

from include.adapters.ledger import Ledger, Partition
from include.adapters.offline_store import OfflineStore
from include.config import FeatureView, declarations
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.features import staging
from include.workflows.lineage import promised
from include.workflows.lineage.promised import BrokenPromise
from include.workflows.pairs import PairFinding, PairState

PAIR = "view"
READ_EVERY = 28
"""Each day's files are read once in so many nights."""


def compare(now: datetime) -> list[PairFinding]:
    """Every day of every version of every view that the ledger or the table knows."""
    found = list[PairFinding]()
    with stores.open_ledger() as ledger:
        for name, version in ledger.partitions.views():
            view = declarations().version(name, version)
            if view is None:
                line = "It is not declared any more, so that nothing reads it; it was not compared."
                found.append(PairFinding(PAIR, f"{name} v{version}", PairState.AGREES, line))
                continue
            days = _days(ledger, stores.offline_store(), view)
            broken = _compared(ledger, view, days, _turn_of(now.date()))
            found += [_told(view, each) for each in broken]
            good = len(days) - len(broken)
            if good:
                line = f"{count_of(good, 'day')} from {days[0]} to {days[-1]} as the ledger has them."
                found.append(PairFinding(PAIR, _about(view), PairState.AGREES, line))
    return found


def repair(now: datetime, only: str | None) -> list[PairFinding]:
    """Make every day hold what the ledger promised: from the version of the table that held it, or where that is gone
    from the source, as it was known when the day was published, through the audit."""
    known = declarations()
    if only is not None:
        known.view(only)
    found = list[PairFinding]()
    with stores.open_ledger() as ledger:
        for name, version in ledger.partitions.views():
            view = known.version(name, version)
            if view is None or only not in (None, name, view.ref):
                continue
            days = _days(ledger, stores.offline_store(), view)
            broken = _compared(ledger, view, days, lambda day: True)
            found += [_repaired(ledger, view, each) for each in broken]
            if not broken:
                line = f"{count_of(len(days), 'day')} were read and hold what the ledger promised."
                found.append(PairFinding(PAIR, _about(view), PairState.AGREES, line))
    return found


def _repaired(ledger: Ledger, view: FeatureView, broken: BrokenPromise) -> PairFinding:
    store, about = stores.offline_store(), f"{_about(view)} {broken.day}"
    known = ledger.partitions.get(view.name, view.version, broken.day)
    how = "taken from the version of the table that was published"
    if known is None or not _taken_back(ledger, store, view, known):
        try:
            how = _published_again(ledger, view, broken.day, known)
        except (Refusal, ConnectionError) as error:
            return PairFinding(PAIR, about, PairState.DIFFERS, f"{broken.sentence}. It could not be repaired: {error}")
    left = promised.compared(ledger, store, view, [broken.day])
    if left:
        return PairFinding(PAIR, about, PairState.DIFFERS, f"{left[0].sentence}, after it was {how}.")
    return PairFinding(PAIR, about, PairState.AGREES, f"{broken.sentence}; {how}.", repaired=True)


def _taken_back(ledger: Ledger, store: OfflineStore, view: FeatureView, known: Partition) -> bool:
    """Whether an older version of the table still had the promised rows, which are then the newest again."""
    if known.table_version is None or not known.rows:
        return False
    rows = store.rows_as_of(view, known.day, known.content_hash, known.table_version)
    if rows is None:
        return False
    replaced = store.replace_partitions(view, Interval.of_day(known.day), rows)
    crashpoint("repair.view.restored")
    again = replace(
        known, table_version=replaced.version, files=replaced.files.get((known.day,)), run_id="slipway repair"
    )
    ledger.partitions.record([again], table_version_now=lambda: store.current_version(view))
    return True


def _published_again(ledger: Ledger, view: FeatureView, day: str, known: Partition | None) -> str:
    """Materialize, audit and publish the day as of the moment at which it was read before; what came of it."""
    interval = Interval.of_day(day)
    as_of = None if known is None or known.source_as_of is None else max(known.source_as_of, interval.end)
    staged = staging.stage(view.ref, interval, f"repair_{day}", ledger.partitions, as_of=as_of, look_again=False)
    staging.audit(staged)
    staging.publish(staged, ledger.partitions)
    if known is not None and staged.content[day] != known.content_hash:
        return "published again from the source, which gives other rows by now"
    return "published again from the source"


# --- shared ----------------------------------------------------------------------------------------------------------


def _days(ledger: Ledger, store: OfflineStore, view: FeatureView) -> list[str]:
    """Every day from the first to the last that the ledger or the table knows."""
    known = [*(p.day for p in ledger.partitions.between(view.name, view.version)), *store.held(view)]
    return Interval(Interval.of_day(min(known)).start, Interval.of_day(max(known)).end).days


def _compared(
    ledger: Ledger, view: FeatureView, days: Sequence[str], thorough: Callable[[str], bool]
) -> list[BrokenPromise]:
    """The days that differ. A day that holds the promised rows in other files than were recorded (the table was
    compacted, or the record is of an older release) gets its files recorded, so that it need not be read again."""
    store = stores.offline_store()
    broken = promised.compared(ledger, store, view, days, thorough=thorough)
    bad = {each.day for each in broken}
    known = [p for p in ledger.partitions.between(view.name, view.version) if p.day not in bad]
    again = list(_with_their_files(known, store, view))
    if again:
        ledger.partitions.record(again, table_version_now=lambda: store.current_version(view))
    return broken


def _with_their_files(known: Sequence[Partition], store: OfflineStore, view: FeatureView) -> Iterator[Partition]:
    held = store.held(view)
    for p in known:
        if p.day in held and p.files != held[p.day].files:
            yield replace(p, files=held[p.day].files, run_id="housekeeping")


def _turn_of(night: date) -> Callable[[str], bool]:
    return lambda day: (night - date.fromisoformat(day)).days % READ_EVERY == 0


def _told(view: FeatureView, broken: BrokenPromise) -> PairFinding:
    return PairFinding(PAIR, f"{_about(view)} {broken.day}", PairState.DIFFERS, f"{broken.sentence}.")


def _about(view: FeatureView) -> str:
    return f"{view.name} v{view.version}"
