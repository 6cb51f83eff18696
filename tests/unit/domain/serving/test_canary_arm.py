"""A candidate beside a champion: which share is in force, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from include.domain.serving.route import CanaryArm, Route, ServedModel, following, route_bytes, route_of, without_share

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def served(revision: int, candidate: str = "c1") -> ServedModel:
    return ServedModel("wind", "regression", [], [], [], candidate, "d", revision, revision, 1, "/1.npz", "s")


def arm(**changes: Any) -> CanaryArm:
    whole: dict[str, Any] = {
        "served": served(1, "c2"),
        "number": 1,
        "salt": "salt",
        "share_ppm": 100_000,
        "lease_s": 120.0,
        "until_s": 1_120.0,
        "boot": "this start",
    }
    return CanaryArm(**{**whole, **changes})


@pytest.mark.parametrize(
    ("now", "boot", "share"),
    [
        pytest.param(1_000.0, "this start", 100_000, id="the whole lease is left"),
        pytest.param(1_119.9, "this start", 100_000, id="nearly over"),
        pytest.param(1_120.0, "this start", 0, id="over"),
        pytest.param(999.0, "this start", 0, id="longer than a lease: another clock wrote it"),
        pytest.param(1_050.0, "another start", 0, id="the machine has started again"),
    ],
)
def test_f156_a_share_is_in_force_only_within_its_lease(now: float, boot: str, share: int) -> None:
    assert arm().share_at(boot, now) == share


def test_a_share_that_this_host_ended_stays_ended_for_its_rollout_and_not_for_the_next_one() -> None:
    first = following(Route(0, AT, {}), {"wind": served(1)}, AT, {"wind": arm()})
    ended = without_share(first, "wind", 1, "5 of 20 failed", AT)
    assert ended is not None
    assert ended.arms["wind"].share_at("this start", 1_001.0) == 0
    again = following(ended, {"wind": served(2)}, AT, {"wind": arm(share_ppm=500_000)})
    assert (again.arms["wind"].ended, again.arms["wind"].share_ppm) == ("5 of 20 failed", 500_000)
    other = following(again, {"wind": served(3)}, AT, {"wind": arm(number=2)})
    assert other.arms["wind"].ended == ""
    assert without_share(other, "wind", 1, "the rollout before", AT) is None
    assert without_share(ended, "wind", 1, "once more", AT) is None


def test_a_route_with_an_arm_comes_back_and_one_of_before_has_none() -> None:
    route = following(Route(6, AT, {}), {"wind": served(1)}, AT, {"wind": arm(), "rain": arm()})
    assert route_of(route_bytes(route)) == route
    assert list(route.arms) == ["wind"], "beside no champion there is no candidate"
    before = msgspec.json.encode({"number": 7, "published_at": AT, "models": {"wind": served(1)}})
    assert route_of(before) == Route(7, AT, {"wind": served(1)})
