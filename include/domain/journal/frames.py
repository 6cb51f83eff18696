"""Records in bytes: ``length | crc32 | payload``, one after another, found again whatever was cut or changed.

The length is of the payload, and the crc is over both; each is four bytes, the smaller end first. A payload is a JSON
object. A record that was changed hides no other: the next one is looked for behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class FramedRecord:
    """A whole record: where it begins, and its payload."""

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


def frames(data: bytes | memoryview, start: int = 0, most: int | None = None) -> Frames:
    """The whole records of ``data`` from ``start`` on, at most ``most`` of them."""
    view = memoryview(data)
    whole: list[FramedRecord] = []
    skipped: list[tuple[int, int]] = []
    end = start
    for frame in _found(view, start):
        if frame.at > end:
            skipped.append((end, frame.at))
        whole.append(frame)
        end = frame.at + HEAD.size + len(frame.payload)
        if most is not None and len(whole) >= most:
            break
    return Frames(tuple(whole), end, tuple(skipped), len(view) - end)


def _found(view: memoryview, at: int) -> Iterator[FramedRecord]:
    text: bytes | None = None
    while at + HEAD.size < len(view):
        payload = _payload_at(view, at)
        if payload is not None:
            yield FramedRecord(at, payload)
            at += HEAD.size + len(payload)
            continue
        # The next record: its payload begins like every other. Looked for only where something was changed.
        text = bytes(view) if text is None else text
        begins = text.find(BEGINS, at + HEAD.size + 1)
        while begins >= 0 and _payload_at(view, begins - HEAD.size) is None:
            begins = text.find(BEGINS, begins + 1)
        if begins < 0:
            return
        at = begins - HEAD.size


def _payload_at(view: memoryview, at: int) -> bytes | None:
    """The payload of the whole record that begins here; None where none does."""
    length, check = HEAD.unpack_from(view, at)
    begin = at + HEAD.size
    if not 0 < length <= LONGEST or begin + length > len(view) or view[begin] != BEGINS[0]:
        return None
    payload = bytes(view[begin : begin + length])
    return payload if crc32(payload, crc32(view[at : at + 4])) == check else None
