"""Which columns of two tables are compared, which are left out because they show no drift, and which cannot be
judged.

An index, an id, a day: they differ between any two tables, and this means nothing. They are left out with a remark.
An unsupported column (a nested value, free text) is named as not judged; it never counts as quiet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.domain.drift.profile import FeatureKind
from include.workflows.tables.alike_values import flags_of
from include.workflows.tables.checks import check_present
from include.workflows.tables.reading import BadTable, Table
from include.workflows.tables.typed_columns import Style

if TYPE_CHECKING:
    import pandas as pd

HEAD_ROWS = 10_000
"""Rows that are tested before a whole column is read: they are enough to show an id."""
LEAST_ROWS_OF_AN_ID = 100
TOO_SURE = 10.0
"""Expected number of duplicates by chance, from which on a column without any duplicate counts as an id."""
TELLING_ROWS = 5
"""Rows of a second value from which on it is no chance that they all come after those of the first."""
LONG_TEXT = 200
LONG_SHARE = 0.01
LARGEST_WHOLE = 2**53
"""A float does not represent every whole number above it."""
_INDEX = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)*")
_UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)*|Unnamed: \d+_level_\d+")
_KINDS = {kind.value for kind in FeatureKind}
_WORDS = {"empty": "no value", "time": "days or times"}


@dataclass(slots=True)
class ComparedColumns:
    """What is done with each column.

    Attributes:
        kinds: the columns that are compared, and as what.
        mixed: those of them that hold numbers and texts.
        left_out: why a column is left out, by name; no one asked for it.
        unjudged: why a column cannot be judged, by name.
        doubtful: why a column without drift still counts as not judged, by name.
        remarks: what a reader must know of how the columns were read.
    """

    kinds: dict[str, FeatureKind] = field(default_factory=dict)
    mixed: set[str] = field(default_factory=set)
    left_out: dict[str, str] = field(default_factory=dict)
    unjudged: dict[str, str] = field(default_factory=dict)
    doubtful: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def compared(
    past: Table, now: Table, taken: Iterable[str], *, features: Sequence[str] = (), ignore: Sequence[str] = ()
) -> ComparedColumns:
    """Sort the columns.

    Args:
        past: the reference.
        now: the table that is judged.
        taken: the columns with another role (label, scores, time).
        features: the only columns that are compared, even if they seem to be ids; empty takes all others.
        ignore: columns that are left out.

    Raises:
        BadTable: when a named column is not there, or is named as two things.
    """
    taken = tuple(taken)
    check_present(features, past.names, f" in {past.path} (--features)")
    check_present(ignore, [*past.names, *now.names], " (--ignore)")
    for name in features:
        if name in taken or name in ignore:
            also = "the label, a score or the time" if name in taken else "named by --ignore"
            raise BadTable(f"--features names {name!r}, which is also {also}; a column is one of them.")
    found = ComparedColumns()
    found.left_out.update(dict.fromkeys((name for name in ignore if name in past.names), "--ignore"))
    names = list(features) or [name for name in past.names if name not in (*taken, *ignore)]
    _Sorting(past, now, set(features), found).sort(names)
    if not features:
        new = [name for name in now.names if name not in past.names and name not in (*taken, *ignore)]
        new = [name for name in new if not _INDEX.fullmatch(name) and name not in now.index]
        if new:
            more = f" and {len(new) - 10} more" if len(new) > 10 else ""
            found.remarks.append(f"Not in the reference, so not compared: {', '.join(new[:10])}{more}.")
    for table in (past, now):
        found.remarks += table.remarks(name for name in (*found.kinds, *taken) if name in table.kinds)
    return found


def agree_on_numbers(past: Table, now: Table, names: Iterable[str]) -> None:
    """When one table shows how a column's numbers are written and the other is ambiguous, read both that way."""
    for name in names:
        for sure, other in ((past, now), (now, past)):
            style = sure.typed(name).style
            if style is Style.COMMA and not sure.typed(name).unsure and _open(other, name):
                other.take_style([name], Style.COMMA)
            elif style is Style.POINT and not sure.typed(name).unsure and other.typed(name).unsure:
                other.take_style([name], Style.POINT)


