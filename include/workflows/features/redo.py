"""A view's definition that changed under its version: refused, unless all published days are computed again at once and
no champion, and no candidate in flight, has learned from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from include.config.types import FeatureView
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.lifecycle import LIVE, State
from include.domain.wording import count_of

if TYPE_CHECKING:
    from include.adapters.ledger import Ledger, Partition
    from include.adapters.ledger.partitions import Partitions

Readers = Callable[[str, int], list[str]]
"""The candidates that serve, served or are in flight, and learned from a version of a view."""
SERVED = frozenset({State.CHAMPION, State.RETIRED, State.ROLLED_BACK})


class DefinedPartitions(Protocol):
    """What is asked of the ledger: its ``partitions``."""

    def definitions(self, view: str, view_version: int) -> dict[str, int]: ...

    def between(
        self, view: str, view_version: int, start: str | None = None, end: str | None = None
    ) -> list[Partition]: ...


class DefinitionChanged(Refusal, ValueError):
    """The view's definition is not the one that made the published days of this version."""

    def __init__(self, view: FeatureView, code_hash: str, other: str, days: int, readers: list[str] | None) -> None:
        redo = f" No champion has learned from it: `slipway features redo {view.ref}` computes its days again."
        read = f" {readers[0]} learned from it." if readers else ""
        super().__init__(
            f"Feature view {view.name!r} version {view.version} was published on {count_of(days, 'day')} by the "
            f"definition {other[:12]}, and features.sql with view.yaml now say {code_hash[:12]}.{read} Raise version "
            f"to {view.version + 1} in features/{view.name}/view.yaml (and in the models that read it): it gets its "
            f"own table. If it means the same, `slipway features adopt {view.name}` shows that and keeps the version."
            + (redo if readers == [] else "")
        )


@dataclass(frozen=True, slots=True)
class WithReaders:
    """The ledger's partitions, with who learned from them: so a run of all days may compute them again."""

    partitions: Partitions
    readers: Readers

    @classmethod
    def of(cls, ledger: Ledger) -> WithReaders:
        return cls(ledger.partitions, _readers_in(ledger))

    def definitions(self, view: str, view_version: int) -> dict[str, int]:
        return self.partitions.definitions(view, view_version)

    def between(
        self, view: str, view_version: int, start: str | None = None, end: str | None = None
    ) -> list[Partition]:
        return self.partitions.between(view, view_version, start, end)

    def newest_as_of(self, view: str, view_version: int) -> datetime | None:
        return self.partitions.newest_as_of(view, view_version)

    def record(
        self, published: Iterable[Partition], table_version_now: Callable[[], int | None] | None = None
    ) -> list[Partition]:
        return self.partitions.record(published, table_version_now)


def _readers_in(ledger: Ledger) -> Readers:
    """Who learned from a view's version, as the ledger has it."""

    def readers(view: str, version: int) -> list[str]:
        learned = {
            made.candidate_id
            for made in ledger.lineage.training_sets()
            if any((read.view, read.view_version) == (view, version) for read in made.sources)
        }
        states = {each: ledger.candidates.get(each).state for each in learned}
        return sorted(each for each, state in states.items() if state in SERVED | LIVE)

    return readers


def require_one_definition(view: FeatureView, code_hash: str, interval: Interval, known: DefinedPartitions) -> bool:
    """Whether the days of ``interval`` are computed again under a new definition, which only ``WithReaders`` allows.

    Raises:
        DefinitionChanged: when published days were made by another definition and must stay.
    """
    others = {made: days for made, days in known.definitions(view.name, view.version).items() if made != code_hash}
    if not others:
        return False
    who = known.readers(view.name, view.version) if isinstance(known, WithReaders) else None
    published = {each.day for each in known.between(view.name, view.version)}
    if who or who is None or not published <= set(interval.days):
        other, days = next(iter(others.items()))
        raise DefinitionChanged(view, code_hash, other, days, who)
    return True
