"""``canary:`` of a model: what may be said, what is calculated where nothing is, and what is refused."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from include.config import read_declarations
from include.config.canary import DeclaredCanary
from include.config.settings import PROJECT
from include.config.shadow import DeclaredShadow
from include.domain.canary.wires import Wire
from include.workflows.validation.canary_rows import cannot_be_shown, rows_by_step

SHADOW = DeclaredShadow(min_rows=500, min_days=2, max_days=4, disagreement=(0.001, 0.07), p99_delta_at_most=0.4)


def project(root: Path, canary: object, *, mode: str = "online") -> Path:
    """This project's declarations, with a canary of ``flight_delay``."""
    for folder in ("features", "models"):
        shutil.copytree(PROJECT / "include" / folder, root / folder)
    file = root / "models" / "flight_delay" / "model.yaml"
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    said.pop("score")
    file.write_text(yaml.safe_dump({**said, "serving": {"mode": mode}, "canary": canary}), encoding="utf-8")
    return root


class TestCanaryOfATier:
    """What is asked online takes live traffic by steps, unless its tier lets it not."""

    @pytest.mark.parametrize(
        ("tier", "canary", "steps"),
        [
            ("standard", "left out", 3),
            ("critical", "left out", 3),
            ("experimental", "left out", 0),
            ("standard", None, 0),
        ],
    )
    def test_a_tier_has_one_unless_it_may_say_no(self, tmp_path, tier, canary, steps):
        said = read_declarations(online(tmp_path, tier, canary)).models["flight_delay"].canary
        assert (0 if said is None else len(said.steps)) == steps

    def test_a_critical_model_may_not_be_without(self, tmp_path):
        read = read_declarations(online(tmp_path, "critical", None))
        (problem,) = [line for each in read.broken.values() for line in each.problems]
        assert "canary is null, and the tier is critical" in problem

    def test_a_batch_model_has_none(self, tmp_path):
        shutil.copytree(PROJECT / "include" / "features", tmp_path / "features")
        shutil.copytree(PROJECT / "include" / "models", tmp_path / "models")
        assert all(model.canary is None for model in read_declarations(tmp_path).models.values())

    def test_its_time_is_part_of_what_a_journey_promises(self, tmp_path):
        model = read_declarations(online(tmp_path, "standard", "left out")).models["flight_delay"]
        assert (
            model.promise - model.canary.longest
            == read_declarations(PROJECT / "include").models["flight_delay"].promise
        )


