"""Requests and their logged answers, as scoring, the shadow window and the drift sensor all read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration, declarations

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

EXACT = 2**53
"""Up to here a double represents every whole number exactly."""
SERVED = "served"
"""The role of the champion's answers."""
SHADOW = "shadow"
"""The role of a challenger's answers, which are never served."""
ALSO_SERVED = "also_served"
"""The role of answers that were served online on a day that belongs to another champion: the day of a promotion or a
rollback. They are in the log, and nothing is judged by them."""

ANSWERED = (SERVED, ALSO_SERVED)
"""The roles of what callers were answered."""


def request_ids(model: ModelDeclaration, rows: pd.DataFrame) -> list[str]:
    """One id for each request, the same in every table: the entity's keys and the event time, joined.

    The keys alone do not name a request: a station is asked about every hour.

    >>> request_ids(model, rows)  # doctest: +SKIP
    ['north|2024-03-14T05:00:00Z', 'north|2024-03-14T06:00:00Z']
    """
    keys = [_texts(rows[key]) for key in declarations().view(model.entity.view).keys]
    if len(keys) > 1:
        # So that ("a|b", "c") and ("a", "b|c") stay two.
        keys = [key.str.replace("|", "%7C", regex=False) for key in keys]
    return ["|".join(parts) for parts in zip(*keys, _moments(rows["event_time"]), strict=True)]


def request_id_column(model: ModelDeclaration, rows: pa.Table) -> pa.Array:
    """As ``request_ids``, of a table; of keys that are texts or whole numbers without a frame of them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    names = declarations().view(model.entity.view).keys
    keys = [rows.column(name).combine_chunks() for name in names]
    plain = all(not key.null_count and (pa.types.is_string(key.type) or pa.types.is_integer(key.type)) for key in keys)
    if not plain:
        return pa.array(request_ids(model, rows.to_pandas()), pa.string())
    texts = [key.cast(pa.string()) for key in keys]
    if len(texts) > 1:
        texts = [pc.replace_substring(text, "|", "%7C") for text in texts]
    times = pc.dictionary_encode(rows.column("event_time").combine_chunks())  # many rows are about one moment
    moments = pa.array(_moment_texts(np.asarray(times.dictionary.cast(pa.int64())).astype("datetime64[us]")))
    return pc.binary_join_element_wise(*texts, moments.take(times.indices), "|")


def by_request(model: ModelDeclaration, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the log, or of what was served, by their request. Rows that were logged under another form of the id are
    found too."""
    return rows.set_axis(request_ids(model, rows), axis=0)


def by_row(model: ModelDeclaration, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the log, each once: as ``by_request`` where a day was scored; by the id of each time that somebody asked
    where it was collected from the journal, because a request may be asked several times. ``request_id`` is what labels
    are joined by."""
    requests = request_ids(model, rows)
    rows = rows.assign(request_id=requests)
    if "asked_id" not in rows:
        return rows.set_axis(requests, axis=0)
    asked = rows["asked_id"]
    return rows.set_axis(asked.where(asked.notna(), rows["request_id"]).tolist(), axis=0)


def is_judged(model: ModelDeclaration, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Of each row of one candidate, which ``by_row`` gave, whether a label judges it: ``(n,)``. Of several answers to
    one request it is the first, the last or each, as ``serving.label_joins`` says; ``row_weights.of_answers`` then says
    how much each counts."""
    import numpy as np

    which = model.serving.label_joins
    if which == "each":
        return np.ones(len(rows), dtype=bool)
    order = [name for name in ("prediction_time", "asked_id") if name in rows]
    in_time = rows.reset_index(drop=True).sort_values(order, kind="stable") if order else rows.reset_index(drop=True)
    chosen: np.ndarray[Any, Any] = (~in_time["request_id"].duplicated(keep=which).sort_index()).to_numpy()
    return chosen


def was_online(rows: pd.DataFrame) -> bool:
    """Whether rows of the log, all of one day and candidate, were collected from the journal."""
    return "asked_id" in rows and bool(rows["asked_id"].notna().any())


def _texts(keys: pd.Series[Any]) -> pd.Series[Any]:
    """As text. A source may say 7 in one table and 7.0 in another, and mean the same: each number by itself, whatever
    the others are."""
    if keys.dtype.kind == "f":
        whole = (keys % 1 == 0) & (keys.abs() <= EXACT)
        return keys.astype(str).where(~whole, keys.where(whole, 0).astype("int64").astype(str))
    return keys.astype(str)


def _moments(times: pd.Series[Any]) -> list[str]:
    """Each in UTC, to the second, or to the microsecond where it has any."""
    return _moment_texts(times.dt.tz_convert(None).to_numpy().astype("datetime64[us]"))


def _moment_texts(moments: np.ndarray[Any, Any]) -> list[str]:
    import numpy as np

    seconds = moments.astype("datetime64[s]")
    texts = np.datetime_as_string(seconds)
    if (odd := seconds != moments).any():
        texts = np.where(odd, np.datetime_as_string(moments), texts)
    return [f"{text}Z" for text in texts]


def scores_in(model: ModelDeclaration, log: pd.DataFrame) -> np.ndarray[Any, Any]:
    """The scores of logged rows as the domain takes them: (n,), or (n, k) for a multiclass model."""
    if model.task == "multiclass":
        return log[[f"score_{c}" for c in model.label.classes or []]].to_numpy(dtype=float)
    return log["score"].to_numpy(dtype=float)
