"""The examples of docs/extending.md are run as they are written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from include.domain.gates import Evidence, Verdict
from include.domain.metrics import Task
from include.workflows import gates
from tests.doc_examples import examples
from tests.own_modules import own_module  # noqa: F401 - a fixture
from tests.selftest_models import BINARY, declared, with_gates

PAGE = "docs/extending.md"


def block(section, number=1):
    key = f"{PAGE} > {section}"
    return examples()[key if number == 1 else f"{key} > {number}"].text


@pytest.fixture
def write(own_module):  # noqa: F811
    """Writes a section's module under the name in its first line."""

    def written(section, number=1):
        text = block(section, number)
        own_module(text.splitlines()[0].removeprefix("# ").removesuffix(".py"), text)

    return written


def evidence(scores, **more):
    n = len(scores)
    return Evidence(Task.BINARY, np.arange(n) % 2, scores, days=np.arange(n) % 5, **more)


def subject_of(found):
    class Subject:
        def scored(self):
            return found

        def held_out(self):
            return pd.DataFrame({"amount": np.arange(found.rows)})

    return Subject()


def test_the_gate_is_declared_and_judges(write, tmp_path):
    write("A gate")
    own = yaml.safe_load(block("A gate", 2))["gates"]["own"]
    with declared(tmp_path, with_gates(BINARY, own=own)) as known:
        model = known.model(BINARY["name"])
        gate = gates.named("abstain_gate", model)
        assert "abstain_gate" in gates.required(model)
        decided = gate.judge(model, subject_of(evidence(np.full(100, 0.9))))
        undecided = gate.judge(model, subject_of(evidence(np.full(100, 0.5))))
    assert decided.verdict is Verdict.PASS
    assert undecided.verdict is Verdict.FAIL
    assert undecided.reason == "undecided 1 is outside its bound <= 0.1 on 100 rows."
