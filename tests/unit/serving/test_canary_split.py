"""A candidate's share of live traffic in one worker: who is in it, and that whatever it does the caller never pays."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_world import FEATURES, LEASE_S, NOON, AppWorld

from include.domain.canary.units import place, within
from include.domain.packed.reader import NotAnswerable, Packed, read
from include.domain.serving.requests import NotAnswered
from include.domain.serving.route import ServedFeature, ServedView
from include.serving.canary import CandidateTimes
from include.serving.shown import shares
from include.serving.tokens import Tokens, _hash

HALF = 500_000
ALL = 999_999


def unit_of(share_ppm: int, *, inside: bool, salt: str = "salt") -> str:
    return next(f"t-{n}" for n in range(10_000) if within(place(salt, f"t-{n}"), share_ppm) is inside)


INSIDE, OUTSIDE = unit_of(HALF, inside=True), unit_of(HALF, inside=False)


def row(trip: str | None, **more: Any) -> dict[str, Any]:
    return {"features": {**FEATURES, **more}, **({} if trip is None else {"keys": {"trip_id": trip}})}


def answer_of(world: AppWorld, seed: int, **more: Any) -> float:
    return float(read(world.folder / f"{seed}.npz").one({**FEATURES, **more}))


def counted(world: AppWorld, family: str, **labels: object) -> float:
    """The sum of the counters of a family that have these labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    found = world.counted().items()
    return sum(v for name, v in found if name.startswith(family) and all(each in name for each in wanted))


