"""A business metric is declared SQL over the rows with label and score: a value for each, and gates compare these."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from selftest_models import BINARY, MULTICLASS, REGRESSION, declared

from include.adapters.sql_engine import SqlFailed
from include.config import loader
from include.config.measured_by import metrics_of
from include.domain.gates import (
    ChampionRules,
    ComparisonRule,
    Evidence,
    Mode,
    SliceRules,
    Verdict,
    champion_gate,
    slice_gate,
)
from include.domain.metrics import Task
from include.domain.shadow import ShadowEvidence
from include.workflows.evidence import business
from include.workflows.scoring.served_features import FeaturesNotKept

N = 900
LABELS = np.arange(N) % 2
DAYS = np.arange(N) // 90
KNOWN = pd.DataFrame({"claim_id": np.arange(N), "amount": 10.0 + np.arange(N) % 7, "region": ["a", "b", "c"] * 300})
SQL = "SELECT row, CASE WHEN label = 'fraud' THEN score * amount ELSE -score END AS value FROM scored ORDER BY amount"


def model_with(tmp_path, text, base=BINARY, **fields):
    folder = tmp_path / "declared" / "models" / base["name"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worth.sql").write_text(text, encoding="utf-8")
    metric = {"name": "worth", "sql": "worth.sql", "direction": "higher", **fields}
    return declared(tmp_path, {**base, "business_metrics": [metric]})


def values(tmp_path, sql, **scores):
    with model_with(tmp_path, sql) as known:
        given = {"candidate": np.full(N, 0.5), **scores}
        return business.values_of(known.model("fraud"), KNOWN, LABELS, given)["worth"]


def test_each_row_has_its_value_whatever_order_the_query_gives_them_in(tmp_path):
    found = values(tmp_path, SQL, champion=np.zeros(N), baseline=None)
    assert found.candidate[:4].tolist() == [-0.5, 0.5 * 11, -0.5, 0.5 * 13]
    assert np.count_nonzero(found.champion) == 0
    assert found.baseline is None


@pytest.mark.parametrize(
    ("base", "label", "score", "is_given"),
    [
        (MULTICLASS, [2, 0], [[0.1, 0.2, 0.7], [1, 0, 0]], "SELECT row, label = 'travel' AND score[3] > 0.5"),
        (REGRESSION, [7.5, 1.0], [7.0, 2.0], "SELECT row, label > 7 AND score = 7"),
    ],
    ids=["multiclass", "regression"],
)  # fmt: skip
def test_label_and_score_are_as_they_are_declared(tmp_path, base, label, score, is_given):
    with model_with(tmp_path, f"{is_given} AS value FROM scored", base) as known:
        model = known.model(base["name"])
        found = business.values_of(model, pd.DataFrame({"amount": [1.0, 2.0]}), np.array(label), {"candidate": score})
    assert found["worth"].candidate.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT row, amont AS value FROM scored", 'Referenced column "amont" not found'),
        ("SELECT row, score FROM scored", "it gives no column 'value'; it must give row and value"),
        (
            "SELECT row, score AS value FROM scored WHERE score > 1",
            "it gives 0 rows of 900; each row must be there once",
        ),
        ("SELECT 1 AS row, score AS value FROM scored", "each row must be there once"),
        ("SELECT row, region AS value FROM scored", "value is no number; cast it to DOUBLE"),
        ("SELECT row FROM", "parser error: syntax error"),
        ("SELECT * FROM read_csv('/etc/passwd')", "worth.sql failed"),
        ("SELECT 1; SELECT 2", "it has 2 statements; write one SELECT"),
    ],
)
def test_sql_that_does_not_give_each_row_one_value_is_a_refusal_in_one_line(tmp_path, sql, says):
    with pytest.raises(SqlFailed, match="business metric worth") as raised:
        values(tmp_path, sql)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("missing", ["NULL", "'NaN'::DOUBLE", "'inf'::DOUBLE"])
def test_a_missing_value_is_no_evidence(tmp_path, missing):
    found = values(tmp_path, f"SELECT row, CASE WHEN row = 3 THEN {missing} ELSE 1.0 END AS value FROM scored")
    evidence = Evidence(Task.BINARY, LABELS, np.full(N, 0.5), days=DAYS, values={"worth": found})
    assert "1 of 900 scores are missing or infinite" in compared(tmp_path, evidence).reason


def compared(tmp_path, evidence):
    with model_with(tmp_path, SQL) as known:
        metric = metrics_of(known.model("fraud"))["worth"]
    rules = ChampionRules((ComparisonRule(metric, 0.1),), metric)
    result = champion_gate(rules, evidence, mode=Mode.BLOCKING, has_champion=True)
    return result.criteria[0]


def valued(tmp_path, ours, theirs=0.6):
    rng = np.random.default_rng(2)
    answers = [np.clip(level + 0.05 * rng.standard_normal(N), 0, 1) for level in (ours, theirs)]
    evidence = Evidence(Task.BINARY, LABELS, *answers, np.full(N, 0.1), DAYS)
    with model_with(tmp_path, SQL) as known:
        return business.valued(known.model("fraud"), KNOWN, evidence)


def test_the_champion_gate_compares_the_values_and_not_the_scores(tmp_path):
    good, bad = (compared(tmp_path, valued(tmp_path, ours)) for ours in (0.7, 0.4))
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert good.measured > good.champion > bad.measured
    assert good.criterion == "worth"


def test_evidence_whose_values_were_never_computed_is_inconclusive(tmp_path):
    evidence = Evidence(Task.BINARY, LABELS, np.full(N, 0.7), np.full(N, 0.6), days=DAYS)
    result = compared(tmp_path, evidence)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "900 of 900 scores are missing" in result.reason


def test_a_slice_is_compared_on_the_values_of_its_own_rows(tmp_path):
    with model_with(tmp_path, SQL) as known:
        metric = metrics_of(known.model("fraud"))["worth"]
    rules = SliceRules(metric, 0.1, 0.1, by=("region",), min_rows=100)
    columns = {"region": KNOWN["region"]}
    evidence = valued(tmp_path, 0.4)
    result = slice_gate(rules, evidence, columns, mode=Mode.BLOCKING, has_champion=True)
    measured = {c.criterion: c.measured for c in result.criteria}
    inside = KNOWN["region"].to_numpy() == "a"
    assert measured["region=a worth"] == pytest.approx(evidence.values["worth"].candidate[inside].mean())


def test_what_evaluate_keeps_of_them_is_read_back(tmp_path):
    evidence = valued(tmp_path, 0.7)
    with model_with(tmp_path, SQL) as known:
        kept = business.kept_in(known.model("fraud"), pd.DataFrame(business.as_columns(evidence.values)))
    for who in ("candidate", "champion", "baseline"):
        assert np.array_equal(getattr(kept["worth"], who), getattr(evidence.values["worth"], who))


def test_a_metric_declared_after_the_scores_were_kept_has_no_values(tmp_path):
    with model_with(tmp_path, SQL) as known:
        assert business.kept_in(known.model("fraud"), pd.DataFrame({"y": LABELS})) == {}


# --- the declaration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "brier"}, "business_metrics.0.name is 'brier'; a metric of the project has this name"),
        ({"name": "mae"}, "a metric of the project has this name"),
        ({"sql": "../worth.sql"}, "business_metrics.0.sql is '../worth.sql'"),
        ({"sql": "worht.sql"}, "business_metrics.0.sql is 'worht.sql', which is missing beside it; write it there."),
        ({"direction": "up"}, "business_metrics.0.direction is 'up'"),
    ],
)
def test_what_is_wrong_with_its_declaration_is_one_line(tmp_path, fields, says):
    with pytest.raises(ValueError, match="business_metrics") as raised, model_with(tmp_path, SQL, **fields):
        pass
    assert says in str(raised.value)
    assert "model.yaml:" in str(raised.value)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT row, amont AS value FROM scored", 'Referenced column "amont" not found'),
        ("SELECT row, score FROM scored", "it gives no column 'value'"),
        ("SELEC row", "parser error: syntax error"),
        (SQL, None),
        ("SELECT row, substr(region, 1, 1) = upper(sex) AS value FROM scored", None),
        ("SELECT row, epoch(event_time) AS value FROM scored", None),
    ],
)
def test_validate_tells_of_sql_what_is_wrong_whatever_the_rows_are(tmp_path, capsys, sql, says):
    from include.cli import main

    with model_with(tmp_path, sql):
        code = main(["validate", "--offline", str(loader.ROOT)])
    said = capsys.readouterr().out
    if says is None:
        assert code == 0, said
    else:
        assert code != 0
        assert any(
            "model.yaml:" in line and "business_metrics.0.sql: " in line and says in line for line in said.splitlines()
        )


# --- on the labels of a shadow window ---------------------------------------------------------------------------------

SHADOWED = {**BINARY, "shadow": {**BINARY["shadow"], "comparison": {"metric": "worth", "margin": 0.1}}}


def in_shadow(tmp_path, sql, known=lambda: KNOWN[:4]):
    """Four rows: the label of the last has not matured, and the challenger gave the third no number."""
    y, challenger = np.array([1.0, 0.0, 1.0, np.nan]), np.array([0.5, 0.2, np.nan, 0.9])
    seen = ShadowEvidence(Task.BINARY, 4, 0, np.array([0.4, 0.3, 0.2, 0.1]), challenger, np.arange(4), y)
    with model_with(tmp_path, sql, SHADOWED) as declared_now:
        return business.in_shadow(declared_now.model("fraud"), seen, known)


def test_rows_with_a_label_are_worth_what_the_sql_says_under_each_models_answer(tmp_path):
    found = in_shadow(tmp_path, SQL).values
    assert found.candidate == pytest.approx([0.5 * 10, -0.2, np.nan, np.nan], nan_ok=True)
    assert found.champion == pytest.approx([0.4 * 10, -0.3, np.nan, np.nan], nan_ok=True)
    # The mean label of the two is a half.
    assert found.baseline == pytest.approx([0.5 * 10, -0.5, np.nan, np.nan], nan_ok=True)


def test_what_a_row_is_worth_and_cannot_be_known_is_said(tmp_path):
    def gone():
        raise FeaturesNotKept("they are gone")

    assert in_shadow(tmp_path, SQL, gone).unvalued == "worth was not measured on matured labels: they are gone."
    nulls = in_shadow(tmp_path, "SELECT row, CASE WHEN label = 'fraud' THEN NULL ELSE score END AS value FROM scored")
    assert nulls.unvalued == "worth was not measured on matured labels: 2 values are no number."
    assert nulls.values is None


def test_a_window_that_compares_scores_asks_for_nothing_more(tmp_path):
    seen = ShadowEvidence(Task.BINARY, 1, 0, np.array([0.4]), np.array([0.5]), np.arange(1), np.array([1.0]))
    with model_with(tmp_path, SQL) as known:
        assert business.in_shadow(known.model("fraud"), seen, lambda: 1 / 0) is seen


def test_the_metric_of_the_first_comparison_is_taken_where_none_is_named(tmp_path):
    gate = {**BINARY["gates"]["champion_gate"], "comparisons": [{"metric": "worth", "margin": 0.3}]}
    base = {**SHADOWED, "gates": {**BINARY["gates"], "champion_gate": gate}}
    base["shadow"] = {**BINARY["shadow"], "comparison": {}}
    with model_with(tmp_path, SQL, base) as known:
        model = known.model("fraud")
        rule = model.shadow.rules(model.gates.champion_gate, metrics_of(model)).comparison
    assert (str(rule.metric), rule.metric.of_values, rule.margin) == ("worth", True, 0.3)
