"""``score:`` of a model: what may be declared, and what is refused with a way out."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from include.cli import main
from include.config import Declarations, read_declarations
from include.config.scored_ahead import DeclaredScore, times_of
from include.config.settings import PROJECT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("features", "models"):
        shutil.copytree(PROJECT / "include" / folder, tmp_path / folder)
    return tmp_path


def declared(root: Path, score: object, **changes: object) -> Declarations:
    file = root / "models" / "flight_delay" / "model.yaml"
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**said, "score": score, **changes}), encoding="utf-8")
    return read_declarations(root)


def problem(found: Declarations) -> str:
    (broken,) = found.broken.values()
    (line,) = broken.problems
    return line


def test_a_timetable_may_be_answered_ahead_a_minute_after_each_hour(root):
    read = declared(root, {"ahead": "7d", "every": "1h"})
    assert read.broken == {}
    model = read.models["flight_delay"]
    assert model.score == DeclaredScore(ahead="7d")
    assert model.longest_lead == timedelta(hours=3)
    assert times_of(model.score, [read.view(use.view) for use in model.views]).cron == "1 * * * *"


@pytest.mark.parametrize(
    ("score", "changes", "line"),
    [
        (
            {"ahead": "1d"},
            {"serving": {"mode": "online"}},
            "score is declared and serving.mode is online: a model that is asked online answers when it is asked; "
            "leave out one of the two",
        ),
        (
            {"ahead": "1d", "every": "90m"},
            {},
            "score.every is 1h 30m; give whole minutes that divide an hour, or whole",
        ),
        (
            {"ahead": "2h"},
            {},
            "score.ahead is 2h, and entity.lead is 2h and score.every 1h: rows would be due before they are ever "
            "answered; give 3h or more",
        ),
        ({"ahead": "8d"}, {}, "score.ahead is 8d, and view flight_schedule has its rows 7d ahead; give 7d or less"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(root, score, changes, line):
    assert line in problem(declared(root, score, **changes))


def test_rows_that_are_not_known_ahead_cannot_be_answered_ahead_and_the_way_out_is_named(root):
    view = root / "features" / "flight_schedule" / "view.yaml"
    said = yaml.safe_load(view.read_text(encoding="utf-8"))
    view.write_text(yaml.safe_dump({k: v for k, v in said.items() if k not in ("ahead", "stream")}), encoding="utf-8")
    line = problem(declared(root, {"ahead": "1d"}))
    assert "model.yaml:" in line
    assert "the rows of view flight_schedule are not known before their event; declare ahead and stream" in line
    assert "or leave score out: a day is then answered once it is over" in line


def test_validate_says_where_rows_are_asked_for_more_often_than_a_view_changes(root, capsys):
    declared(root, {"ahead": "1d", "every": "10m"})
    assert main(["validate", "--offline", str(root)]) == 0
    out = capsys.readouterr().out
    assert out.count("score.every is 10m, and view") == 3  # the timetable itself is no such view
    assert "view origin_traffic has new rows every 1h: between them rows are answered again from the same" in out
