"""What a column of a file holds, found out from all of its values, and the same values in one form.

A number is a number whether it is kept as int8, float32, decimal or text, and a category is the same one as text or as
a dictionary. An unknown type keeps its name, so that the caller can report that it was not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from include.workflows.tables.csv_files import STANDARD_MISSING

if TYPE_CHECKING:
    import pandas as pd

NEARLY_ALL = 0.95
"""The share of a text column's values that must be of one kind to decide it; the others count as missing, with a
remark."""
OTHER_MISSING = ("-", "--", "---", "?", ".", "\N{EN DASH}", "\N{EM DASH}")
"""Texts that people write for a missing value; a remark says so."""
_SHOWN = 3


class Style(Enum):
    """How numbers are written in texts."""

    POINT = "1,234.5"
    COMMA = "1.234,5"


@dataclass(frozen=True, slots=True)
class Typed:
    """What a column is.

    Attributes:
        kind: ``numeric``, ``categorical``, ``boolean``, ``time``, ``empty``; else a description of what it holds.
        text: whether it is kept as text.
        style: how its numbers are written, of text; None where any reading gives the same.
        unsure: whether its texts can be read in the other style as well.
        whole: whether it is kept as whole numbers or decimals, which can have more digits than a float.
        mixed: whether it is a category of which some values, and not nearly all, are numbers.
        remarks: how the values were read, when a reader must know; each follows the column's name.
    """

    kind: str
    text: bool = False
    style: Style | None = None
    unsure: bool = False
    whole: bool = False
    mixed: bool = False
    remarks: tuple[str, ...] = ()


_SIGN = "^[+-]?"
_PLAIN = _SIGN + r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|" + _SIGN + r"(?i:inf|infinity)$"
_GAP = "[ '\u00a0\u202f\u2009\u2019]"
_POINT = f"{_PLAIN}|{_SIGN}[1-9]\\d{{0,2}}(,\\d{{3}})+(\\.\\d*)?$|{_SIGN}[1-9]\\d{{0,2}}({_GAP}\\d{{3}})+(\\.\\d*)?$"
_COMMA = (
    f"{_SIGN}\\d+$|{_SIGN}\\d*,\\d+([eE][+-]?\\d+)?$|{_SIGN}[1-9]\\d{{0,2}}(\\.\\d{{3}})+(,\\d*)?$|"
    f"{_SIGN}[1-9]\\d{{0,2}}({_GAP}\\d{{3}})+(,\\d*)?$|{_SIGN}(?i:inf|infinity)$"
)
_PATTERN = {Style.POINT: _POINT, Style.COMMA: _COMMA}
_ZONE = r"\s?(Z|UTC|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(\s?[AaPp][Mm])?"
_MONTH = "(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DAY = (
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|"
    rf"\d{{1,2}}[- ]{_MONTH}[- ,]+(\d{{4}}|\d{{2}})|{_MONTH} \d{{1,2}},? \d{{4}})"
)
_TIME = rf"^({_DAY}([T ]\s?{_CLOCK}{_ZONE})?|{_CLOCK}{_ZONE}|\d{{4}}-\d{{2}}|\d{{4}}[- ]?[Qq][1-4]|\d{{4}}-?W\d{{2}})$"


def typed(column: Any, *, style: Style | None = None, likely: Style = Style.POINT) -> Typed:
    """What the values of an Arrow column are.

    Args:
        style: how its numbers are written, where it is known from elsewhere.
        likely: how they are read when both styles fit.
    """
    found = of_arrow(column.type)
    if found is None:
        return _of_text(column, style, likely)
    if found.kind == "numeric" and _without_value(column):
        return Typed("empty")
    return found


def of_arrow(kind: Any) -> Typed | None:
    """What the type alone says; None for text, where the values decide."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return None
    if pa.types.is_boolean(kind):
        return Typed("boolean")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Typed("numeric", whole=not pa.types.is_floating(kind))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return Typed("time")
    return Typed("empty" if pa.types.is_null(kind) else str(kind)[:60])


