"""CSV files as other tools write them: the encoding, the separator and the header are detected. What is ambiguous is
refused, and the message says which option decides.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from include.workflows.tables.bad_table import BadTable

SEPARATORS = (",", ";", "\t", "|")
NAMED_SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
STANDARD_MISSING = (
    *("", "NA", "N/A", "n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "NULL", "null", "NaN", "nan", "-NaN", "-nan", "None"),
    *("Null", "na", "NAN", "NaT", "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN"),
)
"""Texts that common tools write for a missing value."""
_HEAD_BYTES = 1_000_000
_SAMPLED_ROWS = 200
_BLOCK_BYTES = 16_000_000
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """How a CSV file is written. ``names`` has an empty name for a separator at the end of every row."""

    encoding: str
    separator: str
    names: tuple[str, ...]
    skipped_lines: int
    long_numbers: frozenset[str]
    """Columns whose first values are whole numbers of more digits than a float keeps apart."""
    remarks: tuple[str, ...]


def layout_of(path: Path, separator: str | None) -> CsvLayout:
    """Find out how the file is written.

    Args:
        separator: one character, or the word ``tab``; None finds it out.

    Raises:
        BadTable: when the bytes are no text, the separator has two readings, or the header is no header.
    """
    if separator is not None:
        separator = NAMED_SEPARATORS.get(separator.lower(), separator)
        if len(separator) != 1 or separator in '"\r\n':
            raise BadTable(f"--sep is {separator!r}; give one character such as ';', or the word tab.")
    encoding, remarks = _encoding(path)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        cut = bool(file.read(1))
    text = codecs.getincrementaldecoder(encoding)().decode(head, final=not cut)
    skipped = 0
    # Excel writes (and reads) the separator as a line of its own above the header.
    if said := re.match(r"(?i)sep=(.)\r?\n", text):
        separator, skipped, text = separator or said[1], 1, text[said.end() :]
    blank = len(text) - len(text.lstrip("\r\n"))
    skipped, text = skipped + len(text[:blank].splitlines()), text[blank:]
    if not text.strip():
        raise BadTable(f"{path} cannot be read as CSV: it is empty.")
    found = separator or _sniffed(path, text, cut)
    rows = _rows(text, found, cut)
    names = [name.strip() for name in rows[0]]
    _check_header(path, names, found)
    body = rows[1:]
    if body and all(len(row) == len(names) + 1 and not row[-1].strip() for row in body):
        names.append("")
    long = {
        name
        for at, name in enumerate(names)
        if any(len(row) > at and re.fullmatch(r"\s*[+-]?\d{16,}\s*", row[at]) for row in body)
    }
    return CsvLayout(encoding, found, tuple(names), skipped, frozenset(long), tuple(remarks))


def read_csv(path: Path, layout: CsvLayout, *, as_text: Sequence[str] = ()) -> Any:
    """The file as an Arrow table; columns without a name and without a value are left out.

    Args:
        as_text: columns whose texts are kept as they are; where some are named, no others are read.

    Raises:
        BadTable: where a row has more or fewer values than the header has names, or a quotation mark is never closed.
    """
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    keys = [f"c{i}" for i in range(len(layout.names))]
    names = [name or f"Unnamed: {at}" for at, name in enumerate(layout.names)]
    wanted = [key for key, name in zip(keys, names, strict=True) if name in as_text]
    wrong: list[Any] = []

    def keep(row: Any) -> str:
        wrong.append(row)
        return "error"

    def read(threads: bool) -> Any:
        return arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(
                column_names=keys,
                skip_rows=layout.skipped_lines,
                skip_rows_after_names=1,
                encoding="utf8" if layout.encoding in ("utf-8", "utf-8-sig") else layout.encoding,
                use_threads=threads,
                block_size=_BLOCK_BYTES,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=layout.separator, newlines_in_values=True, invalid_row_handler=keep
            ),
            convert_options=arrow_csv.ConvertOptions(
                null_values=list(STANDARD_MISSING),
                strings_can_be_null=True,
                include_columns=wanted,
                column_types={key: pa.string() for key in wanted},
            ),
        )

    try:
        table = read(threads=True)
    except pa.ArrowInvalid as error:
        if not wrong:
            if "Empty CSV" in str(error):
                return pa.table({name: pa.nulls(0) for name in names})
            raise
        wrong.clear()
        with contextlib.suppress(pa.ArrowInvalid):
            read(threads=False)
        row = wrong[0]
        at = f"row {row.number}" if row.number is not None else "a row"
        raise BadTable(
            f"{path}: {at} (the header is row 1) has {row.actual_columns} values where the header names "
            f"{row.expected_columns}: {row.text[:60]!r}. With {_called(layout.separator)} between values every row has "
            "as many as the header; --sep names another separator."
        ) from None
    if as_text:
        return table.rename_columns([names[keys.index(key)] for key in wanted])
    _check_closed(path, table)
    kept = [i for i, key in enumerate(keys) if layout.names[i] or table[key].null_count < len(table)]
    return table.select([keys[i] for i in kept]).rename_columns([names[i] for i in kept])


# --- encoding --------------------------------------------------------------------------------------------------------


def _encoding(path: Path) -> tuple[str, list[str]]:
    with path.open("rb") as file:
        head = file.read(4096)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name, []
    if b"\0" in head:
        # Texts of the Latin alphabet in UTF-16 have a zero in every second byte.
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if max(even, odd) < len(head) // 4 or min(even, odd) > len(head) // 100:
            raise BadTable(f"{path} cannot be read as CSV: it holds zero bytes, so it is no text. Save it as UTF-8.")
        return ("utf-16-be" if even > odd else "utf-16-le"), [
            f"{path.name} was read as UTF-16, though it has no byte order mark."
        ]
    place = _first_wrong(path, "utf-8")
    if place is None:
        return "utf-8", []
    if (other := _first_wrong(path, "cp1252")) is not None:
        raise BadTable(
            f"{path} cannot be read as CSV: byte {other:,} is neither UTF-8 nor Windows-1252. Save it as UTF-8."
        )
    return "cp1252", [f"{path.name} is not UTF-8 (byte {place:,}); it was read as Windows-1252 (Latin 1)."]


def _first_wrong(path: Path, encoding: str) -> int | None:
    """The place, from 1 on, of the first byte that is not of this encoding; None where all are."""
    decoder = codecs.getincrementaldecoder(encoding)()
    seen = 0
    with path.open("rb") as file:
        while True:
            block = file.read(4_000_000)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return seen + error.start + 1
            if not block:
                return None
            seen += len(block)


# --- separator and header --------------------------------------------------------------------------------------------


def _rows(text: str, separator: str, cut: bool) -> list[list[str]]:
    """The first rows; the last one is left out when the text ends within it."""
    csv.field_size_limit(10_000_000)
    found: list[list[str]] = []
    for row in csv.reader(io.StringIO(text, newline=None), delimiter=separator):
        if row:
            found.append(row)
        if len(found) > _SAMPLED_ROWS:
            return found
    return found[:-1] if cut and len(found) > 1 else found


def _sniffed(path: Path, text: str, cut: bool) -> str:
    sampled = {separator: _rows(text, separator, cut) for separator in SEPARATORS}
    shares: dict[str, float] = {}
    for separator, rows in sampled.items():
        width = len(rows[0])
        if width > 1:
            fitting = [len(row) == width or (len(row) == width + 1 and not row[-1].strip()) for row in rows[1:]]
            shares[separator] = sum(fitting) / len(fitting) if fitting else 1.0
    whole = [separator for separator, share in shares.items() if share == 1.0]
    if len(whole) > 1:
        named = " or ".join(_called(s) for s in whole)
        raise BadTable(f"{path} can be separated by {named}; --sep says which.")
    if shares:
        return max(shares, key=lambda separator: shares[separator])
    name = sampled[","][0][0]
    for separator in (*SEPARATORS, " ", ":", "^"):
        rows = _rows(text, separator, cut)
        widths = {len(row) for row in rows[1:]}
        split = len(widths) == 1 and max(widths) > 1
        in_name = separator in name
        if (in_name and (split or separator in SEPARATORS)) or (split and separator in SEPARATORS):
            raise BadTable(
                f"{path} has one column, named {name!r}: is {_called(separator)} the separator? --sep names it; "
                "a column's name holds none."
            )
    return ","


def _check_header(path: Path, names: list[str], separator: str) -> None:
    if len(names) == 1 and any(s in names[0] for s in SEPARATORS):
        other = next(s for s in SEPARATORS if s in names[0])
        raise BadTable(
            f"{path} has one column, named {names[0]!r}, with {_called(separator)} between values: is "
            f"{_called(other)} the separator? --sep names it; a column's name holds none."
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise BadTable(f"{path} has the column {twice[0]!r} {names.count(twice[0])} times; names are unique.")
    given = [name for name in names if name]
    if not given:
        raise BadTable(f"{path} cannot be read as CSV: its first line names no column.")
    try:
        numbers = [float(name) for name in given]
    except ValueError:
        return
    whole = all(number.is_integer() for number in numbers)
    if not whole or any(b <= a for a, b in pairwise(numbers)) or numbers[0] < 0:
        raise BadTable(f"{path} has numbers ({', '.join(given[:3])}) for names; the first line names the columns.")


def _check_closed(path: Path, table: Any) -> None:
    """A quotation mark that is never closed swallows the rest of the file as one value of the last row."""
    if not len(table):
        return
    last = [str(value) for value in table.slice(len(table) - 1).to_pylist()[0].values() if isinstance(value, str)]
    if not any("\n" in value for value in last):
        return
    with path.open("rb") as file:
        marks = sum(block.count(b'"') for block in iter(lambda: file.read(4_000_000), b""))
    if marks % 2:
        raise BadTable(f"{path}: a quotation mark in row {len(table) + 1:,} or before it is opened and never closed.")


def _called(separator: str) -> str:
    return {"\t": "a tab", " ": "a space"}.get(separator, repr(separator))
