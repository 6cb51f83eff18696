"""``slipway journal``: the records one a line, what there is counted, and damage named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.adapters.journal import Journal
from include.cli import main
from include.domain.journal.records import AnswerRecord, OutcomeRecord

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    journal = Journal(tmp_path, "here", AT, lambda: AT)
    for number, model in enumerate(("wind", "rain", "wind")):
        journal.append([AnswerRecord(f"r{number}", f"r{number}", model, AT, "c1", "ab", 1, 1, score=0.5)])
    journal.append([AnswerRecord("r3", "r3", "wind", AT, "c1", "ab", 1, 1, error="no value")])
    journal.close()
    return tmp_path


def test_the_last_answers_of_a_model_are_printed_one_a_line(folder, capsys):
    assert main(["journal", "cat", "--folder", str(folder), "--model", "wind", "--last", "2"]) == 0
    assert [json.loads(line)["asked_id"] for line in capsys.readouterr().out.splitlines()] == ["r2", "r3"]


def test_as_json_each_record_has_its_place(folder, capsys):
    assert main(["journal", "cat", "--folder", str(folder), "--model", "rain", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["records"]
    assert shown["record"]["asked_id"] == "r1"
    assert shown["record"]["kind"] == "answer"


def test_what_there_is_is_counted_by_model(folder, capsys):
    assert main(["journal", "status", "--folder", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "wind: 3 answers, 1 errors, the last at 2026-03-01T12:00:00+00:00"
    assert lines[2] == "rain: 1 answers, 0 errors, the last at 2026-03-01T12:00:00+00:00"


def test_a_changed_record_is_named_and_the_code_is_1(folder, capsys):
    (path,) = folder.glob("*.journal")
    path.write_bytes(path.read_bytes().replace(b'"rain"', b'"rein"'))
    assert main(["journal", "status", "--folder", str(folder)]) == 1
    out = capsys.readouterr().out
    assert f"1 places were changed after they were written, and are passed over (first at {path.name}:" in out


def test_outcomes_are_shown_beside_the_answers_that_they_are_of(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    answers = Journal(tmp_path / "journal", "here", AT, lambda: AT)
    answers.append([AnswerRecord("r1", "r1", "flight_delay", AT, "c1", "ab", 1, 1, score=0.25, predicted="on_time")])
    told = Journal(tmp_path / "journal-outcomes", "here", AT, lambda: AT)
    for minutes, request_id, value in ((1, "r1", "on_time"), (2, "r1", "late"), (3, "r2", "late")):
        told.append([OutcomeRecord("flight_delay", request_id, value, AT + timedelta(minutes=minutes))])
    answers.close()
    told.close()
    assert main(["journal", "outcomes", "flight_delay"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "r1: late, before that on_time, known 2026-03-01T12:02:00+00:00; "
        "c1 said on_time (0.25) at 2026-03-01T12:00:00+00:00",
        "r2: late, known 2026-03-01T12:03:00+00:00; no such row in this journal",
        "flight_delay: 2 outcomes, 1 of them changed since, 1 of rows that are not in this journal",
    ]
    assert main(["journal", "outcomes", "flight_delay", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["outcomes"]
    assert (first["answer"]["asked_id"], first["known"], second["answer"]) == ("r1", "2026-03-01T12:02:00Z", None)


@pytest.mark.parametrize("argv", [["outcomes"], ["outcomes", "no_such_model"], ["cat", "flight_delay"]])
def test_a_mistake_about_the_model_is_one_line(tmp_path, monkeypatch, capsys, argv):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    assert main(["journal", *argv]) == 64
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("more", [["--last", "0"], ["--folder", "/nowhere/at/all"]])
def test_a_mistake_in_its_arguments_is_one_line(folder, capsys, more):
    assert main(["journal", "cat", "--folder", str(folder), *more]) == 64
    assert len(capsys.readouterr().err.splitlines()) == 1