class Odd(Packed):
    """A candidate that answers in a way of its own."""

    def __init__(self, file: Path, answer: Any) -> None:
        with np.load(file, allow_pickle=False) as opened:
            super().__init__({name: opened[name] for name in opened.files})
        self._odd = answer

    def one(self, row: Mapping[str, Any]) -> Any:
        return self._odd(row)

    def many(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        n = len(next(iter(columns.values())))
        return np.array([self._odd({name: values[i] for name, values in columns.items()}) for i in range(n)])


# --- who is in the share ---------------------------------------------------------------------------------------------


def test_a_unit_of_the_share_is_answered_by_the_candidate_and_both_answers_are_written(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF)
    reply = app_world.ask(row(INSIDE))
    ours, theirs = answer_of(app_world, 2), answer_of(app_world, 1)
    assert (reply.json["served_by"], reply.json["predictions"][0]["score"]) == ("c9", ours)
    assert reply.headers["x-slipway-served-by"] == "c9"
    (record,) = app_world.journal.records
    assert (record.arm, record.role, record.candidate, record.score) == ("canary", "canary", "c9", ours)
    assert (record.unit, record.number, record.share_ppm) == (INSIDE, 3, HALF)
    assert record.bucket is not None
    assert 0 <= record.bucket < 0.5
    beside = record.beside
    assert beside is not None
    assert (beside.candidate, beside.role, beside.score, beside.error) == ("c1", "champion", theirs, None)


def test_another_unit_is_the_champions_and_is_written_with_its_place_so_that_exposures_can_be_counted(
    app_world: AppWorld,
) -> None:
    app_world.publish_canary(HALF)
    assert app_world.ask(row(OUTSIDE)).json["served_by"] == "c1"
    (record,) = app_world.journal.records
    assert (record.arm, record.role, record.candidate, record.beside) == ("champion", "champion", "c1", None)
    assert (record.unit, record.number, record.share_ppm) == (OUTSIDE, 3, HALF)
    assert record.bucket is not None
    assert 0.5 <= record.bucket < 1


def test_without_a_share_nothing_is_drawn(app_world: AppWorld) -> None:
    app_world.publish_canary(0)
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c1"
    (record,) = app_world.journal.records
    assert (record.unit, record.number, record.share_ppm, record.bucket) == (None, None, 0, None)


def test_f153_a_unit_has_the_same_arm_on_another_host_after_a_restart_and_in_every_form(
    app_world: AppWorld,
) -> None:
    app_world.publish_canary(HALF)
    units: list[Any] = [*range(60), *(float(n) for n in range(60)), *(str(n) for n in range(60))]
    asked = [app_world.ask(row(unit)).json["served_by"] for unit in units]
    assert asked[:60] == asked[60:120] == asked[120:]
    app_world.app = app_world.new_app()
    assert [app_world.ask(row(unit)).json["served_by"] for unit in units[:60]] == asked[:60]
    assert 10 < asked[:60].count("c9") < 50


def test_f153_raising_the_share_keeps_every_unit_and_lowering_it_keeps_a_subset(app_world: AppWorld) -> None:
    found = []
    for share in (10_000, 100_000, HALF, 100_000):
        app_world.publish_canary(share)
        found.append({n for n in range(200) if app_world.ask(row(f"u{n}")).json["served_by"] == "c9"})
    assert found[0] <= found[1] <= found[2]
    assert found[3] == found[1]
    assert len(found[2]) > len(found[1]) > 0


def test_f154_a_request_without_a_unit_is_the_champions_each_time_and_counted(app_world: AppWorld) -> None:
    app_world.publish_canary(ALL)
    assert {app_world.ask(row(None)).json["served_by"] for _ in range(20)} == {"c1"}
    assert counted(app_world, "slipway_unit_missing_total") == 20
    assert {(each.arm, each.unit, each.number) for each in app_world.journal.records} == {("champion", None, 3)}
    assert counted(app_world, "slipway_arm_units_total") == 0


def test_f154_f155_one_hot_unit_and_a_client_that_repeats_count_once_as_units_and_each_time_as_rows(
    app_world: AppWorld,
) -> None:
    app_world.publish_canary(HALF)
    for _ in range(30):
        app_world.ask(row(INSIDE))
    for n in range(10):
        app_world.ask(row(f"other-{n}"))
    assert counted(app_world, "slipway_arm_units_total") == 11
    assert counted(app_world, "slipway_arm_rows_total") == 40
    canary = shares(app_world.app, app_world.counted())["trip_late"]
    assert canary["observed"]["rows"] > 0.7, "the hot unit is most of the rows"
    assert canary["observed"]["units"] == canary["units"]["canary"] / 11
    assert sum(canary["units"].values()) == 11


def test_each_row_of_a_request_has_the_arm_of_its_own_unit(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF)
    reply = app_world.ask({"rows": [row(INSIDE), row(OUTSIDE), row(None), row(INSIDE, order=3.0)]})
    assert [each["served_by"] for each in reply.json["predictions"]] == ["c9", "c1", "c1", "c9"]
    assert [each["arm"] for each in reply.json["predictions"]] == ["canary", "champion", "champion", "canary"]
    assert (reply.json["served_by"], reply.headers["x-slipway-served-by"]) == (None, "c9, c1")
    scores = [each["score"] for each in reply.json["predictions"]]
    assert scores == pytest.approx(
        [answer_of(app_world, 2), answer_of(app_world, 1), answer_of(app_world, 1), answer_of(app_world, 2, order=3.0)]
    )
    assert [each.beside is not None for each in app_world.journal.records] == [True, False, False, True]


def test_a_header_may_be_the_unit_and_its_value_is_not_written_down(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF, unit="header:X-User")
    found = {name: app_world.ask(row("t-1"), x_user=name).json["served_by"] for name in (INSIDE, OUTSIDE)}
    assert found == {INSIDE: "c9", OUTSIDE: "c1"}
    assert app_world.ask(row("t-1")).json["served_by"] == "c1"
    units = [each.unit for each in app_world.journal.records]
    assert units[2] is None
    assert INSIDE not in units
    assert len(set(units[:2])) == 2
    assert INSIDE not in json.dumps([str(each) for each in app_world.journal.records])


# --- the lease -------------------------------------------------------------------------------------------------------


def test_f095_f156_where_no_one_renews_the_lease_the_share_ends_by_itself_whatever_the_wall_clock_says(
    app_world: AppWorld,
) -> None:
    app_world.publish_canary(ALL)
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c9"
    app_world.lease_now += LEASE_S - 0.1
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c9"
    app_world.lease_now += 0.1
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c1"
    said = app_world.get("/v1/status").json["served"]["trip_late"]["canary"]
    assert (said["declared_ppm"], said["share_ppm"]) == (ALL, 0)
    assert said["why"] == "Its lease of 120 s is over, and was not renewed."
    app_world.publish_canary(ALL)
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c9"


def test_a_share_that_the_host_has_ended_stays_ended_and_says_why(app_world: AppWorld) -> None:
    app_world.publish_canary(ALL)
    app_world.writer.end_share("trip_late", 3, "5 of 20 failed", NOON)
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c1"
    said = app_world.get("/v1/status").json["served"]["trip_late"]["canary"]
    assert said["why"] == "This host has ended it: 5 of 20 failed"


def test_what_cannot_be_written_down_is_asked_of_no_candidate(app_world: AppWorld) -> None:
    app_world.publish_canary(ALL)
    app_world.journal.full = True
    app_world.ask(row(INSIDE))
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c1"
    app_world.journal.full = False
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c1"
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c9", "the answer before was written"


# --- the caller never pays -------------------------------------------------------------------------------------------


def raises(_: Any) -> Any:
    raise RuntimeError("the candidate\nis broken")


def refuses(_: Any) -> Any:
    raise NotAnswerable("order is no number")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(raises, "RuntimeError: the candidate is broken", id="raises"),
        pytest.param(refuses, "the model does not answer this: order is no number", id="refuses"),
        pytest.param(lambda row: float("nan"), "its answer is no finite number", id="nan"),
        pytest.param(lambda row: float("inf"), "its answer is no finite number", id="inf"),
        pytest.param(lambda row: np.array([0.1, 0.2, 0.7]), "an answer has 3 scores, and 1 are asked for", id="k+1"),
    ],
)
def test_f148_a_candidate_that_fails_is_answered_for_by_the_champion_and_its_failure_is_counted(
    app_world: AppWorld, answer: Any, why: str
) -> None:
    app_world.publish_canary(HALF)
    app_world.candidate_is(Odd(app_world.folder / "2.npz", answer))
    for asked in (row(INSIDE), {"rows": [row(OUTSIDE), row(INSIDE), row(INSIDE)]}):
        reply = app_world.ask(asked)
        assert reply.status == 200
        assert {each["score"] for each in reply.json["predictions"]} == {answer_of(app_world, 1)}
        assert {each["served_by"] for each in reply.json["predictions"]} == {"c1"}
    record = app_world.journal.records[0]
    assert (record.arm, record.role, record.candidate, record.error) == ("canary", "champion", "c1", None)
    assert record.beside is not None
    assert (record.beside.candidate, record.beside.role, record.beside.error) == ("c9", "canary", why)
    assert counted(app_world, "slipway_arm_failures_total", of="canary") == 3
    assert counted(app_world, "slipway_requests_total", code=200) == 2


