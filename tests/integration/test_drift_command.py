"""``slipway drift`` on files: its exit codes, its table, its pieces, its picture, and one line for each bad input."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_modules import own_module  # noqa: F401 - a fixture

from include.cli import main


def trips(rows, *, seed=1, by_sd=0.0, days=1, first="2013-05-01", harder=0.0):
    """Two numbers, a category, a flag, the time, and a model's scores with the labels that followed."""
    rng = np.random.default_rng(seed)
    order = rng.normal(by_sd, 1, rows)
    noise = rng.normal(0, 1 + harder, rows)
    when = pd.Timestamp(first, tz="UTC") + pd.to_timedelta(np.sort(rng.random(rows)) * days * 86_400, unit="s")
    chance = 1 / (1 + np.exp(-order))
    return pd.DataFrame(
        {
            "order": order,
            "wind": np.where(rng.random(rows) < 0.2, np.nan, rng.gamma(2, 5, rows)),
            "carrier": rng.choice(["UA", "B6", "EV"], rows, p=[0.5, 0.3, 0.2]),
            "holiday": rng.random(rows) < 0.1,
            "when": when,
            "late": (rng.random(rows) < chance).astype(int),
            "p": chance,
            "minutes": 60 + 10 * order,
            "minutes_predicted": 60 + 10 * order + noise * (2 + np.abs(order)),
        }
    )


HARM, NOT_JUDGED = 4, 2
BARE = ["order", "wind", "carrier", "holiday"]


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def asked(reference, current, *args, form="parquet"):
        for name, frame in (("reference", reference), ("current", current)):
            if frame is not None:
                write = frame.to_parquet if form == "parquet" else frame.to_csv
                write(f"{name}.{form}", index=False)
        code = main(["drift", "--reference", f"reference.{form}", "--current", f"current.{form}", *args])
        said = capsys.readouterr()
        return code, (json.loads(said.out) if "--json" in args else said.out), said.err

    return asked


# --- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("by_sd", "rows", "code", "verdict"),
    [(0.0, 4000, 0, "no drift"), (0.3, 4000, 1, "change"), (0.3, 100, 2, "inconclusive")],
)
def test_the_exit_code_says_what_the_verdict_says(ask, form, by_sd, rows, code, verdict):
    found, out, _ = ask(trips(8000)[BARE], trips(rows, seed=2, by_sd=by_sd)[BARE], form=form)
    assert found == code
    assert f"verdict: {verdict} ({rows:,} rows against 8,000)" in out
    assert ("order    DRIFT" in out) is (code == 1)


def test_a_parquet_and_a_csv_of_the_same_rows_say_the_same(ask):
    tables = trips(6000)[BARE].round(6), trips(3000, seed=2, by_sd=0.3)[BARE].round(6)
    answers = [ask(*tables, "--json", form=form)[1]["pieces"] for form in ("parquet", "csv")]
    assert answers[0] == answers[1]


def test_the_floor_and_the_share_of_columns_are_the_callers(ask):
    tables = trips(8000)[BARE], trips(4000, seed=2, by_sd=0.3)[BARE]
    assert ask(*tables, "--effect", "0.5")[0] == 0
    assert ask(*tables, "--share", "0.5")[0] == 0


# --- what is compared -------------------------------------------------------------------------------------------------


def test_columns_that_came_or_went_or_changed_their_kind_are_named(ask):
    current = (
        trips(4000, seed=2)[BARE]
        .drop(columns="wind")
        .assign(carrier=np.random.default_rng(0).normal(size=4000), new=1.0)
    )
    code, out, _ = ask(trips(8000)[[*BARE, "when"]], current)
    assert code == 1
    assert "Column wind is not in current.parquet: missing in every row." in out
    assert "Column carrier is categorical in the reference and numeric now." in out
    assert "Left out (days or times): when." in out
    assert "Not in the reference, so not compared: new." in out


def test_many_small_row_groups_count_as_the_whole(ask, tmp_path):
    reference, current = trips(4000)[BARE], trips(3000, seed=2)[BARE]
    _, whole, _ = ask(reference, current, "--json")
    pq.write_table(pa.Table.from_pandas(current, preserve_index=False), tmp_path / "current.parquet", row_group_size=70)
    _, pieces, _ = ask(None, None, "--json")
    assert pieces["pieces"] == whole["pieces"]
    assert pieces["histograms"] == whole["histograms"]


