"""What every model registry keeps: MLflow's, and the one in memory that the tests of use cases run on."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from memory_registry import MemoryRegistry
from mlflow_server import MlflowServer
from sklearn.linear_model import LogisticRegression

from include.adapters import model_files
from include.adapters.registry import (
    ModelRegistry,
    ModelToLog,
    Registered,
    Registry,
    Version,
    VersionMissing,
    VersionSourceRefused,
)
from include.domain.gates import InputColumn

TAGS = {"slipway.digest": "abc"}


@dataclass
class Kept:
    """A registry, and what only its own tools can do to it."""

    registry: ModelRegistry
    model: str
    """A name that no other test uses."""
    server: MlflowServer | None = None

    def by_hand(self, source: str) -> int:
        """Somebody registers a version without Slipway."""
        if isinstance(self.registry, MemoryRegistry):
            return self.registry.add_version(self.model, source)
        return int(self._client.create_model_version(self.model, source).version)

    def twin_of(self, run: str, candidate: str, uri: str) -> int:
        """A lost reply makes the client register the same once more."""
        tags = {**TAGS, "slipway.candidate": candidate}
        if isinstance(self.registry, MemoryRegistry):
            return self.registry.add_version(self.model, uri, run, tags)
        made = self._client.create_model_version(self.model, uri, run, tags, model_id=uri.removeprefix("models:/"))
        return int(made.version)

    def lose_files_of(self, version: int) -> None:
        if isinstance(self.registry, MemoryRegistry):
            self.registry.lose_files(self.model, version)
            return
        assert self.server is not None
        model_id = self.registry.source(self.model, version).removeprefix("models:/")
        (folder,) = (self.server.home / "artifacts").rglob(model_id)
        shutil.rmtree(folder)

    @property
    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.registry.url, self.registry.url)


@pytest.fixture(params=["memory", "mlflow"])
def kept(request: pytest.FixtureRequest) -> Kept:
    model = f"late_trips_{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        return Kept(MemoryRegistry(), model)
    server: MlflowServer = request.getfixturevalue("mlflow_server")
    return Kept(Registry(server.url), model, server)


@pytest.fixture
def registry(kept: Kept) -> ModelRegistry:
    return kept.registry


@pytest.fixture
def model(kept: Kept) -> str:
    return kept.model


EXAMPLE = pd.DataFrame({"order": [0.0, 1.0, 2.0, 3.0], "place": [0.0, 1.0, 0.0, 1.0]})


def fitted(slope: float = 1.0) -> LogisticRegression:
    return LogisticRegression(C=slope).fit(EXAMPLE, [0, 0, 1, 1])


def logged(registry: ModelRegistry, model: str, candidate: str, pipeline: Any = None) -> tuple[str, str]:
    """A candidate's run and the address of the model that was logged to it."""
    run = registry.candidate_run(model, candidate, {"slipway.model": model})
    pipeline = pipeline or fitted()
    uri = registry.log_model(
        run,
        ModelToLog(
            pipeline,
            EXAMPLE,
            output=pipeline.predict_proba(EXAMPLE),
            classes=["no", "yes"],
            trusted=[],
            requirements=model_files.library_versions(),
        ),
        tags={"slipway.candidate": candidate},
    )
    return run, uri


def registered(registry: ModelRegistry, model: str, candidate: str) -> int:
    run, uri = logged(registry, model, candidate)
    return registry.register(model, uri, run, candidate, TAGS)


# --- run pages -------------------------------------------------------------------------------------------------------


def test_a_candidate_has_one_run_however_often_its_step_is_tried(registry: ModelRegistry, model: str) -> None:
    first = registry.candidate_run(model, "c-1", {"a": "1"})
    assert registry.candidate_run(model, "c-1", {"a": "2"}) == first
    assert registry.candidate_run(model, "c-2", {}) != first
    assert registry.candidate_run("another_model", "c-1", {}) != first


def test_what_is_put_on_a_run_can_be_put_again(registry: ModelRegistry, model: str) -> None:
    run = registry.candidate_run(model, "c-1", {})
    for _ in range(2):
        registry.log_params(run, {"seed": 3, "long": "x" * 9000})
        registry.log_metrics(run, {"brier": 0.17})
        registry.tag(run, {"slipway.outcome": "y" * 9000})
        registry.log_dataset(run, "a set", "sha256:" + "0" * 64, {"rows": 3}, {"labels": 2})
        registry.finish_run(run, succeeded=True)


