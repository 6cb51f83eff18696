"""Keys as integers, and when two keys of different types are the same key.

A key is the same in every type that can hold it: 7, 7.0 and the text '7' are one, as are 1.5 and '1.5'. A text is a
number only in its plain spelling: '007', '7.0' and ' 7' are other keys than 7, and so is 'GUEST'. A key that the
requests' type cannot hold matches nothing, and is counted. NaN is a missing key; a missing key matches nothing. Text is
compared letter by letter, so case and blanks count. Types that share no value (a date and a number) are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.domain.errors import Refusal
from include.domain.ordering import Ints

LISTED = 8
"""How many places per number a lookup list of whole numbers may have."""
EXACT = 2**53
"""Up to here a double represents every whole number exactly, but not beyond."""
TIMES = pa.timestamp("us", tz="UTC")
PLAIN_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?(e[+-][0-9]+)?$"
"""How a number is spelled when it is written as text here."""


class KeysOfTwoKinds(Refusal, TypeError):
    """A join key is of types that have no value in common."""

    def __init__(self, key: str, asked: str, has: str, value: Any) -> None:
        self.key, self.asked, self.has, self.value = key, asked, has, value
        super().__init__(
            f"The key {key!r} is {asked} in the requests and {has} where it is looked up, for example "
            f"{str(value)[:40]!r}; the two have no value in common. Cast one of them in its SQL."
        )


@dataclass(slots=True)
class KeysTold:
    """The remarks about one key whose types differ between the requests and the rows that answer them."""

    key: str
    asked: str
    """Its type in the requests."""
    has: str
    """Its type in the rows that answer."""
    rows: int = 0
    """How many rows were checked."""
    unlike: int = 0
    """Of them, how many have a key that the requests' type cannot hold; they match nothing."""
    example: str | None = None
    """The first such key."""
    asked_unlike: int = 0
    """How many different keys of the requests the rows' type cannot hold; they get nothing."""
    asked_example: str | None = None


COMPARED_AS_TEXT = frozenset({"whole", "double", "decimal", "text"})
"""Families of types whose keys are compared by their plain spelling where the types differ."""


def can_meet(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether keys of the two types can ever be the same key."""
    kinds = {_kind(one), _kind(other)}
    return len(kinds) == 1 or kinds <= COMPARED_AS_TEXT or pa.types.is_null(one) or pa.types.is_null(other)


class Keys:
    """The requests' keys as integers from 0, whatever their number and types; -1 where one is missing."""

    def __init__(self, requests: pa.Table, keys: Sequence[str]) -> None:
        self._parts: list[tuple[str, _Codes, Ints | None]] = []
        codes = np.zeros(requests.num_rows, np.int64)
        for name in keys:
            known = _Codes(name, requests.column(name))
            codes = self._combined(codes, requests.column(name), known)
            pairs = np.unique(codes[codes >= 0]) if self._parts else None
            self._parts.append((name, known, pairs))
            codes = _ranks(codes, pairs)
        self.codes = codes

    def of(self, rows: pa.Table) -> Ints:
        """The same codes for other rows; -1 for a key that no request has.

        Raises:
            KeysOfTwoKinds: where the types of a key have no value in common.
        """
        codes = np.zeros(rows.num_rows, np.int64)
        for name, known, pairs in self._parts:
            codes = _ranks(self._combined(codes, rows.column(name), known), pairs)
        return codes

    @property
    def told(self) -> list[KeysTold]:
        """The remarks so far about each key whose types differ."""
        return [known.told for _, known, _ in self._parts if known.told is not None]

    @staticmethod
    def _combined(codes: Ints, column: pa.ChunkedArray, known: _Codes) -> Ints:
        own = known.of(column)
        return np.where((codes < 0) | (own < 0), -1, codes * known.count + own)


class _Codes:
    """The different values of one key column as integers from 0. Whole numbers that lie close together are looked up
    in a list, all others in a hash table, which takes several times as long."""

    def __init__(self, name: str, column: pa.ChunkedArray) -> None:
        self._name, self._type = name, column.type
        self.told: KeysTold | None = None
        self._texts: pa.Array | None = None
        self._kind = _kind(column.type)
        values = pc.unique(_plain(column)).drop_null()
        is_whole = pa.types.is_signed_integer(values.type)
        # In the widest type, because the difference of two small integers may overflow their type.
        self._values = values.cast(pa.int64()) if is_whole else values
        self.count = max(len(self._values), 1)
        self._codes: Ints | None = None
        if is_whole and len(self._values):
            values = self._values.to_numpy()
            self._first, self._last = int(values.min()), int(values.max())
            if self._last - self._first < LISTED * self.count:
                self._codes = np.full(self._last - self._first + 1, -1, np.int64)
                self._codes[values - self._first] = np.arange(len(values))

    def of(self, column: pa.ChunkedArray) -> Ints:
        """Each value's code; -1 for one that is missing or unknown."""
        if column.type != self._type and not self._holds(column.type):
            return self._by_text(column)
        if self._codes is None or column.null_count:
            plain = _plain(column)
            plain = plain if plain.type == self._values.type else plain.cast(self._values.type)
            return _found(plain, self._values)
        values = (column if column.type == self._values.type else column.cast(pa.int64())).to_numpy()
        codes: Ints = self._codes[np.clip(values, self._first, self._last) - self._first]
        codes[(values < self._first) | (values > self._last)] = -1
        return codes

    def _holds(self, other: pa.DataType) -> bool:
        """Whether every value of the other type has its place in the values' own."""
        own = self._values.type
        if pa.types.is_null(other):
            return True
        if pa.types.is_int64(own):
            return bool(pa.types.is_integer(other) and not pa.types.is_uint64(other))
        kind = _kind(other)
        return kind == self._kind and kind in ("text", "time", "double", "boolean", "date", "bytes")

    def _by_text(self, column: pa.ChunkedArray) -> Ints:
        kind = _kind(column.type)
        if not {kind, self._kind} <= COMPARED_AS_TEXT:
            some = pc.drop_null(column).slice(0, 1).to_pylist()
            if not some or not len(self._values):
                return np.full(len(column), -1, np.int64)
            raise KeysOfTwoKinds(self._name, str(self._type), str(column.type), some[0])
        if self._texts is None:
            self._texts = _as_text(self._values, self._kind)
        if self.told is None:
            self.told = self._first_told(kind, column.type)
        texts = _as_text(column, kind)
        strange = pc.and_(pc.is_valid(_plain(column)), pc.invert(self._can_hold(column, texts, kind)))
        self.told.rows += len(column)
        if count := int(pc.sum(strange).as_py() or 0):
            self.told.unlike += count
            if self.told.example is None:
                self.told.example = str(column.filter(strange)[0].as_py())[:40]
        return _found(texts, self._texts)

    def _first_told(self, kind: str, other: pa.DataType) -> KeysTold:
        told = KeysTold(self._name, str(self._type), str(other))
        if self._kind == "text" and kind != "text":
            strange = pc.invert(_is_number(self._values))
            told.asked_unlike = int(pc.sum(strange).as_py() or 0)
            if told.asked_unlike:
                told.asked_example = str(self._values.filter(strange)[0].as_py())[:40]
        return told

    def _can_hold(self, column: Any, texts: Any, kind: str) -> Any:
        """Whether the requests' type can hold each value."""
        has_text = pc.is_valid(texts)
        if self._kind == "text":
            return has_text
        fits = pc.and_(has_text, pc.fill_null(_is_number(texts), False)) if kind == "text" else has_text
        if self._kind == "whole":
            fits = pc.and_(fits, pc.invert(pc.fill_null(pc.match_substring_regex(texts, r"[.e]"), True)))
        return fits


def _kind(of: pa.DataType) -> str:
    """The family of types whose values can be compared as they are."""
    if pa.types.is_dictionary(of):
        return _kind(of.value_type)
    tests = {
        "whole": pa.types.is_integer,
        "double": pa.types.is_floating,
        "decimal": pa.types.is_decimal,
        "boolean": pa.types.is_boolean,
        "time": pa.types.is_timestamp,
        "date": pa.types.is_date,
    }
    if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of):
        return "text"
    if pa.types.is_binary(of) or pa.types.is_large_binary(of):
        return "bytes"
    return next((name for name, test in tests.items() if test(of)), str(of))


