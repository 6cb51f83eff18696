"""The run page a person opens: how a candidate was made and what was measured."""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from include.adapters.registry.server import Server

DAILY_TIMEOUT_S = 5
"""How long an ordinary day waits for MLflow, in seconds, before it goes on without."""
_CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_AUTH")
_SERVED_FILES = re.compile(r"mlflow-artifacts:/(?://[^/]*/)?([0-9A-Za-z_./-]+)")
"""Where a run's files are when the server itself keeps them."""


class Runs(Server):
    """The runs of one MLflow server."""

    def candidate_run(self, model: str, candidate_id: str, tags: Mapping[str, str]) -> str:
        """The id of this candidate's run, made on the first call and found again by its tag on every retry."""
        with self._answering() as client:
            experiment = client.get_experiment_by_name(model)
            experiment_id = experiment.experiment_id if experiment else self._new_experiment(client, model)
            # The oldest: a lost reply may have left a second run, which stays empty.
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
        """The same without MLflow's client, which takes seconds to import: for metrics that are logged every day.

        Uses the client when the server asks for a login or keeps the files in another store.
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

    def log_file(self, run_id: str, file: Path) -> None:
        """Put a file on the run page, under its own name; again replaces it."""
        with self._answering() as client:
            client.log_artifact(run_id, str(file))

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

    def run_page(self, experiment: str, run_id: str) -> str:
        """The address of the run's page."""
        with self._answering() as client:
            found = client.get_experiment_by_name(experiment)
            return f"{self.url}/#/experiments/{found.experiment_id}/runs/{run_id}" if found else self.url
