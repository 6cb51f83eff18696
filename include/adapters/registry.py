"""MLflow: the run page a person opens, the registered versions, and the alias that projects the ledger's champion.

The ledger decides; everything here can be written again from it. Calls are bounded in time, so that a dead or hung
server costs seconds and one clear line, not minutes.
"""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.gates import InputColumn, Signature

# Before mlflow is imported: it reads these once. A dead server otherwise costs minutes before the client gives up.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

CHAMPION = "champion"
CHALLENGER = "challenger"
MODEL_FILE = "model.skops"
DESCRIPTION = "MLmodel"
REQUIREMENTS = "requirements.txt"
HEAD = "slipway.head"
"""The tag of a registered model that says which epoch of the ledger its aliases show: ``revision candidate``."""
DAILY_TIMEOUT_S = 5
"""How long an ordinary day waits for MLflow, in seconds, before it goes on without."""
_CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_AUTH")
_SERVED_FILES = re.compile(r"mlflow-artifacts:/(?://[^/]*/)?([0-9A-Za-z_./-]+)")
"""Where a run's files are when the server itself keeps them."""
_OWN_SOURCE = re.compile(r"models:/m-[0-9a-f]{32}")
CLASSES = "slipway_classes"
"""The key of the description's metadata under which a classifier's classes stand, in the order of its outputs."""


class RegistryUnreachable(ConnectionError):
    """MLflow did not answer in time; the task may be retried."""


class VersionMissing(Refusal, LookupError):
    """A registered version the ledger knows is not in MLflow."""