def _open(table: Table, name: str) -> bool:
    what = table.typed(name)
    return what.kind == "numeric" and (what.unsure or not what.text) and table.is_text_file


class _Sorting:
    def __init__(self, past: Table, now: Table, asked: set[str], found: ComparedColumns) -> None:
        self.past, self.now, self.asked, self.found = past, now, asked, found

    def sort(self, names: Sequence[str]) -> None:
        past, now = self.past, self.now
        common = [name for name in names if name in now.kinds]
        past.prepare(names)
        now.prepare(common)
        agree_on_numbers(past, now, common)
        left = [name for name in names if not self._by_type(name)]
        heads = [table.head(HEAD_ROWS, [n for n in left if n in table.kinds]) for table in (past, now)]
        suspects = [name for name in left if name not in self.asked and self._may_be_id(name, heads)]
        ids = self._ids(suspects)
        flags = [name for name in left if name not in ids and self._may_be_flag(name, heads[0])]
        flags = [n for n, column in past.columns(flags) if column.dropna().isin((0, 1)).all()]
        for name in left:
            if name in ids:
                self.found.left_out[name] = ids[name]
            elif why := self._too_long(name, heads):
                self.found.unjudged[name] = why
            else:
                self._compare(name, FeatureKind.BOOLEAN if name in flags else None)

    def _by_type(self, name: str) -> bool:
        """Whether the types alone decide that the column is not compared."""
        found, asked = self.found, name in self.asked
        here = self.past.kinds[name]
        there = self.now.kinds.get(name)
        index = name in self.past.index or name in self.now.index or _INDEX.fullmatch(name)
        if index and not asked:
            found.left_out[name] = "pandas' index"
        elif here in ("time", "empty") and there in ("time", "empty", None) and "time" in (here, there):
            if asked:
                found.unjudged[name] = "holds days or times"
            else:
                found.left_out[name] = "days or times"
        elif here not in _KINDS | {"empty"}:
            then = f", {_WORDS.get(there, there)} now" if there not in (here, None) else ""
            found.unjudged[name] = f"holds {_WORDS.get(here, here)}{then}"
        elif there is not None and there not in _KINDS | {"empty"}:
            found.unjudged[name] = (
                f"is {_WORDS.get(here, here)} in the reference and holds {_WORDS.get(there, there)} now"
            )
        else:
            return False
        return True

    def _compare(self, name: str, flag: FeatureKind | None) -> None:
        here = self.past.kinds[name]
        there = self.now.kinds.get(name)
        kind = here if here != "empty" else there
        self.found.kinds[name] = flag or (FeatureKind(kind) if kind in _KINDS else FeatureKind.NUMERIC)
        if self.past.typed(name).mixed or (there is not None and self.now.typed(name).mixed):
            self.found.mixed.add(name)
        if there is None:
            self.found.remarks.append(f"Column {name} is not in {self.now.path.name}: missing in every row.")
        elif "empty" in (here, there) or here == there or {here, there} == {"numeric", "boolean"}:
            return
        elif flags_of(self.past.column(name)) is not None and flags_of(self.now.column(name)) is not None:
            self.found.kinds[name] = FeatureKind.BOOLEAN
        else:
            self.found.remarks.append(f"Column {name} is {here} in the reference and {there} now.")
            self.found.doubtful[name] = f"is {here} in the reference and {there} now"

    # --- ids ---------------------------------------------------------------------------------------------------------

    def _may_be_id(self, name: str, heads: Sequence[pd.DataFrame]) -> bool:
        kinds = {table.kinds[name] for table in (self.past, self.now) if name in table.kinds}
        if name not in self.now.kinds or len(kinds - {"empty"}) != 1 or kinds & {"boolean"}:
            return False
        return len(heads[0]) >= LEAST_ROWS_OF_AN_ID and all(
            _ascends(head[name]) or _differs(head[name]) for head in heads
        )

    def _ids(self, suspects: Sequence[str]) -> dict[str, str]:
        """Why each is an id, of those that are."""
        more = "; --features compares it all the same"
        found: dict[str, str] = {}
        pairs = zip(self.past.columns(suspects), self.now.columns(suspects), strict=True)
        for (name, before), (_, after) in pairs:
            if _ascends(before, telling=True) and _ascends(after):
                found[name] = (
                    f"looks like an identifier or a time: its values only rise, or only fall, from row to row{more}"
                )
            elif _differs(before, telling=True) and _differs(after):
                found[name] = f"looks like an identifier: every row has another value{more}"
            elif _UNNAMED.fullmatch(name) and _ascends(before):
                found[name] = f"pandas' index{more}"
        return found

    def _may_be_flag(self, name: str, head: pd.DataFrame) -> bool:
        return self.past.kinds[name] == "numeric" and bool(head[name].dropna().isin((0, 1)).all())

    def _too_long(self, name: str, heads: Sequence[pd.DataFrame]) -> str | None:
        import numpy as np
        import pandas as pd

        for table, head in zip((self.past, self.now), heads, strict=True):
            if name not in head:
                continue
            values = head[name].dropna()
            if table.kinds[name] == "categorical" and len(values):
                share = float((values.astype(str).str.len() > LONG_TEXT).mean())
                if share > LONG_SHARE:
                    return f"holds texts of more than {LONG_TEXT} characters"
            if table.kinds[name] == "numeric" and (name in table.long_numbers or table.typed(name).whole):
                numbers = pd.to_numeric(values).to_numpy()
                if np.issubdtype(numbers.dtype, np.number) and len(numbers) and np.abs(numbers).max() >= LARGEST_WHOLE:
                    return f"holds whole numbers above {LARGEST_WHOLE:,}, which a float does not tell apart"
        return None


