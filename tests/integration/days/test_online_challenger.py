"""Who answers beside online traffic is the candidate in shadow, in the form that its gate found equal."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from journey_world import LENIENT, NOW

from include.adapters.journal import Journal, JournalReader
from include.adapters.packing.files import as_columns
from include.cli import main
from include.config import declarations
from include.config.settings import settings
from include.domain.journal.records import AnswerRecord
from include.domain.packed.reader import Packed
from include.workflows import stores
from include.workflows.evidence import journey_rows
from include.workflows.journey import step
from include.workflows.scoring import online_challenger, packed_files


def served(world, count: int) -> list[dict]:
    """The champion's journal of held-out rows; the values that it was given."""
    with step.step_of(world.references["second"], "look", live=False) as journey:
        columns = as_columns(journey_rows.frames(journey, "holdout")[0].head(count))
    rows = json.loads(json.dumps([{n: v[i] for n, v in columns.items()} for i in range(count)], default=float))
    journal = Journal(settings().home / "journal", "here", NOW, lambda: NOW)
    journal.append(
        [
            AnswerRecord(
                f"q{i}",
                f"q{i}",
                world.model,
                NOW + timedelta(seconds=i),
                "first",
                "a" * 64,
                1,
                1,
                score=0.1,
                features=row,
            )
            for i, row in enumerate(rows)
        ]
    )
    journal.close()
    return rows


@pytest.mark.moment("second in shadow")
def test_the_command_lets_the_candidate_in_shadow_answer_by_its_packed_file(world, capsys):
    rows = served(world, 12)
    world.declare(world.model, gates={**LENIENT, "packed_gate": {"rows": 100, "hard_rows": 100}})
    assert world.judge("packed_gate", world.references["second"])["verdict"] == "PASS"
    candidate = world.candidate(world.references["second"])
    clock = ["--clock", NOW.strftime("%Y-%m-%dT%H:%MZ")]
    assert main(["shadow", world.model, "--once", *clock, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["candidate"], said["answered"], said["errors"]) == (candidate.candidate_id, 12, 0)

    with stores.open_ledger() as ledger:
        digest = packed_files.served_form(ledger, candidate).digest
    model: Packed = packed_files.load(digest, world.registry, str(candidate.facts.mlflow_run_id))
    written = [e.record for e in JournalReader(online_challenger.own_folder(candidate.candidate_id)).all()]
    answers = {r.asked_id: r for r in written if isinstance(r, AnswerRecord)}
    expected = model.many({name: [row[name] for row in rows] for name in model.features})
    assert [answers[f"q{i}"].score for i in range(12)] == expected.tolist()
    assert {(r.role, r.by, r.digest) for r in answers.values()} == {
        ("shadow", "packed", candidate.facts.serving_digest)
    }
    assert main(["shadow", world.model, "--once", *clock]) == 0
    assert "0 rows answered, 0 errors, 0 passed over" in capsys.readouterr().out


@pytest.mark.moment("second in shadow")
def test_without_an_equal_packed_form_its_pipeline_is_what_answers(world):
    with stores.open_ledger() as ledger:
        found = online_challenger.of_now(ledger, world.registry, declarations().model(world.model))
    candidate = world.candidate(world.references["second"])
    assert found is not None
    assert (found.challenger.form, found.config["digest"]) == ("pipeline", candidate.facts.serving_digest)
    assert list(found.challenger.features) == declarations().model(world.model).features


@pytest.mark.moment("first champion")
def test_where_no_candidate_is_in_shadow_nothing_is_asked(world, capsys):
    (settings().home / "journal").mkdir()
    assert main(["shadow", world.model, "--once"]) == 0
    assert capsys.readouterr().out == f"No candidate of {world.model} is in its shadow window.\n"


@pytest.mark.moment("first champion")
def test_without_a_journal_one_line_says_who_makes_it(world, capsys):
    assert main(["shadow", world.model, "--once"]) == 64
    assert "the online service makes it with its first answer" in capsys.readouterr().err
