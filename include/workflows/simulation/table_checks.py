"""What is wrong with a table to be simulated, in one line each: its times, its numbers, its labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from include.domain import classes
from include.domain.errors import Refusal
from include.workflows.tables import checks

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class BadStream(Refusal, ValueError):
    """A past that cannot be simulated the way it was asked for; the message says what is wrong and what is allowed."""


FEATURE_KINDS = ("numeric", "categorical", "boolean")
LEAST_NAMES = 50
"""Rows below which it cannot be tested whether a column names each of them."""


def names_rows(column: pd.Series[Any], kind: str) -> str | None:
    """Why the column rather names its row than describes it, as a clause; None where it does not."""
    import numpy as np

    rows = int(column.notna().sum())
    if rows < LEAST_NAMES or rows < len(column):
        return None
    if kind == "categorical":
        return f"has a text of its own in each of {rows:,} rows" if column.nunique() == rows else None
    if kind == "numeric":
        values = np.sort(column.to_numpy(dtype=np.float64))
        if bool(np.isfinite(values).all()) and bool(np.all(np.diff(values) == 1)):
            return f"counts the {rows:,} rows"
    return None


LONELY_GAP = 1000
"""A gap of more days than this separates a few lonely rows from the stream."""
LONELY_SHARE = 0.01
LARGEST = 1e60
"""Beyond it the squares of squares cannot be summed."""


def check_times(name: str, moments: np.ndarray[Any, Any]) -> None:
    """Refuses dates that mean "never": they would stretch the stream over thousands of years."""
    import numpy as np

    days = np.sort(moments.astype("datetime64[D]").astype(np.int64))
    if len(days) < 2:
        return
    gaps = np.flatnonzero(np.diff(days) > LONELY_GAP)
    for at in gaps:
        early, late = int(at) + 1, len(days) - int(at) - 1
        few = min(early, late)
        if few <= max(1, LONELY_SHARE * len(days)):
            lonely = days[: at + 1] if early < late else days[at + 1 :]
            others = days[at + 1 :] if early < late else days[: at + 1]
            raise BadStream(
                f"Time {name!r} has {few:,} of {len(days):,} values from {_day(lonely[0])} to {_day(lonely[-1])}, far "
                f"from the others ({_day(others[0])} to {_day(others[-1])}). If they mean no time, leave such "
                "rows out."
            )
    low, high = np.datetime64("1700-01-01", "D").astype(int), np.datetime64("2250-01-01", "D").astype(int)
    odd = int(((days < low) | (days > high)).sum())
    if odd:
        raise BadStream(
            f"Time {name!r} has {odd:,} values before the year 1700 or after 2250, such as "
            f"{_day(days[0] if days[0] < low else days[-1])}; give the time of each row, or leave such rows out."
        )


def _day(day: int) -> str:
    import numpy as np

    return str(np.datetime64(int(day), "D"))


def check_numbers(features: pd.DataFrame, names: Mapping[str, str]) -> None:
    """Refuses infinite numbers and those that no model computes with; a missing one is left to the estimator."""
    import numpy as np

    for name in features.select_dtypes("number").columns:
        values = features[name].to_numpy()
        bad = np.flatnonzero(np.abs(values) > LARGEST)
        if len(bad):
            what = "infinite" if np.isinf(values[bad]).all() else f"beyond {LARGEST:g}"
            raise BadStream(
                f"Column {names.get(str(name), str(name))!r} has {len(bad):,} values that are {what}; no model is "
                "fitted on them, and none answers them. Leave such rows out, or leave the values empty and give "
                "--impute."
            )


def labels_of(column: pd.Series[Any], classifier: bool) -> tuple[np.ndarray[Any, Any], list[str] | None, list[str]]:
    """Labels as floats, a class as its position among all classes in order; the classes; and remarks."""
    import numpy as np
    import pandas as pd

    if not classifier:
        if not pd.api.types.is_numeric_dtype(column.dtype):
            raise BadStream(
                f"Label {column.name!r} holds {checks.some(column.dropna())}, which are no numbers; "
                "--estimator names a regressor, and texts need a classifier."
            )
        y = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isinf(y).any():
            raise BadStream(f"Label {column.name!r} has {int(np.isinf(y).sum())} infinite values; leave such rows out.")
        large = int((np.abs(y) > LARGEST).sum())
        if large:
            raise BadStream(
                f"Label {column.name!r} has {large:,} values beyond {LARGEST:g}, whose losses no number holds; leave "
                "such rows out, or give the label in another unit."
            )
        return y, None, []
    distinct = column.nunique()
    if distinct > MAX_CLASSES:
        raise BadStream(
            f"Label {column.name!r} has {distinct:,} different values; at most {MAX_CLASSES} are taken as classes. "
            "For a number name a regressor with --estimator."
        )
    found = classes.found_in(column)
    if len(found.names) < 2:
        held = f"has one class only, {found.names[0]}" if found.names else "holds no value at all"
        raise BadStream(f"Label {column.name!r} {held}; a classifier needs two or more to tell apart.")
    pair = classes.same_but_for_capitals(found.names)
    if pair is not None:
        raise BadStream(
            f"Label {column.name!r} has {pair[0]!r} and {pair[1]!r}, which differ in capitals only. Write one class in "
            "one way."
        )
    remarks = [
        f"Label {column.name} has {', '.join(ways)}, which are one class: {name}."
        for name, ways in found.spellings.items()
    ]
    return classes.positions(found.names, column)[0], list(found.names), remarks


MAX_CLASSES = 100
