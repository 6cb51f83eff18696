"""The prediction log held against the ledger: by how many answers there are, and by who gave them."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from invariants import check_invariants
from journey_world import NOW, JourneyWorld, at

from include import cli
from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows.pairs import PairFinding, PairState, check_named
from include.workflows.scoring import fitted_models

LATER = NOW + timedelta(days=3650)
"""Long after every claim, whenever the test runs."""
DAYS = ("2024-03-16", "2024-03-17")


@pytest.fixture
def scored(world: JourneyWorld) -> JourneyWorld:
    """A champion that served two days."""
    world.first_champion()
    world.next_day(16)
    world.next_day(17)
    return world


def store() -> OfflineStore:
    return OfflineStore(settings().store)


def champion_of(world: JourneyWorld) -> str:
    with Ledger.open(settings().ledger_url) as ledger:
        return ledger.candidates.of(world.model)[0].candidate_id


def log(world: JourneyWorld, number: int) -> pd.DataFrame:
    rows = store().read_predictions(world.model, Interval(at(number), at(number + 1)))
    assert rows is not None
    return rows.to_pandas().drop(columns="prediction_time")


def found(pair: str, state: PairState, when=LATER) -> dict[str, str]:
    return {f.about: f.message for f in check_named(pair).compare(when) if f.state is state}


def repaired(pair: str, only: str | None = None) -> list[PairFinding]:
    return check_named(pair).repair(LATER, only)


# --- as many answers as the ledger says -------------------------------------------------------------------------------


def test_answers_that_were_lost_are_found_and_the_same_ones_are_given_again(scored):
    before = log(scored, 17)
    store().drop_predictions(scored.model, DAYS[1], champion_of(scored))
    (about,) = found("predictions", PairState.DIFFERS)
    assert about == f"{scored.model} {DAYS[1]}"
    (done,) = [f for f in repaired("predictions") if f.repaired]
    assert (done.about, done.message) == (about, "It was scored again.")
    pd.testing.assert_frame_equal(log(scored, 17), before)
    assert found("predictions", PairState.DIFFERS) == {}
    assert not any(f.repaired for f in repaired("predictions")), "repairing twice changes nothing"
    check_invariants(scored)


def test_features_of_answers_that_were_lost_are_kept_again(scored):
    shutil.rmtree(features_folder(scored))
    assert set(found("predictions", PairState.DIFFERS)) == {f"{scored.model} {day}" for day in DAYS}
    assert {f.about for f in repaired("predictions", scored.model) if f.repaired} == {
        f"{scored.model} {day}" for day in DAYS
    }
    assert found("predictions", PairState.DIFFERS) == {}
    check_invariants(scored)


def features_folder(world: JourneyWorld) -> Path:
    with Ledger.open(settings().ledger_url) as ledger:
        (feature_set,) = {each.feature_set for each in ledger.lineage.scorings(world.model)}
    return Path(store().served_path(world.model, feature_set))


def test_what_cannot_be_scored_again_still_differs_and_says_why(scored, monkeypatch):
    def away(*_):
        raise ConnectionError("MLflow does not answer")

    store().drop_predictions(scored.model, DAYS[1], champion_of(scored))
    monkeypatch.setattr(fitted_models, "load", away)
    (left,) = [f for f in repaired("predictions") if f.state is PairState.DIFFERS]
    assert left.about == f"{scored.model} {DAYS[1]}"
    assert left.message.endswith("It could not be scored again: MLflow does not answer")
    assert f"{scored.model} {DAYS[1]}" in found("predictions", PairState.DIFFERS)


def test_the_command_repairs_one_model_and_exits_by_what_is_left(scored, capsys):
    store().drop_predictions(scored.model, DAYS[0], champion_of(scored))
    assert cli.main(["repair", "predictions", "--check"]) == 1
    assert "To repair: slipway repair predictions" in capsys.readouterr().out
    assert cli.main(["repair", "predictions", scored.model]) == 0
    assert "repaired" in capsys.readouterr().out
    assert cli.main(["repair", "predictions", "--check"]) == 0


# --- by whoever claimed the day ---------------------------------------------------------------------------------------


def served_by(world: JourneyWorld, number: int, candidate: str) -> None:
    """The day's answers as if this candidate had served them."""
    rows = store().read_predictions(world.model, Interval(at(number), at(number + 1)))
    assert rows is not None
    whose = pa.array([candidate] * rows.num_rows, pa.string())
    renamed = rows.set_column(rows.column_names.index("candidate_id"), "candidate_id", whose)
    store().write_predictions(world.model, DAYS[number - 16], candidate, renamed)


def test_days_that_were_answered_by_whoever_claimed_them_agree(scored):
    assert found("claims", PairState.DIFFERS) == {}
    assert found("claims", PairState.AGREES) == {scored.model: "2 claimed days answered by whoever claimed them."}


def test_a_day_that_another_candidate_answered_is_named_and_answered_again_by_whoever_claimed_it(scored):
    before = log(scored, 17)
    served_by(scored, 17, "somebody-else")
    (told,) = found("claims", PairState.DIFFERS).values()
    assert told.startswith(f"{champion_of(scored)} claimed it (run ")
    assert told.endswith("and its served answers are of somebody-else.")
    (done,) = [f for f in repaired("claims") if f.repaired]
    assert done.about == f"{scored.model} {DAYS[1]}"
    pd.testing.assert_frame_equal(log(scored, 17), before)
    assert found("claims", PairState.DIFFERS) == {}
    check_invariants(scored)


def test_a_day_that_was_claimed_and_never_answered_is_named_after_a_day(scored):
    scored.next_day(18, score=False)
    with Ledger.open(settings().ledger_url) as ledger:
        claim = ledger.claims.claim(scored.model, "2024-03-18", run_id="killed")
    assert claim is not None
    assert found("claims", PairState.DIFFERS, claim.recorded_at + timedelta(hours=23)) == {}
    (told,) = found("claims", PairState.DIFFERS, claim.recorded_at + timedelta(hours=25)).values()
    assert told == f"{champion_of(scored)} claimed it (run killed), and it has no served answer."
    assert [f.repaired for f in repaired("claims", scored.model) if " " in f.about] == [True]
    assert len(log(scored, 18)) == 120
    check_invariants(scored)


def test_answers_of_a_day_that_no_scoring_claimed_are_named(scored):
    scored.next_day(18, score=False)
    rows = store().read_predictions(scored.model, Interval(at(17), at(18)))
    assert rows is not None
    store().write_predictions(scored.model, "2024-03-18", champion_of(scored), rows)
    (told,) = found("claims", PairState.DIFFERS).values()
    assert told == f"Its served answers are of {champion_of(scored)}, and no scoring claimed the day."
    assert found("claims", PairState.DIFFERS).keys() == {f"{scored.model} 2024-03-18"}
    repaired("claims")
    assert found("claims", PairState.DIFFERS) == {}
    check_invariants(scored)
