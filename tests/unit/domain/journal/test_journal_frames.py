"""Records in bytes: whatever is cut or changed, the others are found, and none is invented."""

from __future__ import annotations

import random

import pytest

from include.domain.journal.frames import HEAD, LONGEST, framed, frames

PAYLOADS = [b'{"n":%d,"text":"%s"}' % (i, b"x" * (7 * i % 40)) for i in range(12)]
RECORDS = [framed(payload) for payload in PAYLOADS]
DATA = b"".join(RECORDS)
STARTS = [sum(map(len, RECORDS[:i])) for i in range(len(RECORDS) + 1)]


def payloads(data: bytes) -> list[bytes]:
    return [frame.payload for frame in frames(data).whole]


def test_records_are_read_in_the_order_in_which_they_were_written() -> None:
    found = frames(DATA)
    assert [each.payload for each in found.whole] == PAYLOADS
    assert [each.at for each in found.whole] == STARTS[:-1]
    assert (found.end, found.skipped, found.rest) == (len(DATA), (), 0)


def test_f158_a_cut_at_any_byte_leaves_exactly_the_records_before_it() -> None:
    for cut in range(len(DATA) + 1):
        found = frames(DATA[:cut])
        whole = sum(1 for start in STARTS[1:] if start <= cut)
        assert [each.payload for each in found.whole] == PAYLOADS[:whole]
        assert found.end == STARTS[whole]
        assert found.rest == cut - STARTS[whole]
        assert found.skipped == ()


def test_f158_a_flipped_bit_costs_the_record_that_it_is_in_and_no_other() -> None:
    for place in range(len(DATA)):
        hurt = bytearray(DATA)
        hurt[place] ^= 1 << place % 8
        which = max(i for i, start in enumerate(STARTS[:-1]) if start <= place)
        assert payloads(bytes(hurt)) == PAYLOADS[:which] + PAYLOADS[which + 1 :], f"byte {place}"


def test_a_changed_place_is_reported_from_its_first_byte_to_the_next_record() -> None:
    hurt = bytearray(DATA)
    hurt[STARTS[3] + HEAD.size + 2] ^= 1
    assert frames(bytes(hurt)).skipped == ((STARTS[3], STARTS[4]),)


def test_f158_any_bytes_between_records_are_passed_over() -> None:
    dice = random.Random(7)
    for _ in range(300):
        noise = dice.randbytes(dice.randrange(1, 200)).replace(b"{", b"[")
        at = dice.randrange(len(RECORDS))
        assert payloads(DATA[: STARTS[at]] + noise + DATA[STARTS[at] :]) == PAYLOADS


def test_zeros_as_a_full_disk_leaves_them_are_no_records() -> None:
    found = frames(DATA + bytes(4096))
    assert (len(found.whole), found.rest) == (len(PAYLOADS), 4096)
    assert frames(bytes(4096)).whole == ()


def test_a_payload_that_looks_like_a_record_is_not_read_as_one() -> None:
    # What a caller sends is kept as JSON, which has no byte below 32: the length of no record can be written in it.
    outer = framed(b'{"text":"' + framed(b"{}").decode("latin-1").encode("unicode_escape") + b'"}')
    hurt = bytearray(outer + RECORDS[0])
    hurt[0] ^= 1
    assert payloads(bytes(hurt)) == [PAYLOADS[0]]


def test_reading_may_end_after_some_records_and_go_on_there() -> None:
    first = frames(DATA, most=5)
    assert len(first.whole) == 5
    assert [each.payload for each in frames(DATA, first.end).whole] == PAYLOADS[5:]


@pytest.mark.parametrize("payload", [b"", b"[]", b"x{", b"{" + b" " * LONGEST])
def test_what_is_no_object_or_too_long_is_not_written(payload: bytes) -> None:
    with pytest.raises(ValueError, match="a record is a JSON object"):
        framed(payload)
