"""``slipway drift`` on files as people have them: ids, indexes and days, numbers kept as text, labels alone, columns
that cannot be judged. What was not judged is never "no drift"."""

import decimal
import json
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.cli import main

CHANGED, NOT_JUDGED, HARMED = 1, 2, 4


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def asked(reference, current, *args, form="csv", **options):
        for name, frame in (("ref", reference), ("cur", current)):
            if isinstance(frame, pa.Table):
                pq.write_table(frame, f"{name}.{form}")
            elif isinstance(frame, str | bytes):
                (tmp_path / f"{name}.{form}").write_bytes(frame if isinstance(frame, bytes) else frame.encode())
            elif form == "parquet":
                frame.to_parquet(f"{name}.{form}", **{"index": False} | options)
            else:
                frame.to_csv(f"{name}.{form}", **{"index": False} | options)
        code = main(["drift", "--reference", f"ref.{form}", "--current", f"cur.{form}", *args])
        said = capsys.readouterr()
        return code, (json.loads(said.out) if "--json" in args else said.out), said.err

    return asked


def rng(seed):
    return np.random.default_rng(seed)


def plain(rows, seed, by_sd=0.0):
    return pd.DataFrame({"x": rng(seed).normal(by_sd, 1, rows), "g": rng(seed + 90).choice(list("abc"), rows)})


def states(answer):
    return answer["pieces"][0]["states"]


def features(answer):
    return {f["name"]: f["drifted"] for f in answer["pieces"][0]["inputs"]["features"]}


# --- separators (case 04), names given twice (case 20) ----------------------------------------------------------------


@pytest.mark.parametrize("sep", [";", "\t", "|", ","])
def test_a_shift_is_found_whatever_separates_the_values(ask, sep):
    code, out, _ = ask(plain(4000, 1), plain(3000, 2, by_sd=3).replace({"g": {"c": "a"}}), sep=sep)
    assert code == CHANGED
    assert "change: found\nverdict: change (3,000 rows against 4,000); it rests on inputs (2 columns)" in out


def test_a_name_with_a_separator_in_it_is_asked_about(ask):
    code, out, err = ask('"x;g"\n1\n2\n', '"x;g"\n1\n2\n')
    assert (code, out) == (64, "")
    assert "has one column, named 'x;g': is ';' the separator? --sep names it" in err


def test_the_separator_can_be_said(ask):
    wide = "a;b,c;d\n" + "1;2,3;4\n" * 400
    assert ask(wide, wide)[0] == 64
    assert ask(wide, wide, "--sep", ";", "--features", "a")[0] == 0
    assert ask(wide, wide, "--sep", "ab")[2].startswith("slipway: --sep is 'ab'; give one character")


def test_a_name_given_twice_is_refused_in_csv_as_in_parquet(ask):
    content = "x,g,x\n" + "1.5,a,2.5\n" * 400
    assert ask(content, content)[::2] == (64, "slipway: ref.csv has the column 'x' 2 times; names are unique.\n")
    table = pa.table([pa.array([1.0] * 400), pa.array([2.0] * 400)], names=["x", "x"])
    code, _, err = ask(table, table, form="parquet")
    assert (code, err) == (64, "slipway: ref.parquet has the column 'x' 2 times; names are unique.\n")


# --- numbers as text (case 05) ----------------------------------------------------------------------------------------


