"""A model's packed form is held against its pipeline, kept by its digest and found again, or it does not serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_registry import MemoryRegistry
from packed_cases import CASES, KINDS, LINEAR, case, fitted, rows
from selftest_models import BINARY, declared

from include.adapters import packing
from include.config.gates import PackedGate
from include.domain.gates import Mode, Verdict, packed_gate
from include.domain.packed.names import ALONE, HARD, HELD_OUT
from include.workflows.evidence import packed_form
from include.workflows.evidence.packed_form import Packing
from include.workflows.scoring import fitted_models, packed_files

RULES = PackedGate(rows=100, hard_rows=200)
BOOSTING = CASES[0]
LOGISTIC = case(LINEAR + "LogisticRegression", "binary", encode="one_hot", max_iter=3000)


@pytest.fixture(autouse=True)
def the_cases_kinds(monkeypatch):
    monkeypatch.setattr(fitted_models, "kinds_of", lambda model: KINDS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with declared(tmp_path_factory.mktemp("declared"), BINARY) as known:
        yield known.model("fraud")


@pytest.fixture(scope="module")
def boosting():
    return fitted(BOOSTING)


@pytest.fixture
def few_alone(monkeypatch):
    """What a test says of the hard rows does not depend on how many of them are asked alone, which takes long."""
    monkeypatch.setattr(packed_form, "ASKED_ALONE", 2)


def changed(made: Packing, **arrays: Any) -> Packing:
    return Packing(packing.written({**packed_files.opened(made.content).arrays, **arrays}))


@pytest.mark.parametrize("each", [BOOSTING, LOGISTIC], ids=str)
def test_an_honest_packing_is_equal_on_every_kind_of_row(model, each):
    pipeline = fitted(each)
    found = packed_form.held(
        model, RULES, pipeline, packed_form.packing_of(model, pipeline, rows(150, 7)), rows(150, 7)
    )
    assert found.equal
    assert {name: held.rows for name, held in found.held.items()} == {HELD_OUT: 100, HARD: 200, ALONE: 50}
    assert (found.held[HARD].refused > 0) == (each is LOGISTIC), "a linear model refuses an infinite value"
    assert packed_gate(RULES.rules(), found, mode=Mode.BLOCKING).verdict is Verdict.PASS


@pytest.mark.usefixtures("few_alone")
def test_a_threshold_moved_by_one_unit_shows_in_the_hard_rows_and_in_no_real_one(model, boosting):
    made = packed_form.packing_of(model, boosting, rows(150, 7))
    threshold = packed_files.opened(made.content).arrays["threshold"]
    moved = changed(made, threshold=np.nextafter(threshold, -np.inf))
    found = packed_form.held(model, RULES, boosting, moved, rows(150, 7))
    assert (found.held[HELD_OUT].differing, found.held[HARD].differing > 0) == (0, True)
    assert not found.equal


@pytest.mark.usefixtures("few_alone")
def test_a_form_that_refuses_what_the_pipeline_answers_differs(model, boosting):
    made = packed_form.packing_of(model, boosting, rows(150, 7))
    known = packed_files.opened(made.content)
    stern = Packing(packing.written({**known.arrays, "header": header(known, refuses="refuse inf")}))
    hard = packed_form.held(model, RULES, boosting, stern, rows(150, 7)).held[HARD]
    assert (hard.differing, hard.largest) == (packed_form.REFUSED_ALONE, float("inf"))


@pytest.mark.usefixtures("few_alone")
def test_a_form_that_answers_what_the_pipeline_refuses_differs(model):
    pipeline = fitted(LOGISTIC)
    made = packed_form.packing_of(model, pipeline, rows(150, 7))
    known = packed_files.opened(made.content)
    steps = [step for step in known.about["steps"] if step["does"] != "refuse inf"]
    loose = Packing(packing.written({**known.arrays, "header": header(known, refuses="", steps=steps)}))
    assert packed_form.held(model, RULES, pipeline, loose, rows(150, 7)).held[HARD].differing > 0


def header(known: Any, **changes: Any) -> np.ndarray:
    import json

    return np.frombuffer(json.dumps({**known.about, **changes}).encode("ascii"), dtype=np.uint8)


def test_a_model_without_a_packed_form_is_no_error_and_names_the_part(model):
    neighbours = fitted(case("sklearn.neighbors.KNeighborsClassifier", "binary"))
    made = packed_form.packing_of(model, neighbours, rows(150, 7))
    assert made.why_not is not None
    assert "KNeighborsClassifier" in made.why_not
    found = packed_form.held(model, RULES, neighbours, made, rows(150, 7))
    assert packed_gate(RULES.rules(), found, mode=Mode.ADVISORY).verdict is Verdict.INCONCLUSIVE


def test_the_same_file_packed_again_is_the_same_file(model, boosting):
    one, other = (packed_form.packing_of(model, boosting, rows(150, 7), "0" * 64) for _ in range(2))
    assert one.content == other.content
    assert packed_files.opened(one.content).about["class_names"] == ["honest", "fraud"]


# --- kept and found again --------------------------------------------------------------------------------------------


@pytest.fixture
def kept(model, boosting, tmp_path, monkeypatch):
    """A digest, the registry and the run that have its file too, and this machine's copy."""
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    content = packed_form.packing_of(model, boosting, rows(150, 7)).content
    registry = MemoryRegistry()
    run, copy = registry.candidate_run("fraud", "c-1", {}), packed_files.keep(content)
    registry.log_file(run, copy)
    return packed_files.digest_of(content), registry, run, copy


def test_a_kept_file_is_found_on_this_machine_without_the_registry(kept):
    digest, registry, run, copy = kept
    registry.down = True
    assert packed_files.file_of(digest, registry, run) == copy
    assert packed_files.load(digest, registry, run).check() == 0


@pytest.mark.parametrize("harm", [Path.unlink, lambda copy: copy.write_bytes(copy.read_bytes()[:-1])])
def test_f145_a_copy_that_is_gone_or_damaged_is_fetched_from_the_run(kept, harm):
    digest, registry, run, copy = kept
    harm(copy)
    assert packed_files.digest_of(packed_files.file_of(digest, registry, run).read_bytes()) == digest


def test_f145_a_file_that_was_replaced_everywhere_is_not_loaded(kept):
    digest, registry, run, copy = kept
    registry.runs[run].artifacts[copy.name] = b"another"
    copy.unlink()
    with pytest.raises(packed_files.PackedFileRefused, match=r"was replaced. It was not loaded; the pipeline answers"):
        packed_files.load(digest, registry, run)
    assert not copy.exists()


def test_f145_a_file_that_is_gone_everywhere_says_the_way_out(kept):
    digest, registry, run, copy = kept
    copy.unlink()
    del registry.runs[run].artifacts[copy.name]
    with pytest.raises(packed_files.PackedFileRefused, match=r"Clear packed_gate of the journey to make it again"):
        packed_files.load(digest, registry, run)


def test_f145_a_file_whose_own_rows_are_answered_otherwise_here_is_not_used(kept, model, boosting):
    _, registry, run, _ = kept
    made = packed_form.packing_of(model, boosting, rows(150, 7))
    answers = packed_files.opened(made.content).arrays["check_answers"]
    other = changed(made, check_answers=np.nextafter(answers, 2))
    copy = packed_files.keep(other.content)
    with pytest.raises(packed_files.PackedFileRefused, match=r"answers 16 of the rows that came with it otherwise"):
        packed_files.load(copy.stem, registry, run)
