"""The journal on a disk: what was appended is there, whoever died; what cannot be written leaves nothing behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.adapters.journal import Journal, JournalReader, JournalUnwritable, SegmentLimits, segments
from include.adapters.journal import writer as writing
from include.adapters.journal.segments import instance_name
from include.config.settings import PROJECT
from include.domain.journal.records import AnswerRecord, Mark, Opening

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def answer(number: int, text: str = "") -> AnswerRecord:
    name = f"r{number}"
    return AnswerRecord(name, name, "wind", AT, "c1", "ab", 1, 1, features={"text": text} if text else {})


def journal(folder: Path, *, limits: SegmentLimits | None = None, start: int = 0) -> Journal:
    return Journal(folder, "here-8000", AT.replace(microsecond=start), lambda: AT, limits)


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Journal]:
    made = journal(tmp_path)
    yield made
    made.close()


def asked(folder: Path) -> list[str]:
    return [e.record.asked_id for e in JournalReader(folder).all() if isinstance(e.record, AnswerRecord)]


def test_what_was_appended_is_read_before_the_segment_is_closed(open_journal: Journal) -> None:
    open_journal.append([answer(1), answer(2)])
    open_journal.mark(AT)
    records = [entry.record for entry in JournalReader(open_journal.folder).all()]
    assert records == [Opening(1, "here-8000", os.getpid(), AT, 1, AT), answer(1), answer(2), Mark(AT)]


def test_a_reader_goes_on_where_it_was_even_as_another_reader(open_journal: Journal) -> None:
    reader = JournalReader(open_journal.folder)
    open_journal.append([answer(1)])
    assert len(reader.read()) == 2
    assert reader.read() == []
    open_journal.append([answer(2)])
    assert reader.unread_bytes() > 0
    later = JournalReader(open_journal.folder, reader.positions)
    assert [entry.record for entry in later.read()] == [answer(2)]
    assert later.unread_bytes() == 0


def test_a_reader_takes_as_many_as_it_is_asked_for_and_nothing_twice(open_journal: Journal) -> None:
    open_journal.append([answer(i) for i in range(100)])
    reader, seen = JournalReader(open_journal.folder), []
    while entries := reader.read(7):
        assert len(entries) <= 7
        seen += [e.record.asked_id for e in entries if isinstance(e.record, AnswerRecord)]
    assert seen == [f"r{i}" for i in range(100)]


def test_a_full_segment_is_followed_by_the_next_one(tmp_path: Path) -> None:
    made = journal(tmp_path, limits=SegmentLimits(bytes=600))
    for number in range(10):
        made.append([answer(number)])
    made.close()
    found = segments(tmp_path)
    assert len(found) > 3
    assert [each.sequence for each in found] == list(range(1, len(found) + 1))
    assert all(each.path.stat().st_size <= 600 for each in found)
    assert asked(tmp_path) == [f"r{i}" for i in range(10)]


def test_an_old_segment_is_followed_by_the_next_one(tmp_path: Path) -> None:
    made = journal(tmp_path, limits=SegmentLimits(seconds=-1.0))
    made.append([answer(1)])
    made.close()
    assert [each.sequence for each in segments(tmp_path)] == [1, 2]


def test_two_processes_never_write_one_segment(tmp_path: Path) -> None:
    first, second = journal(tmp_path), journal(tmp_path, start=1)
    first.append([answer(1)])
    second.append([answer(2)])
    assert first.segment != second.segment
    with pytest.raises(JournalUnwritable, match="no segment can be opened: File exists"):
        journal(tmp_path)
    first.close()
    second.close()
    assert sorted(asked(tmp_path)) == ["r1", "r2"]


def test_f137_f139_what_was_appended_before_kill_9_is_there_and_a_torn_end_is_counted(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from include.adapters.journal import Journal\n"
        "from include.domain.journal.records import AnswerRecord\n"
        "at = datetime(2026, 3, 1, tzinfo=UTC)\n"
        "made = Journal(Path(sys.argv[1]), 'here', at, lambda: at)\n"
        "for i in range(500):\n"
        "    made.append([AnswerRecord(f'r{i}', f'r{i}', 'wind', at, 'c1', 'ab', 1, 1)])\n"
        "os.write(made._file, b'\\x90\\x01\\x00\\x00half a record')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=PROJECT)
    assert done.returncode == -signal.SIGKILL
    reader = JournalReader(tmp_path)
    entries = [e.record for e in reader.all()]
    assert [e.asked_id for e in entries if isinstance(e, AnswerRecord)] == [f"r{i}" for i in range(500)]
    assert (reader.damage.torn, reader.damage.torn_bytes, reader.damage.changed) == (1, 17, 0)
    assert reader.read() == []
    assert reader.damage.torn == 1


@pytest.mark.parametrize("point", ["journal.segment.opened", "journal.append.written"])
def test_f137_killed_at_each_crash_point_the_journal_is_whole(tmp_path: Path, point: str) -> None:
    code = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from include.adapters.journal import Journal\n"
        "from include.domain.journal.records import Mark\n"
        "at = datetime(2026, 3, 1, tzinfo=UTC)\n"
        "made = Journal(Path(sys.argv[1]), 'here', at, lambda: at)\n"
        "made.append([Mark(at)])\n"
    )
    environment = {**os.environ, "FAULT_CRASH": point, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    reader = JournalReader(tmp_path)
    assert len(list(reader.all())) == {"journal.segment.opened": 1, "journal.append.written": 2}[point]
    assert (reader.damage.torn, reader.damage.changed) == (0, 0)


def test_a_record_that_is_being_written_is_waited_for_and_is_no_damage(open_journal: Journal) -> None:
    open_journal.append([answer(1)])
    path = open_journal.folder / open_journal.segment
    whole = path.read_bytes()
    open_journal.append([answer(2)])
    record = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + record[:20])
    reader = JournalReader(open_journal.folder)
    assert len(reader.read()) == 2
    path.write_bytes(whole + record)
    assert [entry.record for entry in reader.read()] == [answer(2)]
    assert (reader.damage.torn, reader.damage.changed) == (0, 0)


def test_f140_a_full_disk_leaves_no_half_record_and_the_next_one_that_fits_is_read(tmp_path: Path) -> None:
    made = journal(tmp_path)
    made.append([answer(1)])
    size = (tmp_path / made.segment).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300, hard))
        with pytest.raises(JournalUnwritable, match="the disk is full"):
            made.append([answer(2, "x" * 1000)])
        assert (tmp_path / made.segment).stat().st_size == size
        made.append([answer(3)])
        with pytest.raises(JournalUnwritable):
            made.append([answer(4), answer(5)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert (made.rows, made.failed) == (2, 3)
    made.append([answer(6)])
    made.close()
    reader = JournalReader(tmp_path)
    assert [e.record.asked_id for e in reader.all() if isinstance(e.record, AnswerRecord)] == ["r1", "r3", "r6"]
    assert (reader.damage.torn, reader.damage.changed) == (0, 0)


def test_f140_where_a_part_cannot_be_taken_back_the_next_record_goes_into_another_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = journal(tmp_path)
    made.append([answer(1)])

    def half(file: int, data: bytes) -> int:
        monkeypatch.undo()
        monkeypatch.setattr(os, "ftruncate", gone)
        return os.write(file, data[: len(data) // 2])

    def gone(_: int, __: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(JournalUnwritable):
        made.append([answer(2)])
    made.append([answer(3)])
    made.close()
    reader = JournalReader(tmp_path)
    assert [e.record.asked_id for e in reader.all() if isinstance(e.record, AnswerRecord)] == ["r1", "r3"]
    assert reader.damage.torn == 1


def test_f140_a_disk_that_is_slow_to_sync_holds_no_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncing, go_on = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        syncing.set()
        go_on.wait(30)

    monkeypatch.setattr(writing, "_to_disk", slow)
    made = journal(tmp_path, limits=SegmentLimits(bytes=600, group_s=0.0))
    made.append([answer(0)])
    assert syncing.wait(30)
    for number in range(1, 10):  # over several segments: a rotation does not wait either
        made.append([answer(number)])
    assert asked(tmp_path) == [f"r{i}" for i in range(10)]
    go_on.set()
    made.close()


def test_after_a_failed_sync_the_next_record_goes_into_another_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def fails(_: int) -> None:
        failed.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writing, "_to_disk", fails)
    made = journal(tmp_path, limits=SegmentLimits(group_s=0.0))
    first = made.segment
    assert failed.wait(30)
    made.close()
    assert made.unsynced >= 1
    made.append([answer(1)])
    assert made.segment != first


def test_f158_a_changed_byte_in_a_segment_costs_one_record_and_says_where(open_journal: Journal) -> None:
    open_journal.append([answer(i) for i in range(5)])
    path = open_journal.folder / open_journal.segment
    data = bytearray(path.read_bytes())
    place = data.index(b'"r2"')
    data[place] ^= 4
    path.write_bytes(bytes(data))
    reader = JournalReader(open_journal.folder)
    assert [e.record.asked_id for e in reader.all() if isinstance(e.record, AnswerRecord)] == ["r0", "r1", "r3", "r4"]
    assert reader.damage.changed == 1
    assert reader.damage.where[0].startswith(open_journal.segment)


def test_other_files_of_the_folder_are_no_segments(tmp_path: Path) -> None:
    for name in ("notes.txt", "here.1.journal", "here.1.20261301T000000000000Z.000001.journal"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert segments(tmp_path) == []
    assert segments(tmp_path / "nowhere") == []
    assert instance_name("::") == "here"