def amounts(seed, times=1.0, rows=6000):
    return pd.Series(times * rng(seed).lognormal(7, 1, rows).round(2))


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda v: v.astype(str).where(v.index != 3, "-"), id="one dash"),
        pytest.param(lambda v: v.astype(str).where(v.index % 1000 != 3, "n.a."), id="a few texts"),
        pytest.param(lambda v: v.map("{:,.2f}".format), id="thousands"),
        pytest.param(lambda v: v.map("{:.2f}".format).str.replace(".", ","), id="decimal commas"),
        pytest.param(lambda v: v.map("{:,.2f}".format).str.replace(",", " "), id="blanks between thousands"),
        pytest.param(lambda v: v.map(lambda n: decimal.Decimal(f"{n:.2f}")), id="decimals"),
        pytest.param(lambda v: v.astype(str).astype("category"), id="a dictionary of texts"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("both", [True, False])
def test_numbers_kept_as_text_are_compared_as_numbers(ask, write, form, both):
    """Written so in both tables, or in the reference alone."""
    past, same, more = amounts(1), amounts(2), amounts(2, times=1.2)
    for now, code in ((same, 0), (more, CHANGED)):
        current = pd.DataFrame({"total": write(now) if both else now})
        found, answer, _ = ask(pd.DataFrame({"total": write(past)}), current, "--json", form=form)
        assert found == code
        assert answer["pieces"][0]["inputs"]["features"][0]["kind"] == "numeric"


def test_the_few_that_are_no_numbers_are_told(ask):
    _, out, _ = ask(
        pd.DataFrame({"t": amounts(1).astype(str).where(lambda v: v.index > 5, "-")}), amounts(2).to_frame("t")
    )
    assert "Column t of ref.csv has 6 values such as '-', which count as missing." in out


def test_half_numbers_half_texts_are_never_quiet(ask):
    def mixed(seed):
        values = amounts(seed)
        return pd.DataFrame(
            {"x": rng(seed).normal(size=6000), "t": values.astype(str).where(values.index % 2 == 0, "n.b.")}
        )

    code, answer, _ = ask(mixed(1), mixed(2), "--json")
    assert (code, answer["outcome"]) == (NOT_JUDGED, "inconclusive")
    assert features(answer) == {"x": False, "t": None}
    assert "different values, and" in answer["not_judged"]["column t"]


def test_numbers_in_the_reference_and_texts_now_are_never_quiet(ask):
    """Most of both is missing once texts are read as numbers, so the counts alone would be silent."""
    past = pd.DataFrame({"x": rng(1).normal(size=4000), "t": np.where(rng(2).random(4000) < 0.5, np.nan, 7.5)})
    now = pd.DataFrame({"x": rng(3).normal(size=4000), "t": np.where(rng(4).random(4000) < 0.5, "7.5", "seven")})
    for tables in ((past, now), (now, past)):
        code, out, _ = ask(*tables)
        assert code != 0
        assert "Column t is " in out


# --- labels alone, parts that could not be judged (case 11) -----------------------------------------------------------


def scored(rows, seed, positive=None):
    r = rng(seed)
    p = r.beta(2, 5, rows)
    y = r.random(rows) < (p if positive is None else positive)
    return pd.DataFrame({"x": r.normal(size=rows), "p": p, "y": y.astype(int)})


SPELLINGS = {
    "numbers": lambda y: y,
    "fractions": lambda y: y.astype(float),
    "flags": lambda y: y.astype(bool),
    "words": lambda y: y.map({1: "yes", 0: "no"}),
    "letters": lambda y: y.map({1: "Y", 0: "N"}),
    "texts": lambda y: y.astype(str),
}


@pytest.mark.parametrize("there", SPELLINGS)
@pytest.mark.parametrize("here", SPELLINGS)
def test_labels_alone_are_judged_in_every_spelling(ask, here, there):
    found = []
    for current in (scored(3000, 2, 0.28), scored(3000, 2, 0.8)):
        past = scored(4000, 1, 0.28)
        past["y"], current["y"] = SPELLINGS[here](past["y"]), SPELLINGS[there](current["y"])
        code, answer, _ = ask(past, current, "--label", "y", "--json")
        found.append((code, states(answer)))
    assert found == [(0, {"inputs": "quiet", "labels": "quiet"}), (CHANGED, {"inputs": "quiet", "labels": "found"})]


def test_f205_labels_of_one_class_give_a_value_and_a_reason(ask):
    for past, now in ((0.28, 0.0), (0.0, 0.28), (0.0, 0.0), (1.0, 0.0)):
        code, answer, _ = ask(scored(4000, 1, past), scored(3000, 2, now), "--label", "y", "--json")
        assert code == (0 if past == now else CHANGED)
        assert answer["pieces"][0]["labels"]["reason"].startswith("Labels: y ")


@pytest.mark.parametrize(("past", "now"), [(0.3, 0.0), (0.0, 0.3), (0.0, 0.0), (1.0, 0.0)])
@pytest.mark.parametrize("metric", ["brier", "log_loss", "error"])
def test_f205_performance_on_labels_of_one_class_is_a_value_and_a_reason(ask, past, now, metric):
    roles = ("--label", "y", "--score", "p", "--metric", metric, "--json")
    code, answer, err = ask(scored(4000, 1, past), scored(3000, 2, now), *roles)
    assert (code & NOT_JUDGED, err) == (0, "")
    assert answer["pieces"][0]["realised"]["risk"] is not None


def test_f205_a_class_that_the_reference_or_the_current_table_lacks_is_judged(ask):
    def classed(seed, without=()):
        r = rng(seed)
        chances = r.dirichlet([3, 2, 1], 4000)
        label = np.array(["a", "b", "c"])[(r.random((4000, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, 2)]
        frame = pd.DataFrame({f"score_{name}": chances[:, i] for i, name in enumerate("abc")} | {"y": label})
        return frame[~frame["y"].isin(without)]

    roles = ("--label", "y", "--score", "score_a,score_b,score_c", "--json")
    for past, now in (((), "c"), ("c", ()), ("c", "c"), ("bc", ()), ((), "ab")):
        code, answer, err = ask(classed(1, list(past)), classed(2, list(now)), *roles)
        assert (code & NOT_JUDGED, err) == (0, "")
        assert answer["pieces"][0]["realised"]["out_of_band"] in (True, False)


def test_labels_that_are_all_missing_make_the_verdict_inconclusive_and_the_last_line_says_why(ask):
    past, now = scored(4000, 1), scored(3000, 2)
    code, out, _ = ask(past, now.assign(y=np.nan), "--label", "y", "--score", "p")
    assert code == NOT_JUDGED
    assert out.splitlines()[-1] == (
        "verdict: inconclusive (3,000 rows against 4,000); it rests on inputs (1 column), predictions, estimated "
        "performance; not judged: realised performance"
    )
    assert "harm: not judged\nchange: quiet\n" in out
    # Where the current table has no such column the estimate is what was asked for.
    code, out, _ = ask(past, now.drop(columns="y"), "--label", "y", "--score", "p")
    assert code == 0
    assert "harm: quiet\nchange: quiet\n" in out
    for without in (now.drop(columns="y"), now.assign(y=np.nan)):
        code, out, _ = ask(past, without, "--label", "y")
        assert code == NOT_JUDGED
        assert "; not judged: labels" in out.splitlines()[-1]


def test_an_estimate_that_could_not_be_made_is_not_judged(ask):
    """Two columns of scores and one block of labelled rows: there is nothing to estimate the loss with."""
    past = scored(4000, 1).assign(y=lambda f: f["y"].where(f.index < 400))
    code, answer, _ = ask(past, scored(3000, 2).drop(columns="y"), "--label", "y", "--score", "p", "--json")
    assert code & NOT_JUDGED
    assert "estimated performance" in answer["not_judged"]


def test_harm_and_change_have_a_bit_each(ask):
    past, now = scored(6000, 1), scored(4000, 2)
    worse = now.assign(y=1 - now["y"])
    roles = ("--label", "y", "--score", "p")
    assert ask(past, now, *roles)[0] == 0
    assert ask(past, worse, *roles)[0] == HARMED
    assert ask(past, now.assign(x=now["x"] + 1), *roles)[0] == CHANGED
    code, answer, _ = ask(past, worse.assign(x=now["x"] + 1), *roles, "--json")
    assert (code, answer["exit_code"], answer["outcome"]) == (HARMED + CHANGED, 5, "harm and change")
    assert (answer["harm"], answer["change"]) == ("found", "found")
    code, answer, _ = ask(past, now.assign(x=now["x"] + 1, y=np.nan), *roles, "--json")
    assert (code, answer["outcome"], answer["harm"]) == (CHANGED + NOT_JUDGED, "change", "not judged")


def test_classes_name_the_labels_in_the_order_of_the_scores(ask):
    past, now = scored(6000, 1), scored(4000, 2)
    for frame in (past, now):
        frame["y"] = frame["y"].map({1: "churned", 0: "stayed"})
    roles = ("--label", "y", "--score", "p")
    assert "name two with --classes" in ask(past, now, *roles)[2]
    assert ask(past, now, *roles, "--classes", "stayed,churned")[0] == 0
    assert ask(past, now, *roles, "--classes", "stayed,left")[2].endswith("allowed are stayed, left (--classes).\n")
    assert "--classes is stayed; it takes 2 names, each once." in ask(past, now, *roles, "--classes", "stayed")[2]
    assert "--classes names the labels" in ask(past, now, "--label", "y", "--classes", "stayed,churned")[2]


# --- indexes, ids and days (case 13) ----------------------------------------------------------------------------------


def halves(frame):
    return frame.iloc[:5000], frame.iloc[5000:]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("name", [None, "trip"])
def test_the_index_of_pandas_is_left_out(ask, form, name):
    frame = plain(7000, 5).set_axis(pd.Index(np.arange(7000) * 3, name=name))
    code, answer, _ = ask(*halves(frame), "--json", form=form, index=True)
    assert code == 0
    assert list(features(answer)) == ["x", "g"]
    (left,) = answer["left_out"]
    assert left == (name or {"csv": "Unnamed: 0", "parquet": "__index_level_0__"}[form])


@pytest.mark.parametrize(
    ("column", "why"),
    [
        pytest.param(np.arange(7000), "its values only rise", id="row numbers"),
        pytest.param(np.arange(7000)[::-1], "only fall", id="descending numbers"),
        pytest.param(rng(1).permutation(7000) + 1000, "every row has another value", id="shuffled ids"),
        pytest.param(np.sort(rng(1).integers(0, 2000, 7000)), "its values only rise", id="moments with ties"),
        pytest.param(np.repeat([2011, 2012], 3500), "its values only rise", id="years"),
        pytest.param(np.arange(7000) * 1e8 + 0.5, "its values only rise", id="seconds as fractions"),
        pytest.param(
            np.where(np.arange(7000) % 100 == 3, np.nan, np.arange(7000)), "its values only rise", id="ids with gaps"
        ),
        pytest.param([f"C-{i:06d}" for i in rng(1).permutation(7000)], "every row has another value", id="ids in text"),
        pytest.param([10**17 + i for i in range(7000)], "its values only rise", id="long ids"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_looks_like_an_id_is_left_out_and_compared_when_asked_for(ask, column, why, form):
    frame = plain(7000, 5).assign(id=column)
    code, answer, _ = ask(*halves(frame), "--json", form=form)
    assert code == 0
    assert why in answer["left_out"]["id"]
    assert list(features(answer)) == ["x", "g"]
    code, answer, _ = ask(*halves(frame), "--features", "id", "--json", form=form)
    assert answer["left_out"] == {}
    if isinstance(column, list) or column.max() >= 2**53:
        assert (code, "column id" in answer["not_judged"]) == (NOT_JUDGED, True)
    else:
        assert (code & NOT_JUDGED, list(features(answer))) == (0, ["id"])


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(rng(1).normal(size=7000), id="fractions, all different"),
        pytest.param(rng(1).integers(0, 10**9, 7000), id="large amounts, all different by chance"),
        pytest.param(rng(1).integers(0, 50, 7000), id="counts"),
        pytest.param(np.r_[np.zeros(6998), 1, 1], id="a rare flag at the end"),
        pytest.param(np.ones(7000), id="a constant"),
    ],
)
def test_what_is_no_id_is_compared(ask, column):
    _, answer, _ = ask(*halves(plain(7000, 5).assign(amount=column)), "--json")
    assert answer["left_out"] == {}
    assert list(features(answer)) == ["x", "g", "amount"]


@pytest.mark.parametrize("how", ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y", "%H:%M"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_days_in_text_are_left_out_and_never_drift(ask, how, form):
    days = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(rng(1).integers(0, 60 * 24, 7000), unit="h"))
    code, answer, _ = ask(
        *halves(plain(7000, 5).assign(day=days.sort_values(ignore_index=True).dt.strftime(how))), "--json", form=form
    )
    assert code == 0
    assert answer["left_out"] == {"day": "days or times"}


def test_a_day_that_is_asked_for_is_not_judged(ask):
    frame = plain(7000, 5).assign(day="2024-01-01")
    code, answer, _ = ask(*halves(frame), "--features", "x,day", "--json")
    assert code == NOT_JUDGED
    assert answer["not_judged"] == {"column day": "it holds days or times"}


def test_a_day_that_is_no_longer_a_day_is_not_judged(ask):
    past, now = halves(plain(7000, 5).assign(day="2024-01-01"))
    code, out, _ = ask(past, now.assign(day="yesterday"))
    assert code == NOT_JUDGED
    assert "Not judged: column day: it holds days or times, categorical now." in out


def test_features_and_ignore_choose_the_columns(ask):
    past, now = plain(4000, 1), plain(3000, 2, by_sd=1)
    assert ask(past, now)[0] == CHANGED
    code, answer, _ = ask(past, now, "--ignore", "x", "--json")
    assert (code, features(answer), answer["left_out"]) == (0, {"g": False}, {"x": "--ignore"})
    code, answer, _ = ask(past, now, "--features", "g", "--json")
    assert (code, features(answer)) == (0, {"g": False})
    for args, line in (
        (("--features", "x,h"), "There is no column 'h' in ref.csv (--features)"),
        (("--ignore", "h"), "There is no column 'h' (--ignore)"),
        (("--features", "x", "--ignore", "x"), "--features names 'x', which is also named by --ignore"),
        (("--features", "x", "--label", "x"), "--features names 'x', which is also the label, a score or the time"),
        (("--features", "x,,g"), "--features is 'x,,g'; give names separated by commas"),
        (("--ignore", "x,x"), "--ignore is 'x,x'"),
        (("--ignore", "x,g"), "has no column to compare besides the label and the time. Left out: x, g."),
    ):
        code, _, err = ask(past, now, *args)
        assert code == 64
        assert line in err


# --- columns on one side, columns that cannot be judged ---------------------------------------------------------------


def test_a_column_that_is_gone_is_a_change_and_one_that_is_new_is_told(ask):
    past, now = plain(4000, 1), plain(3000, 2)
    code, out, _ = ask(past, now.drop(columns="g"))
    assert code == CHANGED
    assert "Column g is not in cur.csv: missing in every row." in out
    code, out, _ = ask(past.drop(columns="g"), now)
    assert code == 0
    assert "Not in the reference, so not compared: g." in out


@pytest.mark.parametrize(
    ("column", "held"),
    [
        pytest.param(lambda n: pa.array([{"a": i} for i in range(n)]), "struct", id="nested"),
        pytest.param(lambda n: pa.array([[i] for i in range(n)]), "list", id="a list"),
        pytest.param(lambda n: pa.array([b"x"] * n), "binary", id="bytes"),
    ],
)
def test_a_column_of_another_type_is_not_judged_by_name_and_can_be_ignored(ask, column, held):
    def table(rows, seed):
        return pa.table({"x": rng(seed).normal(size=rows), "odd": column(rows)})

    code, answer, _ = ask(table(4000, 1), table(3000, 2), "--json", form="parquet")
    assert (code, answer["change"]) == (NOT_JUDGED, "not judged")
    assert held in answer["not_judged"]["column odd"]
    assert ask(table(4000, 1), table(3000, 2), "--ignore", "odd", form="parquet")[0] == 0
    gone = table(3000, 2).drop_columns("odd")
    assert ask(table(4000, 1), gone, form="parquet")[0] == NOT_JUDGED
    assert ask(gone, table(3000, 2), form="parquet")[0] == 0
    as_number = gone.append_column("odd", pa.array(rng(1).normal(size=3000)))
    code, answer, _ = ask(as_number, table(3000, 2), "--json", form="parquet")
    assert (code, "is numeric in the reference and holds" in answer["not_judged"]["column odd"]) == (NOT_JUDGED, True)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        pytest.param(lambda r, n: [f"v{i}" for i in r.integers(0, 400, n)], "different values", id="many categories"),
        pytest.param(lambda r, n: [f"v{i}" for i in r.integers(0, 90_000, n)], "different values", id="nearly unique"),
        pytest.param(lambda r, n: [f"a b {i}" for i in r.permutation(n)], "different values", id="free text"),
        pytest.param(lambda r, n: [f"{'long ' * 50}{i}" for i in r.integers(0, 9, n)], "200 characters", id="long"),
        pytest.param(lambda r, n: (2**60 + r.integers(0, 20, n)).tolist(), "whole numbers above", id="long numbers"),
        pytest.param(
            lambda r, n: [f"9{i:019d}" for i in r.integers(0, 20, n)], "whole numbers above", id="longer ones"
        ),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_a_test_cannot_see_into_is_not_judged_and_never_quiet(ask, values, why, form):
    past, now = (f.assign(v=values(rng(i), len(f))) for i, f in enumerate((plain(6000, 1), plain(5000, 2))))
    code, answer, _ = ask(past, now, "--json", form=form)
    assert (code, answer["outcome"]) == (NOT_JUDGED, "inconclusive")
    assert why in answer["not_judged"]["column v"]
    assert answer["rests_on"] == ["inputs (2 columns)"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_infinite_values_of_the_reference_do_not_hide_large_ones_of_now(ask, form):
    past = plain(6000, 1).assign(v=lambda f: np.where(f["x"] > 1, np.inf, f["x"]))
    code, answer, _ = ask(past, plain(5000, 2).assign(v=lambda f: f["x"]), "--json", form=form)
    assert (code, features(answer)["v"]) == (CHANGED, True)


def test_drift_that_shows_in_a_varied_column_stays_found(ask):
    past = plain(6000, 1).assign(v=[f"v{i}" for i in rng(1).integers(0, 400, 6000)])
    now = plain(5000, 2).assign(v=[f"w{i}" for i in rng(2).integers(0, 400, 5000)])
    code, answer, _ = ask(past, now, "--json")
    assert (code, features(answer)["v"]) == (CHANGED, True)


# --- pieces (case 18) -------------------------------------------------------------------------------------------------


def series_of(rows, seed, start, minutes=30):
    when = pd.Timestamp(start) + pd.to_timedelta(np.arange(rows) * minutes * 60, unit="s")
    return pd.DataFrame({"x": rng(seed).normal(size=rows), "t": when})


def test_pieces_that_are_too_small_are_told_with_the_way_out(ask):
    code, out, _ = ask(
        series_of(2000, 1, "2024-01-01"), series_of(1968, 2, "2024-03-01"), "--time", "t", "--chunk", "1d"
    )
    assert code == NOT_JUDGED
    assert "41 of 41 pieces have 48 rows; at least 300 are judged: a larger --chunk, or --min-rows." in out
    code, out, _ = ask(
        series_of(2000, 1, "2024-01-01"),
        series_of(1968, 2, "2024-03-01"),
        "--time",
        "t",
        "--chunk",
        "1d",
        "--min-rows",
        "40",
    )
    assert code == 0


def test_a_piece_cut_short_by_the_end_of_the_table_is_told_and_not_asked_for(ask):
    code, out, _ = ask(plain(9000, 1), plain(4100, 2), "--chunk", "1000")
    assert code == 0
    assert "1 of 5 pieces have 100 rows (1 of them cut short by an end of the table, and not asked for)" in out
    assert "it rests on inputs (2 columns) in 4 of 5 pieces" in out.splitlines()[-1]


def test_a_piece_without_rows_enough_in_the_middle_is_not_judged(ask):
    now = series_of(40 * 48, 2, "2024-03-01").drop(index=range(500, 900))
    args = ("--time", "t", "--chunk", "2d", "--min-rows", "60", "--json")
    code, answer, _ = ask(series_of(60 * 48, 1, "2024-01-01"), now, *args)
    assert code == NOT_JUDGED
    assert "in 1 of 1" in answer["not_judged"]["inputs"]


def test_labels_are_judged_in_each_piece(ask):
    now = pd.concat([scored(3000, 2, 0.3), scored(3000, 3, 0.7)])
    code, answer, _ = ask(scored(9000, 1, 0.3), now, "--label", "y", "--chunk", "1000", "--json")
    assert code == CHANGED
    assert [piece["states"]["labels"] for piece in answer["pieces"]] == ["quiet"] * 3 + ["found"] * 3


# --- regression on odd inputs, width (case 15) ------------------------------------------------------------------------


def test_a_regressors_loss_is_estimated_on_inputs_of_any_spelling(ask):
    def trips(rows, seed, odd):
        r = rng(seed)
        x = r.normal(size=rows)
        flag = r.random(rows) < 0.3
        return pd.DataFrame(
            {
                "x": x,
                "flag": np.where(flag, "yes" if odd else "true", "no" if odd else "false"),
                "n": pd.Series(r.integers(0, 9, rows)).astype(str) if odd else r.integers(0, 9, rows),
                "g": r.choice(list("abc"), rows),
                "y": x + r.normal(size=rows) * (1 + 2 * flag),
                "p": x,
            }
        )

    for odd in (False, True):
        code, answer, err = ask(
            trips(8000, 1, False), trips(4000, 2, odd).drop(columns="y"), "--label", "y", "--score", "p", "--json"
        )
        assert err == ""
        assert answer["pieces"][0]["estimated"]["metric"] == "mae"
        assert code == 0
        assert answer["remarks"] == []


def test_two_thousand_columns_take_seconds(ask):
    def wide(rows, seed, columns):
        return pd.DataFrame(rng(seed).normal(size=(rows, columns)), columns=[f"f{i}" for i in range(columns)])

    took = {}
    for columns in (500, 2000):
        past, now = wide(900, 1, columns), wide(600, 2, columns)
        start = time.process_time()
        assert ask(past, now, form="parquet")[0] == 0
        took[columns] = time.process_time() - start
    # Linear is four times as long; quadratic was sixteen.
    assert took[2000] < 9 * took[500]