class TestDeclaredBusiness:
    @pytest.mark.parametrize(
        ("business", "refused"),
        [
            ({"metric": "brier", "depends_on_decision": True}, "set wait to none"),
            ({"metric": "rmse"}, "canary.business.metric is 'rmse'"),
            ({"metric": "brier", "alpha": 0.2}, "less than or equal to 0.1"),
            ({}, "metric"),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, tmp_path, business, refused):
        read = read_declarations(online(tmp_path, "standard", {"business": business}))
        assert refused in " ".join(line for each in read.broken.values() for line in each.problems)

    def test_labels_are_waited_for_only_where_three_days_of_them_come_in_time(self):
        said = DeclaredCanary.model_validate({"business": {"metric": "brier"}})
        assert said.longest == timedelta(days=15)
        assert (said.waits_for_labels(timedelta(days=12)), said.waits_for_labels(timedelta(days=13))) == (True, False)
        reported = DeclaredCanary.model_validate({"business": {"metric": "brier", "wait": "none"}})
        assert not reported.waits_for_labels(timedelta(days=1))

    @pytest.mark.parametrize("lease", ["0m", "1d"])
    def test_a_lease_is_renewed_several_times_before_it_ends(self, lease):
        with pytest.raises(ValidationError, match="lease must be 1m to less than 1d"):
            DeclaredCanary.model_validate({"lease": lease})


def online(root, tier, canary):
    """This project's declarations, with ``flight_delay`` asked online in a tier."""
    file = project(root, {}) / "models" / "flight_delay" / "model.yaml"
    said = yaml.safe_load(file.read_text(encoding="utf-8")) | {"tier": tier}
    said.pop("canary")
    if canary != "left out":
        said["canary"] = canary
    file.write_text(yaml.safe_dump(said), encoding="utf-8")
    return root


class TestDeclaredCanary:
    def test_nothing_said_is_three_steps_whose_rows_are_calculated(self):
        plan = DeclaredCanary().plan(SHADOW)
        assert [step.share_ppm for step in plan.steps] == [10_000, 100_000, 500_000]
        assert [step.min_rows for step in plan.steps] == list(DeclaredCanary().needed())
        assert (plan.total_alpha, plan.wire) == (pytest.approx(0.01), Wire(5, 20))

    def test_bounds_on_predictions_are_the_shadow_windows_unless_said(self):
        plain = DeclaredCanary().plan(SHADOW)
        assert (plain.mean_delta_at_most, plain.p99_delta_at_most, plain.decisions_differ_at_most) == (0.07, 0.4, None)
        said = DeclaredCanary(mean_delta_at_most=0.01, p99_delta_at_most=0.1, decisions_differ_at_most=0.05)
        plan = said.plan(SHADOW)
        assert (plan.mean_delta_at_most, plan.p99_delta_at_most, plan.decisions_differ_at_most) == (0.01, 0.1, 0.05)

    def test_a_share_is_a_percentage_or_a_part_of_one(self):
        steps = [{"share": "1%", "min_time": "15m"}, {"share": 0.025}]
        said = DeclaredCanary.model_validate({"steps": steps, "failures": {"added_at_most": "0.2%"}})
        assert [step.ppm for step in said.steps] == [10_000, 25_000]
        assert (said.steps[0].min_time, said.failures.added_at_most) == (timedelta(minutes=15), pytest.approx(0.002))

    def test_every_step_bears_what_the_next_share_makes_of_it(self):
        margins = [DeclaredCanary().margin_of(i) for i in range(3)]
        assert margins == pytest.approx([0.05, 0.01, 0.005])
        plan = DeclaredCanary().plan(SHADOW)
        assert [plan.margin_of(i) for i in range(3)] == pytest.approx(margins)

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ({"steps": []}, "at least 1"),
            ({"steps": [{"share": "0%"}]}, "greater than or equal to"),
            ({"steps": [{"share": "100%"}]}, "less than 1"),
            ({"steps": [{"share": "some"}]}, "valid number"),
            ({"steps": [{"share": "10%"}, {"share": "10%"}]}, "steps.1.share is 10%, and the step before has 10%"),
            ({"steps": [{"share": "10%", "min_time": "5d", "max_time": "1d"}]}, "max_time must be longer"),
            ({"steps": [{"share": "10%", "min_rows": 0}]}, "greater than or equal to 1"),
            ({"trip": "many"}, "5 of 20"),
            ({"trip": "9 of 3"}, "no more failures than rows"),
            ({"failures": {"added_at_most": "0%"}}, "greater than 0"),
            ({"failures": {"alpha": 0.5}}, "less than or equal to 0.1"),
            ({"share": "5%"}, "Extra inputs"),
        ],
    )
    def test_something_else_is_refused(self, said, told):
        with pytest.raises(ValidationError, match=told):
            DeclaredCanary.model_validate(said)


class TestCanaryOfADeclaredModel:
    def test_what_each_step_needs_is_told_and_what_an_equal_candidate_risks(self, tmp_path):
        read = read_declarations(project(tmp_path, {"steps": [{"share": "10%", "min_rows": 50_000}, {"share": "50%"}]}))
        assert read.broken == {}
        assert list(cannot_be_shown(read.models["flight_delay"])) == []
        needed = DeclaredCanary.model_validate({"steps": [{"share": "10%"}, {"share": "50%"}]}).needed()[1]
        (line,) = rows_by_step(read)
        assert line.startswith(
            f"flight_delay: its canary needs at 10% 50,000 rows (500,000 requests), 50% {needed:,} rows "
            f"({needed * 2:,} requests); an equal candidate is rolled back at most 1% of the time"
        )
        assert line.endswith(" by the hard wire.")

    def test_rows_that_cannot_show_the_margin_are_refused_with_those_that_can(self, tmp_path):
        canary = {"steps": [{"share": "1%"}, {"share": "50%", "min_rows": 100}]}
        read = read_declarations(project(tmp_path, canary))
        (line,) = cannot_be_shown(read.models["flight_delay"])
        assert "canary.steps.1.min_rows is 100, and " in line
        assert "are needed to show at most 0.5% more failures, where 0.1% fail usually" in line

    def test_a_margin_that_no_number_of_rows_shows_is_refused(self, tmp_path):
        canary = {"steps": [{"share": "50%"}], "failures": {"added_at_most": 1e-6, "usual": "1%"}}
        read = read_declarations(project(tmp_path, canary))
        (line,) = cannot_be_shown(read.models["flight_delay"])
        assert "10,000,000 rows do not show it; give a larger canary.failures.added_at_most" in line
        with pytest.raises(ValueError, match=r"larger failures\.added_at_most"):
            read.models["flight_delay"].canary.plan(SHADOW)

    def test_a_model_without_live_traffic_has_no_canary(self, tmp_path):
        (problem,) = read_declarations(project(tmp_path, {}, mode="batch")).broken.values()
        assert "canary is declared, and serving.mode is batch" in str(problem)

    def test_a_model_that_says_nothing_has_none_and_nothing_is_told(self):
        read = read_declarations()
        assert [name for name, model in read.models.items() if model.canary is not None] == []
        assert rows_by_step(read) == []