def _ascends(column: pd.Series[Any], telling: bool = False) -> bool:
    """Whether the numbers ascend (or descend) with the rows; ``telling`` says whether that is no chance."""
    import numpy as np
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return False
    values = column.dropna().to_numpy()
    before, after = values[:-1], values[1:]
    if not ((after >= before).all() or (after <= before).all()):
        return False
    if not telling:
        return True
    steps = np.flatnonzero(before != after)
    if len(values) < LEAST_ROWS_OF_AN_ID or not len(steps):
        return False
    lengths = np.diff(np.concatenate([[0], steps + 1, [len(values)]]))
    return len(lengths) > TELLING_ROWS or int((lengths >= TELLING_ROWS).sum()) >= 2


def _differs(column: pd.Series[Any], telling: bool = False) -> bool:
    """Whether no two rows have one value; ``telling`` says whether that is no chance; of fractions it is always one."""
    import numpy as np
    import pandas as pd

    values = column.dropna()
    if not pd.api.types.is_numeric_dtype(column.dtype):
        if not values.is_unique:
            return False
        texts = values.head(HEAD_ROWS).astype(str)
        short = texts.str.fullmatch(r"\S{1,64}").mean() if len(texts) else 1.0
        return not telling or (len(values) >= LEAST_ROWS_OF_AN_ID and float(short) >= 0.95)
    numbers = values.to_numpy()
    whole = np.issubdtype(numbers.dtype, np.integer) or (
        bool(np.isfinite(numbers).all()) and bool((numbers == np.floor(numbers)).all())
    )
    if not whole or not values.is_unique:
        return False
    if not telling:
        return True
    spread = float(numbers.max()) - float(numbers.min()) + 1 if len(numbers) else 0.0
    # Of n numbers drawn from m, about n^2 / 2m pairs are equal by chance.
    return spread > 0 and len(numbers) ** 2 / (2 * spread) >= TOO_SURE
