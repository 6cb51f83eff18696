"""The ledger against its own chain of hashes, and what MLflow noted of it: F180."""

from __future__ import annotations

import pytest
from journey_world import NOW
from light_world import LightWorld
from sqlalchemy import text

from include.adapters.ledger import LedgerTampered
from include.adapters.registry import HISTORY
from include.workflows import pairs, stores, tasks
from include.workflows.pairs import NotCompared, PairState, StoresDiffer
from include.workflows.release import reconcile


@pytest.fixture
def noted(world: LightWorld) -> LightWorld:
    """A world with a champion, whose chain MLflow noted."""
    assert pairs.compared("history", NOW)["facts"]["compared"] == 2
    return world


def forge(statement: str, *tables: str) -> None:
    """As the owner of the tables may: without their triggers."""
    with stores.open_ledger() as ledger, ledger.database.engine.begin() as connection:
        for table in tables:
            query = f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
            for name in list(connection.execute(text(query)).scalars()):
                connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text(statement))


@pytest.mark.moment("second judged")
def test_a_promotion_notes_the_chain_in_mlflow_and_each_night_after_it_too(world: LightWorld):
    before = world.registry.registered(world.model).tags[HISTORY]
    pairs.compared("history", NOW)
    with stores.open_ledger() as ledger:
        head = str(ledger.chain.head())
    assert world.registry.registered(world.model).tags[HISTORY] == head != before


@pytest.mark.moment("second judged")
def test_a_row_changed_by_hand_makes_the_night_red_and_is_not_noted(noted: LightWorld):
    before = noted.registry.registered(noted.model).tags[HISTORY]
    forge("UPDATE gate_results SET run_id = run_id || '!'", "gate_results")
    with pytest.raises(StoresDiffer, match=r"gate_results was changed after .* No program can repair this pair"):
        pairs.compared("history", NOW)
    assert noted.registry.registered(noted.model).tags[HISTORY] == before
    forge("UPDATE gate_results SET run_id = rtrim(run_id, '!')")


@pytest.mark.moment("second judged")
def test_a_chain_that_was_made_again_promotes_nothing_until_a_person_accepts_it(noted: LightWorld):
    noted.registry.tag_model(noted.model, {HISTORY: f"999999:{'a' * 64}"})
    with stores.open_ledger() as ledger, pytest.raises(LedgerTampered, match="knows entry 999999"):
        reconcile.require_whole_ledger(ledger, noted.registry, noted.model)
    with pytest.raises(LedgerTampered, match="Nothing is promoted"):
        tasks.promote(noted.references["second"], NOW)
    reconcile.accept_ledger(noted.model, reason="Restored on purpose", who="kim", now=NOW)
    with stores.open_ledger() as ledger:
        reconcile.require_whole_ledger(ledger, noted.registry, noted.model)


@pytest.mark.moment("second judged")
def test_a_note_that_is_none_is_no_agreement(noted: LightWorld):
    noted.registry.tag_model(noted.model, {HISTORY: "12"})
    with pytest.raises(StoresDiffer, match=r"note on the registered model .* was changed"):
        pairs.compared("history", NOW)


@pytest.mark.moment("second judged")
def test_without_mlflow_the_rows_are_compared_and_its_note_is_not(noted: LightWorld):
    noted.registry.down = True
    found = pairs.check_named("history").compare(NOW)
    assert [each.state for each in found] == [PairState.AGREES, PairState.NOT_COMPARED]
    with pytest.raises(NotCompared, match="could not be compared"):
        pairs.compared("history", NOW)
    noted.registry.down = False
