"""Tokens of the online service: shown once, kept as a hash, one a name."""

from __future__ import annotations

import pytest

from include.serving import tokens


def test_f169_a_token_is_known_again_and_is_not_in_the_file(tmp_path):
    file = tokens.file_in(tmp_path)
    made = tokens.add(file, "shop", ["predict:wind"])
    assert tokens.read(file).scopes(made) == ("predict:wind",)
    assert tokens.read(file).scopes(made + "x") is None
    assert made not in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_new_token_of_a_name_ends_the_former_one(tmp_path):
    file = tokens.file_in(tmp_path)
    first, other = tokens.add(file, "shop", ["predict:*"]), tokens.add(file, "ops", ["admin"])
    second = tokens.add(file, "shop", ["predict:*"])
    known = tokens.read(file)
    assert [known.scopes(each) for each in (first, other, second)] == [None, ("admin",), ("predict:*",)]
    assert [tokens.may(scopes, "wind") for scopes in (("admin",), ("predict:*",), ("predict:rain",))] == [
        True,
        True,
        False,
    ]


def test_a_token_may_ask_so_often_as_the_file_says_and_one_without_a_rate_always(tmp_path):
    file = tokens.file_in(tmp_path)
    slow, free = tokens.add(file, "shop", ["predict:*"], 2.0), tokens.add(file, "ops", ["admin"])
    known = tokens.read(file)
    assert [known.takes(slow, now) for now in (0.0, 0.0, 0.0, 0.4, 0.5, 100.0, 100.0, 100.0)] == [
        True,
        True,
        False,
        False,
        True,
        True,
        True,
        False,
    ], "a second's worth at once, then one every half second"
    assert all(known.takes(free, 0.0) for _ in range(50))


def test_a_file_of_something_else_answers_no_one(tmp_path):
    file = tokens.file_in(tmp_path)
    file.parent.mkdir()
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(tokens.TokensUnreadable, match=r"serve\.json cannot be read"):
        tokens.read(file)
