"""``slipway simulate MODEL --canary``: the journal's rows through the declared steps, and one line for a mistake."""

from __future__ import annotations

import json
from datetime import timedelta

import journal_day
import numpy as np
import pytest
from canary_traffic import NOON, declare_canary
from light_world import LightWorld

from include.cli import main
from include.config import loader
from include.domain.journal.records import AnswerRecord

DAYS = ["--from", "2024-03-18", "--to", "2024-03-19"]
STEPS = [
    {"share": 0.1, "min_rows": 100, "min_time": "10m", "max_time": "1d"},
    {"share": 0.5, "min_rows": 200, "min_time": "10m", "max_time": "1d"},
]
pytestmark = pytest.mark.moment("second judged")


def asked(world: LightWorld, rows: int) -> None:
    """So many rows of one day, two seconds apart, as the champion answered them."""
    rng = np.random.default_rng(3)
    times = rng.gamma(4.0, 50.0, rows)
    journal_day.write(
        [
            AnswerRecord(
                asked_id=f"q{i}",
                request_id=f"q{i}",
                model=world.model,
                prediction_time=NOON + timedelta(seconds=2 * i),
                candidate="champion",
                digest="d",
                revision=1,
                route_revision=1,
                keys={"trip_id": f"t{i}"},
                score=float(rng.uniform(0.2, 0.8)),
                predicted="on_time",
                us_model=int(times[i]),
                features={"level": float(i % 97), "distance": float(i % 11)},
            )
            for i in range(rows)
        ]
    )


@pytest.fixture
def online(world: LightWorld) -> LightWorld:
    declare_canary(world, steps=STEPS, mean_delta_at_most=0.1)
    return world


def test_an_equal_one_is_promoted_and_each_that_does_harm_is_caught(online, capsys):
    asked(online, 6_000)
    assert main(["simulate", online.model, "--canary", *DAYS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["without_unit"], found["repeated"]) == (6_000, 0, 0)
    said = {each["name"]: (each["then"], each["caught_by"]) for each in found["candidates"]}
    assert said["an equal one"] == ("raise", None)
    assert said["fails on 5% of units"] == ("end", "more failures")
    assert said["10 times slower"] == ("end", "more slow answers")
    assert said["always the same answer"] == ("end", "mean |canary - champion|")
    equal = next(each for each in found["candidates"] if each["name"] == "an equal one")
    assert [step["share_ppm"] for step in equal["steps"]] == [100_000, 500_000]
    assert equal["rows"] == sum(step["rows"] for step in equal["steps"])


def test_a_person_reads_a_table_and_a_sentence_for_each(online, capsys):
    asked(online, 3_000)
    assert main(["simulate", online.model, "--canary", *DAYS]) == 0
    text = capsys.readouterr().out
    assert f"A canary of {online.model} on 3,000 rows from 2024-03-18 12:00 to" in text
    assert "fails on 5% of units: asked for" in text
    assert "rejected by more failures" in text


def test_too_little_traffic_is_not_judged_and_never_a_pass(online, capsys):
    asked(online, 200)
    assert main(["simulate", online.model, "--canary", *DAYS]) == 0
    assert "an equal one: asked for" in (text := capsys.readouterr().out)
    assert "not judged: the traffic was over" in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([*DAYS], "has no answer of"),
        ([*DAYS, "--every", "7"], "--every is not for --canary"),
        ([*DAYS, "--candidate", "no-such"], "no candidate 'no-such'"),
        ([], "--from and --to are missing"),
    ],
)
def test_a_mistake_is_one_line(online, capsys, args, said):
    if "--candidate" in args:
        asked(online, 10)
    assert main(["simulate", online.model, "--canary", *args]) != 0
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error


def test_a_candidate_without_a_canary_is_no_question(world, capsys):
    loader.declarations.cache_clear()
    assert main(["simulate", world.model, "--candidate", "x", *DAYS]) != 0
    assert "give --canary too" in capsys.readouterr().err
    assert main(["simulate", world.model, "--canary", *DAYS]) != 0
    assert "has no canary, so there is nothing to simulate" in capsys.readouterr().err


def test_a_registered_candidate_is_asked_itself(online, capsys):
    candidate = online.references["second"]["candidate_id"]
    records = journal_day.asked_of(online, 17, online.references["r"]["candidate_id"])
    journal_day.write(records)
    assert main(["simulate", online.model, "--canary", "--from", "2024-03-17", "--to", "2024-03-18"]) == 0
    capsys.readouterr()
    args = ["--from", "2024-03-17", "--to", "2024-03-18", "--candidate", candidate, "--json"]
    code = main(["simulate", online.model, "--canary", *args])
    found = capsys.readouterr()
    assert (code, json.loads(found.out)["candidates"][0]["name"] if code == 0 else found.err) == (0, candidate)
