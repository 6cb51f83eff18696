"""What a model file may construct beyond Slipway's own list is a reviewed list of the team's, and nothing else."""

from __future__ import annotations

import pytest
import yaml
from own_modules import own_module  # noqa: F401 - a fixture
from selftest_models import BINARY, declared

from include.adapters import estimators, model_files
from include.adapters.model_files import ModelFileRefused
from include.commands.checks import EXIT_FAILED
from include.config import BadDeclaration, loader

MEANS = """
    import numpy as np
    from sklearn.base import BaseEstimator, TransformerMixin

    class Doubled(TransformerMixin, BaseEstimator):
        def fit(self, rows, labels=None): return self
        def transform(self, rows): return 2 * np.asarray(rows, dtype=float)

    class Halved(Doubled):
        def transform(self, rows): return np.asarray(rows, dtype=float) / 2
"""
STEPS = ["trusted_ours.Doubled", "trusted_ours.Halved"]
WITH_STEPS = {**BINARY, "preprocess": [{"columns": "numeric", "steps": STEPS}]}


@pytest.fixture
def project(own_module, tmp_path):  # noqa: F811
    """A project with a model that has two steps of the team's own, and no list yet."""
    own_module("trusted_ours", MEANS)
    with declared(tmp_path, WITH_STEPS) as known:
        yield known.model(BINARY["name"])


def trusting(*types):
    file = loader.ROOT / "models" / "trusted_types.yaml"
    file.write_text(yaml.safe_dump({"types": dict.fromkeys(types, "looked at by ours")}), encoding="utf-8")
    return file


def validated(capsys):
    from include.cli import main

    code = main(["validate", "--offline", str(loader.ROOT)])
    return code, capsys.readouterr().out


def test_validate_names_all_that_would_be_refused_before_any_fit_and_the_file_to_add_it_to(project, capsys):
    code, said = validated(capsys)
    assert code == EXIT_FAILED
    (line,) = (line for line in said.splitlines() if "trusted_ours" in line)
    at = project.file.read_text(encoding="utf-8").splitlines().index("  - trusted_ours.Doubled") + 1
    assert f"model.yaml:{at}: preprocess.0.steps.0: a fitted model could not be loaded again" in line
    assert "wants to construct trusted_ours.Doubled, trusted_ours.Halved, which are not on Slipway's list" in line
    assert "add each of them to" in line
    assert "models/trusted_types.yaml with the reason." in line


def test_what_is_listed_is_valid_and_what_is_not_is_still_refused(project, capsys):
    trusting("trusted_ours.Doubled")
    code, said = validated(capsys)
    assert code == EXIT_FAILED
    assert "wants to construct trusted_ours.Halved, which is not on" in said
    trusting(*STEPS)
    assert validated(capsys)[0] == 0


def test_a_model_file_is_loaded_only_while_its_types_are_listed(project, tmp_path):
    from include.workflows.scoring.fitted_models import spec_of

    pipeline, file = estimators.build(spec_of(project)), tmp_path / "model.skops"
    with pytest.raises(ModelFileRefused, match=r"models/trusted_types\.yaml") as refused:
        model_files.untrusted_free(pipeline, file)
    assert refused.value.types == tuple(STEPS)
    listed = trusting(*STEPS)
    assert type(model_files.load(file, model_files.digest(file))).__name__ == "Pipeline"
    listed.unlink()
    with pytest.raises(ModelFileRefused, match="It was not loaded"):
        model_files.load(file, model_files.digest(file))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("types: {os.system: it is handy}", "os.system is of Python's own library"),
        ("types: {builtins.eval: it is handy}", "builtins.eval is of Python's own library"),
        ("types: [trusted_ours.Doubled]", "types is ['trusted_ours.Doubled']"),
        ("types: {Doubled: it is ours}", "Doubled"),
        ("types: {trusted_ours.Doubled: ''}", "types.trusted_ours.Doubled is ''"),
        ("type: {trusted_ours.Doubled: ours}", "type is not a field; allowed are: types."),
    ],
)
def test_a_list_that_is_wrong_trusts_nothing_and_is_named(project, capsys, tmp_path, text, says):
    (loader.ROOT / "models" / "trusted_types.yaml").write_text(text, encoding="utf-8")
    code, said = validated(capsys)
    assert code == EXIT_FAILED
    assert any("trusted_types.yaml:1: " in line and says in line for line in said.splitlines()), said
    with pytest.raises(BadDeclaration):
        loader.trusted_types()


def test_a_broken_list_stops_no_model_that_needs_nothing_of_it(project, tmp_path):
    from sklearn.linear_model import Ridge

    (loader.ROOT / "models" / "trusted_types.yaml").write_text("types: 3", encoding="utf-8")
    file = tmp_path / "model.skops"
    model_files.untrusted_free(Ridge(), file)
    assert isinstance(model_files.load(file, model_files.digest(file)), Ridge)
