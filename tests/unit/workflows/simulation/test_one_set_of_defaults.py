"""What a declaration leaves out and what ``slipway drift`` and ``slipway simulate --data`` take are the same."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from include.commands import drift
from include.config.drift import DeclaredEstimate, DeclaredPerformance, InputDrift
from include.workflows.simulation.settings import TableModel, declared_for
from include.workflows.simulation.stream import Columns, from_frame
from include.workflows.tables.roles import Limits
from tests.support.simulated_tables import a_table

CLASSIFIER, REGRESSOR = "sklearn.linear_model.LogisticRegression", "sklearn.linear_model.Ridge"
SAID_ON_THE_COMMAND_LINE = {
    "estimator.params",
    "estimator.encode",
    "estimator.impute",
    "label.classes",
    "task",
    "gates.threshold_gate.criteria.0.at_least",
    "gates.threshold_gate.criteria.0.at_most",
}
"""Fields with a default that the options of ``simulate`` give, or that the table has; a bound has none of its own."""


def taken(model: BaseModel, under: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each field that was given though it has a default: its name, its value and the default."""
    for name in sorted(model.model_fields_set):
        field, value = type(model).model_fields[name], getattr(model, name)
        if not field.is_required() and not isinstance(value, BaseModel):
            yield f"{under}{name}", value, field.get_default(call_default_factory=True)
        for i, one in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(one, BaseModel):
                yield from taken(one, f"{under}{name}.{i}." if isinstance(value, list) else f"{under}{name}.")


@pytest.mark.parametrize("rows_a_day", [5, 60])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_table_is_simulated_by_what_a_declaration_leaves_out_whatever_its_size(task, rows_a_day):
    table = a_table(40).iloc[:: 60 // rows_a_day]
    if task == "regression":
        table = table.assign(y=lambda f: 3 * f["a"] + f["y"])
    kinds = {name: "numeric" for name in table.columns if name not in ("t", "y")}
    stream = from_frame(table, Columns("t", "y"), kinds, classifier=task == "binary").stream
    path = CLASSIFIER if task == "binary" else REGRESSOR
    model = declared_for(TableModel(path, {}, "y", timedelta(days=1), 20, 7), stream)
    other = {name: (value, default) for name, value, default in taken(model) if value != default}
    assert set(other) <= SAID_ON_THE_COMMAND_LINE


DECLARED = {
    "q": InputDrift.model_fields["q"],
    "effect_at_least": InputDrift.model_fields["effect_at_least"],
    "min_rows": InputDrift.model_fields["min_rows"],
    "bins": InputDrift.model_fields["bins"],
    "tolerance": DeclaredPerformance.model_fields["tolerance"],
    "outside_at_most": DeclaredEstimate.model_fields["outside_at_most"],
}
DIFFERENT = {
    "share_at_least": "no importances are known of two tables, so any column that drifted counts",
    "metric": "a declaration names one",
}


def test_two_tables_are_compared_by_what_a_declaration_leaves_out():
    limits = Limits()
    assert {f.name for f in fields(Limits)} == set(DECLARED) | set(DIFFERENT)
    assert {name: getattr(limits, name) for name in DECLARED} == {n: f.default for n, f in DECLARED.items()}


def test_the_options_of_drift_begin_with_the_same():
    import argparse

    parser = argparse.ArgumentParser()
    drift._arguments(parser)
    given = vars(parser.parse_args(["--reference", "a", "--current", "b"]))
    options = {"q": "q", "effect": "effect_at_least", "min_rows": "min_rows", "bins": "bins", "tolerance": "tolerance"}
    assert {field: given[option] for option, field in options.items()} == {
        field: DECLARED[field].default for field in options.values()
    }