def series(column: Any, what: Typed) -> pd.Series[Any]:
    """The values in one form: floats or whole numbers, booleans, texts as a category, moments."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    if what.kind == "empty":
        return pd.Series(np.full(len(column), np.nan))
    column = _stored(column)
    if what.text:
        column = _from_text(column, what)
    elif what.kind == "numeric":
        column = _widened(column)
    elif pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        return pd.Series(column.to_numpy(zero_copy_only=False), copy=False)
    found: pd.Series[Any] = column.to_pandas()
    return found


# --- texts -----------------------------------------------------------------------------------------------------------


def _of_text(column: Any, style: Style | None, likely: Style) -> Typed:
    import pyarrow as pa
    import pyarrow.compute as pc

    counted = pc.value_counts(_stored(column))
    values, rows = _plain_texts(counted.field("values")), counted.field("counts")
    cleaned = _cleaned(values)
    remarks: list[str] = []
    if dashes := _rows_of(rows, pc.is_in(pc.utf8_trim_whitespace(values), pa.array(OTHER_MISSING))):
        shown = _some(pc.filter(values, pc.is_in(pc.utf8_trim_whitespace(values), pa.array(OTHER_MISSING))))
        remarks.append(f"has {dashes:,} values such as {shown}, which count as missing")
    present = _rows_of(rows, pc.is_valid(cleaned))
    if not present:
        return Typed("empty", remarks=tuple(remarks))

    def share(fitting: Any) -> float:
        return _rows_of(rows, fitting) / present

    numbers = _signed(cleaned)
    fits = {s: pc.match_substring_regex(numbers, pattern) for s, pattern in _PATTERN.items()}
    shares = {s: share(fitting) for s, fitting in fits.items()}
    chosen, unsure = (style, False) if style else _style(numbers, shares, likely)
    if shares[chosen] >= NEARLY_ALL:
        odd = pc.filter(cleaned, pc.invert(fits[chosen]), null_selection_behavior="drop")
        if len(odd):
            remarks.append(
                f"holds numbers, and {present - _rows_of(rows, fits[chosen]):,} of {present:,} values that are none "
                f"({_some(odd)}), which count as missing"
            )
        marked = bool(pc.any(pc.match_substring(numbers, ",")).as_py())
        if unsure and marked and style is None:
            shown = _some(pc.filter(cleaned, pc.match_substring(numbers, ","), null_selection_behavior="drop"))
            read = "separates thousands" if chosen is Style.POINT else "is the decimal mark"
            remarks.append(f"has numbers such as {shown}; the comma was taken as if it {read}")
        both = shares[Style.POINT] == shares[Style.COMMA] and not unsure
        whole = bool(pc.any(pc.match_substring_regex(numbers, _SIGN + r"\d{16,}$")).as_py())
        return Typed("numeric", True, None if both and style is None else chosen, unsure, whole, remarks=tuple(remarks))
    if share(pc.is_in(pc.utf8_lower(cleaned), pa.array(["true", "false"]))) == 1.0:
        return Typed("boolean", True, remarks=tuple(remarks))
    moments = pc.match_substring_regex(cleaned, _TIME)
    if share(moments) >= NEARLY_ALL:
        return Typed("time", True, remarks=tuple(remarks))
    return Typed("categorical", True, mixed=shares[chosen] > 1 - NEARLY_ALL, remarks=tuple(remarks))


def _style(numbers: Any, shares: dict[Style, float], likely: Style) -> tuple[Style, bool]:
    """How the numbers are written, and whether the other reading fits as well and gives other numbers."""
    import pyarrow.compute as pc

    if shares[Style.POINT] != shares[Style.COMMA]:
        # A number such as 1.234 fits both styles; a number that fits only one decides.
        return max(shares, key=lambda s: shares[s]), False
    commas = bool(pc.any(pc.match_substring(numbers, ",")).as_py())
    points = bool(pc.any(pc.match_substring(numbers, ".")).as_py())
    if not commas:
        return Style.POINT, points
    # A file with a thousands separator has 1,234 and never 1234 beside it.
    if pc.any(pc.match_substring_regex(numbers, _SIGN + r"\d{4,}$")).as_py():
        return Style.COMMA, True
    return likely, True


def _from_text(column: Any, what: Typed) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        # Cleaned once for each distinct text, not for each row.
        parts = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        if len(parts) > 1:
            parts = column.unify_dictionaries().chunks
        found = [pc.take(_value_of(_plain_texts(p.dictionary), what), p.indices) for p in parts]
        if not found:
            return pa.chunked_array([], type=_value_of(pa.array([], pa.string()), what).type)
        whole = pa.chunked_array(found)
    else:
        whole = _value_of(_plain_texts(column), what)
    return whole.dictionary_encode() if what.kind == "categorical" else whole


def _value_of(texts: Any, what: Typed) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    cleaned = _cleaned(texts)
    if what.kind == "boolean":
        return pc.equal(pc.utf8_lower(cleaned), "true")
    if what.kind == "categorical":
        # 1.0 and 1 are one category.
        return pc.replace_substring_regex(cleaned, r"^([+-]?\d+)\.0*$", r"\1")
    if what.kind != "numeric":
        return cleaned
    style = what.style or Style.POINT
    numbers = _signed(cleaned)
    numbers = pc.if_else(pc.match_substring_regex(numbers, _PATTERN[style]), numbers, pa.scalar(None, numbers.type))
    numbers = pc.replace_substring_regex(numbers, _GAP, "")
    numbers = pc.replace_substring(numbers, "," if style is Style.POINT else ".", "")
    if style is Style.COMMA:
        numbers = pc.replace_substring(numbers, ",", ".")
    return pc.cast(pc.replace_substring_regex(numbers, r"^\+", ""), pa.float64())


def _cleaned(texts: Any) -> Any:
    """Without blanks around them; null for the texts that mean a missing value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(texts)
    missing = pc.is_in(trimmed, pa.array([*STANDARD_MISSING, *OTHER_MISSING], trimmed.type))
    return pc.if_else(missing, pa.scalar(None, trimmed.type), trimmed)