# --- performance ------------------------------------------------------------------------------------------------------


def test_scores_and_labels_add_prediction_drift_and_both_performances(ask):
    reference, current = trips(8000, days=10), trips(4000, seed=2, days=4, first="2013-06-01")
    columns = [*BARE, "when", "late", "p"]
    roles = ("--label", "late", "--score", "p", "--time", "when")
    code, answer, _ = ask(reference[columns], current[columns], *roles, "--json")
    piece = answer["pieces"][0]
    assert (code, answer["outcome"]) == (0, "no drift")
    assert piece["estimated"]["risk"] == pytest.approx(piece["realised"]["risk"], rel=0.05)
    assert piece["predictions"]["drifted"] is False
    assert {f["name"] for f in piece["inputs"]["features"]} == set(BARE)


def test_without_labels_in_the_current_table_the_loss_is_estimated(ask):
    reference, current = trips(8000, days=10), trips(4000, seed=2, days=4)
    roles = ("--label", "minutes", "--score", "minutes_predicted", "--json")
    columns = ["order", "minutes", "minutes_predicted"]
    _, answer, _ = ask(reference[columns], current[columns[::2]], *roles)
    piece = answer["pieces"][0]
    assert piece["realised"] is None
    assert piece["estimated"]["metric"] == "mae"
    assert piece["estimated"]["out_of_band"] is False


def test_a_model_that_became_worse_on_the_same_rows_is_found_by_its_labels(ask):
    columns = ["order", "minutes", "minutes_predicted"]
    roles = ("--label", "minutes", "--score", "minutes_predicted")
    code, out, _ = ask(trips(8000)[columns], trips(4000, seed=2, harder=0.5)[columns], *roles)
    assert code == 4
    assert "harm: found\nchange: quiet\nverdict: harm (4,000 rows against 8,000)" in out
    assert "Realised out of band: mae" in out
    assert "Inputs did not drift" in out


def test_several_classes_have_a_score_each_and_labels_by_their_names(ask):
    rng = np.random.default_rng(3)

    def classed(rows, weights):
        chances = rng.dirichlet(weights, rows)
        label = np.array(["a", "b", "c"])[(rng.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, 2)]
        return pd.DataFrame({"score_a": chances[:, 0], "score_b": chances[:, 1], "score_c": chances[:, 2], "y": label})

    roles = ("--label", "y", "--score", "score_a,score_b,score_c", "--json")
    _, answer, _ = ask(classed(8000, [2, 2, 2]), classed(4000, [2, 2, 2]), *roles)
    assert answer["outcome"] == "no drift"
    _, answer, _ = ask(None, classed(4000, [6, 2, 1]), *roles)
    drifted = {f["name"] for f in answer["pieces"][0]["predictions"]["features"] if f["drifted"]}
    assert {"score_a", "predicted_class"} <= drifted


# --- in pieces --------------------------------------------------------------------------------------------------------


def a_month_that_changes_in_its_middle():
    return pd.concat(
        [
            trips(8000, seed=4, days=8, first="2013-06-01"),
            trips(8000, seed=5, days=8, first="2013-06-09", by_sd=0.8),
        ]
    )


@pytest.mark.parametrize(
    ("chunk", "first", "quiet", "drifted"),
    [("1d", "2013-06-01", 8, 8), ("2000", "rows 1 to 2,000", 4, 4), ("48h", "2013-05-31", 4, 4)],
)
def test_a_long_table_is_judged_piece_by_piece(ask, chunk, first, quiet, drifted):
    roles = ("--time", "when", "--label", "late", "--score", "p", "--chunk", chunk, "--json")
    columns = [*BARE, "when", "late", "p"]
    code, answer, _ = ask(trips(20_000, days=20)[columns], a_month_that_changes_in_its_middle()[columns], *roles)
    assert code == 1
    assert answer["pieces"][0]["name"] == first
    outcomes = [piece["outcome"] for piece in answer["pieces"]]
    assert outcomes.count("change") in (drifted, drifted + 1)  # a piece of two days may lie across the change
    assert set(outcomes[: quiet - 1]) == {"no drift"}
    assert sum(piece["rows"] for piece in answer["pieces"]) == 16_000
    assert sum(answer["histograms"]["order"]["current"]) == 16_000


