"""What the domain computes with is values: nobody who was handed one can change it under somebody else's hands."""

from __future__ import annotations

import ast
from functools import cache

from include.config.settings import PROJECT

HAS_STATE = {"GainDetector", "Writer"} | {
    *("RolloutCounts", "StretchCounts", "ExposureCounts", "FirstTimes", "LogCounts"),
}
"""Told of one day after another, of one record of the journal after another, or of one row of live traffic."""


@cache
def dataclasses_of_the_domain() -> dict[str, set[str]]:
    """By name: which of the decorator's options are switched on."""
    return {
        node.name: {k.arg or "" for k in made.keywords if isinstance(k.value, ast.Constant) and k.value.value is True}
        for file in sorted((PROJECT / "include" / "domain").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for made in node.decorator_list
        if isinstance(made, ast.Call) and getattr(made.func, "id", "") == "dataclass"
    }


def test_every_dataclass_of_the_domain_is_frozen_but_those_that_are_named():
    found = dataclasses_of_the_domain()
    assert len(found) > 100, "the classes were not read"
    assert {name for name, on in found.items() if "frozen" not in on} == HAS_STATE


def test_no_dataclass_of_the_domain_takes_a_field_that_it_does_not_have():
    assert {name for name, on in dataclasses_of_the_domain().items() if "slots" not in on} == set()
