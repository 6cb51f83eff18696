"""A real MLflow server on a free port, that tests may kill, stop and start again. It never outlives the tests."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from waiting import PATIENCE_S

from include.adapters.ports import free_ports
from include.adapters.processes import Child, Command, ProcessGuard, end_sessions, members
from include.adapters.servers import answers


class MlflowServer:
    """One server with its own SQLite database and artifacts below ``home``; the port stays over a restart."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_ports(1)[0]
        self._guard = ProcessGuard()
        self._child: Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> set[int]:
        """The server's processes that run now."""
        return members({self._child.pid}) if self._child else set()

    def start(self) -> None:
        """Start it and wait until it answers."""
        argv = (
            *(sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={self.port}", "--workers=1"),
            f"--backend-store-uri=sqlite:///{self.home / 'mlflow.db'}",
            f"--artifacts-destination={self.home / 'artifacts'}",
        )
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        self._child = Child(Command("mlflow", argv, self.home, environment, self.home / "mlflow.log"))
        self._guard.watch(self._child.pid)
        until = time.monotonic() + PATIENCE_S
        while not answers(f"{self.url}/health", timeout_s=1.0):
            if self._child.exit_code() is not None or time.monotonic() > until:
                raise RuntimeError(f"MLflow did not start: {self._child.last_words()}")
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9 of every process of it: connections are refused afterwards."""
        if self._child is None:
            return
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        self._ended()

    def stop(self) -> None:
        """End it in order."""
        if self._child is not None:
            end_sessions(
                {self._child.pid}, 3.0, hurry=lambda: self._child is None or self._child.exit_code() is not None
            )
            self._ended()

    def close(self) -> None:
        self.stop()
        self._guard.close()

    def _ended(self) -> None:
        if self._child is not None:
            self._child.wait(PATIENCE_S)
            self._guard.forget(self._child.pid)
            self._child = None
