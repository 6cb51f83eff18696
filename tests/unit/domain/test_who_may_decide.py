"""Who may decide: the platform says who somebody is, a declaration says who may; a claim only counts against."""

from __future__ import annotations

import pytest

from include.domain.authority import OPERATORS, Approvers, MayNotDecide, Person, require, said, same

OTTO = Person("otto", frozenset({"op"}), operator=True)
UMA = Person("uma", frozenset({"user"}))


@pytest.mark.parametrize(
    ("given", "claims"),
    [
        pytest.param("the boss", "the boss", id="another name"),
        pytest.param("  the boss ", "the boss", id="blanks around it"),
        pytest.param("otto", None, id="their own"),
        pytest.param("  ", None, id="blanks alone"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_name_in_a_form_is_kept_beside_the_person_where_it_is_another(given, claims):
    claiming = OTTO.claiming(given)
    assert (claiming.name, claiming.roles, claiming.operator, claiming.claims) == ("otto", OTTO.roles, True, claims)


def test_a_claim_is_replaced_by_the_next_one():
    assert OTTO.claiming("ada").claiming("").claims is None


def test_somebody_goes_by_the_name_they_signed_in_with_and_the_one_they_gave():
    assert OTTO.names == {"otto"}
    assert Person("Otto").claiming(" Ada  Lovelace").names == {"otto", "ada lovelace"}
    assert Person("").claiming("ada").names == {"ada"}


def test_neither_case_nor_blanks_make_another_name():
    assert same("  Ada \t LOVELACE ") == same("ada lovelace") == "ada lovelace"
    assert same("Straße") == same("STRASSE")
    assert same("ada") != same("adal")


def test_a_person_is_written_with_what_they_claim():
    assert str(OTTO) == "otto"
    assert str(OTTO.claiming("ada")) == "otto (who says: ada)"
    assert said("otto", "") == said("otto", "otto") == "otto"


NAMED = Approvers.of(["ada", "bob"])
ROLES = Approvers.of(roles=["Admin", "op"])
BOTH = Approvers.of(["uma"], ["admin"])


@pytest.mark.parametrize(
    ("approvers", "person", "may"),
    [
        pytest.param(OPERATORS, OTTO, True, id="an operator where nobody is named"),
        pytest.param(OPERATORS, UMA, False, id="no operator"),
        pytest.param(OPERATORS, Person("ada", frozenset({"admin"})), False, id="a role is no operator by itself"),
        pytest.param(NAMED, Person("ada"), True, id="a user who is named, whatever the platform says of them"),
        pytest.param(NAMED, OTTO, False, id="an operator who is not named"),
        pytest.param(NAMED, Person("Ada"), False, id="names of users are taken as they are"),
        pytest.param(NAMED, Person("eve").claiming("ada"), False, id="a claim opens nothing"),
        pytest.param(ROLES, OTTO, True, id="one of the roles"),
        pytest.param(ROLES, Person("ann", frozenset({"viewer", "admin"})), True, id="one of several roles"),
        pytest.param(ROLES, UMA, False, id="another role"),
        pytest.param(ROLES, Person("ann"), False, id="no role"),
        pytest.param(BOTH, UMA, True, id="named, without the role"),
        pytest.param(BOTH, Person("ann", frozenset({"admin"})), True, id="the role, without being named"),
        pytest.param(BOTH, OTTO, False, id="neither"),
    ],
)
def test_whoever_is_declared_decides_and_the_operators_where_nobody_is(approvers, person, may):
    assert approvers.allow(person) is may
    if may:
        require("m", "decide", person, approvers)
    else:
        with pytest.raises(MayNotDecide):
            require("m", "decide", person, approvers)


def test_an_empty_declaration_means_the_operators_and_any_name_or_role_ends_that():
    assert [a.are_the_operators for a in (OPERATORS, Approvers.of(), NAMED, ROLES, BOTH)] == [True, True] + 3 * [False]


@pytest.mark.parametrize(
    ("approvers", "words"),
    [
        (OPERATORS, "its operators"),
        (NAMED, "ada, bob"),
        (ROLES, "whoever has the role admin or op"),
        (BOTH, "uma and whoever has the role admin"),
    ],
)
def test_who_may_is_said_in_words(approvers, words):
    assert str(approvers) == words


def test_a_refusal_names_the_person_what_they_would_have_done_and_who_may():
    with pytest.raises(MayNotDecide) as refused:
        require("flight_delay", "roll it back", UMA, NAMED)
    assert str(refused.value) == (
        "uma with the role user may not roll it back: for flight_delay that is for ada, bob (approvers in its "
        "model.yaml or in include/models/tiers.yaml). Nothing was changed. Ask one of them."
    )
    with pytest.raises(MayNotDecide, match=r"^ann may not roll it back"):
        require("flight_delay", "roll it back", Person("ann"), NAMED)
    with pytest.raises(MayNotDecide, match=r"^ann with the role admin and op may not"):
        require("flight_delay", "roll it back", Person("ann", frozenset({"op", "admin"})), NAMED)
