"""A project's own past: which days and Dags it drives, which champions it leaves alone, and what it says of what is
missing. The Airflow is one that ends each run it is asked for at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from include.config import loader, read_declarations
from include.config.settings import PROJECT
from include.domain.errors import Refusal
from include.workflows.services import own_past
from include.workflows.services.demonstration import DemonstrationOutcome, ReplayFailed
from include.workflows.services.own_past import OwnPast, chosen, is_demonstration, plan_of

DECLARED = read_declarations(PROJECT / "include")


@pytest.fixture
def others(tmp_path, monkeypatch):
    """The flights' declarations, as a project of its own."""
    for kind in ("models", "features"):
        (tmp_path / kind).symlink_to(PROJECT / "include" / kind)
    monkeypatch.setattr(loader, "ROOT", tmp_path)
    loader.declarations.cache_clear()
    yield tmp_path
    loader.declarations.cache_clear()


class PromptAirflow:
    """Lists the Dags it is given; each run succeeds, or stops at a person where ``asks`` names the task."""

    def __init__(self, dags: set[str], champions: set[str] = frozenset(), asks: str | None = None) -> None:  # type: ignore[assignment]
        self.listed, self.champions, self.asks = dags, champions, asks
        self.unpaused: list[str] = []
        self.started: dict[str, dict[str, Any]] = {}
        self.url = "http://airflow"

    def dags(self) -> dict[str, bool]:
        return dict.fromkeys(self.listed, True)

    def import_errors(self) -> dict[str, str]:
        return {"declarations.py": "a file is broken"}

    def unpause(self, dag_id: str) -> None:
        self.unpaused.append(dag_id)

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None, **_: Any) -> None:
        self.started[f"{dag_id} {run_id}"] = dict(conf or {})

    def dag_run(self, dag_id: str, run_id: str) -> Any:
        ended = self.asks is None
        state = "success" if ended else "running"
        return SimpleNamespace(dag_id=dag_id, run_id=run_id, finished=ended, state=state)

    def task_instances(self, *_: str) -> list[Any]:
        return [SimpleNamespace(task_id=self.asks, state="awaiting_input")]

    def slipway(self, path: str, _: str) -> dict[str, Any]:
        return {"champions": [{"revision": 1}] if path.removeprefix("models/") in self.champions else []}

    def ending(self, *_: str) -> dict[str, Any]:
        return {"well": True, "sentence": "Promoted."}


class Heard:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def now(self, text: str) -> None: ...

    def line(self, text: str) -> None:
        self.lines.append(text)


DAGS = {
    "features_flight_schedule",
    "features_origin_weather",
    "features_route_record",
    "score_air_time",
    "drift_air_time",
    "retrain_air_time",
    "rollback_air_time",
}


def driver(api: PromptAirflow, clock: Any = lambda: 0.0) -> OwnPast:
    these = chosen(["air_time"])
    plan = plan_of(these, "2013-06-01", "2013-06-03", None)
    return OwnPast(api, plan, Heard(), views=[*these.views], models=[*these.models], clock=clock)  # type: ignore[arg-type]


class TestWhichPast:
    def test_a_models_views_are_replayed_and_no_others(self, others):
        assert [view.ref for view in chosen(["air_time"]).views] == [
            "flight_schedule",
            "origin_weather",
            "route_record",
        ]

    def test_a_misspelt_model_is_told(self, others):
        with pytest.raises(LookupError, match="Did you mean 'air_time'"):
            chosen(["air_tim"])

    def test_the_history_begins_where_the_calendars_do(self, others):
        assert plan_of(chosen([]), "2013-06-01", "2013-06-03", None).history_from == "2013-01-01"

    @pytest.mark.parametrize(
        ("start", "end", "line"),
        [
            ("2013-01-01", "2013-01-05", "nothing is there to learn from"),
            ("2013-12-30", "2014-01-05", "ends on 2014-01-01"),
            ("2013-06-03", "2013-06-01", "its end must be after its start"),
        ],
    )
    def test_days_that_are_no_past_are_one_line(self, others, start, end, line):
        with pytest.raises(Refusal, match=line):
            plan_of(chosen([]), start, end, None)

    def test_the_flights_are_filled_in_only_in_their_own_place(self, others):
        assert not is_demonstration()

    def test_a_project_without_a_model_says_so(self, others):
        (others / "models").unlink()
        loader.declarations.cache_clear()
        with pytest.raises(Refusal, match="declares no model that can be used"):
            chosen([])


class TestDrivenDags:
    def test_only_the_dags_that_are_needed_are_let_run(self, others):
        api = PromptAirflow({*DAGS, "retrain_flight_delay"})
        driver(api).prepare()
        assert set(api.unpaused) == DAGS

    def test_a_dag_that_is_never_listed_is_named_with_what_is_broken(self, others):
        seconds = iter([0.0, own_past.DAGS_LISTED_S + 1])
        with pytest.raises(ReplayFailed, match=r"no Dag retrain_air_time after 180 s.*a file is broken"):
            driver(PromptAirflow(DAGS - {"retrain_air_time"}), lambda: next(seconds)).prepare()

    def test_each_view_has_its_history_in_one_run(self, others):
        api = PromptAirflow(DAGS)
        driver(api).load_history()
        assert api.started["features_route_record history__2013-01-01__2013-06-01"] == {
            "start": "2013-01-01",
            "end": "2013-06-01",
        }
        assert len(api.started) == 3

    def test_a_champion_that_is_there_is_left_alone(self, others):
        api = PromptAirflow(DAGS, champions={"air_time"})
        replay = driver(api)
        replay.train_first_champions()
        assert api.started == {}
        assert replay.tell.lines == ["air_time: there is a champion already."]
        assert [model.name for model in replay.models] == ["air_time"]

    def test_a_first_candidate_that_waits_for_a_person_ends_the_replay_with_where_to_decide(self, others):
        api = PromptAirflow(DAGS, asks="threshold_gate")
        with pytest.raises(ReplayFailed, match=r"threshold_gate of retrain_air_time .* waits for a person"):
            driver(api).train_first_champions()

    def test_it_goes_on_to_its_last_day_whatever_drift_starts(self, others):
        outcome = DemonstrationOutcome(drifted=[SimpleNamespace(promoted=False)])  # type: ignore[list-item]
        assert not driver(PromptAirflow(DAGS)).is_over(outcome)