class SourceRefused(Refusal, ValueError):
    """A version or a file of it that leads somewhere else than to a model logged to this MLflow."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What MLflow shows of one registered model."""

    aliases: Mapping[str, int]
    """Every alias, ours and others, and the version it points at."""
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version, and the candidate it says it was registered for; None when it says none."""

    number: int
    candidate_id: str | None


class Registry:
    """One MLflow server. Cheap to make; the client library is imported with the first call."""

    def __init__(self, url: str) -> None:
        self.url = url

    # --- runs --------------------------------------------------------------------------------------------------------

    def candidate_run(self, model: str, candidate_id: str, tags: Mapping[str, str]) -> str:
        """The id of this candidate's run, made on the first call and found again by its tag on every retry."""
        with self._answering() as client:
            experiment = client.get_experiment_by_name(model)
            experiment_id = experiment.experiment_id if experiment else self._new_experiment(client, model)
            # The oldest: a lost reply may have left a second one behind, which stays empty.
            mine = f"tags.`slipway.candidate` = '{candidate_id}'"
            found = client.search_runs([experiment_id], mine, order_by=["attributes.start_time ASC"], max_results=1)
            if found:
                return str(found[0].info.run_id)
            run = client.create_run(
                experiment_id,
                run_name=candidate_id,
                tags={**tags, "slipway.candidate": candidate_id, "mlflow.source.name": "slipway"},
            )
            return str(run.info.run_id)

    @staticmethod
    def _new_experiment(client: Any, name: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return str(client.create_experiment(name))
        except MlflowException:
            # Another journey made it in between; then it is there now.
            return str(client.get_experiment_by_name(name).experiment_id)

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        with self._answering() as client:
            client.log_batch(run_id, params=[Param(k, str(v)[:6000]) for k, v in params.items()], synchronous=True)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log metrics once; ``step`` is always 0, so that a retry overwrites instead of adding a point."""
        from mlflow.entities import Metric

        with self._answering() as client:
            client.log_batch(run_id, metrics=[Metric(k, float(v), 0, 0) for k, v in metrics.items()], synchronous=True)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        with self._answering() as client:
            client.log_batch(run_id, tags=[RunTag(k, v[:5000]) for k, v in tags.items()], synchronous=True)

    def log_json(self, run_id: str, data: Mapping[str, Any], path: str) -> None:
        with self._answering() as client:
            client.log_dict(run_id, dict(data), path)

    def put_json(self, run_id: str, data: Mapping[str, Any], path: str) -> None:
        """The same without MLflow's client, which takes seconds to import: for what is logged every day.

        Falls back on the client where the server asks for a name or leaves the files to another store.
        """
        import json
        import urllib.error
        import urllib.request

        def asked(address: str, body: bytes | None = None) -> Any:
            request = urllib.request.Request(f"{self.url.rstrip('/')}/api/2.0/{address}", data=body)
            request.method = "GET" if body is None else "PUT"
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=DAILY_TIMEOUT_S) as answer:
                return json.loads(answer.read() or b"{}")

        if not self.url.startswith(("http://", "https://")) or any(os.environ.get(name) for name in _CREDENTIALS):
            return self.log_json(run_id, data, path)
        try:
            kept_at = str(asked(f"mlflow/runs/get?run_id={quote(run_id)}")["run"]["info"]["artifact_uri"])
            own = _SERVED_FILES.fullmatch(kept_at)
            if own is None:
                return self.log_json(run_id, data, path)
            asked(f"mlflow-artifacts/artifacts/{quote(f'{own[1]}/{path}')}", json.dumps(data).encode())
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:  # HTTPError is an OSError
            raise self._unreachable(error) from None
        return None

    def download(self, run_id: str, path: str, folder: Path) -> bool:
        """Copy one artifact of a run into ``folder``; False when the run or the artifact is gone."""
        from mlflow.exceptions import MlflowException

        with self._answering() as client:
            try:
                client.download_artifacts(run_id, path, str(folder))
            except MlflowException as error:
                if "RESOURCE_DOES_NOT_EXIST" in (error.error_code, *str(error).split('"')) or "404" in str(error):
                    return False
                raise
            return True

    def log_figure(self, run_id: str, figure: Any, path: str) -> None:
        with self._answering() as client:
            client.log_figure(run_id, figure, path)

    def log_dataset(
        self, run_id: str, name: str, digest: str, source: Mapping[str, Any], profile: Mapping[str, Any]
    ) -> None:
        """Put the training set on the run page: its content hash as digest, the Delta versions as source."""
        import json

        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:36],
            source_type="delta_tables",
            source=json.dumps(source, sort_keys=True),
            profile=json.dumps(profile, sort_keys=True),
        )
        with self._answering() as client:
            client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def finish_run(self, run_id: str, *, succeeded: bool) -> None:
        with self._answering() as client:
            client.set_terminated(run_id, "FINISHED" if succeeded else "FAILED")

    # --- models ------------------------------------------------------------------------------------------------------

    def logged_model(self, run_id: str) -> str | None:
        """The address of the model an earlier try logged to this run; None when there is none."""
        with self._answering() as client:
            outputs = client.get_run(run_id).outputs
            earlier = [o.model_id for o in outputs.model_outputs] if outputs else []
            return f"models:/{earlier[0]}" if earlier else None

    def log_model(
        self,
        run_id: str,
        pipeline: Any,
        *,
        example: Any,
        output: Any,
        classes: list[str] | None,
        trusted: list[str],
        requirements: list[str],
        tags: Mapping[str, str],
    ) -> str:
        """Log the fitted pipeline in skops format with signature and input example; its address."""
        import mlflow

        signature = model_signature(example, output)
        with self._answering(), _in_run(self.url, run_id):
            info = mlflow.sklearn.log_model(
                pipeline,
                name="model",
                serialization_format="skops",
                skops_trusted_types=trusted,
                signature=signature,
                metadata={CLASSES: classes} if classes else None,
                input_example=example,
                pip_requirements=requirements,
                tags=dict(tags),
            )
            return f"models:/{info.model_id}"

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
            raise SourceRefused(
                f"Version {version} of {model} leads to {source[:100]!r}, which is no model logged to this MLflow. "
                "It was registered by hand; delete it there."
            )
        return source

    def signature(self, uri: str) -> Signature | None:
        """What the model at ``uri`` takes and gives; None when it was logged without saying so.

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
                    # By the place it names, not by ``uri``: MLflow resolves a models:/ address with the server the
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
                raise SourceRefused(f"The file {name} of {uri} is a link out of its folder; it was not read.")
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

    def run_page(self, experiment: str, run_id: str) -> str:
        """The address of the run's page."""
        with self._answering() as client:
            found = client.get_experiment_by_name(experiment)
            return f"{self.url}/#/experiments/{found.experiment_id}/runs/{run_id}" if found else self.url

    # --- one place for what the outside can do -----------------------------------------------------------------------

    @contextmanager
    def _answering(self) -> Iterator[Any]:
        """A client; a server that cannot be reached becomes one clear error."""
        import requests
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            yield MlflowClient(tracking_uri=self.url, registry_uri=self.url)
        except requests.exceptions.RequestException as error:
            raise self._unreachable(error) from None
        except MlflowException as error:
            if "API request to" in str(error) and "failed" in str(error):
                raise self._unreachable(error) from None
            raise

    def _unreachable(self, error: Exception) -> RegistryUnreachable:
        return RegistryUnreachable(
            f"MLflow at {self.url} did not answer ({type(error).__name__}). Start it, or set "
            "MLFLOW_TRACKING_URI to where it is; "
            "the task can be retried as it is."
        )


def model_signature(example: Any, output: Any) -> Any:
    """MLflow's signature of a model that answers the frame ``example`` with ``output``.

    It says of every column that it must be sent. MLflow would call those optional that happen to have a missing value
    in the example, and one without any value a number, so two equal models could differ in it.
    """
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema

    columns = [ColSpec("string" if example[name].dtype == object else "double", name) for name in example.columns]
    return ModelSignature(Schema(columns), infer_signature(model_output=output).outputs)


def read_signature(logged: Any, classes: Iterable[str] | None) -> Signature | None:
    """MLflow's signature as the gates take it; None where it does not say what is taken and given."""
    if logged is None or logged.inputs is None or logged.outputs is None or not logged.inputs.has_input_names():
        return None
    inputs = tuple(
        InputColumn(str(c.name), str(getattr(c.type, "name", c.type)), bool(c.required)) for c in logged.inputs.inputs
    )
    output = ", ".join(f"{o.type} {getattr(o, 'shape', '')}".strip() for o in logged.outputs.inputs)
    return Signature(inputs, output, tuple(map(str, classes)) if classes else None)


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
