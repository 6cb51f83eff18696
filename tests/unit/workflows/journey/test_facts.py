"""What a step leaves for a later one is a value that says in which version it was written."""

from __future__ import annotations

import ast
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from include.domain.timing import Timing
from include.workflows.journey import fact_files, facts
from include.workflows.journey.fact_files import Fact
from include.workflows.journey.facts import (
    Apart,
    Curves,
    Disagreement,
    Evaluated,
    JoinAvailability,
    Labelled,
    RecipeRace,
    ReferenceProfile,
    Refitted,
    Remarks,
    Replayed,
    Timings,
    TrainingSet,
    TrainingSets,
)

ROOT = Path(__file__).resolve().parents[4]

BUILT = TrainingSet(
    model="m",
    path="/a.parquet",
    rows=10,
    content_hash="c",
    label_hash="l",
    start="2024-03-01T00:00:00+00:00",
    end="2024-03-05T00:00:00+00:00",
    as_of="2024-03-09T00:00:00+00:00",
    table_versions={"trips": 3},
    features=["x"],
    label_counts={"late": 4, "on_time": 6},
    never_labelled=1,
    not_matured=0,
    first_event=None,
    last_event=None,
    availability=JoinAvailability(11, {"x": 2}, {"x": 3600.0}, ("The key differs.",)),
)
EVALUATED = Evaluated(
    rows=10,
    champion_revision=2,
    champion_id="m/1",
    champion_missing=None,
    holdout="2024-03-05",
    metrics={"candidate": {"brier": 0.1}, "champion": {}},
    champion_tables={"trips": 2},
    replay=Replayed("m/1", "2024-02-01", "2024-02-08", learned={"candidate": "[a, b)"}, rows=4),
)
EXAMPLES: list[Fact] = [
    TrainingSets(BUILT, replace(BUILT, availability=None)),
    EVALUATED,
    ReferenceProfile({"features": []}, {"x": 1.0}, None, 0.2, Labelled(12, 1)),
    Timings(Timing("host", 5, p50_ms=1.5), None),
    Curves({"roc": {"candidate": {"x": [0.0, 1.0]}, "champion": None}}),
    RecipeRace("since_change", {"window": 0.2, "since_change": 0.1}, 200, 900, "2021-05-30", "since_change won."),
    Refitted("window", "aa", "bb", 900, "2021-03-01", "2021-06-01"),
    Disagreement(2, 0.4, {"0.5": 0.4}, None, ((0.2, 0.9),), (Apart("a|1", "2024", 0.2, 0.9, {"x": None}),)),
    Remarks({"train": ("It could not be drawn.",)}),
]


def test_every_kind_has_an_example_here():
    assert {type(example) for example in EXAMPLES} == set(facts.KINDS)


@pytest.mark.parametrize("fact", EXAMPLES, ids=lambda fact: fact.FILE)
def test_a_value_is_read_as_it_was_written_and_its_file_says_the_version(tmp_path, fact):
    fact_files.write(tmp_path, fact)
    assert fact_files.read(tmp_path, type(fact)) == fact
    assert json.loads((tmp_path / fact.FILE).read_text())["version"] == fact.VERSION


@pytest.mark.parametrize("fact", EXAMPLES, ids=lambda fact: fact.FILE)
def test_a_file_of_a_release_before_versions_is_read(tmp_path, fact):
    kept = fact_files.as_json(fact)
    del kept["version"]
    if isinstance(fact, Curves | Remarks):
        (kept,) = kept.values()
    (tmp_path / fact.FILE).write_text(json.dumps(kept))
    assert fact_files.read(tmp_path, type(fact)) == fact


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), 0.1 + 0.2, 2**60], ids=str)
def test_a_number_inside_the_domain_s_own_form_is_kept_to_the_last_bit(tmp_path, number):
    fact_files.write(tmp_path, ReferenceProfile({"edges": [number]}, {}, {"trees": {"thresholds": [[number, None]]}}))
    kept = fact_files.read(tmp_path, ReferenceProfile)
    assert kept.profile == {"edges": [number]}
    assert kept.estimate == {"trees": {"thresholds": [[number, None]]}}


def test_a_figure_that_is_no_number_stays_one(tmp_path):
    fact_files.write(tmp_path, replace(EVALUATED, metrics={"candidate": {"brier": float("nan")}}))
    assert math.isnan(fact_files.read(tmp_path, Evaluated).metrics["candidate"]["brier"])


def test_a_missing_file_says_which_step_to_clear(tmp_path):
    assert fact_files.find(tmp_path, Evaluated) is None
    with pytest.raises(fact_files.NotKept, match=r"evaluation\.json is missing.*Clear the run from open_journey on"):
        fact_files.read(tmp_path, Evaluated)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param('{"version": 9}', "was written in version 9 of its form; this release reads up to 1", id="newer"),
        pytest.param('{"version": "new"}', "was written in version new", id="no number"),
        pytest.param('{"rows": "many"}', "is of a release before versions, and this release cannot read it", id="old"),
        pytest.param('{"version": 1, "rows": 3}', "is of version 1, and this release cannot read it", id="lacking"),
        pytest.param('{"rows": 1', "is damaged", id="cut off"),
        pytest.param("[]", "cannot read it", id="not an object"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_never_an_empty_value(tmp_path, text, says):
    (tmp_path / Evaluated.FILE).write_text(text)
    with pytest.raises(fact_files.UnreadableFacts, match=says) as refused:
        fact_files.find(tmp_path, Evaluated)
    assert "\n" not in str(refused.value)


def test_two_windows_are_the_same_where_champion_and_days_are():
    assert EVALUATED.replay is not None
    assert replace(EVALUATED.replay, rows=9).window == EVALUATED.replay.window
    assert replace(EVALUATED.replay, end="2024-02-09").window != EVALUATED.replay.window


def test_the_name_of_a_facts_file_stands_in_one_place():
    names = {kind.FILE for kind in facts.KINDS}
    again = [
        f"{file.relative_to(ROOT)}: {node.value}"
        for folder in ("include", "plugins", "dags")
        for file in (ROOT / folder).rglob("*.py")
        if file != ROOT / "include/workflows/journey/facts.py"
        for code in [file.read_text(encoding="utf-8")]
        if any(name in code for name in names)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert again == []
