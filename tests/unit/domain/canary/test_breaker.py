"""What the guard of a service did by itself: which share it refuses, and under which name the ledger is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from include.domain.canary.breaker import Breaker, RolloutRules

AT = datetime(2026, 3, 1, tzinfo=UTC)


def breaker(**changes: Any) -> Breaker:
    made = Breaker("wind", "wind-7", 2, "hold", "both failed", 4, "here", AT)
    return msgspec.structs.replace(made, **changes)


class TestABreaker:
    def test_its_name_in_the_ledger_is_of_the_host_the_kind_and_the_revision(self):
        assert breaker().key == "guard/here/hold/4"
        assert breaker(kind="trip", instance="there", route_revision=5).key == "guard/there/trip/5"

    @pytest.mark.parametrize("other", [("wind-8", 2), ("wind-7", 1), ("wind-7", 3), ("wind-8", 1)])
    def test_it_refuses_no_share_of_another_rollout(self, other):
        assert not breaker(kind="trip").holds_against(*other, 4)

    @pytest.mark.parametrize(
        ("changes", "refused"),
        [({}, [True] * 3), ({"told": "held"}, [True, True, False]), ({"kind": "trip", "told": "over"}, [True] * 3)],
    )
    def test_it_refuses_until_somebody_who_knew_makes_a_later_route_and_after_harm_for_ever(self, changes, refused):
        assert [breaker(**changes).holds_against("wind-7", 2, revision) for revision in (3, 4, 5)] == refused

    def test_what_the_ledger_was_not_told_is_not_written(self):
        assert "told" not in msgspec.json.decode(msgspec.json.encode(breaker()))

    def test_a_rollout_decides_between_classes_unless_it_says_otherwise(self):
        assert RolloutRules("wind", "wind-7", 2, {}).decides
