"""A metric with settings in ``shadow.comparison`` is checked when it is declared, not when the window closes."""

from __future__ import annotations

import pytest
from selftest_models import BINARY

from include.config.loader import BadDeclaration, checked_declaration

COST = {"name": "cost", "threshold": 0.2}


def comparing(metric):
    return {**BINARY, "shadow": {**BINARY["shadow"], "comparison": {"metric": metric, "margin": 0.05}}}


def test_a_metric_with_its_settings_is_compared_on_labels_of_the_window(tmp_path):
    model = checked_declaration(comparing({**COST, "matrix": [[0, 1], [5, 0]]}), tmp_path)
    rules = model.shadow.rules(model.gates.champion_gate, {})
    assert rules.comparison.metric == "cost(matrix=[[0, 1], [5, 0]], threshold=0.2)"
    assert rules.comparison.margin == 0.05


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("recall", "shadow.comparison.metric is 'recall', and recall needs threshold, a number between 0 and 1"),
        (
            {**COST, "matrix": [[0, 1, 1], [1, 0, 1], [1, 1, 0]]},
            "shadow.comparison.metric has a cost matrix of 3 classes; label.classes has 2",
        ),
        (
            {"name": "pinball", "quantile": 0.9},
            "shadow.comparison.metric is 'pinball(quantile=0.9)'; it is a metric of",
        ),
    ],
    ids=["without its setting", "a matrix of other classes", "of another task"],
)
def test_one_that_cannot_be_compared_is_refused_in_one_line(tmp_path, metric, said):
    with pytest.raises(BadDeclaration) as refused:
        checked_declaration(comparing(metric), tmp_path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
