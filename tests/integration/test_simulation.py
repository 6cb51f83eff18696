"""A past stream through the declared policy: what it would have done, and what that would have cost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated_tables import a_table, policy, simulated

from include import cli
from include.domain.history import Ending, PastJourney, futile_streak
from include.domain.intervals import Interval
from include.domain.simulation.outcome import PolicyKind
from include.workflows.simulation import picture, shown
from include.workflows.simulation.run import Simulation, range_of, simulate
from include.workflows.simulation.schedule import BadSchedule, fires_within
from include.workflows.simulation.settings import BadSetting, TableModel, Variant, declared_for, variants
from include.workflows.simulation.stream import Columns, Stream, from_frame
from include.workflows.simulation.yardsticks import Yardsticks

ROWS_A_DAY = 60
ESTIMATOR = "sklearn.linear_model.LogisticRegression"
KINDS = {"a": "numeric", "b": "numeric"}
QUICK = Yardsticks(every=(20,), fits_at_most=8)
EAGER = [
    "drift.performance.min_rows=100",
    "drift.performance.tolerance=0.02",
    "drift.retrain.cooldown_days=3",
    "shadow.min_rows=100",
    "gates.champion_gate.comparisons.0.margin=0.02",
]
"""Settings under which a change is seen and answered within weeks, on so few rows."""


@pytest.fixture(scope="module")
def turned() -> Simulation:
    """The concept turns round on the fiftieth of 110 days."""
    return simulated(a_table(110, turns_on=50), yardsticks=QUICK, price=3.0)


# --- what the declared policy does -----------------------------------------------------------------------------------


def test_a_stream_without_drift_is_never_retrained_and_costs_what_never_retraining_costs():
    found = simulated(a_table(90))
    declared, never = policy(found, PolicyKind.DECLARED), policy(found, PolicyKind.NEVER)
    assert (declared.retrains, declared.journeys, set(declared.actions)) == (0, (), {"log"})
    assert declared.days == never.days
    assert declared.cost == never.cost


def test_an_abrupt_turn_is_retrained_promoted_and_costs_less_than_never_retraining(turned):
    declared, never = policy(turned, PolicyKind.DECLARED), policy(turned, PolicyKind.NEVER)
    assert declared.promotions >= 1
    assert declared.total_loss < 0.8 * never.total_loss
    first = declared.journeys[0]
    assert first.as_of > "2024-02-20"
    assert first.trigger == "drift"
    assert "realised performance is out of band" in first.reason


def test_a_candidate_serves_only_after_its_shadow_days(turned):
    for journey in policy(turned, PolicyKind.DECLARED).journeys:
        if journey.serves_from is not None:
            waited = datetime.fromisoformat(journey.serves_from) - datetime.fromisoformat(journey.as_of)
            assert waited == timedelta(days=3)
            assert journey.verdicts["shadow_gate"] == "PASS"


def test_no_journey_starts_while_one_is_in_flight_or_cooling(turned):
    started = [datetime.fromisoformat(j.as_of) for j in policy(turned, PolicyKind.DECLARED).journeys]
    assert all(later - earlier >= timedelta(days=3) for earlier, later in pairwise(started))
    rules = {d.rule for d in policy(turned, PolicyKind.DECLARED).decisions}
    assert rules & {"6 in_flight", "6 cooldown", "6 breaker_open"}


def test_a_longer_label_delay_is_a_later_alarm():
    table = a_table(100, turns_on=50).head(80 * ROWS_A_DAY)
    soon, late = (
        policy(simulated(table, delay_days=d, yardsticks=Yardsticks((), 0, False)), PolicyKind.DECLARED) for d in (1, 9)
    )
    alarms = [min(d.day for d in p.decisions if d.realised) for p in (soon, late)]
    turned_on = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=50)
    first, second = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in alarms)
    assert turned_on + timedelta(days=1) < first < turned_on + timedelta(days=15)
    assert second - first == timedelta(days=9 - 1)


def test_when_retraining_does_not_help_a_person_is_asked_once_and_the_waits_grow():
    found = simulated(a_table(110, useless_from=50))
    declared = policy(found, PolicyKind.DECLARED)
    assert declared.promotions == 0
    rules = [d.rule for d in declared.decisions]
    assert rules.count("7 not_helped") == declared.actions["escalate"] == 1
    assert rules.index("7 not_helped") > rules.index("5 realised_out_of_band")
    assert set(rules[rules.index("7 not_helped") + 1 :]) == {"6 helps_no_more", "5 realised_out_of_band"}
    started = [datetime.fromisoformat(j.as_of) for j in declared.journeys]
    waits = [(after - before).days for before, after in pairwise(started)]
    assert waits[0] == 10, "of ten days that the one before was not judged on"
    assert waits == sorted(waits)
    assert declared.rejections.total() == len(declared.journeys)


def harder_from(table: pd.DataFrame, day: int, *, seed: int = 5) -> pd.DataFrame:
    """From that day on rows near the border of both classes, and harder to answer, as the model was ever shown."""
    rng = np.random.default_rng(seed)
    n = len(table) - day * ROWS_A_DAY
    a = table["a"].to_numpy().copy()
    y = table["y"].to_numpy().copy()
    a[-n:] = 0.3 * rng.standard_normal(n)
    y[-n:] = rng.random(n) < 1 / (1 + np.exp(-2.0 * a[-n:]))
    return table.assign(a=a, y=y)


def test_an_estimate_prepares_a_candidate_that_is_held_until_labels_show_it():
    table, late = harder_from(a_table(90), 50), Yardsticks((), 0, False)
    soon = "drift.estimated.run_length_days=7"  # seven reference days show little
    seen = policy(simulated(table, soon, delay_days=9, yardsticks=late), PolicyKind.DECLARED)
    first = seen.journeys[0]
    assert first.reason.startswith("Prepare a candidate, not to be promoted before labels mature")
    [decision] = [d for d in seen.decisions if d.reason == first.reason]
    assert (decision.rule, decision.estimated, decision.realised) == ("4 estimated_out_of_band", True, False)
    turned_on = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=50)
    assert datetime.fromisoformat(first.as_of).replace(tzinfo=UTC) < turned_on + timedelta(days=9)
    # Its window is full after three days; the labels of the alarm's day and of the six after it take nine more.
    assert first.verdicts["shadow_gate"] == "PASS"
    assert first.serves_from is not None
    waited = datetime.fromisoformat(first.serves_from) - datetime.fromisoformat(first.as_of)
    assert waited == timedelta(days=6 + 9)


def test_an_estimate_that_shall_only_be_reported_starts_nothing_in_a_simulation():
    table = harder_from(a_table(75), 50)
    reported = simulated(table, "drift.estimated.acts=false", delay_days=9, yardsticks=Yardsticks((), 0, False))
    seen = policy(reported, PolicyKind.DECLARED)
    assert not any(d.rule.startswith("4") for d in seen.decisions)
    assert {d.estimated for d in seen.decisions} == {None}


def test_a_storm_of_alarms_starts_one_journey_and_the_next_ones_wait_for_fresh_days():
    found = simulated(
        a_table(110, useless_from=45),
        "drift.retrain.budget_per_month=2",
        "drift.retrain.cooldown_days=0",
        "drift.retrain.futile_before_escalation=50",
        yardsticks=Yardsticks((), 0, False),
    )
    declared = policy(found, PolicyKind.DECLARED)
    started = [datetime.fromisoformat(j.as_of) for j in declared.journeys]
    assert [(after - before).days for before, after in pairwise(started)] == [10, 20, 20], "the window is of 20 days"
    waits = [d.reason for d in declared.decisions if d.rule == "6 cannot_help_yet"]
    assert any("lie after those of the last journey, and 10 are needed" in reason for reason in waits)


def test_a_declared_schedule_starts_journeys_whether_or_not_anything_drifted():
    found = simulated(a_table(90), "training.schedule=0 6 15 * *", yardsticks=Yardsticks((), 0, False))
    assert [(j.as_of, j.trigger) for j in policy(found, PolicyKind.DECLARED).journeys] == [
        ("2024-02-15", "schedule"),
        ("2024-03-15", "schedule"),
    ]


@pytest.mark.parametrize(("cron", "fires"), [("0 0 * * *", True), ("59 23 2 1 *", True), ("0 6 1 */3 *", False)])
def test_a_schedule_fires_on_its_days(cron, fires):
    assert fires_within(cron, Interval.of_day("2024-01-02")) is fires


def test_a_schedule_that_is_no_cron_is_refused():
    with pytest.raises(BadSchedule, match="'every day', which is no cron; write five fields"):
        fires_within("every day", Interval.of_day("2024-01-02"))


def test_only_labels_that_were_known_by_then_are_learned_from():
    table = a_table(40)
    past = from_frame(table, Columns("t", "y"), KINDS, classifier=True)
    stream = past.delayed(timedelta(days=5))
    whole = Interval.between("2024-01-01", "2024-02-10")
    as_of = datetime(2024, 1, 20, tzinfo=UTC)
    matured = stream.matured(whole, as_of, timedelta(days=5))
    assert stream.event_us[matured].max() == stream.event_us[stream.at(datetime(2024, 1, 15, tzinfo=UTC))]
    late = Stream(stream.features, KINDS, stream.y, stream.event_us, stream.known_us + 86_400_000_000, stream.classes)
    assert len(late.matured(whole, as_of, timedelta(days=5))) == len(matured) - ROWS_A_DAY


def test_three_classes_of_which_one_comes_late_are_simulated():
    table = a_table(70)
    late = (np.arange(len(table)) >= 45 * ROWS_A_DAY) & (table["b"] > 1)
    table["y"] = np.where(late, "new", np.where(table["y"] == 1, "yes", "no"))
    declared = policy(simulated(table, "gates.champion_gate.comparisons.0.margin=0.1"), PolicyKind.DECLARED)
    assert declared.metric == "log_loss"
    assert declared.rows == len(declared.decisions) * ROWS_A_DAY


def test_a_regression_is_simulated_on_its_own_unit():
    table = a_table(80)
    rng = np.random.default_rng(1)
    sign = np.where(np.arange(len(table)) < 45 * ROWS_A_DAY, 30.0, -30.0)
    table["y"] = sign * table["a"] + rng.standard_normal(len(table))
    past = from_frame(table, Columns("t", "y"), KINDS, classifier=False)
    given = TableModel("sklearn.linear_model.Ridge", {}, "y", timedelta(days=2), train_days=10, holdout_days=5)
    model = declared_for(given, past.stream)
    stream = past.delayed(model.label.delay)
    found = simulate(
        "numbers", variants(model, [], None), lambda _: stream, range_of(stream, model, None, None), yardsticks=QUICK
    )
    declared, never = policy(found, PolicyKind.DECLARED), policy(found, PolicyKind.NEVER)
    assert declared.metric == "mae"
    assert declared.promotions >= 1
    assert declared.total_loss < never.total_loss


def test_a_sensor_that_never_could_judge_says_so():
    found = simulated(a_table(60), "drift.performance.min_rows=5000", yardsticks=Yardsticks((), 0, False))
    assert "realised performance could not be judged on any day: brier was measured on" in (
        "\n".join(shown.as_lines(found))
    )


# --- what it is compared with ----------------------------------------------------------------------------------------


def test_hindsight_is_below_every_policy_that_drift_made_dear(turned):
    """It counts the rows that did not choose, so it may cost a little more than the luckiest policy."""
    best = policy(turned, PolicyKind.HINDSIGHT)
    assert best.cost <= 1.02 * min(other.cost for other in turned.policies)
    assert best.cost < 0.8 * policy(turned, PolicyKind.NEVER).cost
    days = [datetime.fromisoformat(day) for day in best.retrained_on]
    assert all(later - earlier >= timedelta(days=14) for earlier, later in pairwise(days))


@pytest.mark.slow
def test_on_a_stream_without_drift_hindsight_gains_nothing_by_its_choice():
    """With the rows that chose it would look better than any of the equal models is."""
    gained = []
    for seed in range(6):
        found = simulated(a_table(90, seed=seed), yardsticks=Yardsticks((), 12, price=0.0))
        gained.append(1 - policy(found, PolicyKind.HINDSIGHT).cost / policy(found, PolicyKind.NEVER).cost)
    assert abs(np.mean(gained)) < 0.02


def test_a_schedule_that_waits_for_the_shadow_days_pays_as_often_and_serves_later(turned):
    at_once, waits = policy(turned, PolicyKind.EVERY), policy(turned, PolicyKind.EVERY_SHADOWED)
    assert waits.name == "every 20 days, after shadow"
    assert waits.retrained_on == at_once.retrained_on
    starts = [[datetime.fromisoformat(day) for day, _ in p.serving[1:]] for p in (at_once, waits)]
    # The newest one's window is still open at the end.
    assert {later - sooner for sooner, later in zip(*starts, strict=False)} == {timedelta(days=3)}
    assert waits.rows == at_once.rows


def test_every_policy_is_judged_on_the_same_rows(turned):
    assert {p.rows for p in turned.policies} == {policy(turned, PolicyKind.NEVER).rows}
    assert {p.serving[0] for p in turned.policies} == {(turned.first_champion, turned.first_champion)}


def test_cost_is_the_summed_loss_and_the_price_of_each_retrain(turned):
    for outcome in turned.policies:
        assert outcome.cost == pytest.approx(outcome.total_loss + 3.0 * outcome.retrains)
        assert outcome.mean_loss == pytest.approx(outcome.total_loss / outcome.rows)
    assert policy(turned, PolicyKind.EVERY).retrains == 4


def test_always_says_how_often_it_retrained_where_that_is_not_daily(turned):
    always = policy(turned, PolicyKind.ALWAYS)
    assert always.name == "always (every 11 days)"
    assert always.retrains == 7


def test_without_a_price_a_retrain_costs_a_stated_share_of_a_days_loss():
    found = simulated(a_table(75), yardsticks=Yardsticks((20,), 0, hindsight=False), price=None)
    day = policy(found, PolicyKind.NEVER).total_loss / len(found.interval.days)
    assert found.price.amount == pytest.approx(0.9 * day, rel=0.15)
    assert "of summed loss: 0.9 of a day of the first champion, because training.price is not declared." in "\n".join(
        shown.as_lines(found)
    )


def test_a_declared_price_is_charged_to_every_policy_and_one_given_for_the_run_goes_before_it():
    table, few = a_table(52), Yardsticks((20,), 0, hindsight=False)
    declared = simulated(table, "training.price=7.5", yardsticks=few, price=None)
    assert (declared.price.amount, declared.price.source) == (7.5, "declared as training.price")
    assert {p.price for p in declared.policies} == {7.5}
    given = simulated(table, "training.price=7.5", yardsticks=few, price=2.0)
    assert (given.price.amount, given.price.source) == (2.0, "given with --price")


def test_broken_machinery_neither_adds_to_a_futile_streak_nor_ends_it():
    at = datetime(2024, 1, 1, tzinfo=UTC)
    endings = (Ending.FUTILE, Ending.BROKEN, Ending.FUTILE, Ending.LIVE)
    assert futile_streak(PastJourney(at, True, e) for e in endings) == 2


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_answer_is_a_table_json_and_a_picture(turned, tmp_path):
    lines = "\n".join(shown.as_lines(turned))
    for name in ("never retrain", "every 20 days", "best in hindsight", "(cheapest)", "champion PASS"):
        assert name in lines
    data = json.loads(json.dumps(shown.as_json(turned), allow_nan=False))
    assert [p["kind"] for p in data["policies"]] == [
        "declared",
        "never",
        "every",
        "every_after_shadow",
        "always",
        "hindsight",
    ]
    assert sum(data["policies"][0]["actions"].values()) == len(data["policies"][0]["decisions"])
    picture.plot(turned, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_an_alarm_that_persists_is_an_incident_with_its_band_and_its_stages(turned):
    declared = policy(turned, PolicyKind.DECLARED)
    first = declared.incidents[0]
    assert first.opened_on in {d.day for d in declared.decisions if d.realised}
    assert first.anchor < first.band
    assert [stage for stage, _, _ in first.spans("2024-04-20")][:2] == ["open", "recovering"]
    assert first.stages[1][0] >= next(j.serves_from for j in declared.journeys if j.serves_from)
    assert any(first.sentence in line for line in shown.as_lines(turned))
    told = shown.as_json(turned)["policies"][0]
    assert told["incidents"][0]["opened_on"] == first.opened_on
    assert told["journeys"][0]["recipe"] == declared.journeys[0].recipe


def test_a_retrain_of_an_alarm_says_which_recipe_won(turned):
    declared = policy(turned, PolicyKind.DECLARED)
    assert declared.journeys[0].recipe in ("window", "since_change")
    assert f"drift, {declared.journeys[0].recipe} won" in "\n".join(shown.as_lines(turned))


def test_the_picture_has_the_band_the_incidents_and_the_recipes(turned):
    figure = picture.drawn(turned)
    losses, strip, _ = figure.axes
    labels = {*losses.get_legend_handles_labels()[1], *strip.get_legend_handles_labels()[1]}
    declared = policy(turned, PolicyKind.DECLARED)
    assert {f"anchor's band ({declared.name})", "incident open", "incident recovering"} <= labels
    assert f"retrain: {declared.journeys[0].recipe}" in labels


def test_a_simulation_without_an_incident_has_a_picture_too():
    labels = picture.drawn(simulated(a_table(75), yardsticks=Yardsticks((), 0, False))).axes[0]
    assert not any("band" in label for label in labels.get_legend_handles_labels()[1])


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    past = from_frame(a_table(5), Columns("t", "y"), KINDS, classifier=True)
    return declared_for(TableModel(ESTIMATOR, {}, "y", timedelta(hours=36)), past.stream)


def test_each_set_is_one_variant_beside_the_declaration_as_it_is(model):
    found = variants(model, [["drift.inputs.q=0.01"], ["drift.retrain.windows=[3, 5]", "label.delay=2d"]], None)
    assert [v.name for v in found] == [
        "declared",
        "drift.inputs.q=0.01",
        "drift.retrain.windows=[3, 5], label.delay=2d",
    ]
    assert found[0] == Variant("declared", model)
    assert found[1].model.drift.inputs.q == 0.01
    assert found[1].model.label.delay == timedelta(hours=36)
    assert (found[2].model.drift.retrain.windows, found[2].model.label.delay) == ((3, 5), timedelta(days=2))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["drift.inputs.qq=1"], "--set drift.inputs.qq=1: drift.inputs.qq is not a field; allowed are: q, "),
        (["drift.inputs.q=2"], "--set drift.inputs.q=2: drift.inputs.q is 2; input should be less than 1."),
        (["drift.inputs.q=many"], "drift.inputs.q is 'many'; input should be a valid number"),
        (["drift.retrain.windows=[5, 3]"], "windows is [k, n] with 1 <= k <= n"),
        (["drift.performance.metric.x=1"], "drift.performance.metric is a value, 'brier', and has no fields."),
        (["gates.threshold_gate.criteria.7.at_least=1"], "gates.threshold_gate.criteria is a list of 1"),
        (["label.delay=3"], "'3' is not a duration. Write a whole number and a unit: 30m, 2h or 7d"),
        (["drift.performance.metric=mae"], "a binary model's loss is one of brier, log_loss, error"),
        (["drift.inputs.q"], "--set 'drift.inputs.q' is no PATH=VALUE; write for example drift.inputs.q=0.01."),
        (["training.seed=[1"], "'[1' is no YAML value"),
        (["training.seed=1", "training.seed=2"], "--set gives training.seed twice, 1 and 2"),
    ],
)
def test_a_setting_that_the_declaration_would_refuse_is_refused_in_one_line(model, given, said):
    with pytest.raises(BadSetting) as refused:
        variants(model, [given], None)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("short", "whole"),
    [
        ("drift.q", "drift.inputs.q"),
        ("drift.cooldown_days", "drift.retrain.cooldown_days"),
        ("drift.inputs.q", "drift.inputs.q"),
        ("training.window_days", "training.window_days"),
    ],
)
def test_blocks_may_be_left_out_where_one_field_alone_can_be_meant(model, short, whole):
    value = 3 if "days" in short else 0.01
    assert variants(model, [[f"{short}={value}"]], None) == variants(model, [[f"{whole}={value}"]], None)


def test_a_short_path_that_may_mean_several_fields_names_them(model):
    with pytest.raises(BadSetting) as refused:
        variants(model, [["drift.min_rows=5"]], None)
    assert str(refused.value) == (
        "--set drift.min_rows: drift.min_rows is not a field; drift.inputs.min_rows, drift.predictions.min_rows, "
        "drift.performance.min_rows, drift.estimated.min_rows are. Which one is meant?"
    )


def test_the_same_variant_twice_is_refused(model):
    with pytest.raises(BadSetting, match=r"--set drift.inputs.q=0.01 is given twice"):
        variants(model, [["drift.inputs.q=0.01"], ["drift.inputs.q=0.01"]], None)


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and bad ones, written once."""
    there = tmp_path_factory.mktemp("tables")
    table = a_table(60)
    table.to_parquet(there / "s.parquet")
    table.to_csv(there / "s.csv", index=False)
    table.assign(y=1).to_parquet(there / "one.parquet")
    table.assign(t="someday").to_csv(there / "times.csv", index=False)
    table.head(5 * ROWS_A_DAY).to_parquet(there / "short.parquet")
    table.iloc[::60].to_parquet(there / "thin.parquet")
    table.drop(columns=["a", "b"]).to_parquet(there / "bare.parquet")
    table.assign(y="no. " + table["a"].astype(str)).to_parquet(there / "texts.parquet")
    (there / "notes.txt").write_text("t,y", encoding="utf-8")
    return there