@pytest.mark.parametrize(("rows", "pieces"), [(8000, 5), (9400, 6)])
def test_rows_left_over_at_the_end_of_the_reference_are_no_piece_of_it(ask, rows, pieces):
    """A piece of a few hundred rows varies more by chance, and what is usual would be whatever it did."""
    code, answer, _ = ask(trips(rows)[BARE], trips(4500, seed=2, by_sd=0.4)[BARE], "--chunk", "1500", "--json")
    assert code == 1
    for piece in answer["pieces"]:
        assert "order" in {f["name"] for f in piece["inputs"]["features"] if f["drifted"]}
    few = f"The reference makes {pieces} such pieces; from 6 on what is usual from one to the next is allowed for."
    assert any(few in remark for remark in answer["remarks"]) is (pieces < 6)


def test_pieces_without_drift_share_the_error_rate(ask):
    """A hundred pieces: without sharing, a few of them would be called out in nearly every run."""
    code, out, _ = ask(trips(30_000)[BARE], trips(50_000, seed=6)[BARE], "--chunk", "500")
    assert code == 0
    assert "verdict: no drift (0 of 100 pieces; 50,000 rows against 30,000)" in out


@pytest.mark.parametrize("name", ["drift.png", "drift.svg"])
@pytest.mark.parametrize("chunk", [(), ("--chunk", "1000")])
def test_the_picture_is_drawn(ask, tmp_path, name, chunk):
    current = trips(4000, seed=2).assign(carrier="$x_{y}$ & <b>")
    roles = ("--label", "late", "--score", "p", "--time", "when")
    code, out, _ = ask(trips(8000), current, *roles, "--plot", name, *chunk)
    assert code == 1
    assert f"drawn: {name}" in out
    assert (tmp_path / name).stat().st_size > 5000


# --- any declared metric ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "metric"),
    [
        (("late", "p"), "recall(threshold=0.5)"),
        (("late", "p"), "precision(threshold=0.5)"),
        (("late", "p"), "f_beta(threshold=0.5, beta=2)"),
        (("late", "p"), "cost(matrix=[[0, 1], [5, 0]], threshold=0.3)"),
        (("late", "p"), "roc_auc"),
        (("minutes", "minutes_predicted"), "pinball(quantile=0.9)"),
        (("minutes", "minutes_predicted"), "mape"),
        (("minutes", "minutes_predicted"), "poisson_deviance"),
    ],
)
def test_any_metric_that_gates_take_says_what_got_worse_and_what_did_not(ask, roles, metric):
    reference, label, score = trips(4000), *roles
    same, worse = trips(3000, seed=2), trips(3000, seed=2, harder=4.0)
    worse["p"] = np.where(np.arange(3000) % 2, worse["p"], np.random.default_rng(3).permutation(worse["p"]))
    worse["minutes_predicted"] = worse["minutes_predicted"].clip(lower=1.0)
    for now, harm in ((same, 0), (worse, HARM)):
        columns = ("--label", label, "--score", score, "--features", "wind", "--metric", metric, "--json")
        code, answer, err = ask(reference, now, *columns)
        assert (code & (HARM | NOT_JUDGED), err) == (harm, "")
        assert answer["pieces"][0]["realised"]["metric"].partition("(")[0] == metric.partition("(")[0]


def test_a_metric_of_a_teams_own_is_named_by_its_import_path(ask, own_module):  # noqa: F811
    own_module(
        "drift_ours",
        """
        import numpy as np
        from include.domain.own_metrics import per_row, whole

        @per_row(better="lower", low=0)
        def lost(labels, scores):
            return np.where(labels == 1, 5 * (1 - scores), scores)

        @whole(better="higher", low=0, high=1)
        def found_at_the_top(labels, scores):
            return labels[np.argsort(-scores, kind="stable")[: len(scores) // 5]].mean()
        """,
    )
    worse = trips(3000, seed=2).assign(p=lambda f: np.random.default_rng(3).permutation(f["p"]))
    for metric in ("drift_ours.lost", "drift_ours.found_at_the_top"):
        columns = ("--label", "late", "--score", "p", "--features", "wind", "--metric", metric, "--json")
        code, answer, _ = ask(trips(4000), worse, *columns)
        assert code & HARM
        assert answer["pieces"][0]["realised"]["metric"] == metric


