"""``slipway simulate`` on streams as people have them: it ends with a sentence, never with a stack trace."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from include.cli import main

DAYS, A_DAY = 60, 40
LINEAR = "sklearn.linear_model.LogisticRegression"
RIDGE = "sklearn.linear_model.Ridge"
CALL = ["--time", "t", "--label", "y", "--train-window", "21d", "--holdout", "7d", "--fits-at-most", "0"]


def a_stream(days=DAYS, *, seed=1):
    rng = np.random.default_rng(seed)
    rows = days * A_DAY
    x = rng.normal(size=(rows, 2))
    frame = pd.DataFrame(x, columns=["x0", "x1"])
    frame["t"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows) * (86_400 // A_DAY), unit="s")
    frame["y"] = (rng.random(rows) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    return frame


def changed(frame, rows, column, value):
    found = frame.copy()
    if not isinstance(value, float | int):
        found[column] = found[column].astype(str if column == "t" else object)
    else:
        found[column] = found[column].astype(float)
    found.loc[rows, column] = value
    return found


@pytest.fixture
def ask(tmp_path, capsys):
    def run(frame, *more, estimator=LINEAR, suffix="csv"):
        file = tmp_path / f"stream.{suffix}"
        frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
        code = main(["simulate", "--data", str(file), *CALL, "--estimator", estimator, *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


STUMP = "sklearn.ensemble.RandomForestClassifier"
STACK = "sklearn.ensemble.StackingClassifier"
REFUSED = {
    "infinity in a later window": (
        lambda f: changed(f, slice(1600, 1604), "x0", np.inf),
        LINEAR,
        (),
        ["'x0' has 5", "infinite", "--impute"],
    ),
    "minus infinity in the first": (lambda f: changed(f, [3], "x1", -np.inf), LINEAR, (), ["'x1' has 1", "infinite"]),
    "a number beyond all computing": (
        lambda f: changed(f, [1700, 1701], "x0", 1e200),
        STUMP,
        (),
        ["'x0' has 2", "beyond 1e+60"],
    ),
    "too large for single precision": (
        lambda f: changed(f, [2300], "x0", 1e60),
        STUMP,
        ("--params", "{n_estimators: 3}"),
        ["cannot answer", "Beyond single precision: x0 (1)"],
    ),
    "missing in scored rows only": (
        lambda f: changed(f, [2300, 2301], "x0", np.nan),
        LINEAR,
        (),
        ["cannot answer", "x0 (2)", "--impute"],
    ),
    "missing in the first window": (
        lambda f: changed(f, [5], "x0", np.nan),
        LINEAR,
        (),
        ["cannot be fitted", "--impute"],
    ),
    "a sentinel for ever": (
        lambda f: changed(f, [3], "t", "9999-12-31 00:00:00"),
        LINEAR,
        (),
        ["'t' has 1 of 2,400", "9999-12-31", "leave such rows out"],
    ),
    "a sentinel for never": (
        lambda f: changed(f, [3, 4], "t", "1900-01-01 00:00:00"),
        LINEAR,
        (),
        ["'t' has 2 of 2,400", "1900-01-01"],
    ),
    "the epoch as a sentinel": (
        lambda f: changed(f, [9], "t", "1970-01-01 00:00:00"),
        LINEAR,
        (),
        ["'t' has 1 of 2,400", "1970-01-01"],
    ),
    "all times far away": (lambda f: f.assign(t="9998-01-01"), LINEAR, (), ["after 2250"]),
    "a missing time": (lambda f: changed(f, [7], "t", ""), LINEAR, (), ["1 values that are no time"]),
    "labels later than the last row": (lambda f: f, LINEAR, ("--label-delay", "400d"), ["a label delay of 400 days"]),
    "no label in the days to simulate": (
        lambda f: changed(f, slice(1120, None), "y", np.nan),
        LINEAR,
        (),
        ["No row of", "ever got a label"],
    ),
    "a label that is infinite": (
        lambda f: f.assign(y=f["x0"]).pipe(changed, [3], "y", np.inf),
        RIDGE,
        (),
        ["'y' has 1 infinite"],
    ),
    "a feature without a value in the first window": (
        lambda f: changed(f, slice(0, 1200), "x1", np.nan),
        LINEAR,
        ("--impute",),
        ["No first champion", "No value at all in x1"],
    ),
    "all in one day": (lambda f: f.assign(t="2024-03-01"), LINEAR, (), ["leave no day to simulate"]),
    "a meta-estimator": (lambda f: f, STACK, (), ["needs estimators", "needs no other"]),
    "a meta-estimator with words": (lambda f: f, STACK, ("--params", "{estimators: [a, b]}"), ["StackingClassifier"]),
    "a wrong type of parameter": (lambda f: f, LINEAR, ("--params", "{C: high}"), ["estimator.params"]),
    "a wrong choice of parameter": (
        lambda f: f,
        "sklearn.svm.SVC",
        ("--params", "{probability: false}"),
        ["no probabilities"],
    ),
    "no import path": (lambda f: f, "LogisticRegression", (), ["cannot be imported", "full import path"]),
    "no estimator": (lambda f: f, "sklearn.preprocessing.StandardScaler", (), ["neither a classifier nor a regressor"]),
    "one label only": (lambda f: f.assign(y=1), LINEAR, (), ["one class only, 1"]),
    "no label at all": (lambda f: f.assign(y=np.nan), LINEAR, (), ["holds no value at all"]),
    "a number as a class": (lambda f: f.assign(y=f["x0"]), LINEAR, (), ["different values", "regressor"]),
    "a text as a number": (lambda f: f.assign(y="late"), RIDGE, (), ["are no numbers"]),
    "a constant number": (lambda f: f.assign(y=4.0), RIDGE, (), ["No first champion", "same label"]),
    "a label beyond all computing": (
        lambda f: f.assign(y=f["x0"]).pipe(changed, [3], "y", 1e200),
        RIDGE,
        (),
        ["'y' has 1", "beyond 1e+60"],
    ),
    "classes that differ in capitals": (
        lambda f: f.assign(y=np.where(f["y"] == 1, "late", "ok")).pipe(changed, [3], "y", "Late"),
        LINEAR,
        (),
        ["'Late' and 'late'", "capitals"],
    ),
    "no feature": (lambda f: f[["t", "y"]], LINEAR, (), ["has no features"]),
    "one class in the first window": (
        lambda f: changed(f, slice(0, 1200), "y", 1),
        LINEAR,
        (),
        ["No first champion", "Single class"],
    ),
    "only times beside": (
        lambda f: f[["t", "y"]].assign(then=f["t"]),
        LINEAR,
        (),
        ["no features", "'then' holds time"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_stream_that_cannot_be_simulated_is_one_line_and_exit_code_64(ask, name):
    change, estimator, more, words = REFUSED[name]
    code, out, err = ask(change(a_stream()), *more, estimator=estimator)
    assert (code, out) == (64, ""), err
    assert err.startswith("slipway: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def shuffled(frame):
    return frame.sample(frac=1, random_state=1)


def in_words(frame):
    return frame.assign(y=np.where(frame["y"] == 1, "yes", "no"))


BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
QUICK = ("--params", "{max_iter: 5}")


def turned(frame, day=35):
    """From the day on the effect of ``x0`` is the other way round, so that journeys start."""
    late = np.arange(len(frame)) >= day * A_DAY
    rng = np.random.default_rng(4)
    slope = np.where(late, -3.0, 3.0) * frame["x0"]
    return frame.assign(y=(rng.random(len(frame)) < 1 / (1 + np.exp(-slope))).astype(int))


def of_categories(frame):
    rows = np.arange(len(frame))
    return frame.assign(c=np.where(rows < 1900, np.where(frame["x0"] > 0, "a", "b"), None))


WENT_ON = {
    "labels that are all late": (turned, LINEAR, ("--label-delay", "20d")),
    "a day without a row": (lambda f: f[(f["t"] < "2024-02-10") | (f["t"] >= "2024-02-11")], LINEAR, ()),
    "labels on every other day": (
        lambda f: changed(turned(f), np.arange(len(f)) // A_DAY % 2 == 1, "y", np.nan),
        LINEAR,
        (),
    ),
    "one class since the change": (lambda f: changed(turned(f), slice(1500, None), "y", 1), LINEAR, ()),
    "one class since the change, boosted": (
        lambda f: changed(turned(f), slice(1500, None), "y", 1),
        BOOSTING,
        QUICK,
    ),
    "one label since the change": (
        lambda f: f.assign(y=f["x0"]).pipe(changed, slice(1500, None), "y", 3.0),
        RIDGE,
        ("--metric", "rmse"),
    ),
    "one class for a while, row by row": (
        lambda f: changed(f, slice(1300, 2000), "y", 0),
        LINEAR,
        ("--set", "drift.performance.unit=row"),
    ),
    "every feature vanishes": (
        lambda f: changed(changed(turned(f), slice(1500, None), "x0", np.nan), slice(1500, None), "x1", np.nan),
        BOOSTING,
        QUICK,
    ),
    "a category vanishes": (of_categories, LINEAR, ("--encode", "one_hot")),
    "one row a day from some day on": (lambda f: pd.concat([f[:1300], f[1300::40]]), LINEAR, ()),
    "a number far away": (lambda f: changed(f, [2300], "x0", 1e59), LINEAR, ()),
    "unsorted": (shuffled, LINEAR, ()),
    "rows twice": (lambda f: pd.concat([f, f.head(200)]), LINEAR, ()),
    "an empty week": (lambda f: f[(f["t"] < "2024-02-10") | (f["t"] > "2024-02-17")], LINEAR, ()),
    "empty days at the start": (lambda f: f[(f["t"] < "2024-01-02") | (f["t"] > "2024-01-05")], LINEAR, ()),
    "one class for a while": (lambda f: changed(f, slice(1300, 2000), "y", 0), LINEAR, ()),
    "a constant number for a while": (
        lambda f: f.assign(y=f["x0"]).pipe(changed, slice(1300, 2000), "y", 0.0),
        RIDGE,
        (),
    ),
    "no label for a while": (lambda f: changed(f, slice(1300, 2000), "y", np.nan), LINEAR, ()),
    "labels in words": (in_words, LINEAR, ()),
    "booleans": (lambda f: f.assign(y=f["y"] == 1), LINEAR, ()),
    "labels as floats": (lambda f: f.assign(y=f["y"].astype(float)), LINEAR, ()),
    "missing, imputed": (lambda f: changed(f, [2300], "x0", np.nan), LINEAR, ("--impute",)),
    "a feature without a value for a while": (
        lambda f: changed(f, slice(1300, 2399), "x1", np.nan),
        LINEAR,
        ("--impute",),
    ),
    "a feature with one value": (lambda f: f.assign(x1=1.0), LINEAR, ()),
    "a third class at the end": (lambda f: changed(f, slice(2300, 2399), "y", 2), LINEAR, ()),
    "a third class at the start": (lambda f: changed(f, slice(0, 60), "y", 2), LINEAR, ()),
    "categories never seen": (lambda f: f.assign(c=["a"] * 2000 + ["b"] * 400), LINEAR, ()),
    "a name that is a word of the language": (lambda f: f.rename(columns={"x0": "class", "x1": "1 %"}), LINEAR, ()),
}


@pytest.mark.parametrize("name", WENT_ON)
def test_a_stream_that_is_only_odd_is_simulated(ask, name):
    change, estimator, more = WENT_ON[name]
    code, out, err = ask(change(a_stream()), *more, estimator=estimator)
    assert (code, err) == (0, "")
    assert "labelled rows on" in out


def test_f200_labels_in_any_spelling_are_one_simulation(ask):
    frame = a_stream()
    spellings = {
        "whole": frame["y"],
        "float": frame["y"].astype(float),
        "boolean": frame["y"] == 1,
        "words": np.where(frame["y"] == 1, "yes", "no"),
        "mixed": np.where(frame["y"] == 1, np.where(frame["x1"] > 0, "1", "1.0"), np.where(frame["x1"] > 0, "0", "no")),
    }
    told = {}
    for how, label in spellings.items():
        code, out, _ = ask(frame.assign(y=label))
        assert code == 0, how
        told[how] = [line for line in out.splitlines() if not line.startswith("Label y has")]
    assert all(lines == told["whole"] for lines in told.values())
    mixed = ask(frame.assign(y=spellings["mixed"]))[1]
    assert re.search("Label y has ('0', 'no'|'no', '0'), which are one class: (0|no)[.]", mixed)


def test_what_is_no_feature_is_left_out_with_a_remark(ask):
    frame = a_stream()
    rows = len(frame)
    odd = frame.assign(
        row=range(rows), key=[f"k{i}" for i in range(rows)], seen=frame["t"], nothing=np.nan, parts=[[1, 2]] * rows
    )
    code, out, _ = ask(odd, suffix="parquet")
    assert code == 0
    for name, why in {
        "row": f"counts the {rows:,} rows",
        "key": f"has a text of its own in each of {rows:,} rows",
        "seen": "holds time values",
        "nothing": "holds no value at all",
        "parts": "holds list<",
    }.items():
        assert f"Left out: {name}, which {why}" in out
    plain = ask(frame, suffix="parquet")[1].splitlines()
    assert [line for line in out.splitlines() if not line.startswith("Left out")] == plain
    code, _, err = ask(odd, "--features", "x0,seen", suffix="parquet")
    assert (code, "Column 'seen' holds time values, which are no feature" in err) == (64, True)


# --- leaks -----------------------------------------------------------------------------------------------------------


def test_a_feature_that_is_the_label_is_named(ask):
    frame = a_stream()
    leaked = frame.assign(paid_back=frame["y"] + np.random.default_rng(1).normal(0, 0.01, len(frame)))
    assert "paid_back alone reaches AUC 1.000: known at prediction time?" in ask(leaked)[1].splitlines()[-2]
    assert "known at prediction time" not in ask(frame)[1]


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, -1.0), (2.0, 0.5)])
def test_two_numbers_that_make_up_the_label_are_named(ask, weights):
    rng = np.random.default_rng(2)
    frame = a_stream()
    frame["casual"], frame["registered"] = rng.gamma(2, 20, len(frame)), rng.gamma(3, 50, len(frame))
    frame["y"] = weights[0] * frame["casual"] + weights[1] * frame["registered"] + rng.normal(0, 0.1, len(frame))
    told = ask(frame, estimator=RIDGE)[1]
    assert "casual and registered together explain 1.000 of the label's variance: known at prediction time?" in told


def test_a_number_that_is_nearly_the_label_is_named(ask):
    frame = a_stream()
    frame["y"] = frame["x0"] * 3 + np.random.default_rng(1).normal(0, 0.01, len(frame))
    assert "x0 alone explains 1.000 of the label's variance: known at prediction" in ask(frame, estimator=RIDGE)[1]


def test_a_champion_almost_without_a_fault_is_remarked_on(ask):
    frame = a_stream()
    frame["z"] = np.random.default_rng(3).normal(size=len(frame))
    frame["y"] = frame[["x0", "x1", "z"]].sum(axis=1)
    told = ask(frame, estimator=RIDGE)[1]
    assert "The first champion reaches r2 1.000 on held-out rows, almost without a fault" in told
