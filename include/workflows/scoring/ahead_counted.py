"""The answers of a day that were given before its rows were due, and the closing's view of them: which count, which
rows have none, and from which features each row was answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration
from include.domain.ahead import AFTERWARDS, AHEAD, sentence, that_count
from include.domain.intervals import Interval
from include.domain.promotion import Epoch
from include.workflows import stores
from include.workflows.scoring import point_in_time_rows
from include.workflows.scoring.request_ids import SERVED, SHADOW

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Counted:
    """A day's rows, and the answers of each that were given ahead."""

    model: str
    requests: pd.Index[Any]
    """The day's rows by their id, in the order of the day's table."""
    champion: Epoch
    """Who serves the day."""
    mine: pd.DataFrame
    """The answers that count and that the day's champion gave, by request."""
    others: pd.DataFrame
    """Those that count and that another champion gave, before a promotion or a rollback."""
    shadow: pd.DataFrame
    """What challengers answered, all runs."""
    withdrawn: int
    """Requests that were answered and are not among the day's rows any more."""
    closed_at: datetime

    @property
    def sentence(self) -> str:
        """How much of the day was answered in time."""
        return sentence(len(self.requests), len(self.mine), len(self.others), self.withdrawn)

    @property
    def facts(self) -> dict[str, Any]:
        """The same, counted."""
        return {
            "ahead": len(self.mine),
            "filled": len(self.requests) - len(self.mine),
            "by_others": len(self.others),
            "withdrawn": self.withdrawn,
        }

    def answers_of(self, candidate: str) -> pd.DataFrame:
        """The candidate's answers that count, by request: the champion's own, or what a challenger answered at the very
        run whose answer by the champion counts."""
        if candidate == self.champion.to_candidate:
            return self.mine
        theirs = self.shadow[self.shadow["candidate_id"] == candidate]
        when = theirs["request_id"].map(self.mine["answered_at"])
        beside = theirs[when.notna() & (theirs["answered_at"] == when)]
        return beside.set_index("request_id", drop=False)

    def completed(self, candidate: str, ask: Callable[[Any], pd.DataFrame]) -> pd.DataFrame:
        """The candidate's answer to each of the day's rows: the one given ahead, else what ``ask`` gives to the rows of
        a mask; and the columns that say which of the two it is."""
        import pandas as pd

        kept = self.answers_of(candidate)
        missing = ~self.requests.isin(kept.index)
        asked = ask(missing) if missing.any() else None
        names = [
            name
            for name in (kept if asked is None else asked).columns
            if str(name) in ("predicted", "error") or str(name) == "score" or str(name).startswith("score_")
        ]
        parts = []
        if asked is not None:
            parts.append(
                asked[names]
                .set_axis(self.requests[missing], axis=0)
                .assign(
                    answered=AFTERWARDS,
                    answered_at=pd.Timestamp(self.closed_at),
                    revision=self.champion.revision,
                    times_answered=0,
                )
            )
        if len(kept):
            counts = self.mine.loc[kept.index]
            parts.append(
                kept[names].assign(
                    answered=AHEAD,
                    answered_at=kept["answered_at"],
                    revision=counts["revision"].to_numpy(dtype="int64"),
                    times_answered=counts["times_answered"].to_numpy(dtype="int64"),
                )
            )
        whole = pd.concat([each.astype({"predicted": object, "error": object}) for each in parts])
        return whole.loc[self.requests].reset_index(drop=True)

    def of_another(self, candidate: str) -> pd.DataFrame:
        """The answers that count and that a former champion gave, in the order of the day's rows."""
        theirs = self.others[self.others["candidate_id"] == candidate]
        mine = replace(
            self,
            requests=self.requests[self.requests.isin(theirs.index)],
            champion=replace(self.champion, to_candidate=candidate),
            mine=theirs,
        )
        # Each of these rows has an answer, so no one is asked.
        return mine.completed(candidate, lambda missing: theirs[missing])

    def as_served(self, model: ModelDeclaration, given: pa.Table, candidate: str) -> pa.Table:
        """The day's rows with the features that each was answered from, as they were known at the run whose answer
        counts, and that run as ``prediction_time``; a row that is filled is as ``given``."""
        import numpy as np
        import pandas as pd
        import pyarrow as pa

        kept = self.answers_of(candidate)
        if kept.empty:
            return given
        times = kept["answered_at"]
        features = _features(self.model, sorted(kept["feature_set"].unique()), times.min(), times.max())
        places = features.select(["answered_at", "request_id"]).to_pandas()
        known = pd.MultiIndex.from_frame(places)
        wanted = pd.MultiIndex.from_arrays([times, kept["request_id"]])
        at = pd.Series(known.get_indexer(wanted), index=kept.index).reindex(self.requests, fill_value=-1).to_numpy()
        taken = pa.array(np.where(at < 0, np.arange(given.num_rows), given.num_rows + at))
        for name in model.features:
            column = given.column(name).combine_chunks()
            stored = features.column(_stored(name)).combine_chunks().cast(column.type)
            both = pa.concat_arrays([column, stored])
            given = given.set_column(given.column_names.index(name), name, both.take(taken))
        due = given.column("prediction_time").combine_chunks()
        at_run = pa.concat_arrays([due, features.column("answered_at").combine_chunks().cast(due.type)])
        return given.set_column(given.column_names.index("prediction_time"), "prediction_time", at_run.take(taken))


def of_day(
    model: ModelDeclaration, interval: Interval, requests: Sequence[str], due: pd.Series[Any], champion: Epoch
) -> Counted:
    """The answers that were given to the rows of the interval's day, ``requests`` with their prediction times ``due``.

    Raises:
        PartitionDamaged: when they cannot be read.
    """
    import pandas as pd

    first = interval.start if model.score is None else interval.start - model.score.ahead
    found = stores.ahead_tables().read(model.name, interval, first)
    names = pd.Index(list(requests))
    if found is None:
        empty = pd.DataFrame({"request_id": [], "answered_at": [], "candidate_id": []}, index=pd.Index([]))
        return Counted(model.name, names, champion, empty, empty, empty, 0, interval.end)
    given = found.to_pandas()
    served = given[given["role"] == SERVED]
    count = that_count(served, pd.Series(due.array, index=names))
    own = count["candidate_id"] == champion.to_candidate
    return Counted(
        model=model.name,
        requests=names,
        champion=champion,
        mine=count[own],
        others=count[~own],
        shadow=given[given["role"] == SHADOW],
        withdrawn=int((~pd.Index(served["request_id"].unique()).isin(names)).sum()),
        closed_at=interval.end,
    )


def kept_features(model: str, feature_sets: Sequence[str], first: datetime, last: datetime) -> pd.DataFrame:
    """The features that the answers of the runs from ``first`` to ``last`` were computed from, by run and request."""
    from include.adapters.offline_store import SERVED_PREFIX

    named = _features(model, feature_sets, first, last).to_pandas().set_index(["answered_at", "request_id"])
    plain: pd.DataFrame = named.rename(columns=lambda name: str(name).removeprefix(SERVED_PREFIX))
    return plain


def _features(model: str, feature_sets: Sequence[str], first: datetime, last: datetime) -> pa.Table:
    import pyarrow as pa

    end = last + point_in_time_rows.TICK
    found = [stores.ahead_tables().read_features(model, each, first, end) for each in feature_sets]
    return pa.concat_tables([each for each in found if each is not None], promote_options="default")


def _stored(feature: str) -> str:
    from include.adapters.offline_store import SERVED_PREFIX

    return f"{SERVED_PREFIX}{feature}"