def test_f148_what_a_candidate_does_to_its_row_or_its_arrays_reaches_no_one_else(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF)

    def spoils(row: Any) -> float:
        row["order"] = 99.0
        return 0.5

    form = app_world.app.models.current()["trip_late"].canary
    assert form is not None
    assert isinstance(form.form, Packed)
    assert not any(array.flags.writeable for array in form.form.arrays.values())
    app_world.candidate_is(Odd(app_world.folder / "2.npz", spoils))
    app_world.ask(row(INSIDE))
    (record,) = app_world.journal.records
    assert record.features == FEATURES
    assert record.beside is not None
    assert record.beside.score == answer_of(app_world, 1)


def test_f147_a_packed_candidate_that_would_be_late_is_not_waited_for(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF, one_s=60.0)
    asked: list[Any] = []
    app_world.app.models.current()
    app_world.candidate_is(Odd(app_world.folder / "2.npz", asked.append))
    reply = app_world.ask(row(INSIDE))
    assert (reply.status, reply.json["served_by"], asked) == (200, "c1", [])
    (record,) = app_world.journal.records
    assert record.beside is not None
    assert str(record.beside.error).endswith("and 5000 ms are the deadline")


def test_f147_a_packed_candidate_that_is_late_all_the_same_is_answered_for(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF, of_champion={"deadline_s": 1.0}, deadline_s=1.0)
    app_world.candidate_is(Odd(app_world.folder / "2.npz", lambda row: time.sleep(1.1) or 0.5))
    reply = app_world.ask(row(INSIDE))
    assert (reply.status, reply.json["served_by"]) == (200, "c1")
    assert counted(app_world, "slipway_arm_failures_total", of="canary") == 1