@pytest.mark.parametrize("put", ["log_json", "put_json"])
def test_a_document_of_a_run_comes_back_as_it_was_put(
    registry: ModelRegistry, model: str, put: str, tmp_path: Path
) -> None:
    run = registry.candidate_run(model, "c-1", {})
    getattr(registry, put)(run, {"day": "2024-03-01", "rows": [1, 2]}, "drift/report.json")
    (tmp_path / "there").mkdir()
    assert registry.download(run, "drift/report.json", tmp_path / "there")
    assert json.loads((tmp_path / "there/report.json").read_text()) == {"day": "2024-03-01", "rows": [1, 2]}


def test_a_file_of_a_run_comes_back_byte_by_byte_under_its_own_name(
    registry: ModelRegistry, model: str, tmp_path: Path
) -> None:
    run, file = registry.candidate_run(model, "c-1", {}), tmp_path / "packed.npz"
    for content in (b"first", bytes(range(256))):
        file.write_bytes(content)
        registry.log_file(run, file)
    (tmp_path / "there").mkdir()
    assert registry.download(run, "packed.npz", tmp_path / "there")
    assert (tmp_path / "there/packed.npz").read_bytes() == bytes(range(256))


def test_what_a_run_does_not_have_is_not_downloaded(registry: ModelRegistry, model: str, tmp_path: Path) -> None:
    run = registry.candidate_run(model, "c-1", {})
    assert not registry.download(run, "profile.json", tmp_path)
    assert not registry.download("0" * 32, "profile.json", tmp_path)