def _signed(texts: Any) -> Any:
    """Replace a typographic minus by the ASCII one."""
    import pyarrow.compute as pc

    return pc.replace_substring(texts, "\N{MINUS SIGN}", "-")


def _rows_of(rows: Any, chosen: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.filter(rows, chosen, null_selection_behavior="drop")).as_py() or 0)


def _some(texts: Any) -> str:
    shown = ", ".join(repr(text)[:40] for text in texts.slice(0, _SHOWN).to_pylist())
    return shown + (" and others" if len(texts) > _SHOWN else "")


# --- storage ---------------------------------------------------------------------------------------------------------


def _stored(column: Any) -> Any:
    """Extension types as their storage type; dictionaries of anything but text as their values."""
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        chunks = list(_chunks(column))
        column = pa.chunked_array([chunk.storage for chunk in chunks], type=kind.storage_type)
        kind = column.type
    if pa.types.is_dictionary(kind) and of_arrow(kind) is not None:
        return column.cast(kind.value_type)
    return column


def _plain_texts(column: Any) -> Any:
    import pyarrow as pa

    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _widened(column: Any) -> Any:
    """A number in a narrow or an exact type as the float that is written with the same digits."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_float16(kind):
        return pa.chunked_array([_half(chunk) for chunk in _chunks(column)], type=pa.float64())
    if pa.types.is_float32(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.string()).cast(pa.float64())
    return column


def _half(chunk: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    values, codes = np.unique(chunk.to_numpy(zero_copy_only=False).astype(np.float16), return_inverse=True)
    return pa.array(np.array([float(str(value)) for value in values], dtype=np.float64)[codes], from_pandas=True)


def _chunks(column: Any) -> Iterator[Any]:
    import pyarrow as pa

    yield from column.chunks if isinstance(column, pa.ChunkedArray) else (column,)


def _without_value(column: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return len(column) > 0
    stored = _stored(column)
    if not pa.types.is_floating(stored.type):
        return False
    if pa.types.is_float16(stored.type):
        stored = stored.cast(pa.float32())
    return bool(pc.all(pc.is_nan(stored)).as_py())
