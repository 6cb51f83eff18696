"""What a declaration names is found by import path or by entry point, or it is said which of three things is wrong."""

from __future__ import annotations

import pytest
from own_modules import installed_package, own_module  # noqa: F401 - a fixture

from include.config import importing
from include.config.importing import ENCODER, ESTIMATOR, GATE, NoModule, NoSuchName, WrongShape

WHERE = "gates.own.0.path"


@pytest.fixture
def ours(own_module):  # noqa: F811
    own_module(
        "importing_ours",
        """
        def abstains(evidence, *, at_most): return at_most
        async def later(evidence): ...
        class Kind: ...
        number = 3
        """,
    )


def test_a_function_is_found_by_its_import_path(ours):
    assert importing.function("importing_ours.abstains", WHERE, GATE, {"at_most": 0.1})(None, at_most=0.1) == 0.1


@pytest.mark.parametrize(
    ("path", "params", "error", "says"),
    [
        ("quite_other.abstains", {}, NoModule, ["No module named 'quite_other'", "beside include/ as quite_other.py"]),
        ("sklern.linear_model.X", {}, NoModule, ["Did you mean sklearn?"]),
        ("sklearn.linear_modl.X", {}, NoModule, ["Did you mean sklearn.linear_model?"]),
        ("importing_ours.abstain", {}, NoSuchName, ["has no 'abstain'", "it has: Kind, abstains", "'abstains'?"]),
        ("importing_ours.Kind", {}, WrongShape, ["is the class Kind", "a gate is a function"]),
        ("importing_ours.number", {}, WrongShape, ["is int '3'"]),
        ("importing_ours.later", {}, WrongShape, ["is an async function"]),
        ("importing_ours.abstains", {}, WrongShape, ["takes (evidence, *, at_most): missing a required", "'at_most'"]),
        ("importing_ours.abstains", {"most": 1}, WrongShape, ["called with (evidence, most=...)"]),
    ],
)
def test_each_of_the_three_failures_names_field_path_reason_and_way_out(ours, path, params, error, says):
    with pytest.raises(error) as raised:
        importing.function(path, WHERE, GATE, params)
    assert str(raised.value).startswith(f"{WHERE} {path!r} ")
    assert [part for part in says if part not in str(raised.value)] == []
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("1 / 0", "importing_broken raises ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(0)", "importing_broken raises SystemExit: 0"),
        ("import not_installed_here", "importing_broken raises ModuleNotFoundError: No module named 'not_installed"),
    ],
)
def test_a_module_that_raises_while_it_is_imported_is_told_as_that(own_module, body, says):  # noqa: F811
    own_module("importing_broken", f"{body}\ndef gate(evidence): ...\n")
    with pytest.raises(NoModule, match=r"Make `import importing_broken` work\.$") as raised:
        importing.function("importing_broken.gate", WHERE, GATE, {})
    assert says in str(raised.value)


# --- entry points ----------------------------------------------------------------------------------------------------


@pytest.fixture
def package(own_module, tmp_path):  # noqa: F811
    own_module("flight_checks", "def abstains(evidence): return 'theirs'\nclass Means: ...\n")
    points = """
        [slipway.gates]
        abstains = flight_checks:abstains
        gone = flight_checks:was_here

        [slipway.encoders]
        means = flight_checks:Means
    """
    installed_package(tmp_path / "own", "flight-checks", points)


@pytest.mark.parametrize(
    "path", ["flight-checks:abstains", "flight_checks:abstains", "Flight.Checks:abstains", "abstains"]
)
def test_an_installed_package_s_function_is_found_by_its_entry_point(package, path):
    assert importing.function(path, WHERE, GATE, {})(None) == "theirs"


def test_each_kind_has_its_own_group_of_entry_points(package):
    assert importing.found("means", WHERE, ENCODER).__name__ == "Means"
    with pytest.raises(NoSuchName, match=r"slipway\.gates of installed packages has no 'means'"):
        importing.found("means", WHERE, GATE)
    with pytest.raises(NoModule, match="it is no import path"):
        importing.found("means", WHERE, ESTIMATOR)


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("flight-check:abstains", NoModule, "a package that is not installed: flight-check"),
        ("flight-checks:abstain", NoSuchName, "it has: abstains, gone. Did you mean 'abstains'?"),
        ("flight-checks:gone", NoSuchName, "leads to flight_checks:was_here, which is not there"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_told(package, path, error, says):
    with pytest.raises(error) as raised:
        importing.found(path, WHERE, GATE)
    assert says in str(raised.value)


def test_a_name_that_two_packages_have_must_be_given_whole(package, tmp_path):
    installed_package(tmp_path / "own", "other-checks", "[slipway.gates]\nabstains = flight_checks:abstains\n")
    with pytest.raises(NoSuchName, match="flight-checks:abstains, other-checks:abstains"):
        importing.found("abstains", WHERE, GATE)
    assert importing.found("other-checks:abstains", WHERE, GATE)(None) == "theirs"
