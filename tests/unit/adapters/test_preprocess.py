"""What is done to groups of columns between the feature views and the estimator, and what a wrong declaration says."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from include.adapters import estimators, model_files
from include.adapters.estimators import ColumnGroup, EstimatorSpec, FitDidNotConverge
from include.cli import main
from include.config.settings import PROJECT

KINDS = {"level": "numeric", "wide": "numeric", "place": "categorical", "late": "boolean"}
SCALER = ("sklearn.preprocessing.StandardScaler", {})
LINEAR = "sklearn.linear_model.LogisticRegression"


def rows(n: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    """Two numbers of very unlike scale, a tenth of one missing, a category and a flag; the label follows the first."""
    rng = np.random.default_rng(5)
    level = rng.standard_normal(n)
    frame = pd.DataFrame(
        {
            "level": np.where(rng.random(n) < 0.1, np.nan, level),
            "wide": 1e6 + 1e5 * rng.standard_normal(n),
            "place": rng.choice(["north", "south", "east"], n),
            "late": rng.random(n) < 0.5,
        }
    )
    return estimators.as_input(frame, KINDS), (level + 0.5 * rng.standard_normal(n) > 0).astype(int)


def spec(*groups: ColumnGroup, encode: str = "one_hot", impute: bool = True, **kinds: str) -> EstimatorSpec:
    return EstimatorSpec(LINEAR, {"max_iter": 2000}, encode, impute, kinds or KINDS, 3, groups)


def group(columns: tuple[str, ...] | str, *steps: tuple[str, dict], **more: object) -> ColumnGroup:
    return ColumnGroup("preprocess.0", columns, steps, **more)


def reaching_the_estimator(given: EstimatorSpec) -> np.ndarray:
    features, label = rows()
    fitted = estimators.fit(estimators.build(given), features, label)
    return np.asarray(fitted[:-1].transform(features), dtype=float)


def test_without_groups_the_pipeline_is_what_it_was_before_there_were_any():
    built = estimators.build(spec())
    assert [name for name, _, _ in built.named_steps["encode"].transformers] == ["categorical", "numeric"]
    assert built.named_steps["encode"].get_params()["sparse_threshold"] == 0.3


def test_all_numbers_are_filled_and_then_brought_to_like_scale_and_the_rest_is_left_as_it_was():
    reached = reaching_the_estimator(spec(group("numeric", SCALER)))
    assert reached.shape[1] == 3 + 1 + 2
    scaled = reached[:, -2:]
    assert np.allclose(scaled.mean(axis=0), 0, atol=1e-9)
    assert np.allclose(scaled.std(axis=0), 1)
    assert set(np.unique(reached[:, :4])) == {0.0, 1.0}


def test_a_kind_means_the_columns_of_it_that_no_group_names():
    named = ColumnGroup("preprocess.0", ("wide",), (("sklearn.preprocessing.MinMaxScaler", {}),))
    others = ColumnGroup("preprocess.1", "numeric", (SCALER,))
    given = spec(named, others)
    assert (given.of_group(named), given.of_group(others)) == (["wide"], ["level"])
    reached = reaching_the_estimator(given)
    assert (reached[:, -2].min(), reached[:, -2].max()) == pytest.approx((0, 1))
    assert reached[:, -1].mean() == pytest.approx(0, abs=1e-9)


def test_an_imputer_of_the_group_takes_the_place_of_the_median():
    filled = ("sklearn.impute.SimpleImputer", {"strategy": "constant", "fill_value": -99.0})
    assert (reaching_the_estimator(spec(group(("level",), filled)))[:, -1] == -99.0).sum() > 20
    median = reaching_the_estimator(spec(group(("level",), filled, impute=True)))
    assert not (median == -99.0).any()


@pytest.mark.filterwarnings("ignore:.TargetEncoder.shuffle.:FutureWarning")
def test_an_encoder_of_the_group_takes_the_place_of_the_declared_encoding():
    encoder = ("sklearn.preprocessing.TargetEncoder", {})
    reached = reaching_the_estimator(spec(group(("place",), encoder), encode="ordinal"))
    assert 0.2 < reached[:, -1].min() < reached[:, -1].max() < 0.8
    codes = reaching_the_estimator(spec(group(("place",), SCALER), encode="ordinal"))
    assert codes[:, -1].std() == pytest.approx(1)


@pytest.mark.parametrize(
    "steps",
    [
        [SCALER],
        [("sklearn.preprocessing.RobustScaler", {})],
        [("sklearn.preprocessing.MinMaxScaler", {})],
        [("sklearn.preprocessing.PowerTransformer", {})],
        [("sklearn.preprocessing.QuantileTransformer", {"n_quantiles": 50})],
        [("sklearn.preprocessing.KBinsDiscretizer", {"n_bins": 4, "quantile_method": "averaged_inverted_cdf"})],
        [("sklearn.preprocessing.PolynomialFeatures", {"degree": 2}), SCALER],
        [("sklearn.impute.KNNImputer", {"n_neighbors": 3}), SCALER],
        [("sklearn.impute.SimpleImputer", {"strategy": "mean", "add_indicator": True})],
        [("sklearn.decomposition.PCA", {"n_components": 1})],
    ],
    ids=lambda steps: "-".join(path.rpartition(".")[2] for path, _ in steps),
)
def test_f046_what_a_group_is_made_of_is_written_and_loaded_against_our_own_list(steps, tmp_path):
    features, label = rows()
    fitted = estimators.fit(estimators.build(spec(group("numeric", *steps))), features, label)
    file = tmp_path / "model.skops"
    model_files.untrusted_free(fitted, file)
    again = model_files.load(file, model_files.digest(file))
    before = estimators.predict(fitted, features, classes=2)
    assert np.array_equal(before, estimators.predict(again, features, classes=2))


def test_a_request_with_nothing_known_and_a_category_never_seen_is_still_answered():
    features, label = rows()
    fitted = estimators.fit(estimators.build(spec(group("numeric", SCALER))), features, label)
    nothing = estimators.as_input(
        pd.DataFrame({"level": [np.nan], "wide": [np.nan], "place": ["moon"], "late": [False]}), KINDS
    )
    assert np.isfinite(estimators.predict(fitted, nothing, classes=2)).all()


def test_a_fit_that_does_not_converge_says_what_can_be_declared_and_that_helps():
    features, label = rows()
    slow = EstimatorSpec(LINEAR, {"solver": "saga", "max_iter": 60}, "one_hot", True, KINDS, 3)
    with pytest.raises(FitDidNotConverge) as refused:
        estimators.fit(estimators.build(slow), features, label)
    advice = str(refused.value)
    assert "\n" not in advice
    declared = yaml.safe_load(advice.partition("preprocess: ")[2].partition("}]")[0] + "}]")
    advised = group(declared[0]["columns"], *((path, {}) for path in declared[0]["steps"]))
    helped = EstimatorSpec(slow.path, slow.params, "one_hot", True, KINDS, 3, (advised,))
    estimators.fit(estimators.build(helped), features, label)


# --- a wrong declaration ---


@pytest.fixture
def validated(tmp_path, capsys):
    """Declares ``flight_delay`` with a ``preprocess`` block; gives exit code and the lines that name the file."""
    shutil.copytree(PROJECT / "include/features", tmp_path / "features")
    folder = tmp_path / "models" / "flight_delay"
    shutil.copytree(PROJECT / "include/models/flight_delay", folder)

    def validate(preprocess: object) -> tuple[int, list[str], str]:
        file = folder / "model.yaml"
        declared = yaml.safe_load((PROJECT / "include/models/flight_delay/model.yaml").read_text(encoding="utf-8"))
        file.write_text(yaml.safe_dump({**declared, "preprocess": preprocess}, sort_keys=False), encoding="utf-8")
        code = main(["validate", "--offline", str(tmp_path)])
        said = capsys.readouterr().out
        return code, [line for line in said.splitlines() if "model.yaml:" in line], file.read_text(encoding="utf-8")

    return validate


def test_what_is_right_is_valid(validated):
    code, problems, _ = validated([{"columns": "numeric", "steps": ["sklearn.preprocessing.StandardScaler"]}])
    assert (code, problems) == (0, [])


@pytest.mark.parametrize(
    ("block", "says"),
    [
        pytest.param(
            [{"columns": ["wind_sped"], "steps": [SCALER[0]]}],
            "preprocess.0.columns has 'wind_sped', which the model takes from no view; its features are: ",
            id="unknown column",
        ),
        pytest.param(
            [{"columns": ["wind_speed"], "steps": [SCALER[0]]}, {"columns": ["wind_speed"], "steps": [SCALER[0]]}],
            "preprocess.1.columns has 'wind_speed' again; a column is in one group only",
            id="column in two groups",
        ),
        pytest.param(
            [{"columns": "numeric", "steps": ["sklearn.preprocessing.StandartScaler"]}],
            "preprocess.0.steps.0.path 'sklearn.preprocessing.StandartScaler' cannot be imported",
            id="unknown transformer",
        ),
        pytest.param(
            [{"columns": "numeric", "steps": [SCALER[0], LINEAR]}],
            f"preprocess.0.steps.1.path '{LINEAR}' is no transformer: it has no transform.",
            id="no transformer",
        ),
        pytest.param(
            [{"columns": "numeric", "steps": [{"path": SCALER[0], "params": {"with_maen": False}}]}],
            "preprocess.0.steps.0.params has 'with_maen', which StandardScaler does not take; it takes: copy, ",
            id="unknown parameter",
        ),
        pytest.param(
            [{"columns": "numeric", "steps": [{"path": SCALER[0], "params": {"with_mean": "perhaps"}}]}],
            "preprocess.0.steps.0.params: The 'with_mean' parameter of StandardScaler must be",
            id="wrong value of a parameter",
        ),
        pytest.param(
            [{"columns": "boolean", "steps": [SCALER[0]]}],
            "preprocess.0.columns is 'boolean', and no feature is of this kind that no other group names.",
            id="no such column",
        ),
        pytest.param([{"columns": "numeric", "steps": []}], "preprocess.0.steps is []; ", id="a group without a step"),
        pytest.param(
            [{"columns": "numeric", "step": [SCALER[0]]}],
            "preprocess.0.step is not a field; allowed are: ",
            id="typing",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(validated, block, says):
    code, problems, text = validated(block)
    assert code != 0
    found = [line for line in problems if says in line]
    assert len(found) == 1, problems
    line = int(found[0].partition("model.yaml:")[2].partition(":")[0])
    start = text.splitlines().index("preprocess:") + 1
    assert line >= start, f"{found[0]} does not name a line of the block, which begins at {start}"