@pytest.fixture
def folder(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where somebody types: their tables, and an empty home."""
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for table in tables.iterdir():
        (tmp_path / table.name).symlink_to(table)
    return tmp_path


def arguments(
    *more: str, data: str = "s.parquet", time: str = "t", label: str = "y", estimator: str = ESTIMATOR
) -> list[str]:
    given = ["simulate", "--data", data, "--time", time, "--label", label, "--estimator", estimator]
    return [*given, "--train-window", "20d", "--holdout", "7d", "--label-delay", "2d", "--fits-at-most", "3", *more]


@pytest.mark.parametrize("data", ["s.parquet", "s.csv"])
def test_any_table_with_a_time_a_label_and_features_is_simulated(folder, data, capsys):
    assert cli.main([*arguments("--json", "--set", "drift.inputs.q=0.01", "--plot", "o.svg", data=data)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [p["name"] for p in said["policies"][:2]] == ["declared", "drift.inputs.q=0.01"]
    assert (said["from"], said["to"]) == ("2024-01-30", "2024-03-01")
    assert (folder / "o.svg").is_file()


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["simulate"], "neither a model nor --data is given"),
        (["simulate", "m", "--data", "s.csv"], "both m and --data are given"),
        (["simulate", "flight_dela", "--from", "2013-06-01", "--to", "2013-07-01"], "Did you mean 'flight_delay'?"),
        (["simulate", "flight_delay"], "--from and --to are missing"),
        (["simulate", "flight_delay", "--time", "t"], "--time is for a table of your own"),
        (["simulate", "--data", "s.csv"], "--time, --label, --estimator is missing"),
        (arguments(data="nowhere.csv"), "There is no file nowhere.csv; --data names a parquet or CSV file."),
        (arguments(data="notes.txt"), "notes.txt ends in .txt"),
        (arguments(time="when"), "There is no column 'when' in s.parquet; there are: t, a, b, y."),
        (arguments(label="t"), "Column 't' is named as time and as label"),
        (arguments("--features", "a,y"), "Column 'y' is named as a feature too"),
        (arguments(data="bare.parquet"), "bare.parquet has no features beside 't' and 'y'."),
        (arguments(data="times.csv"), "values that are no time, the first in row 0: 'someday'"),
        (arguments(estimator="sklearn.linear_model.Nothing"), "cannot be imported"),
        (
            arguments("--params", "{C: 1, depth: 2}"),
            "estimator.params has 'depth', which LogisticRegression does not take",
        ),
        (arguments("--params", "C=1"), "--params 'C=1' is no mapping"),
        (arguments("--params", "{C: -1}"), "estimator.params: The 'C' parameter"),
        (arguments("--set", "drift.inputs.q=7"), "drift.inputs.q is 7; input should be less than 1."),
        (arguments("--set", "drift.q=7"), "drift.inputs.q is 7; input should be less than 1."),
        (arguments("--set", "drift.p=7"), "drift.p is not a field; allowed are: inputs"),
        (arguments("--set", "training.seed=1", "--set", "training.seed=1"), "is given twice"),
        (arguments("--set", "views.0.features=[c]"), "there is no column 'c'"),
        (arguments("--set", "training.schedule=now"), "training.schedule is 'now'; it is no cron"),
        (arguments(data="one.parquet"), "Label 'y' has one class only, 1; a classifier needs two or more"),
        (arguments(data="texts.parquet"), "different values; at most 100 are taken as classes"),
        (arguments(data="texts.parquet", estimator="sklearn.linear_model.Ridge"), "which are no numbers"),
        (arguments(data="short.parquet"), "leave no day to simulate before 2024-01-06"),
        (arguments(data="thin.parquet"), "No first champion can be trained as of 2024-01-30: rows 20 is outside"),
        (arguments("--from", "2024-01-03"), "No first champion can be trained as of 2024-01-03"),
        (arguments("--from", "2025-01-03", "--to", "2025-02-03"), "lie outside. Choose days inside."),
        (arguments("--from", "2024-02-01T05:00"), "is not the start of a UTC day"),
        (arguments("--from", "soon"), "'soon' is not a date or time"),
        (arguments("--holdout", "36h"), "--holdout is 36h; give whole days"),
        (arguments("--price", "-1"), "--price is -1.0; it is a finite number, 0 or more."),
        (arguments("--set", "training.price=-1"), "training.price is -1; input should be greater than or equal to 0"),
        (arguments("--set", "training.price=.inf"), "training.price is inf; input should be a finite number"),
        (arguments("--every", "0"), "--every is 0"),
        (arguments("--plot", "out.docx"), "--plot out.docx ends in .docx; a picture is one of"),
        (arguments("--plot", "no/out.png"), "there is no folder no"),
    ],
)
def test_a_mistake_is_one_line_that_names_what_would_be_right(folder, argv, line, capsys):
    assert cli.main(argv) == 64
    said = capsys.readouterr()
    assert line in said.err
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_a_store_without_the_days_says_which_and_what_publishes_them(folder, capsys):
    assert cli.main(["simulate", "flight_delay", "--from", "2013-06-01", "--to", "2013-07-01"]) == 64
    said = capsys.readouterr().err
    assert "The store lacks 135 of the 135 days of flight_schedule that are needed, the first 2013-02-16." in said
    assert "Run the Dag features_flight_schedule with start 2013-02-16 and end 2013-07-01" in said
