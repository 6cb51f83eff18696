"""Which champions of the ledger's history small losses are counted from."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from include.domain.gates.anchor import anchor_of
from include.domain.promotion import EpochKind
from include.workflows.evidence import anchors

START = datetime(2013, 1, 1, tzinfo=UTC)


def epoch(candidate: str, at: int, kind: EpochKind = EpochKind.PROMOTION) -> SimpleNamespace:
    return SimpleNamespace(
        to_candidate=candidate,
        from_candidate=None,
        effective_from=START + timedelta(days=at),
        kind=kind,
        cleared_by={},
    )


CREPT = [epoch("c0", 0, EpochKind.BOOTSTRAP), epoch("c1", 30), epoch("c2", 60)]


def anchor(accepted: dict[str, str], as_of: int = 90) -> str | None:
    """The anchor where no promotion was shown to be better, and levels of these champions were accepted, by day."""

    def latest(candidate):
        result = SimpleNamespace(notes={"anchor": {"moves": False}})
        return {"champion_gate": SimpleNamespace(result=result)}

    def level(model, version, before):
        return accepted.get(version) if version in accepted and accepted[version] < before.isoformat() else None

    journey = SimpleNamespace(
        as_of=START + timedelta(days=as_of),
        model=SimpleNamespace(name="any"),
        ledger=SimpleNamespace(gates=SimpleNamespace(latest=latest), incidents=SimpleNamespace(accepted=level)),
    )
    return anchor_of(anchors._steps(journey, CREPT), journey.as_of)


def test_small_losses_are_counted_from_the_first_champion_while_nobody_was_better_and_nobody_decided():
    assert anchor({}) == "c0"


@pytest.mark.parametrize(("whose", "found"), [("c2", "c2"), ("c1", "c1")])
def test_from_a_champion_whose_level_a_person_accepted_they_are_counted_anew(whose, found):
    assert anchor({whose: "2013-03-10"}) == found


def test_an_acceptance_of_a_later_day_moves_nothing_in_a_journey_as_of_an_earlier_one():
    assert anchor({"c2": "2013-04-01"}, as_of=90) == "c0"
    assert anchor({"c2": "2013-04-01"}, as_of=91) == "c2"
