"""The registered versions of a model, their files, and the alias that projects the ledger's champion."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.adapters.registry.runs import Runs
from include.adapters.registry.signatures import CLASSES, model_signature, read_signature
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.gates import Signature

CHAMPION = "champion"
CHALLENGER = "challenger"
MODEL_FILE = "model.skops"
DESCRIPTION = "MLmodel"
REQUIREMENTS = "requirements.txt"
REFITTED = "slipway.refitted"
"""The tag of a logged model that was fitted again to serve; its value is the digest of the twin that was judged."""
HEAD = "slipway.head"
"""The tag of a registered model that says which epoch of the ledger its aliases show: ``revision candidate``."""
HISTORY = "slipway.history"
"""The tag of a registered model that notes how far the ledger's chain of hashes went: ``position:sha256``."""
_OWN_SOURCE = re.compile(r"models:/m-[0-9a-f]{32}")


class VersionMissing(Refusal, LookupError):
    """A registered version the ledger knows is not in MLflow."""


class VersionSourceRefused(Refusal, ValueError):
    """A version or a file of it that leads somewhere else than to a model logged to this MLflow."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelToLog:
    """A fitted pipeline, and what its file says about it."""

    pipeline: Any
    example: Any
    """A few rows of its input, as a frame."""
    output: Any
    """What it answers to them."""
    classes: list[str] | None
    """The classes its columns of probabilities are of; None for regression."""
    trusted: list[str]
    """The types beyond scikit-learn's own that its file may construct."""
    requirements: list[str]
    """The libraries it needs, as ``name==version``."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What MLflow shows of one registered model."""

    aliases: Mapping[str, int]
    """Every alias, ours and others, and the version it points at."""
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version, and the candidate that its tag names; None without a tag."""

    number: int
    candidate_id: str | None


class Registry(Runs):
    """One MLflow server, with its runs and its registered models."""

    # --- models ------------------------------------------------------------------------------------------------------

    def logged_model(self, run_id: str, *, refitted: bool = False) -> str | None:
        """The address of the model an earlier try logged to this run; None when there is none.

        Args:
            run_id: the candidate's run.
            refitted: whether the one that was fitted again to serve is meant, and not the one that is judged.
        """
        with self._answering() as client:
            run = client.get_run(run_id)
            for earlier in [o.model_id for o in run.outputs.model_outputs] if run.outputs else []:
                tags = client.get_logged_model(earlier).tags
                # A former champion's own file was fitted again for another candidate, if it was.
                own = tags.get("slipway.candidate") == run.data.tags.get("slipway.candidate")
                if (own and REFITTED in tags) == refitted:
                    return f"models:/{earlier}"
            return None

    def log_model(self, run_id: str, model: ModelToLog, tags: Mapping[str, str]) -> str:
        """Log the fitted pipeline in skops format with signature and input example; its address."""
        import mlflow

        signature = model_signature(model.example, model.output)
        with self._answering(), _in_run(self.url, run_id):
            info = mlflow.sklearn.log_model(
                model.pipeline,
                name="model",
                serialization_format="skops",
                skops_trusted_types=model.trusted,
                signature=signature,
                metadata={CLASSES: model.classes} if model.classes else None,
                input_example=model.example,
                pip_requirements=model.requirements,
                tags=dict(tags),
            )
            return f"models:/{info.model_id}"

    def adopt_model(self, run_id: str, uri: str) -> None:
        """Make a model that another run logged one of this run's too; again changes nothing."""
        from mlflow.entities import LoggedModelOutput

        model_id = uri.removeprefix("models:/")
        with self._answering() as client:
            outputs = client.get_run(run_id).outputs
            if model_id not in [o.model_id for o in (outputs.model_outputs if outputs else [])]:
                client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])

    def register(self, model: str, uri: str, run_id: str, candidate_id: str, tags: Mapping[str, str]) -> int:
        """The version registered for this candidate; a retry finds the one its first try made.

        A reply that was lost makes MLflow's client ask again, and a server that hung may carry out a request whose
        caller gave up. Either makes the version twice; the oldest is the candidate's and the others are removed.
        """
        from mlflow.exceptions import MlflowException

        with self._answering() as client:
            try:
                client.create_registered_model(model, tags={"slipway.managed": "true"})
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            crashpoint("registry.model.created")
            mine = self._versions_of(client, model, run_id, candidate_id)
            if not mine:
                client.create_model_version(
                    model,
                    source=uri,
                    run_id=run_id,
                    model_id=uri.removeprefix("models:/"),
                    tags={**tags, "slipway.candidate": candidate_id},
                    await_creation_for=0,  # by default it waits up to five minutes
                )
                crashpoint("registry.version.created")
                mine = self._versions_of(client, model, run_id, candidate_id)
            for twin in mine[1:]:
                client.delete_model_version(model, str(twin))
                crashpoint("registry.twin.deleted")
            return mine[0]

    @staticmethod
    def _versions_of(client: Any, model: str, run_id: str, candidate_id: str) -> list[int]:
        found = client.search_model_versions(f"name='{model}' and run_id='{run_id}'")
        return sorted(int(v.version) for v in found if v.tags.get("slipway.candidate") == candidate_id)

    def versions(self, model: str) -> list[Version]:
        """Every version of the model, the oldest first."""
        with self._answering() as client:
            found = client.search_model_versions(f"name='{model}'")
            return sorted(
                (Version(int(v.version), v.tags.get("slipway.candidate")) for v in found), key=lambda v: v.number
            )

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        with self._answering() as client:
            for key, value in tags.items():
                client.set_model_version_tag(model, str(version), key, value[:5000])

    @contextmanager
    def fetched(self, model: str, version: int) -> Iterator[Path]:
        """A local copy of the version's model file while the block lasts. Not yet trusted: check its digest first.

        Raises:
            VersionMissing: when MLflow has no such version or its file is gone.
        """
        with self.model_file(self.source(model, version)) as file:
            yield file

    def source(self, model: str, version: int) -> str:
        """The address of the model that was registered as this version.

        Raises:
            VersionMissing: when MLflow has no such version.
            SourceRefused: when it leads to a path or an address.
        """
        from mlflow.exceptions import MlflowException

        with self._answering() as client:
            try:
                source = str(client.get_model_version(model, str(version)).source)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    raise VersionMissing(f"MLflow has no version {version} of {model}: {error.message}") from None
                raise
        if _OWN_SOURCE.fullmatch(source) is None:
            raise VersionSourceRefused(
                f"Version {version} of {model} leads to {source[:100]!r}, which is no model logged to this MLflow. "
                "It was registered by hand; delete it there."
            )
        return source

    def signature(self, uri: str) -> Signature | None:
        """The inputs and outputs of the model at ``uri``; None when it was logged without a signature.

        Raises:
            VersionMissing: when its description is gone.
        """
        from mlflow.models import Model

        with self.model_file(uri, DESCRIPTION) as file:
            described = Model.load(str(file))
        return read_signature(described.signature, (described.metadata or {}).get(CLASSES))

    @contextmanager
    def model_file(self, uri: str, name: str = MODEL_FILE) -> Iterator[Path]:
        """A local copy of one of the files of the model at ``uri`` while the block lasts; the model itself by default.

        Raises:
            VersionMissing: when the file is gone.
        """
        import tempfile

        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with tempfile.TemporaryDirectory(prefix="slipway-model-") as folder:
            with self._answering() as client:
                try:
                    # By its location, not by ``uri``: MLflow resolves a models:/ address with the server the
                    # whole process talks to, whichever is given, and takes its second part for a stage.
                    place = client.get_logged_model(uri.removeprefix("models:/")).artifact_location
                    repository = get_artifact_repository(place, tracking_uri=self.url, registry_uri=self.url)
                    file = Path(repository.download_artifacts(name, dst_path=folder))
                except MlflowException as error:
                    # A download's own errors come as text within another.
                    if "RESOURCE_DOES_NOT_EXIST" in (error.error_code, *str(error).split('"')):
                        raise VersionMissing(f"The file {name} of {uri} is gone from MLflow at {self.url}.") from None
                    if "failures occurred while downloading" in str(error):
                        raise self._unreachable(error) from None
                    raise
            if file.is_symlink() or not file.resolve().is_relative_to(Path(folder).resolve()):
                raise VersionSourceRefused(f"The file {name} of {uri} is a link out of its folder; it was not read.")
            yield file

    def requirements(self, uri: str) -> str:
        """The libraries the model at ``uri`` was logged with, a ``name==version`` a line; empty when it names none."""
        try:
            with self.model_file(uri, REQUIREMENTS) as file:
                return file.read_text(encoding="utf-8")
        except VersionMissing:
            return ""

    # --- aliases -----------------------------------------------------------------------------------------------------

    def registered(self, model: str) -> Registered:
        """The model's aliases and tags; none of either when it was never registered."""
        from mlflow.exceptions import MlflowException

        with self._answering() as client:
            try:
                found = client.get_registered_model(model)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return Registered({}, {})
                raise
            return Registered({str(a): int(v) for a, v in found.aliases.items()}, dict(found.tags))

    def alias(self, model: str, alias: str) -> int | None:
        """The version the alias points at, or None."""
        return self.registered(model).aliases.get(alias)

    def point(self, model: str, alias: str, version: int) -> None:
        """Point the alias at the version. The last writer wins, which is why only the ledger's head is ever written.

        Raises:
            VersionMissing: when MLflow has no such version.
        """
        from mlflow.exceptions import MlflowException

        with self._answering() as client:
            try:
                client.set_registered_model_alias(model, alias, str(version))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    raise VersionMissing(f"MLflow has no version {version} of {model}: {error.message}") from None
                raise

    def tag_model(self, model: str, tags: Mapping[str, str]) -> None:
        with self._answering() as client:
            for key, value in tags.items():
                client.set_registered_model_tag(model, key, value[:5000])

    def drop(self, model: str, alias: str, version: int) -> None:
        """Remove the alias if it still points at the version."""
        if self.alias(model, alias) == version:
            with self._answering() as client:
                client.delete_registered_model_alias(model, alias)


@contextmanager
def _in_run(url: str, run_id: str) -> Iterator[None]:
    """Make the run active for one logging call, and leave it running.

    MLflow logs a model to the server the whole process talks to, and writes that into the environment; both are put
    back as they were.
    """
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(url)
    try:
        mlflow.start_run(run_id=run_id, log_system_metrics=False)
        try:
            yield
        finally:
            mlflow.end_run("RUNNING")
    finally:
        mlflow.set_tracking_uri(None)  # takes the variable away too
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before
