"""Every pair of stores reports alike: agrees, differs, or could not be compared."""

from __future__ import annotations

import sys
import types
from datetime import UTC, datetime

import pytest

from include.domain.errors import Refusal
from include.workflows import pairs
from include.workflows.pairs import NotCompared, PairCheck, PairFinding, PairState, StoresDiffer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
shipped = pairs.CHECKS


def told(
    state: PairState, about: str = "trips v1 2024-03-01", message: str = "6 rows were promised, 0 are there."
) -> PairFinding:
    return PairFinding("trial", about, state, message)


@pytest.fixture
def trial(monkeypatch):
    """Makes the only check one that finds what it is given, or is stopped by it."""

    def make(*outcome: PairFinding | Exception, repairs: str | None = "makes it so", at_once: bool = False) -> None:
        def compare(now: datetime) -> list[PairFinding]:
            if isinstance(outcome[0], Exception):
                raise outcome[0]
            return list(outcome)

        module = types.ModuleType("trial_pair")
        module.compare = compare
        monkeypatch.setitem(sys.modules, "trial_pair", module)
        monkeypatch.setattr(pairs, "CHECKS", (PairCheck("trial", "ledger and trial", "trial_pair", repairs, at_once),))

    return make


def test_what_agrees_is_green_and_counted(trial):
    trial(told(PairState.AGREES))
    assert pairs.compared("trial", NOW)["facts"] == {"compared": 1, "repaired": 0}


def test_what_differs_is_red_with_what_was_found_and_the_repair(trial):
    trial(told(PairState.AGREES), told(PairState.DIFFERS))
    with pytest.raises(StoresDiffer, match=r"trips v1 2024-03-01: 6 rows were promised, 0 .* slipway repair trial"):
        pairs.compared("trial", NOW)


def test_what_no_program_can_repair_says_so(trial):
    trial(told(PairState.DIFFERS), repairs=None)
    with pytest.raises(StoresDiffer, match="No program can repair"):
        pairs.compared("trial", NOW)


def test_no_repair_is_advised_that_comparing_has_made_already(trial):
    trial(told(PairState.DIFFERS), at_once=True)
    with pytest.raises(StoresDiffer, match="No program can repair"):
        pairs.compared("trial", NOW)
    assert [check.name for check in shipped if check.repairs_at_once] == ["registry"]


def test_what_could_not_be_compared_is_tried_again_and_never_green(trial):
    trial(told(PairState.AGREES), told(PairState.NOT_COMPARED, message="the online store does not answer."))
    with pytest.raises(NotCompared, match="does not answer"):
        pairs.compared("trial", NOW)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(ConnectionError("no answer"), "no answer", id="a store that is away"),
        pytest.param(Refusal("no such table"), "no such table", id="a refusal"),
        pytest.param(KeyError("day"), "KeyError: 'day'", id="a mistake of ours"),
    ],
)
def test_a_comparison_that_is_stopped_was_not_made_and_does_not_stop_the_others(trial, error, said):
    trial(error)
    found = pairs.compare(NOW)
    assert [(f.state, f.message) for f in found] == [(PairState.NOT_COMPARED, said)]


def test_a_pair_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(Refusal, match=r"no pair 'nothing'; there are: .*registry"):
        pairs.check_named("nothing")


def test_a_long_list_is_cut_and_says_so(trial):
    trial(*[told(PairState.DIFFERS, about=f"trips v1 day {n}") for n in range(50)])
    with pytest.raises(StoresDiffer, match="And 30 more; the log has all"):
        pairs.compared("trial", NOW)


def test_every_pair_has_the_module_it_names():
    for check in pairs.CHECKS:
        module = __import__(check.module, fromlist=["compare"])
        assert callable(module.compare)
        assert (check.repairs is not None) == hasattr(module, "repair"), check.name
