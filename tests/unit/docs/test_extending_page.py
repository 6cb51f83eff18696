"""The examples of docs/extending.md are run as they are written."""

from __future__ import annotations

import copy
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from doc_examples import examples
from own_modules import own_module  # noqa: F401 - a fixture
from selftest_models import BINARY, declared, with_gates

from include.adapters import estimators, model_files
from include.adapters.ledger import Notice, Scope
from include.commands.checks import EXIT_FAILED
from include.config import loader
from include.domain.attempts import FIRST
from include.domain.gates import NO_EARLIER_WINDOW, Evidence, Verdict
from include.domain.gates.anchor import NO_ANCHOR
from include.domain.metrics import Task
from include.workflows import gates
from include.workflows.alerts import by_path
from include.workflows.evidence import business

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


def test_the_encoder_is_fitted_and_its_model_is_loaded_again_where_its_type_is_listed(write, tmp_path, capsys):
    from include.cli import main
    from include.workflows.scoring.fitted_models import spec_of

    write("An encoder")
    steps = yaml.safe_load(block("An encoder", 2))["preprocess"]
    with declared(tmp_path, {**BINARY, "preprocess": steps}) as known:
        assert main(["validate", "--offline", str(loader.ROOT)]) == EXIT_FAILED
        assert "wants to construct our_encoders.Frequency" in capsys.readouterr().out
        (loader.ROOT / "models" / "trusted_types.yaml").write_text(
            block("Types a model file may hold"), encoding="utf-8"
        )
        assert main(["validate", "--offline", str(loader.ROOT)]) == 0
        spec = spec_of(known.model(BINARY["name"]))
        rows = pd.DataFrame({"region": ["a", "a", "b", None], "sex": ["f", "m", "m", "m"]})
        rows = rows.assign(amount=[1.0, 2, 3, 4], age=40.0, known_customer=1.0, claims_before=0.0)
        features = estimators.as_input(rows, spec.kinds)
        fitted = estimators.fit(estimators.build(spec), features, np.array([0, 1, 1, 0]))
        file = tmp_path / "model.skops"
        model_files.untrusted_free(fitted, file)
        again = model_files.load(file, model_files.digest(file))
        assert np.array_equal(fitted[:-1].transform(features), again[:-1].transform(features))
    assert fitted[:-1].transform(features)[:, -2:].tolist() == [[2 / 3, 0.25], [2 / 3, 0.75], [1 / 3, 0.75], [0, 0.75]]


def test_the_notifier_hands_its_message_to_the_pager_and_raises_when_that_did_not_take_it(write, tmp_path, monkeypatch):
    import urllib.error
    import urllib.request
    from contextlib import nullcontext

    write("A notifier")
    declared_notify = yaml.safe_load(block("A notifier", 2))["notify"]
    told = Notice("promoted/1", Scope.MODEL, "fraud", "promoted", "model", "claims", "fraud: v2 serves.", "/slipway/x")
    asked = []

    def pager(request, timeout):
        asked.append((request.full_url, json.loads(request.data), timeout))
        return nullcontext()

    monkeypatch.setattr(urllib.request, "urlopen", pager)
    monkeypatch.setenv("SLIPWAY_URL", "https://slipway.example.org")
    with declared(tmp_path, {**BINARY, "notify": declared_notify}) as known:
        channel = known.model(BINARY["name"]).notify
        by_path.send(told, channel)
        text = "fraud: v2 serves. https://slipway.example.org/slipway/x"
        body = {"to": "claims", "text": text, "dedup": "promoted/1"}
        assert asked == [("https://pager.example.org/notices", body, 10)]

        def down(request, timeout):
            raise urllib.error.URLError("refused")

        monkeypatch.setattr(urllib.request, "urlopen", down)
        with pytest.raises(by_path.NotTold, match=r"our_notify\.page raised URLError"):
            by_path.send(told, channel)


def merged_gates(changed):
    """The small model with the page's gates in place of its own, field by field."""
    gates = copy.deepcopy(BINARY["gates"])
    for name, fields in changed.items():
        gates[name] |= fields
    return gates


def scored(seed, sharpness):
    """2,000 rows of ten days: labels and the scores of somebody who knows them so well."""
    rng = np.random.default_rng(seed)
    level = np.random.default_rng(1).standard_normal(2000)
    labels = (level + np.random.default_rng(2).standard_normal(2000) > 0.5).astype(int)
    return labels, 1 / (1 + np.exp(-sharpness * (level - 0.5) + 0.2 * rng.standard_normal(2000)))


class JudgedSubject:
    """A candidate beside a champion that is nearly the same."""

    has_champion = True

    def __init__(self, model, sharpness=2.0):
        labels, scores = scored(3, sharpness)
        _, champion = scored(4, 2.0)
        baseline = np.full(2000, labels.mean())
        self.found = Evidence(Task.BINARY, labels, scores, champion, baseline, np.arange(2000) % 10)
        if model.business_metrics:
            known = pd.DataFrame({"amount": np.ones(2000) * 3})
            self.found = business.valued(model, known, self.found)

    def scored(self):
        return self.found

    def attempts(self):
        return FIRST

    def incident(self):
        return None

    def new_support(self):
        return None

    def earlier_window(self):
        return NO_EARLIER_WINDOW

    def anchor(self):
        return NO_ANCHOR


def by_criterion(gate, model, subject):
    return {c.criterion: c for c in gates.named(gate, model).judge(model, subject).criteria}


def test_the_metrics_are_used_where_a_metric_of_the_project_is(write, tmp_path):
    from include.config.measured_by import loss_of
    from include.domain.losses import row_losses

    write("A metric")
    page = yaml.safe_load(block("A metric", 2))
    with declared(tmp_path, {**BINARY, "gates": merged_gates(page["gates"]), "drift": page["drift"]}) as known:
        model = known.model(BINARY["name"])
        subject = JudgedSubject(model)
        bound = by_criterion("threshold_gate", model, subject)["our_metrics.found_at_the_top"]
        assert (bound.verdict, bound.allowed) == (Verdict.PASS, ">= 0.3")
        compared = by_criterion("champion_gate", model, subject)
        assert [c.verdict for c in compared.values()] == [Verdict.PASS] * 3
        assert list(compared) == ["our_metrics.cost", "our_metrics.found_at_the_top", "baseline our_metrics.cost"]
        worse = by_criterion("champion_gate", model, JudgedSubject(model, sharpness=-2.0))
        assert {c.verdict for c in worse.values()} == {Verdict.FAIL}
        losses = row_losses(loss_of(model), np.array([1, 0]), np.array([0.8, 0.4]))
    assert losses.tolist() == pytest.approx([1.0, 0.4])


def test_the_business_metric_compares_what_the_rows_are_worth(tmp_path):
    page = yaml.safe_load(block("A business metric", 2))
    made = {**BINARY, "business_metrics": page["business_metrics"], "gates": merged_gates(page["gates"])}
    folder = tmp_path / "declared" / "models" / BINARY["name"]
    folder.mkdir(parents=True)
    (folder / "saved.sql").write_text(block("A business metric"), encoding="utf-8")
    with declared(tmp_path, made) as known:
        model = known.model(BINARY["name"])
        good = by_criterion("champion_gate", model, JudgedSubject(model))["saved"]
        bad = by_criterion("champion_gate", model, JudgedSubject(model, sharpness=-2.0))["saved"]
        subject = JudgedSubject(model).found
    looked_at, late = subject.candidate >= 0.5, subject.y == 1
    assert good.measured == pytest.approx(np.where(looked_at, np.where(late, 2.0, -1.0), 0.0).mean())
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.FAIL)
