"""What a request was answered from, read back: the features that each scored day keeps beside its answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from include.adapters.ledger import Ledger
from include.config import ModelDeclaration, declarations
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.scoring.request_ids import SERVED, by_row

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class FeaturesNotKept(Refusal):
    """Requests of which it is not known any more what they were answered from."""


def known_of(
    ledger: Ledger, model: ModelDeclaration, interval: Interval, candidate_id: str, requests: pd.Index[Any]
) -> pd.DataFrame:
    """The features, the keys and ``event_time`` of logged requests, as the candidate served them, in the order given.

    Args:
        ledger: which table holds the features of each scored day.
        model: whose requests they are.
        interval: the days they were served on.
        candidate_id: who served them.
        requests: their ids as ``by_row`` gives them, each once.

    Raises:
        FeaturesNotKept: when some of them have none.
        PartitionDamaged: when a table cannot be read.
    """
    import pyarrow as pa

    end = Interval.of_day(interval.days[-1]).end.date()
    found = list(_kept(ledger, model, (interval.days[0], end.isoformat()), candidate_id))
    kept = by_row(model, pa.concat_tables(found, promote_options="default").to_pandas()) if found else None
    lost = requests if kept is None else requests.difference(kept.index)
    if kept is None or len(lost):
        raise FeaturesNotKept(
            f"what {count_of(len(lost), 'request')} of {len(requests):,} from {interval.days[0]} to "
            f"{interval.days[-1]} were answered from is not kept, for example {lost[0]}. Score these days again: "
            f"slipway repair predictions {model.name}, then clear the task"
        )
    return kept.loc[requests].reset_index(drop=True).drop(columns=["request_id", "asked_id"], errors="ignore")


def _kept(ledger: Ledger, model: ModelDeclaration, days: tuple[str, str], candidate_id: str) -> Iterator[pa.Table]:
    from include.adapters.offline_store import SERVED_PREFIX

    keys = declarations().view(model.entity.view).keys
    for scored in ledger.lineage.scorings(model.name, *days, candidate_id):
        rows = stores.offline_store().read_served(model.name, scored.feature_set, scored.day)
        if scored.role != SERVED or rows is None:
            continue
        names = [name for name in rows.column_names if name.startswith(SERVED_PREFIX)]
        # Of a day that was collected from the journal a row is each time that somebody asked.
        about = [*keys, "event_time", *(["asked_id"] if "asked_id" in rows.column_names else [])]
        known = _as_numbers(rows.select([*about, *names]))
        yield known.rename_columns([*about, *(name.removeprefix(SERVED_PREFIX) for name in names)])


def _as_numbers(rows: pa.Table) -> pa.Table:
    """With booleans as 0 and 1, which is how a model reads them, and a gate's SQL."""
    import pyarrow as pa

    return rows.cast(pa.schema([f.with_type(pa.float64()) if pa.types.is_boolean(f.type) else f for f in rows.schema]))
