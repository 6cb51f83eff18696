"""Records in bytes: ``length | crc32 | payload``, one after another, found again whatever was cut or changed.

The length is of the payload, and the crc is over both; each is four bytes, the smaller end first. A payload is a JSON
object. A record that was changed hides no other: the next one is looked for behind it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

HEAD = struct.Struct("<II")
LONGEST = 16 * 1024 * 1024
"""A longer payload is no record: its length was changed."""
BEGINS = b"{"


def framed(payload: bytes) -> bytes:
    """The record of one payload.

    >>> [each.payload for each in frames(framed(b'{"a":1}') + framed(b'{"b":2}')).whole]
    [b'{"a":1}', b'{"b":2}']

    Raises:
        ValueError: for a payload that is no JSON object, or is longer than 16 MiB.
    """
    if not payload.startswith(BEGINS) or len(payload) > LONGEST:
        raise ValueError(f"a record is a JSON object of at most {LONGEST:,} bytes; this has {len(payload):,}")
    length = len(payload).to_bytes(4, "little")
    return length + crc32(payload, crc32(length)).to_bytes(4, "little") + payload


class FramedRecord(NamedTuple):
    """A whole record: where it begins, and its payload. A tuple, because there are millions of them."""

    at: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Frames:
    """What was found in some bytes."""

    whole: tuple[FramedRecord, ...]
    end: int
    """Behind the last whole record."""
    skipped: tuple[tuple[int, int], ...]
    """From where to where bytes before ``end`` are no record: each place is one or more records that were changed."""
    rest: int
    """Bytes behind ``end``: a record that is not whole yet, or never will be."""


def frames(data: bytes, start: int = 0, most: int | None = None) -> Frames:
    """The whole records of ``data`` from ``start`` on, at most ``most`` of them."""
    whole: list[FramedRecord] = []
    skipped: list[tuple[int, int]] = []
    size, wanted = len(data), len(data) if most is None else most
    at = end = start
    head, begins, first = HEAD.unpack_from, HEAD.size, BEGINS[0]
    while at + begins < size and len(whole) < wanted:
        length, check = head(data, at)
        begin = at + begins
        if 0 < length <= LONGEST and begin + length <= size and data[begin] == first:
            payload = data[begin : begin + length]
            if crc32(payload, crc32(data[at : at + 4])) == check:
                if at > end:
                    skipped.append((end, at))
                whole.append(FramedRecord(at, payload))
                at = end = begin + length
                continue
        following = _next_after(data, at)
        if following is None:
            break
        at = following
    return Frames(tuple(whole), end, tuple(skipped), size - end)


def _next_after(data: bytes, at: int) -> int | None:
    """Where the next whole record begins behind a place that is none: its payload begins like every other."""
    begins = data.find(BEGINS, at + HEAD.size + 1)
    while begins >= 0 and not _is_whole(data, begins - HEAD.size):
        begins = data.find(BEGINS, begins + 1)
    return None if begins < 0 else begins - HEAD.size


def _is_whole(data: bytes, at: int) -> bool:
    length, check = HEAD.unpack_from(data, at)
    begin = at + HEAD.size
    if not 0 < length <= LONGEST or begin + length > len(data):
        return False
    return bool(crc32(data[begin : begin + length], crc32(data[at : at + 4])) == check)