def _plain(column: Any) -> Any:
    """The column in a type that compares: texts of one kind, times of one unit, one zero, and NaN as missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    match _kind(column.type):
        case "text":
            return column if pa.types.is_string(column.type) else column.cast(pa.string())
        case "time":
            return column.cast(TIMES)
        case "double":
            # 0.0 added makes one zero of two.
            whole = pc.add(column.cast(pa.float64()), pa.scalar(0.0))
            return pc.if_else(pc.is_nan(whole), pa.scalar(None, pa.float64()), whole)
        case _:
            return column


def _as_text(column: Any, kind: str) -> Any:
    """Each key as the text that represents it in every type; missing where it is missing, and for a double that is the
    nearest one to several whole numbers."""
    plain = _plain(column)
    if kind == "decimal":
        texts = plain.cast(pa.string())
        cut = pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".")
        return pc.if_else(pc.match_substring(texts, "."), cut, texts)
    if kind == "double":
        exact = pc.less_equal(pc.abs(plain), pa.scalar(float(EXACT)))
        known = pc.if_else(exact, plain, pa.scalar(None, pa.float64()))
        is_whole = pc.equal(pc.floor(known), known)
        whole = pc.if_else(is_whole, known, pa.scalar(None, pa.float64())).cast(pa.int64()).cast(pa.string())
        return pc.if_else(is_whole, whole, known.cast(pa.string()))
    return plain.cast(pa.string())


def _is_number(texts: Any) -> Any:
    # There is no minus zero among the keys.
    return pc.and_(pc.match_substring_regex(texts, PLAIN_NUMBER), pc.not_equal(texts, "-0"))


def _found(values: Any, among: pa.Array) -> Ints:
    found: Ints = pc.index_in(values, among, skip_nulls=True).fill_null(-1).to_numpy().astype(np.int64)
    return found


def _ranks(codes: Ints, pairs: Ints | None) -> Ints:
    """The position of each code in the sorted ``pairs``; -1 for one that is not there. None: codes are ranks."""
    if pairs is None:
        return codes
    if not len(pairs):
        return np.full(len(codes), -1, np.int64)
    at = np.minimum(np.searchsorted(pairs, codes), len(pairs) - 1)
    return np.where(pairs[at] == codes, at, -1)