class Later:
    """A candidate in a process, as the worker sees it."""

    problem = ""

    def __init__(self, after_s: float, score: Any) -> None:
        self.after_s, self.score, self.waited = after_s, score, [0.0]

    async def scores(self, rows: Sequence[Mapping[str, Any]], within_s: float) -> list[Any]:
        self.waited.append(within_s)
        try:
            async with asyncio.timeout(within_s):
                await asyncio.sleep(self.after_s)
        except TimeoutError:
            raise NotAnswered(504, "its pipeline did not answer within the deadline") from None
        return [self.score] * len(rows)

    def end(self) -> None: ...


def test_f147_a_candidate_in_a_process_is_waited_for_within_the_deadline_and_no_longer(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF, of_champion={"deadline_s": 2.0}, deadline_s=2.0)
    app_world.candidate_is(Later(30.0, 0.9))
    began = time.perf_counter()
    reply = app_world.ask(row(INSIDE))
    assert (reply.status, reply.json["served_by"]) == (200, "c1")
    assert time.perf_counter() - began < 20.0
    (record,) = app_world.journal.records
    assert record.beside is not None
    assert record.beside.error == "its pipeline did not answer within the deadline"
    app_world.candidate_is(Later(0.0, 0.9))
    reply = app_world.ask(row(INSIDE))
    assert (reply.json["served_by"], reply.json["predictions"][0]["score"]) == ("c9", 0.9)
    app_world.candidate_is(Later(0.0, math.nan))
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c1"


def test_the_champions_units_do_not_wait_for_a_candidate_in_a_process(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF)
    slow = Later(30.0, 0.9)
    app_world.candidate_is(slow)
    assert app_world.ask(row(OUTSIDE)).json["served_by"] == "c1"
    assert slow.waited == [0.0]


def test_a_champion_that_takes_the_time_of_both_blames_no_one(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF, one_s=1.9, of_champion={"deadline_s": 4.0}, deadline_s=4.0)
    app_world.app.models.current()
    slow = Odd(app_world.folder / "1.npz", lambda row: time.sleep(0.3) or 0.25)
    loaded = app_world.app.models.current()["trip_late"]
    app_world.app.models._loaded = {"trip_late": replace(loaded, form=slow)}
    reply = app_world.ask(row(INSIDE))
    assert (reply.status, reply.json["served_by"]) == (200, "c1")
    (record,) = app_world.journal.records
    assert (record.arm, record.role, record.beside) == ("canary", "champion", None)
    assert counted(app_world, "slipway_canary_not_asked_total") == 1
    assert counted(app_world, "slipway_arm_failures_total") == 0


def test_a_champion_that_fails_while_a_candidate_has_a_share_is_written_down_too(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF)
    loaded = app_world.app.models.current()["trip_late"]
    app_world.app.models._loaded = {
        "trip_late": replace(loaded, form=Odd(app_world.folder / "1.npz", lambda row: float("nan")))
    }
    assert app_world.ask(row(OUTSIDE)).status == 422
    assert app_world.ask(row(INSIDE)).status == 422
    outside, inside = app_world.journal.records
    assert (outside.arm, outside.score, outside.error) == (
        "champion",
        None,
        "the model's answer to row 0 is no finite number",
    )
    assert inside.error is not None
    assert inside.beside is not None
    assert (inside.beside.score, inside.beside.error) == (answer_of(app_world, 2), None)
    assert counted(app_world, "slipway_arm_failures_total", of="champion") == 2