def test_a_metric_of_all_rows_cannot_be_estimated_without_labels_and_says_so(ask):
    columns = ("--label", "late", "--score", "p", "--features", "wind", "--metric", "recall(threshold=0.5)")
    code, said, _ = ask(trips(4000), trips(3000, seed=2).drop(columns="late"), *columns)
    assert code & NOT_JUDGED
    assert "recall(threshold=0.5) is of all rows together" in said


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--label", "lat"), "There is no column 'lat' in reference.parquet; there are: order, wind"),
        (("--score", "q"), "There is no column 'q' in reference.parquet"),
        (("--score", "carrier", "--label", "late"), "Score 'carrier' holds 'UA'"),
        (("--label", "carrier", "--score", "p"), "Label 'carrier' holds 'UA'"),
        (("--label", "p", "--score", "p"), "Column 'p' is the label and a score too"),
        (("--label", "late", "--score", "minutes", "--metric", "brier"), "brier needs probabilities in [0, 1]"),
        (("--label", "late", "--score", "p", "--metric", "recal(threshold=0.5)"), "takes settings"),
        (("--label", "late", "--score", "p", "--metric", "recall"), "--metric recall: recall needs threshold"),
        (("--label", "late", "--score", "p", "--metric", "macro_f1"), "--metric is 'macro_f1'; for these scores"),
        (("--time", "late"), "Time 'late' holds 1, 0; give timestamps or ISO texts."),
        (("--chunk", "1d"), "chunk is '1d', a duration; --time names the column"),
        (("--chunk", "0"), "chunk is '0'; give a number of rows such as 5000"),
        (("--chunk", "5 days"), "chunk is '5 days'"),
        (("--chunk", "1"), "chunk makes 4,000 pieces of current.parquet; at most 100 are judged"),
        (("--plot", "drift.txt"), "plot is 'drift.txt'; a picture's name ends in .png"),
        (("--plot", "nowhere/drift.png"), "plot 'nowhere/drift.png' cannot be written"),
        (("--q", "0"), "argument --q: '0' is not above 0"),
        (("--share", "1.5"), "argument --share: '1.5' is not between 0 and 1"),
        (("--effect", "nan"), "argument --effect: 'nan' is no number of 0 or more"),
        (("--bins", "ten"), "argument --bins: 'ten' is no whole number"),
    ],
)
def test_each_bad_input_is_one_line_and_exit_code_64(ask, monkeypatch, args, line):
    from include.workflows.tables import drift

    monkeypatch.setattr(drift, "MAX_PIECES", 100)
    code, out, err = ask(trips(4000), trips(4000, seed=2), *args)
    assert (code, out) == (64, "")
    assert err.count("\n") == 1
    assert line in err


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("nothing.parquet", None, "There is no file nothing.parquet; --current names a parquet or CSV file."),
        ("table.xlsx", b"x", "table.xlsx ends in .xlsx; tables are read from .parquet, .pq or .csv."),
        ("broken.parquet", b"PAR1 no", "broken.parquet cannot be read as parquet"),
        ("empty.csv", b"", "empty.csv cannot be read as CSV"),
        ("bytes.csv", b"\xff\xfe\x00", "bytes.csv cannot be read as CSV"),
    ],
)
def test_a_file_that_is_no_table_is_one_line(tmp_path, monkeypatch, capsys, name, content, line):
    monkeypatch.chdir(tmp_path)
    trips(1000)[BARE].to_parquet("reference.parquet")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["drift", "--reference", "reference.parquet", "--current", name]) == 64
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_f099_a_current_table_without_rows_is_inconclusive_and_a_reference_without_is_refused(ask, form):
    roles = ("--label", "late", "--score", "p", "--time", "when")
    code, out, _ = ask(trips(2000), trips(2000).head(0), *roles, form=form)
    assert code == 2
    assert "verdict: inconclusive (0 rows against 2,000)" in out
    code, _, err = ask(trips(2000).head(0), trips(2000), form=form)
    assert (code, err) == (64, f"slipway: reference.{form} has no rows.\n")
    code, _, err = ask(trips(2000), trips(2000).head(0), "--chunk", "100", form=form)
    assert (code, err) == (64, f"slipway: current.{form} has no rows.\n")


def test_a_table_with_nothing_to_compare_is_refused(ask):
    code, _, err = ask(trips(400)[["when"]], trips(400)[["when"]])
    assert code == 64
    assert "has no column to compare" in err
