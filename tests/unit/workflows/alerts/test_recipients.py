"""Whom a notice reaches that was written down before, by this release or by another."""

from __future__ import annotations

import pytest

from include.adapters.ledger import Notice, Scope
from include.config import declarations
from include.workflows.alerts import recipients

MODEL = "flight_delay"


def notice(role: str | None, *, scope: Scope = Scope.MODEL, subject: str = MODEL) -> Notice:
    return Notice("k", scope, subject, "failed", role, "who-it-was@example.org", "It failed.", "/slipway/")


@pytest.mark.parametrize("role", ["model", "data", "on_call"])
def test_a_role_is_whoever_the_declaration_names_by_now(role):
    to = recipients.now_of(notice(role))
    assert (to.told.name, to.told.role) == (getattr(declarations().model(MODEL).owners, role), role)


@pytest.mark.parametrize("role", [None, "night_shift", "", "model_dump", "__class__", "nobody"])
def test_a_role_that_this_release_does_not_know_is_who_was_named_when_it_was_written_down(role):
    to = recipients.now_of(notice(role))
    assert to.told.name == "who-it-was@example.org"
    assert to.channel == declarations().model(MODEL).notify


def test_what_is_about_nothing_that_is_declared_is_the_operators(monkeypatch):
    monkeypatch.setenv("SLIPWAY_OPERATOR", "ops@example.org")
    assert recipients.now_of(notice("night_shift", subject="gone")).told.name == "ops@example.org"