def test_f085_where_both_fail_on_a_row_it_is_the_failure_of_both(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF)
    nothing = Odd(app_world.folder / "2.npz", lambda row: float("nan"))
    app_world.candidate_is(nothing)
    loaded = app_world.app.models.current()["trip_late"]
    app_world.app.models._loaded = {"trip_late": replace(loaded, form=nothing)}
    assert app_world.ask(row(INSIDE)).status == 422
    (record,) = app_world.journal.records
    assert record.beside is not None
    assert (record.error is not None, record.beside.error) == (True, "its answer is no finite number")
    assert counted(app_world, "slipway_arm_failures_total", of="both") == 1
    assert counted(app_world, "slipway_arm_failures_total") == 1


# --- another signature -----------------------------------------------------------------------------------------------


def test_f166_a_request_that_is_valid_for_the_champion_is_valid_whatever_the_candidate_takes(
    app_world: AppWorld,
) -> None:
    """Here the candidate takes what the champion does not, and reads another version of a view."""
    champion = {
        "features": [ServedFeature("station", "categorical"), ServedFeature("order", "numeric")],
        "views": [
            ServedView("trip_plan", 1, ["trip_id"], ["station", "order"], 86_400.0, is_entity=True, missing="refuse")
        ],
    }
    app_world.publish_canary(HALF, of_champion=champion)
    given: list[Any] = []
    champion_form = Odd(app_world.folder / "1.npz", lambda row: 0.25)
    loaded = app_world.app.models.current()["trip_late"]
    beside = loaded.canary
    assert beside is not None
    assert not beside.looks_up_alike
    own = Odd(app_world.folder / "2.npz", lambda row: given.append(dict(row)) or 0.75)
    app_world.app.models._loaded = {"trip_late": replace(loaded, form=champion_form, canary=replace(beside, form=own))}
    app_world.push_a_trip()
    asked = {"features": {"station": "north", "order": 2.0}, "keys": {"trip_id": INSIDE}}
    assert app_world.ask(asked).json["served_by"] == "c9"
    assert given == [{"station": "north", "order": 2.0, "level": 12.0}]
    record = app_world.journal.records[0]
    assert (record.features, record.canary_features) == ({"station": "north", "order": 2.0}, {"level": 12.0})
    app_world.store.rows.clear()
    assert app_world.ask(asked).json["served_by"] == "c9", "what it takes alone may be missing"
    assert given[-1]["level"] is None
    wrong = app_world.ask({**asked, "features": {**asked["features"], "level": 3.0}})
    assert (wrong.status, "level" in wrong.json["error"]) == (422, True)


def test_f166_a_candidate_that_refuses_a_missing_value_of_its_own_fails_and_the_caller_does_not(
    app_world: AppWorld,
) -> None:
    champion = {
        "features": [ServedFeature("station", "categorical"), ServedFeature("order", "numeric")],
        "views": [ServedView("trip_plan", 1, ["trip_id"], ["station", "order"], 86_400.0, is_entity=True)],
    }
    views = [
        ServedView("trip_plan", 1, ["trip_id"], ["station", "order"], 86_400.0, is_entity=True),
        ServedView("station_level", 2, ["station"], ["level"], 3 * 3600.0, missing="refuse"),
    ]
    app_world.publish_canary(HALF, of_champion=champion, views=views)
    loaded = app_world.app.models.current()["trip_late"]
    app_world.app.models._loaded = {
        "trip_late": replace(loaded, form=Odd(app_world.folder / "1.npz", lambda row: 0.25))
    }
    reply = app_world.ask({"features": {"station": "north", "order": 2.0}, "keys": {"trip_id": INSIDE}})
    assert (reply.status, reply.json["served_by"]) == (200, "c1")
    (record,) = app_world.journal.records
    assert record.beside is not None
    assert record.beside.error == "the values of station_level are absent, and the model is not asked without them"


# --- what is shown ---------------------------------------------------------------------------------------------------


def tokens() -> Tokens:
    return Tokens({_hash("shop"): ("predict:*",), _hash("dev"): ("predict:*", "debug")})


