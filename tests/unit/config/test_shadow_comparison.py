"""``shadow.comparison``: what is compared on labels, and declarations that could never judge them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.config.loader import ROOT, mapping_in
from include.config.types import ModelDeclaration
from include.domain.gates import ComparisonRule
from include.workflows.gates.shadow import GATE, labels_too_late


def declared(*, delay="1d", max_days=10, min_days=5, comparison):
    data = mapping_in(ROOT / "models" / "flight_delay" / "model.yaml")
    shadow = {**data["shadow"], "max_days": max_days, "min_days": min_days, "comparison": comparison}
    return ModelDeclaration(**{**data, "label": {**data["label"], "delay": delay}, "shadow": shadow})


def rules(**changes):
    model = declared(**changes)
    return model.shadow.rules(model.gates.champion_gate)


def test_what_is_left_out_is_that_of_the_champion_gate():
    found = rules(comparison={})
    assert found.comparison == ComparisonRule("brier", 0.005)
    assert (found.only_if_shown_worse, found.labels_required, found.min_matured_days) == (True, False, 0)


def test_metric_margin_and_strictness_can_be_declared():
    given = {"metric": "log_loss", "margin": 0.02, "asks": "no_worse", "labels": "required", "min_days": 4}
    found = rules(comparison=given)
    assert found.comparison == ComparisonRule("log_loss", 0.02)
    assert (found.only_if_shown_worse, found.labels_required, found.min_matured_days) == (False, True, 4)


def test_without_one_no_label_is_read_and_readiness_says_so():
    assert rules(comparison=None).comparison is None
    assert "shadow.comparison" in [lack.field for lack in GATE.lacks(declared(comparison=None))]
    assert "shadow.comparison" not in [lack.field for lack in GATE.lacks(declared(comparison={}))]


def test_labels_that_come_too_late_are_said_beforehand():
    late = declared(delay="30d", comparison={})
    assert labels_too_late(late) == (
        "the shadow window may close after 5 days, and the labels of 3 days take 33 days with label.delay: too few are "
        "compared then."
    )
    assert labels_too_late(declared(delay="2d", comparison={})) is None
    assert labels_too_late(declared(delay="30d", comparison=None)) is None


def test_required_labels_that_can_never_mature_in_time_are_refused():
    with pytest.raises(ValidationError, match=r"could never be judged\. Set max_days to 33 or more"):
        declared(delay="30d", comparison={"labels": "required"})
    assert labels_too_late(declared(delay="30d", max_days=33, comparison={"labels": "required"})) is None


def test_an_unknown_metric_is_refused_with_what_is_allowed():
    with pytest.raises(ValidationError, match=r"shadow\.comparison\.metric is .briar."):
        declared(comparison={"metric": "briar"})