def test_a_figure_of_a_run_is_a_picture(registry: ModelRegistry, model: str, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    run = registry.candidate_run(model, "c-1", {})
    registry.log_figure(run, Figure(figsize=(1, 1)), "curves/roc.png")
    assert registry.download(run, "curves/roc.png", tmp_path)
    assert (tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_of_a_run_has_an_address(registry: ModelRegistry, model: str) -> None:
    run = registry.candidate_run(model, "c-1", {})
    assert registry.run_page(model, run).startswith(f"{registry.url}/#/experiments/")
    assert registry.run_page(model, run).endswith(f"/runs/{run}")
    assert registry.run_page("never_trained", run) == registry.url


# --- logged models ---------------------------------------------------------------------------------------------------


def test_a_run_has_the_model_that_was_logged_first(registry: ModelRegistry, model: str) -> None:
    run = registry.candidate_run(model, "c-1", {})
    assert registry.logged_model(run) is None
    same, uri = logged(registry, model, "c-1")
    assert same == run
    assert uri.startswith("models:/m-")
    assert registry.logged_model(run) == uri


def test_a_logged_model_comes_back_as_the_file_that_answers_the_same(registry: ModelRegistry, model: str) -> None:
    pipeline = fitted()
    _, uri = logged(registry, model, "c-1", pipeline)
    with registry.model_file(uri) as file:
        again = model_files.load(file, model_files.digest(file))
    assert not file.exists()
    np.testing.assert_array_equal(again.predict_proba(EXAMPLE), pipeline.predict_proba(EXAMPLE))


def test_a_logged_model_says_what_it_takes_and_gives(registry: ModelRegistry, model: str) -> None:
    _, uri = logged(registry, model, "c-1")
    signature = registry.signature(uri)
    assert signature is not None
    assert signature.inputs == (InputColumn("order", "double", True), InputColumn("place", "double", True))
    assert signature.output == "float64 (-1, 2)"
    assert signature.classes == ("no", "yes")


def test_text_is_a_column_of_strings(registry: ModelRegistry, model: str) -> None:
    run = registry.candidate_run(model, "c-1", {})
    example = pd.DataFrame({"station": pd.Series(["north", "south"], dtype=object)})
    uri = registry.log_model(
        run,
        ModelToLog(fitted(), example, np.array([0.5, 1.5]), classes=None, trusted=[], requirements=[]),
        tags={},
    )
    signature = registry.signature(uri)
    assert signature is not None
    assert signature.inputs == (InputColumn("station", "string", True),)
    assert (signature.output, signature.classes) == ("float64 (-1,)", None)


def test_a_logged_model_names_its_libraries(registry: ModelRegistry, model: str) -> None:
    _, uri = logged(registry, model, "c-1")
    first, *others = registry.requirements(uri).split()
    assert first.startswith("mlflow==")
    assert others == model_files.library_versions()
    assert model_files.unmet(registry.requirements(uri)) == []


def test_a_file_that_is_not_there_is_named(registry: ModelRegistry, model: str) -> None:
    _, uri = logged(registry, model, "c-1")
    with (
        pytest.raises(VersionMissing, match=r"file nothing\.txt of models:/m-"),
        registry.model_file(uri, "nothing.txt"),
    ):
        pass
    with pytest.raises(VersionMissing, match="is gone"), registry.model_file(f"models:/m-{'0' * 32}"):
        pass


# --- registered versions ---------------------------------------------------------------------------------------------


def test_a_candidate_has_one_version_however_often_it_is_registered(registry: ModelRegistry, model: str) -> None:
    run, uri = logged(registry, model, "c-1")
    assert [registry.register(model, uri, run, "c-1", TAGS) for _ in range(2)] == [1, 1]
    assert registered(registry, model, "c-2") == 2
    assert registry.versions(model) == [Version(1, "c-1"), Version(2, "c-2")]
    assert registry.source(model, 1) == uri


def test_of_two_versions_of_one_candidate_the_older_stays(kept: Kept) -> None:
    run, uri = logged(kept.registry, kept.model, "c-1")
    assert kept.registry.register(kept.model, uri, run, "c-1", TAGS) == 1
    assert kept.twin_of(run, "c-1", uri) == 2
    assert kept.registry.register(kept.model, uri, run, "c-1", TAGS) == 1
    assert kept.registry.versions(kept.model) == [Version(1, "c-1")]


def test_a_version_that_was_registered_by_hand_is_no_candidates(kept: Kept) -> None:
    registered(kept.registry, kept.model, "c-1")
    number = kept.by_hand("s3://somewhere/model")
    assert kept.registry.versions(kept.model) == [Version(1, "c-1"), Version(number, None)]
    with pytest.raises(
        VersionSourceRefused, match=rf"Version {number} of {kept.model} leads to .*somewhere.*registered by hand"
    ):
        kept.registry.source(kept.model, number)


def test_a_registered_version_is_fetched_as_it_was_logged(registry: ModelRegistry, model: str) -> None:
    run, uri = logged(registry, model, "c-1")
    with registry.model_file(uri) as file:
        digest = model_files.digest(file)
    version = registry.register(model, uri, run, "c-1", TAGS)
    with registry.fetched(model, version) as file:
        assert model_files.digest(file) == digest


def test_a_version_that_is_not_there_is_named(registry: ModelRegistry, model: str) -> None:
    assert registry.versions(model) == []
    registered(registry, model, "c-1")
    for ask in (
        lambda: registry.source(model, 7),
        lambda: registry.point(model, "champion", 7),
        lambda: registry.fetched(model, 7).__enter__(),
    ):
        with pytest.raises(VersionMissing, match=f"MLflow has no version 7 of {model}"):
            ask()


def test_a_version_whose_files_are_lost_is_missing(kept: Kept) -> None:
    version = registered(kept.registry, kept.model, "c-1")
    kept.lose_files_of(version)
    with pytest.raises(VersionMissing, match="is gone from MLflow"), kept.registry.fetched(kept.model, version):
        pass
    assert kept.registry.requirements(kept.registry.source(kept.model, version)) == ""


def test_a_versions_tags_can_be_written_again(registry: ModelRegistry, model: str) -> None:
    version = registered(registry, model, "c-1")
    for text in ("1", "x" * 9000):
        registry.tag_version(model, version, {"slipway.revision": text})
    assert registry.versions(model) == [Version(1, "c-1")]


# --- aliases and tags of a model -------------------------------------------------------------------------------------


def test_a_model_that_was_never_registered_has_nothing(registry: ModelRegistry, model: str) -> None:
    assert registry.registered(model) == Registered({}, {})
    assert registry.alias(model, "champion") is None
    registry.drop(model, "champion", 1)


def test_a_registered_model_is_marked_as_ours(registry: ModelRegistry, model: str) -> None:
    registered(registry, model, "c-1")
    assert registry.registered(model) == Registered({}, {"slipway.managed": "true"})


def test_an_alias_points_where_it_was_pointed_last(registry: ModelRegistry, model: str) -> None:
    registered(registry, model, "c-1")
    registered(registry, model, "c-2")
    for version in (1, 2):
        registry.point(model, "champion", version)
        assert registry.alias(model, "champion") == version
    assert registry.registered(model).aliases == {"champion": 2}


def test_an_alias_is_dropped_only_where_it_still_points(registry: ModelRegistry, model: str) -> None:
    registered(registry, model, "c-1")
    registered(registry, model, "c-2")
    registry.point(model, "challenger", 2)
    registry.drop(model, "challenger", 1)
    assert registry.alias(model, "challenger") == 2
    registry.drop(model, "challenger", 2)
    assert registry.alias(model, "challenger") is None


def test_a_models_tags_are_replaced_and_cut_where_they_are_too_long(registry: ModelRegistry, model: str) -> None:
    registered(registry, model, "c-1")
    registry.tag_model(model, {"slipway.head": "1 c-1"})
    registry.tag_model(model, {"slipway.head": "2 c-2", "slipway.accepted": "x" * 9000})
    tags = registry.registered(model).tags
    assert tags["slipway.head"] == "2 c-2"
    assert tags["slipway.accepted"] == "x" * 5000