def test_while_a_candidate_has_a_share_only_the_scope_debug_sees_who_answered(app_world: AppWorld) -> None:
    app_world.tokens = tokens()
    app_world.app = app_world.new_app()
    shop, dev = {"authorization": "Bearer shop"}, {"authorization": "Bearer dev"}
    assert app_world.ask(row(INSIDE), **shop).json["served_by"] == "c1"
    app_world.publish_canary(HALF)
    for unit in (INSIDE, OUTSIDE):
        reply = app_world.ask(row(unit), **shop)
        assert reply.json["served_by"] is None
        assert "x-slipway-served-by" not in reply.headers
        assert set(reply.json["predictions"][0]) == {"score", "predicted"}
    assert app_world.ask(row(INSIDE), **dev).json["predictions"][0]["arm"] == "canary"


def test_who_would_answer_a_unit_is_told_to_the_scope_debug(app_world: AppWorld) -> None:
    app_world.tokens = tokens()
    app_world.app = app_world.new_app()
    path, dev = "/v1/models/trip_late/arm?unit=", {"authorization": "Bearer dev"}
    before = app_world.get(f"{path}{INSIDE}", **dev).json
    assert (before["arm"], before["served_by"], before["number"]) == ("champion", "c1", None)
    app_world.publish_canary(HALF)
    found = {unit: app_world.get(f"{path}{unit}", **dev).json for unit in (INSIDE, OUTSIDE)}
    assert [(each["arm"], each["served_by"], each["share_ppm"]) for each in found.values()] == [
        ("canary", "c9", HALF),
        ("champion", "c1", HALF),
    ]
    assert found[INSIDE]["unit_is"] == "trip_id"
    assert app_world.get(f"{path}{INSIDE}", authorization="Bearer shop").status == 403
    assert app_world.get(f"{path}{INSIDE}").status == 401
    assert app_world.get("/v1/models/trip_late/arm", **dev).status == 422
    assert app_world.get("/v1/models/other/arm?unit=7", **dev).status == 404


def test_a_change_of_the_share_loads_no_model_again(app_world: AppWorld) -> None:
    app_world.publish_canary(10_000)
    before = app_world.app.models.current()["trip_late"]
    app_world.publish_canary(HALF)
    after = app_world.app.models.current()["trip_late"]
    assert before.canary is not None
    assert after.canary is not None
    assert after.form is before.form
    assert after.canary.form is before.canary.form
    assert after.canary.arm.share_ppm == HALF


def test_after_a_promotion_the_candidate_is_champion_and_a_rollback_finds_the_former_one_loaded(
    app_world: AppWorld,
) -> None:
    app_world.publish_canary(HALF)
    before = app_world.app.models.current()["trip_late"]
    assert before.canary is not None
    app_world.publish(2, seed=2)
    promoted = app_world.app.models.current()["trip_late"]
    assert promoted.form is before.canary.form
    assert promoted.canary is None
    for number in range(3, 6):  # other publications meanwhile
        app_world.writer.publish({"trip_late": app_world.served(number, 2)}, NOON)
        app_world.app.models.current()
    app_world.publish(6, seed=1)
    assert app_world.app.models.current()["trip_late"].form is before.form


def test_a_candidate_whose_file_is_another_has_no_share_and_the_champion_goes_on(app_world: AppWorld) -> None:
    app_world.publish_canary(HALF, packed_sha256="0" * 64)
    assert app_world.ask(row(INSIDE)).json["served_by"] == "c1"
    assert "its candidate" in next(iter(app_world.app.models.problems))


def test_the_usual_time_of_a_candidate_follows_what_it_takes() -> None:
    times = CandidateTimes(0.001, 0.0001)
    assert times.of(11) == pytest.approx(0.002)
    for _ in range(200):
        times.took(0.01, 1)
        times.took(0.01 + 0.05, 11)
    assert (times.one_s, times.more_s) == (pytest.approx(0.01, rel=0.01), pytest.approx(0.005, rel=0.02))
