"""The signature gate: what the champion's callers send and read must go on working."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.domain.gates import InputColumn, Mode, Signature, SignatureRules, Verdict, signature_gate

CALLERS = Signature(
    inputs=(
        InputColumn("carrier", "string"),
        InputColumn("distance_miles", "double"),
        InputColumn("departure_minute_of_day", "integer"),
        InputColumn("wind_gust", "double", required=False),
    ),
    output="double",
    classes=("on_time", "late"),
)


def judged(candidate, callers=CALLERS, *, may_drop=()):
    return signature_gate(SignatureRules(may_drop), callers, candidate, mode=Mode.BLOCKING)


def without(name):
    return replace(CALLERS, inputs=tuple(c for c in CALLERS.inputs if c.name != name))


def changed(column, **changes):
    return replace(CALLERS, inputs=tuple(replace(c, **changes) if c.name == column else c for c in CALLERS.inputs))


def plus(column, to=CALLERS):
    return replace(to, inputs=(*to.inputs, column))


def failed(result):
    return [c.criterion for c in result.criteria if c.verdict is Verdict.FAIL]


def test_the_same_signature_passes():
    assert judged(CALLERS).verdict is Verdict.PASS


def test_the_order_of_columns_does_not_matter():
    assert judged(replace(CALLERS, inputs=CALLERS.inputs[::-1])).verdict is Verdict.PASS


def test_a_dropped_column_is_named():
    result = judged(without("carrier"))
    assert failed(result) == ["columns dropped"]
    assert result.reason == "Columns dropped: carrier. Callers send them; may_drop allows it by name."


def test_a_column_may_be_dropped_knowingly():
    result = judged(without("carrier"), may_drop=("carrier",))
    assert (result.verdict, result.notes["dropped knowingly"]) == (Verdict.PASS, ["carrier"])


@pytest.mark.parametrize(
    ("old", "new"),
    [("distance_miles", "distance_mile"), ("carrier", "Carrier"), ("departure_minute_of_day", "departure_minutes")],
)
def test_a_renamed_column_is_named_with_both_names(old, new):
    result = judged(changed(old, name=new))
    assert failed(result) == ["columns renamed"]
    assert f"{old} to {new}" in result.reason


def test_two_renamed_columns_are_told_apart():
    renamed = tuple(replace(c, name=f"{c.name}_v2") for c in CALLERS.inputs)
    result = judged(replace(CALLERS, inputs=renamed))
    assert failed(result) == ["columns renamed"]
    assert all(f"{c.name} to {c.name}_v2" in result.reason for c in CALLERS.inputs)


def test_a_column_replaced_by_a_stranger_is_dropped_and_newly_required():
    result = judged(plus(InputColumn("humidity", "double"), without("carrier")))
    assert failed(result) == ["columns dropped", "columns newly required"]


@pytest.mark.parametrize(("before", "after"), [("double", "string"), ("string", "double"), ("long", "double")])
def test_a_retyped_column_is_named_with_both_types(before, after):
    callers = replace(CALLERS, inputs=(InputColumn("seats", before),))
    result = judged(replace(CALLERS, inputs=(InputColumn("seats", after),)), callers)
    assert failed(result) == ["columns retyped"]
    assert f"seats from {before} to {after}" in result.reason


@pytest.mark.parametrize(("before", "after"), [("integer", "long"), ("integer", "double"), ("float", "double")])
def test_a_type_that_takes_all_that_was_sent_passes(before, after):
    callers = replace(CALLERS, inputs=(InputColumn("seats", before),))
    assert judged(replace(CALLERS, inputs=(InputColumn("seats", after),)), callers).verdict is Verdict.PASS


def test_a_new_required_column_is_named_and_a_new_optional_one_is_only_noted():
    required = judged(plus(InputColumn("humid", "double")))
    optional = judged(plus(InputColumn("humid", "double", required=False)))
    assert failed(required) == ["columns newly required"]
    assert "humid" in required.reason
    assert (optional.verdict, optional.notes["new and optional"]) == (Verdict.PASS, ["humid"])


def test_an_optional_column_that_became_required_is_named():
    result = judged(changed("wind_gust", required=True))
    assert (failed(result), "wind_gust" in result.reason) == (["columns newly required"], True)


def test_swapped_classes_are_named_though_no_type_changed():
    result = judged(replace(CALLERS, classes=("late", "on_time")))
    assert failed(result) == ["class order changes"]
    assert "from [on_time, late] to [late, on_time]" in result.reason
    assert "output 0 as on_time, and it would be late" in result.reason


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"classes": ("on_time", "late", "cancelled")}, "class cancelled is new"),
        ({"classes": ("on_time", "delayed")}, "class late is gone"),
        ({"classes": None}, "from classes to a value"),
        ({"output": "string"}, "type from double to string"),
    ],
)
def test_a_changed_output_is_named(changes, named):
    result = judged(replace(CALLERS, **changes))
    assert failed(result) == ["output changes"]
    assert named in result.reason


def test_a_column_named_twice_is_refused():
    assert failed(judged(plus(InputColumn("carrier", "string")))) == ["columns named twice"]


def test_a_regression_has_no_class_order():
    regression = replace(CALLERS, classes=None)
    assert judged(regression, regression).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("callers", "candidate"), [(None, CALLERS), (CALLERS, None), (CALLERS, replace(CALLERS, inputs=()))]
)
def test_an_unknown_or_empty_signature_is_no_evidence(callers, candidate):
    assert judged(candidate, callers).verdict is Verdict.INCONCLUSIVE


def test_everything_wrong_is_named_at_once():
    worst = Signature(
        (InputColumn("carriers", "string"), InputColumn("wind_gust", "string")), "long", ("late", "on_time")
    )
    assert failed(judged(worst)) == [
        "columns dropped",
        "columns renamed",
        "columns retyped",
        "columns newly required",
        "output changes",
        "class order changes",
    ]


def test_a_closest_name_is_taken_once_by_the_first_column_that_lost_its_own():
    callers = replace(CALLERS, inputs=(InputColumn("delay", "double"), InputColumn("delay_b", "double")))
    candidate = replace(CALLERS, inputs=(InputColumn("delay_c", "double"), InputColumn("delays", "double")))
    assert "delay to delays; delay_b to delay_c" in judged(candidate, callers).reason


def order_of_classes(result):
    return next(c for c in result.criteria if c.criterion == "class order changes").reason


def test_only_where_both_give_a_value_is_there_no_class_order():
    regression = replace(CALLERS, classes=None)
    no_order = "There is no class order: the model gives a value."
    assert order_of_classes(judged(regression, regression)) == no_order
    for callers, candidate in ((CALLERS, CALLERS), (regression, CALLERS), (CALLERS, regression)):
        assert order_of_classes(judged(candidate, callers)) != no_order


def test_a_signature_is_compared_without_rows_and_one_difference_is_too_many():
    for result in (judged(CALLERS), judged(without("carrier"))):
        assert {(c.rows, c.bound, c.allowed) for c in result.criteria} == {(0, 0.0, "none")}
    assert judged(None).criteria[0].rows == 0


def test_whose_signature_is_not_known_is_said():
    assert judged(CALLERS, None).reason.startswith("The signature of the callers is not known")
    assert judged(None).reason.startswith("The signature of the candidate is not known")
