"""Candidates that are bad for those whom they answer live: each is stopped by the canary's gate, by its own reason."""

from __future__ import annotations

import pytest
import selftest_models
from selftest_models import BINARY, declared, with_gates

from include.domain.verdicts import Verdict
from include.workflows.gates import canary
from include.workflows.selftest import bench

pytestmark = pytest.mark.slow
LIVE = {
    "error on 5 % of rows": "more failures",
    "10 times slower live": "more slow answers",
    "constant": "canary - champion",
    "one feature swapped": "canary - champion",
    "one slice inverted": "canary - champion",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The selftest of a model that is asked online, with the canary's gate and as few others as there may be."""
    root = tmp_path_factory.mktemp("live")
    optional = ("leakage_gate", "slice_gate", "latency_gate", "signature_gate", "smoke_gate", "packed_gate")
    model = with_gates(BINARY, **dict.fromkeys(optional))
    model |= {
        "serving": {"mode": "online"},
        "canary": {"steps": [{"share": 0.05}, {"share": 0.5}], "mean_delta_at_most": 0.05, "p99_delta_at_most": 0.3},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selftest_models, "VIEW", {**selftest_models.VIEW, "delay": "30s", "stream": {"every": "10s"}})
        with declared(root, model):
            yield bench.run(model["name"])


@pytest.mark.parametrize("name", LIVE)
def test_it_is_stopped_in_front_of_the_next_share_by_its_own_reason(found, name):
    cell = next(seed for seed in found.seeds if seed.name == name).cells[canary.NAME]
    assert (cell.verdict, cell.on_defect) == (Verdict.FAIL, Verdict.FAIL)
    assert LIVE[name] in cell.reason or LIVE[name].split()[-1] in cell.reason


def test_the_honest_twin_goes_through_every_step(found):
    assert found.honest[canary.NAME].verdict is Verdict.PASS
    assert found.problems == []
