"""``serving:`` of a model: what may be said, what holds by tier, and what is refused."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
import yaml
from pydantic import ValidationError

from include.config import read_declarations
from include.config.serving import DeclaredServing, unit_of, wrong_in_serving, wrong_unit
from include.config.settings import PROJECT

VIEWS, FEATURES = ["plan", "weather"], ["station", "temp"]


def test_a_model_that_says_nothing_is_scored_in_batch():
    plain = DeclaredServing()
    assert (plain.mode, plain.deadline, plain.missing) == ("batch", timedelta(milliseconds=50), {})


def test_the_entitys_view_is_refused_where_it_is_missing_and_the_others_are_served():
    said = DeclaredServing(mode="online", missing={"weather": "refuse"})
    assert [said.policy(view, "plan") for view in ("plan", "weather", "traffic")] == ["refuse", "refuse", "serve"]
    assert DeclaredServing(missing={"plan": "serve"}).policy("plan", "plan") == "serve"


def test_a_label_judges_the_last_answer_unless_the_first_or_each_is_declared():
    assert DeclaredServing().label_joins == "last"
    assert [DeclaredServing(label_joins=which).label_joins for which in ("first", "each")] == ["first", "each"]
    with pytest.raises(ValidationError):
        DeclaredServing(label_joins="all")


def test_what_a_full_journal_does_follows_from_the_tier():
    tiers = ("critical", "standard", "experimental")
    assert [DeclaredServing().when_full(tier) for tier in tiers] == ["refuse", "serve_uncounted", "serve_uncounted"]
    assert DeclaredServing(on_journal_full="refuse").when_full("standard") == "refuse"


@pytest.mark.parametrize(("text", "ms"), [("50ms", 50), ("2s", 2000), ("1m", 60_000)])
def test_a_deadline_may_be_short(text, ms):
    assert DeclaredServing(deadline=text).deadline == timedelta(milliseconds=ms)


@pytest.mark.parametrize("wrong", [{"mode": "always"}, {"missing": {"plan": "guess"}}, {"deadline": "soon"}, {"x": 1}])
def test_something_else_is_refused(wrong):
    with pytest.raises(ValidationError):
        DeclaredServing(**wrong)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"missing": {"wether": "serve"}}, "serving.missing names 'wether', which the model does not read"),
        ({"omit": ["name"]}, "serving.omit names 'name', which is no feature of the model"),
        ({"deadline": "0s"}, "serving.deadline is 0"),
        ({"collect_every": "7m"}, "serving.collect_every is 7m; give whole minutes that divide an hour: 15m"),
        ({"collect_every": "30s"}, "serving.collect_every is 30s; give whole minutes that divide an hour: 15m"),
        ({"collect_every": "2h"}, "serving.collect_every is 2h; give whole minutes that divide an hour: 15m"),
        ({"keep": "7d"}, "serving.keep is 7d; give at least 8d"),
        ({"unit": "header:"}, "serving.unit is 'header:'; a header is given as header:NAME"),
        ({"unit": "header:X User"}, "serving.unit is 'header:X User'"),
        ({"unit": "header:X-User", "missing": {"weather": "serve"}, "omit": ["temp"]}, None),
    ],
)
def test_what_does_not_fit_the_model_is_named(said, line):
    found = wrong_in_serving(DeclaredServing(**said), VIEWS, FEATURES)
    assert found is None if line is None else str(found).startswith(line)


def test_arms_are_chosen_by_the_first_key_unless_another_one_or_a_header_is_declared():
    keys = ["flight_id", "leg"]
    assert [unit_of(DeclaredServing(unit=each), keys) for each in (None, "leg", "header:X-User")] == [
        "flight_id",
        "leg",
        "header:X-User",
    ]
    assert unit_of(DeclaredServing(), []) == ""
    assert [wrong_unit(DeclaredServing(unit=each), keys) for each in (None, "leg", "header:X-User")] == [None] * 3
    assert wrong_unit(DeclaredServing(unit="carrier"), keys) == (
        "serving.unit is 'carrier', which is no key of the entity; give one of them (flight_id, leg), or a header "
        "such as header:X-User"
    )


def test_a_unit_that_the_entity_does_not_have_is_named_with_its_line(tmp_path):
    for folder in ("features", "models"):
        shutil.copytree(PROJECT / "include" / folder, tmp_path / folder)
    model = tmp_path / "models" / "flight_delay" / "model.yaml"
    said = model.read_text(encoding="utf-8").replace("score: {ahead: 1d, every: 1h}", "serving: {unit: carrier}")
    model.write_text(said, encoding="utf-8")
    (problems,) = read_declarations(tmp_path).broken.values()
    assert any("serving.unit is 'carrier', which is no key" in line for line in map(str, [problems]))


def test_a_model_may_not_be_asked_online_from_a_view_that_cannot_be_fresh(tmp_path):
    for folder in ("features", "models"):
        shutil.copytree(PROJECT / "include" / folder, tmp_path / folder)
    model = tmp_path / "models" / "flight_delay" / "model.yaml"
    said = model.read_text(encoding="utf-8").replace("score: {ahead: 1d, every: 1h}", "serving: {mode: online}")
    model.write_text(said, encoding="utf-8")
    assert read_declarations(tmp_path).broken == {}
    view = tmp_path / "features" / "origin_weather" / "view.yaml"
    said = yaml.safe_load(view.read_text(encoding="utf-8"))
    view.write_text(yaml.safe_dump({k: v for k, v in said.items() if k != "stream"}), encoding="utf-8")
    (problems,) = read_declarations(tmp_path).broken.values()
    assert any("serving.mode is online, and view origin_weather: ttl is" in line for line in map(str, [problems]))
