"""A packed model answers what its pipeline answers, to the last bit, and refuses what its pipeline refuses."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.adapters import estimators, packing
from include.adapters.packing.files import as_columns
from include.adapters.packing.scores import PACKABLE
from include.config.settings import PROJECT
from include.domain.packed import hard_rows, names, reader
from include.domain.packed.compared import difference
from include.domain.packed.reader import NotAnswerable, Packed
from tests.support.packed_cases import (
    CASES,
    ENSEMBLE,
    KINDS,
    LINEAR,
    PackedCase,
    answered_by,
    as_frame,
    case,
    fitted,
    hard,
    labels,
    packed,
    row_of,
    rows,
)

BOOSTING = CASES[0]


def slowly(pipeline: object, frame: pd.DataFrame, classes: int | None) -> np.ndarray:
    """What serves without a packed form; scikit-learn warns where it looks for infinite among very large values."""
    with np.errstate(all="ignore"):
        return estimators.predict(pipeline, frame, classes=classes)


@pytest.fixture(scope="module")
def boosting() -> tuple[object, Packed]:
    pipeline = fitted(BOOSTING)
    return pipeline, packed(BOOSTING, pipeline)


def test_every_class_that_can_be_packed_is_among_the_cases():
    assert {each.name for each in CASES} == set(PACKABLE)
    assert tuple(PACKABLE) == names.PACKABLE, "a declaration is asked by the names alone"


@pytest.mark.parametrize("each", [pytest.param(c, id=str(c), marks=[pytest.mark.slow] * c.rare) for c in CASES])
def test_each_kind_of_model_answers_real_and_hard_rows_to_the_last_bit(each: PackedCase):
    pipeline = fitted(each)
    model = packed(each, pipeline)
    assert model.check() == 0

    real = rows(120, 2)
    expected = slowly(pipeline, real, each.classes)
    assert difference(expected, model.many(as_columns(real))).differing == 0

    columns = hard(model, 250, 3)
    answered = answered_by(model, columns)
    frame = as_frame(columns, answered)
    expected = slowly(pipeline, frame, each.classes)
    assert difference(expected, model.many({n: [v[i] for i in answered] for n, v in columns.items()})).differing == 0
    for i in answered[:4]:
        alone = slowly(pipeline, as_frame(columns, [i]), each.classes)
        assert difference(alone, np.asarray([model.one(row_of(columns, i))])).differing == 0

    refused = [i for i in range(250) if i not in set(answered)]
    for i in refused[:4]:
        with pytest.raises(ValueError, match=r"infinity|NaN|too large"):
            slowly(pipeline, as_frame(columns, [i]), each.classes)


def test_hard_rows_do_lie_at_thresholds_on_both_sides(boosting):
    _, model = boosting
    divides = hard_rows.thresholds(model)
    asked = {v for v in hard(model, 400, 5)["wide"] if v is not None}
    at = {float(v) for v in divides["wide"]} & asked
    assert len(at) > 3
    assert {np.nextafter(v, math.inf) for v in divides["wide"]} & asked
    assert {np.nextafter(v, -math.inf) for v in divides["wide"]} & asked


def test_a_threshold_moved_by_one_unit_in_the_last_place_is_noticed(boosting):
    pipeline, model = boosting
    columns = hard(model, 400, 5)
    frame = as_frame(columns)
    moved = {**model.arrays, "threshold": np.nextafter(model.arrays["threshold"], -math.inf)}
    expected = slowly(pipeline, frame, 2)
    assert difference(expected, model.many(columns)).differing == 0
    assert difference(expected, Packed(moved).many(columns)).differing > 0


ANY_ROW = st.fixed_dictionaries(
    {
        "level": st.none() | st.floats(width=64),
        "wide": st.none() | st.floats(width=64),
        "place": st.none() | st.text(max_size=4) | st.sampled_from(["north", "south"]),
        "side": st.none() | st.text(max_size=4),
        "late": st.none() | st.booleans(),
    }
)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(asked=st.lists(ANY_ROW, min_size=1, max_size=40))
def test_any_rows_are_answered_by_both_alike(boosting, asked):
    pipeline, model = boosting
    columns = {name: [row[name] for row in asked] for name in KINDS}
    expected = pipeline.predict_proba(as_frame(columns))[:, 1]
    assert difference(expected, model.many(columns)).differing == 0


@pytest.mark.parametrize("path", [ENSEMBLE + "HistGradientBoostingClassifier", ENSEMBLE + "ExtraTreesClassifier"])
def test_a_class_that_was_not_learned_has_the_probability_zero(path):
    frame = rows(200, 1)
    spec = estimators.EstimatorSpec(path, {}, "ordinal", False, KINDS, 1)
    pipeline = estimators.fit(estimators.build(spec), frame, 2 * labels("binary", frame, 1))
    arrays = packing.packed_arrays(pipeline, KINDS, learned=[0, 2], classes=3, example=frame.head(3))
    expected = slowly(pipeline, frame, 3)
    assert expected[:, 1].max() == 0
    assert difference(expected, Packed(arrays).many(as_columns(frame))).differing == 0


def test_a_model_that_learned_one_class_only_is_not_packed():
    pipeline = fitted(BOOSTING)
    with pytest.raises(packing.NotPackable, match="one class only"):
        packing.packed_arrays(pipeline, KINDS, learned=[1], classes=2, example=rows(3, 1))


@pytest.mark.parametrize(
    ("given_case", "why"),
    [
        pytest.param(case("sklearn.neighbors.KNeighborsClassifier", "binary"), "KNeighborsClassifier", id="neighbours"),
        pytest.param(case("sklearn.naive_bayes.GaussianNB", "binary"), "GaussianNB", id="naive Bayes"),
        pytest.param(
            case(ENSEMBLE + "RandomForestClassifier", "binary", n_estimators=2, n_jobs=2),
            "no fixed order",
            id="trees added by threads",
        ),
        pytest.param(
            case(ENSEMBLE + "HistGradientBoostingClassifier", "binary", max_iter=2, categorical_features=[0]),
            "categorical_features",
            id="splits on categories",
        ),
        pytest.param(
            case(
                LINEAR + "Ridge",
                "regression",
                estimators.ColumnGroup("preprocess.0", ("level",), (("sklearn.preprocessing.PolynomialFeatures", {}),)),
            ),
            "PolynomialFeatures",
            id="a step that mixes columns",
        ),
    ],
)
def test_what_has_no_packed_form_is_said_by_name(given_case, why):
    pipeline = fitted(given_case)
    with pytest.raises(packing.NotPackable, match=why):
        packed(given_case, pipeline)


def test_a_subclass_is_not_taken_for_its_parent():
    from sklearn.linear_model import Ridge

    class Doubled(Ridge):
        def predict(self, X):
            return 2 * super().predict(X)

    pipeline = fitted(case(LINEAR + "Ridge", "regression"))
    pipeline.steps[-1][1].__class__ = Doubled
    with pytest.raises(packing.NotPackable, match="Doubled"):
        packed(case(LINEAR + "Ridge", "regression"), pipeline)


def test_equal_models_give_equal_files_and_a_file_gives_the_model_back(tmp_path: Path, boosting):
    pipeline, model = boosting
    again = packed(BOOSTING, pipeline)
    assert packing.written(model.arrays) == packing.written(again.arrays)
    file = tmp_path / "model.npz"
    file.write_bytes(packing.written(model.arrays))
    back = reader.read(file)
    asked = as_columns(rows(50, 9))
    assert difference(model.many(asked), back.many(asked)).differing == 0
    assert back.check() == 0


def test_f145_a_file_whose_numbers_changed_says_in_how_many_of_its_rows_it_answers_otherwise(boosting):
    _, model = boosting
    changed = {**model.arrays, "value": model.arrays["value"] * (1 + 1e-15)}
    assert Packed(changed).check() > 0


def test_f148_a_caller_cannot_change_the_arrays_by_asking(boosting):
    _, model = boosting
    frozen = {name: np.array(values) for name, values in model.arrays.items()}
    for values in frozen.values():
        values.setflags(write=False)
    asked = as_columns(rows(40, 4))
    assert difference(model.many(asked), Packed(frozen).many(asked)).differing == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param(
            {"level": ["wide as a door"]}, "level holds something that is no number", id="a text for a number"
        ),
        pytest.param({"place": [["north"]]}, "place holds something that is no category", id="a list for a category"),
        pytest.param({"level": [10**400]}, "level holds something that is no number", id="a number beyond floats"),
        pytest.param(
            {"side": ["left", "left"]}, "level has 1 values, and another feature has 2", id="columns of unequal length"
        ),
    ],
)
def test_what_is_no_value_is_refused_by_the_name_of_its_feature(boosting, changed, said):
    _, model = boosting
    row = {name: values[:1] for name, values in as_columns(rows(1, 1)).items()}
    with pytest.raises(NotAnswerable, match=said):
        model.many({**row, **changed})


def test_a_feature_that_is_not_given_is_no_gap(boosting):
    _, model = boosting
    with pytest.raises(NotAnswerable, match="side is not given; give None"):
        model.one({"level": 1.0, "wide": None, "place": "north", "late": True})


def test_a_linear_model_refuses_a_gap_that_nothing_fills():
    bare = case(LINEAR + "Ridge", "regression")
    model = packed(bare, fitted(bare))
    assert math.isfinite(model.one(row_of(as_columns(rows(1, 1)), 0) | {"level": None}))  # filled by the median
    with pytest.raises(NotAnswerable, match="infinite value"):
        model.one(row_of(as_columns(rows(1, 1)), 0) | {"level": math.inf})


def test_a_file_of_another_format_is_refused(boosting):
    _, model = boosting
    header = {**model.about, "format": 99}
    with pytest.raises(NotAnswerable, match="format 99; this reader knows 1"):
        Packed({**model.arrays, "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)})


def test_reading_and_answering_needs_numpy_and_nothing_else(tmp_path: Path, boosting):
    _, model = boosting
    (tmp_path / "model.npz").write_bytes(packing.written(model.arrays))
    (tmp_path / "reader.py").write_bytes(Path(reader.__file__).read_bytes())
    row = row_of(as_columns(rows(1, 1)), 0)
    script = (
        "import sys, json, reader\n"
        "model = reader.read('model.npz')\n"
        f"answer = model.one(json.loads({json.dumps(json.dumps(row))}))\n"
        "heavy = {'pandas', 'sklearn', 'mlflow', 'scipy', 'include', 'sqlalchemy', 'pyarrow'} & set(sys.modules)\n"
        "print(json.dumps([answer, model.check(), sorted(heavy)]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout) == [model.one(row), 0, []]


def test_slipways_own_reader_is_imported_without_a_heavy_library():
    script = (
        "import sys, include.domain.packed.reader\n"
        "print(sorted({'pandas', 'sklearn', 'mlflow', 'scipy', 'sqlalchemy', 'pyarrow'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
