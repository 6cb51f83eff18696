"""One MLflow server, asked with bounds: a dead or hung one costs seconds and one clear line, not minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Before mlflow is imported: it reads these once. A dead server otherwise costs minutes before the client gives up.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


class RegistryUnreachable(ConnectionError):
    """MLflow did not answer in time; the task may be retried."""


class Server:
    """One MLflow server. Cheap to make; the client library is imported with the first call."""

    def __init__(self, url: str) -> None:
        self.url = url

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
