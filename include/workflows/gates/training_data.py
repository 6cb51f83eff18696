"""``training_data_gate``: may these rows be learned from?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult, Mode
from include.workflows.gates.gate import BUILD, Criteria, Gate, SeedFor, Subject

if TYPE_CHECKING:
    from include.domain.gates import TrainingDataSummary

NAME = "training_data_gate"


def judge(model: ModelDeclaration, subject: Subject) -> GateResult:
    return on(model, subject.training_data())


def on(model: ModelDeclaration, counted: TrainingDataSummary) -> GateResult:
    """The verdict on what was counted in a training set: nothing is fitted on one that does not pass."""
    from include.domain.gates import TrainingDataRules, training_data_gate

    rules = TrainingDataRules(min_rows=model.training.min_rows, min_holdout_rows=model.gates.threshold_gate.min_rows)
    return training_data_gate(rules, counted)


def _may_differ(model: ModelDeclaration, criteria: Criteria) -> bool:
    """The training set is pinned, so only bounds that have changed since alter what is said of it."""
    declared = {"rows": model.training.min_rows, "holdout rows": model.gates.threshold_gate.min_rows}
    return any(
        each["bound"] is not None and each["bound"] != bound
        for each in criteria
        for name, bound in declared.items()
        if str(each["criterion"]).partition(",")[0] == name
    )


def _helps(model: str, as_of: datetime, criteria: Criteria) -> Iterator[str]:
    failed = {str(each["criterion"]).partition(",")[0] for each in criteria if each["verdict"] != "PASS"}
    if failed & {"empty features"} or any(name.startswith("missing share of ") for name in failed):
        yield "Publish the days that its views lack, in bulk, or repair the view whose rows do not meet the requests."
        when = f"{as_of:%Y-%m-%dT%H:%M}Z"
        yield f"`slipway why {model} --as-of {when}` shows, for some requests, the row that each view has."
    if failed & {"rows", "holdout rows", "rows per feature"}:
        yield "Publish more days in bulk, or take a later as-of time, by which more labels have matured."
    if failed & {"different labels", "missing labels"}:
        yield "Look at label.sql and at its table: are the labels of these days there, and of more than one kind?"
    if "infinite values" in failed:
        yield "Repair the division by zero in the view's SQL, and compute its days again with `slipway features redo`."
    if failed & {"duplicate rows", "training rows in the holdout"}:
        yield "Look at the keys of the view of its requests: one request is there more than once."


GATE = Gate(
    name=NAME,
    after=BUILD,
    asks="May these rows be learned from?",
    field="training",
    mode=lambda model: Mode.BLOCKING,
    judge=judge,
    looks_at=("features", "label"),
    seeds=(SeedFor("one label only", "different labels"),),
    may_differ=_may_differ,
    helps=_helps,
)
