"""``slipway judge``: the gates on anyone's predictions, with an exit code, and one line for every bad input."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from math import nan

import numpy as np
import pandas as pd
import pytest
import yaml

from include.cli import main
from include.config.gates import JudgedGates
from include.domain.verdicts import Verdict
from include.workflows.tables import reading
from include.workflows.tables.gates import BadPredictions, PredictionColumns, judge_frame

ROWS = 6000
GATES = {
    "task": "binary",
    "threshold_gate": {"criteria": [{"metric": "roc_auc", "at_least": 0.7}, {"metric": "ece", "at_most": 0.05}]},
    "champion_gate": {
        "comparisons": [{"metric": "brier", "margin": 0.005}],
        "beat_baseline_on": "brier",
        "resamples": 200,
    },
    "slice_gate": {
        "metric": "brier",
        "strict": {"margin": 0.01, "large_rows": 5000},
        "small": {"floor": 0.05},
        "fairness": [{"groups": "sex", "measure": "demographic_parity", "margin": 0.1}],
    },
}
CALL = ["judge", "--label", "y", "--candidate", "p_new", "--champion", "p_old", "--time", "t", "--slice", "race"]


def predictions(rows=ROWS, *, seed=1):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 3, rows)
    return pd.DataFrame(
        {
            "y": (rng.random(rows) < p).astype(int),
            "p_new": np.clip(p + 0.05 * rng.standard_normal(rows), 0, 1),
            "p_old": np.clip(p + 0.05 * rng.standard_normal(rows), 0, 1),
            "t": pd.Timestamp("2013-06-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 14 * 24, rows), unit="h"),
            "race": rng.choice(["a", "b"], rows),
            "sex": rng.choice(["F", "M"], rows),
        }
    )


def gates(**changes):
    return {name: value for name, value in (GATES | changes).items() if value is not None}


@pytest.fixture
def ask(tmp_path, capsys):
    """Runs the command on the frame and the gates; gives exit code, output and error."""

    def run(frame=None, declared=None, *, call=CALL, data="predictions.parquet", more=()):
        file, rules = tmp_path / data, tmp_path / "gates.yaml"
        if frame is not None:
            frame.to_csv(file, index=False) if data.endswith(".csv") else frame.to_parquet(file)
        if declared is not None:
            rules.write_text(declared if isinstance(declared, str) else yaml.safe_dump(declared))
        code = main([*call, "--data", str(file), "--gates", str(rules), *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


# --- the four exit codes ---------------------------------------------------------------------------------------------


def test_an_equal_candidate_passes_with_exit_code_0(ask):
    code, out, err = ask(predictions(), gates())
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("verdict: PASS (3 blocking gates, 6,000 rows)")
    assert "race=a brier" in out
    assert "demographic_parity sex" in out
    assert "of 14 days" in out


def test_f055_a_ruined_slice_fails_with_exit_code_1(ask):
    frame = predictions()
    ruined = (frame["race"] == "a").to_numpy()
    frame.loc[ruined, "p_new"] = np.random.default_rng(2).random(int(ruined.sum()))
    code, out, _ = ask(frame, gates(threshold_gate=None, champion_gate=None))
    assert code == 1
    assert "data verdict: FAIL (slice_gate, blocking) because race=a brier" in out


def test_a_miscalibrated_candidate_of_the_same_ranking_fails_by_its_calibration(ask):
    frame = predictions()
    frame["p_new"] = frame["p_new"] ** 0.5
    code, out, _ = ask(frame, gates(champion_gate=None, slice_gate=None), call=[*CALL[:-2]])
    assert code == 1
    assert "because ece" in out


def test_f056_an_improvement_within_noise_is_inconclusive_with_exit_code_2(ask):
    better = {"metric": "brier", "margin": 0.001, "superiority": True}
    declared = gates(champion_gate={**GATES["champion_gate"], "comparisons": [better]})
    code, out, _ = ask(predictions(), declared)
    assert code == 2
    assert "these rows cannot tell whether it is better by more than 0.001" in out


@pytest.mark.parametrize("column", ["y", "p_new", "p_old"])
def test_f051_missing_values_are_inconclusive(ask, column):
    frame = predictions().astype({column: float})
    frame.loc[frame.index[:60], column] = nan
    assert ask(frame, gates())[0] == 2


def test_f054_the_champion_judged_against_itself_is_inconclusive(ask):
    frame = predictions()
    frame["p_new"] = frame["p_old"]
    code, out, _ = ask(frame, gates())
    assert (code, "wired twice" in out) == (2, True)


def test_too_few_rows_are_inconclusive(ask):
    assert ask(predictions(90), gates())[0] == 2


def test_no_rows_are_inconclusive(ask):
    assert ask(predictions()[:0], gates())[0] == 2


def test_two_days_are_inconclusive(ask):
    frame = predictions()
    frame["t"] = np.where(np.arange(ROWS) % 2, "2013-06-01", "2013-06-02")
    assert ask(frame, gates())[0] == 2


def test_only_advisory_gates_block_nothing_and_pass_nothing(ask):
    threshold = {**GATES["threshold_gate"], "mode": "advisory"}
    code, out, _ = ask(
        predictions(), gates(threshold_gate=threshold, champion_gate=None, slice_gate=None), call=CALL[:-2]
    )
    assert (code, "0 blocking gates" in out) == (2, True)


def test_an_advisory_gate_that_fails_is_shown_and_does_not_stop(ask):
    threshold = {"mode": "advisory", "criteria": [{"metric": "roc_auc", "at_least": 0.99}]}
    code, out, _ = ask(predictions(), gates(threshold_gate=threshold))
    assert (code, "data verdict: FAIL (threshold_gate, advisory)" in out) == (0, True)


def test_json_is_the_same_for_machines(ask):
    code, out, _ = ask(predictions(), gates(), more=["--json"])
    said = json.loads(out, parse_constant=pytest.fail)
    assert (code, said["verdict"], said["rows"]) == (0, "PASS", ROWS)
    assert [g["gate"] for g in said["gates"]] == ["threshold_gate", "champion_gate", "slice_gate"]
    assert said["gates"][0]["criteria"][0]["champion"] == pytest.approx(0.75, abs=0.05)


def test_attempts_on_the_same_rows_spend_alpha(ask):
    highs = []
    for attempts in ("1", "20"):
        _, out, _ = ask(predictions(), gates(), more=["--json", "--attempts", attempts])
        highs.append(json.loads(out)["gates"][1]["criteria"][0]["high"])
    assert highs[1] > highs[0]


# --- how the rows are taken ------------------------------------------------------------------------------------------


def test_a_csv_gives_the_same_verdict_as_parquet(ask):
    parquet = ask(predictions(), gates(), more=["--json"])
    csv = ask(predictions(), gates(), data="predictions.csv", more=["--json"])
    assert json.loads(csv[1])["gates"][0] == json.loads(parquet[1])["gates"][0]
    assert csv[0] == parquet[0] == 0


def judged(frame, roles=None, **declared):
    roles = roles or PredictionColumns("y", ("p_new",), ("p_old",), time="t")
    return judge_frame(frame, JudgedGates.model_validate(gates(**declared)), roles)


def test_labels_in_words_are_taken_in_the_order_of_the_classes():
    frame = predictions()
    numbers = judged(frame)
    words = judged(frame.assign(y=np.where(frame["y"] == 1, "late", "on_time")), classes=["on_time", "late"])
    booleans = judged(frame.assign(y=frame["y"] == 1))
    assert words.gates == numbers.gates == booleans.gates


@pytest.mark.parametrize(
    "as_written",
    [
        lambda t: t.dt.tz_localize(None),
        lambda t: t.dt.tz_convert("America/New_York"),
        lambda t: t.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda t: t.dt.strftime("%Y-%m-%d %H:%M"),
        lambda t: t.dt.date,
        lambda t: t.astype("datetime64[ns, UTC]"),
    ],
    ids=["naive", "New York", "ISO texts", "naive texts", "dates", "nanoseconds"],
)
def test_f014_days_are_utc_days_however_the_time_is_written(as_written):
    frame = predictions()
    assert judged(frame.assign(t=as_written(frame["t"]))).gates == judged(frame).gates


def test_without_time_rows_are_independent_and_that_is_said():
    said = judged(predictions(), PredictionColumns("y", ("p_new",), ("p_old",)))
    assert any("--time" in remark for remark in said.remarks)
    assert said.gates[1].notes["comparisons"]["brier"]["blocks"] is None


def test_the_baseline_is_the_mean_label_unless_named():
    frame = predictions()
    mean = judged(frame)
    named = judged(
        frame.assign(naive=frame["y"].mean()), PredictionColumns("y", ("p_new",), ("p_old",), ("naive",), time="t")
    )
    assert named.gates == mean.gates
    assert any("--baseline" in remark for remark in mean.remarks)


def test_f052_a_first_deployment_must_be_said(ask):
    call = [*CALL[:5], "--first-deployment"]
    code, out, _ = ask(predictions(), gates(slice_gate=None), call=call)
    assert (code, "first_deployment is baseline_only" in out) == (0, True)
    code, _, err = ask(predictions(), gates(slice_gate=None), call=CALL[:5])
    assert (code, "--champion" in err) == (64, True)


def test_a_regression_and_a_multiclass_model_are_judged_too():
    rng = np.random.default_rng(3)
    y = rng.normal(150, 60, ROWS)
    minutes = pd.DataFrame({"y": y, "p_new": y + rng.normal(0, 10, ROWS), "p_old": y + rng.normal(0, 10, ROWS)})
    mae = {"comparisons": [{"metric": "mae", "margin": 1.0}], "beat_baseline_on": "mae", "resamples": 200}
    assert (
        judged(
            minutes,
            PredictionColumns("y", ("p_new",), ("p_old",)),
            task="regression",
            threshold_gate=None,
            slice_gate=None,
            champion_gate=mae,
        ).verdict
        is Verdict.PASS
    )

    kind = rng.integers(0, 3, ROWS)
    truth = np.eye(3)[kind] + 0.5
    new, old = (noisy / noisy.sum(axis=1, keepdims=True) for noisy in (truth + rng.random((2, ROWS, 3))))
    many = pd.DataFrame({"y": kind, **{f"n{i}": new[:, i] for i in range(3)}, **{f"o{i}": old[:, i] for i in range(3)}})
    loss = {"comparisons": [{"metric": "log_loss", "margin": 0.05}], "beat_baseline_on": "log_loss", "resamples": 200}
    assert (
        judged(
            many,
            PredictionColumns("y", ("n0", "n1", "n2"), ("o0", "o1", "o2")),
            task="multiclass",
            threshold_gate=None,
            slice_gate=None,
            champion_gate=loss,
        ).verdict
        is Verdict.PASS
    )


# --- bad input: exit code 64 and one line that says what would do ----------------------------------------------------


def refused(asked, *words):
    code, out, err = asked
    assert (code, out) == (64, "")
    assert err.startswith("slipway: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="p_new"), ["no column 'p_new'", "there are: y, p_old, t, race, sex"]),
        (lambda f: f.rename(columns={"race": "races"}), ["no column 'race'", "Did you mean 'races'?"]),
        (lambda f: f.drop(columns="sex"), ["no column 'sex'"]),
        (
            lambda f: f.assign(y=f["y"].map({0: "good", 1: "bad"})),
            ["Label 'y' has 'good' (4,", "the classes are: 0, 1.", "--classes NEGATIVE,POSITIVE"],
        ),
        (lambda f: f.assign(y=f["y"] + 1), ["Label 'y' has 2 (1,", "the classes are: 0, 1."]),
        (lambda f: f.assign(y=f["y"].where(f.index > 0, 0.5)), ["Label 'y' has 0.5 (1 row); the classes are: 0, 1."]),
        (lambda f: f.assign(y=[[1]] * len(f)), ["Column 'y' holds list<", "which are no labels"]),
        (lambda f: f.assign(p_new="high"), ["Column 'p_new' holds 'high'", "scores are numbers"]),
        (lambda f: f.assign(p_new=f["t"]), ["Column 'p_new' holds time values, which are no scores"]),
        (lambda f: f.assign(t=np.arange(len(f))), ["Time 't' holds 0, 1, 2, 3, 4 and others", "ISO texts"]),
        (lambda f: f.assign(t="yesterday"), ["6,000 values that are no time, the first in row 0: 'yesterday'"]),
        (lambda f: f.assign(t=f["t"].where(f.index != 7)), ["1 values that are no time, the first in row 7"]),
    ],
    ids=["no scores", "slice misspelt", "no group", "label in words", "label 2", "label between", "label of lists",
         "scores in words", "scores of times", "time as numbers", "time in words", "one time missing"],
)  # fmt: skip
def test_a_column_that_cannot_be_used_is_named(ask, change, words):
    refused(ask(change(predictions()), gates()), *words)


def test_f013_texts_with_and_without_a_time_zone_are_refused(ask):
    frame = predictions()
    texts = frame["t"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    refused(
        ask(frame.assign(t=texts.where(frame.index % 2 == 0, texts + "Z")), gates()), "with and without a time zone"
    )


def test_labels_that_no_class_names_are_refused():
    frame = predictions().assign(y=lambda f: f["y"].map({0: "on_time", 1: "cancelled"}))
    with pytest.raises(
        BadPredictions, match=r"Label 'y' has 'cancelled' \(1,\d+ rows\); the classes are: on_time, late"
    ):
        judged(frame, classes=["on_time", "late"])


def test_the_label_taken_for_scores_is_refused(ask):
    call = ["y" if word == "p_new" else word for word in CALL]
    refused(ask(predictions(), gates(), call=call), "Column 'y' is the label and scores too")


def test_files_that_are_not_there_or_not_what_they_are_called(ask, tmp_path):
    refused(ask(None, gates()), "There is no file", "--data")
    refused(ask(predictions(), None, more=["--gates", str(tmp_path / "none.yaml")]), "There is no file", "--gates")
    (tmp_path / "text.parquet").write_text("y,p_new\n1,0.5\n")
    refused(ask(None, gates(), data="text.parquet"), "cannot be read as parquet")
    (tmp_path / "empty.parquet").write_bytes(b"")
    refused(ask(None, gates(), data="empty.parquet"), "cannot be read as parquet")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00y")
    refused(ask(None, gates(), data="bytes.csv"), "bytes.csv cannot be read as CSV")
    (tmp_path / "table.xlsx").write_bytes(b"")
    refused(ask(None, gates(), data="table.xlsx"), "ends in .xlsx", ".csv")


def test_f025_a_truncated_parquet_is_refused(ask, tmp_path):
    whole = tmp_path / "whole.parquet"
    predictions().to_parquet(whole)
    (tmp_path / "half.parquet").write_bytes(whole.read_bytes()[:5000])
    refused(ask(None, gates(), data="half.parquet"), "half.parquet cannot be read as parquet")


def test_f134_a_file_that_holds_too_much_is_refused_before_it_is_read(ask, monkeypatch):
    monkeypatch.setattr(reading, "MAX_ROWS", 5000)
    refused(ask(predictions(), gates()), "holds 6,000 rows", "at most 5,000 rows")


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"task": "binary"}, ["no gate is declared"]),
        (gates(threshold_gate={"criteria": []}), ["threshold_gate.criteria"]),
        (
            gates(threshold_gate={"criteria": [{"metric": "mae", "at_most": 1}]}),
            ["threshold_gate.criteria.0.metric", "'mae'"],
        ),
        (gates(slice_gate={**GATES["slice_gate"], "metric": "f1"}), ["slice_gate.metric is 'f1'"]),
        (gates(champion_gates=GATES["champion_gate"]), ["Did you mean 'champion_gate'?"]),
        (gates(task="ranking"), ["task is 'ranking'"]),
        (gates(classes=["a", "b", "c"]), ["a binary model has two, the positive one last"]),
        (gates(classes=["a", "a"]), ["each once"]),
        (gates(champion_gate={**GATES["champion_gate"], "alpha": float("nan")}), ["champion_gate.alpha"]),
        ("champion_gate: [", ["this is not YAML"]),
        ("", ["must be a mapping"]),
    ],
    ids=[
        "none",
        "empty",
        "another task's metric",
        "no metric",
        "misspelt",
        "no task",
        "three classes",
        "one class twice",
        "nan",
        "no YAML",
        "nothing",
    ],
)
def test_f048_gates_that_judge_nothing_or_are_written_wrongly_are_refused(ask, declared, words):
    refused(ask(predictions(), declared), "gates.yaml", *words)


def test_a_slice_without_a_slice_gate_is_refused(ask):
    refused(ask(predictions(), gates(slice_gate=None)), "--slice is given, but the gates have no slice_gate")


def test_a_number_of_attempts_below_one_is_refused(ask):
    refused(ask(predictions(), gates(), more=["--attempts", "0"]), "attempts is 0")


def test_a_measure_of_another_task_is_refused_by_the_declaration():
    rule = {"groups": "sex", "measure": "group_loss", "margin": 1}
    with pytest.raises(ValueError, match=r"slice_gate.fairness.0.measure is 'group_loss'"):
        judged(predictions(), slice_gate={**GATES["slice_gate"], "fairness": [rule]})


def test_a_date_is_a_day():
    frame = predictions().assign(t=date(2013, 6, 1))
    assert judged(frame).verdict is Verdict.INCONCLUSIVE


# --- labels, scores and gates as people have them ---------------------------------------------------------------------

SPELLED = {
    "int8": lambda y: y.astype("int8"),
    "float32": lambda y: y.astype("float32"),
    "float64": lambda y: y.astype(float),
    "nullable": lambda y: y.astype("Int64"),
    "bool": lambda y: y.astype(bool),
    "text": lambda y: y.astype(str),
    "float text": lambda y: y.astype(float).astype(str),
    "category": lambda y: y.astype(str).astype("category"),
    "decimal": lambda y: y.map(lambda v: Decimal(f"{v}.00")),
    "yes and no": lambda y: y.map({0: "no", 1: "yes"}),
    "TRUE and FALSE": lambda y: y.map({0: "FALSE", 1: "TRUE"}),
}


@pytest.mark.parametrize("classes", [None, ["0", "1"], ["no", "yes"], ["1", "0"], [0, 1]])
@pytest.mark.parametrize("data", ["predictions.parquet", "predictions.csv"])
def test_f200_one_label_in_any_spelling_is_one_verdict(ask, classes, data):
    frame, told = predictions(1500), {}
    declared = gates(classes=classes, slice_gate=None, threshold_gate=GATES["threshold_gate"])
    call = CALL[:-2]
    for how, spelled in SPELLED.items():
        code, out, err = ask(frame.assign(y=spelled(frame["y"])), declared, call=call, data=data)
        assert err == "", how
        told[how] = (code, out)
    assert all(one == told["int8"] for one in told.values())
    auc = float(told["int8"][1].split("roc_auc")[1].split()[0])
    assert (auc < 0.5) == (classes == ["1", "0"]), "the positive class is the last"


@pytest.mark.parametrize("labels", [[1, 2, 3], [1.0, 2.0, 3.0], ["1", "2", "3"], ["1.0", "2.0", "3.0"]])
def test_f200_three_classes_are_the_same_as_whole_numbers_floats_and_texts(ask, labels):
    rng = np.random.default_rng(1)
    z, k = rng.normal(size=(2000, 3)), rng.choice(3, 2000)
    z[np.arange(2000), k] += 1.5
    frame = pd.DataFrame(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), columns=["a", "b", "c"])
    frame["y"] = [labels[i] for i in k]
    declared = {"task": "multiclass", "classes": ["1", "2", "3"]}
    declared["threshold_gate"] = {"criteria": [{"metric": "accuracy", "at_least": 0.5}]}
    call = ["judge", "--label", "y", "--candidate", "a,b,c", "--first-deployment"]
    code, out, _ = ask(frame, declared, call=call)
    assert code == 0
    accuracy = (frame[["a", "b", "c"]].to_numpy().argmax(axis=1) == k).mean()
    assert f"accuracy {accuracy:.4f} >= 0.5" in " ".join(out.split())
    del declared["classes"]
    refused(ask(frame, declared, call=call), "Label 'y' has ", "the classes are: a, b, c.", "--classes A,B,C")
    assert ask(frame, declared, call=call, more=["--classes", "1,2,3"])[1] == out


def test_columns_named_by_class_need_no_classes(ask_without_gates):
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1, 1, 1], 2000)
    frame = pd.DataFrame(p, columns=["p_late", "p_lost", "p_on_time"])
    frame["y"] = [["late", "lost", "on_time"][rng.choice(3, p=row)] for row in p]
    call = ["judge", "--label", "y", "--candidate", "p_late,p_lost,p_on_time", "--first-deployment"]
    code, out, _ = ask_without_gates(frame, call)
    assert code == 0
    assert "classes: [late, lost, on_time]" in out
    positions = frame.assign(y=frame["y"].map({"late": 0, "lost": 1, "on_time": 2}))
    assert ask_without_gates(positions, call)[0] == 0


@pytest.fixture
def ask_without_gates(tmp_path, capsys):
    """As ``ask``, without a file of gates."""

    def run(frame, call):
        frame.to_parquet(tmp_path / "given.parquet")
        code = main([*call, "--data", str(tmp_path / "given.parquet")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize(
    ("label", "bound"),
    [
        (lambda f: f["y"], "{metric: roc_auc, at_least: 0.5}"),
        (lambda f: f["y"].map({0: "no", 1: "yes"}), "{metric: roc_auc, at_least: 0.5}"),
        (lambda f: f["p_new"] * 100, "{metric: mae, at_most: SPREAD}"),
    ],
    ids=["binary", "words", "regression"],
)
def test_without_gates_the_bounds_are_stated(ask, ask_without_gates, label, bound):
    frame = predictions(1500).assign(y=label)
    call = ["judge", "--label", "y", "--candidate", "p_new", "--champion", "p_old"]
    code, out, err = ask_without_gates(frame, call)
    assert (code in (0, 1, 2), err) == (True, "")
    assert "No --gates: these defaults were taken." in out
    if "SPREAD" in bound:
        middle = frame["y"].median()
        bound = bound.replace("SPREAD", f"{(frame['y'] - middle).abs().mean():.4g}")
    assert bound in out
    stated = yaml.safe_load("\n".join(line[2:] for line in out.splitlines() if line.startswith("  ") and ":" in line))
    again = ask(frame, stated, call=call)
    assert again[0] == code, "what is stated is a file that says the same"
    assert bound in ask_without_gates(frame, [*call, "--json"])[1], "machines are told too"


@pytest.mark.parametrize("kind", ["decimal", "float32", "text"])
def test_scores_of_any_type_of_number_are_numbers(ask, kind):
    frame = predictions(1500)
    frame[["p_new", "p_old"]] = frame[["p_new", "p_old"]].round(6)
    as_kind = {
        "decimal": lambda c: c.map(lambda v: Decimal(f"{v:.6f}")),
        "float32": lambda c: c.astype("float32"),
        "text": lambda c: c.map("{:.6f}".format),
    }[kind]
    other = frame.assign(p_new=as_kind(frame["p_new"]), p_old=as_kind(frame["p_old"]))
    declared = gates(slice_gate=None)
    assert ask(other, declared, call=CALL[:-2])[:2] == ask(frame, declared, call=CALL[:-2])[:2]


@pytest.mark.parametrize("positives", [0, 1, 2, 1499, 1500])
def test_f205_rows_of_one_class_or_nearly_are_judged_and_never_raise(ask, positives):
    frame = predictions(1500)
    frame["y"] = (np.arange(1500) < positives).astype(int)
    every = ("roc_auc", "log_loss", "brier", "average_precision", "ece", "accuracy")
    declared = gates(
        threshold_gate={"criteria": [{"metric": "roc_auc", "at_least": 0.5}]},
        champion_gate={
            **GATES["champion_gate"],
            "comparisons": [{"metric": m, "margin": 0.5} for m in every],
            "beat_baseline_on": "roc_auc",
        },
    )
    code, out, err = ask(frame, declared)
    assert err == ""
    assert code in (1, 2)
    if positives in (0, 1500):
        assert "all 1,500 labels are of one class" in out


def test_classes_that_are_named_twice_over_are_refused(ask):
    declared = gates(classes=["no", "yes"], slice_gate=None)
    more = ["--classes", "yes,no"]
    refused(ask(predictions(), declared, call=CALL[:-2], more=more), "--classes is yes, no", "Name them once")
    assert ask(predictions(), declared, call=CALL[:-2], more=["--classes", "no, yes"])[0] == 0
