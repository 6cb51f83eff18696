"""The services of docker-compose.yaml as processes of this machine: their own commands and environments.

What a container gets from its surroundings is put in its place: host names and ports, folders, the generated secrets,
and databases of a Postgres that is there already.
"""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import create_engine, make_url, text
from waiting import PATIENCE_S

from include.adapters.ports import free_ports
from include.adapters.processes import Child, Command, ProcessGuard, end_sessions
from include.config.settings import PROJECT

DATABASES = ("airflow", "mlflow", "slipway", "source")
LASTING = ("mlflow", "api-server", "scheduler", "dag-processor", "triggerer", "worker")
LISTENS = {"api-server": 8080, "mlflow": 5000}


@dataclass
class Composed:
    """The services of the file, and where each part of their world is here."""

    home: Path
    postgres: str
    """The SQLAlchemy URL of a Postgres whose user may create databases."""
    redis: str
    extra: Mapping[str, str] = field(default_factory=dict)
    """Variables that every service gets on top, as a deployment's override file would give them."""
    name: str = field(default_factory=lambda: f"slipway_{uuid.uuid4().hex[:10]}")
    children: dict[str, Child] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.guard = ProcessGuard()
        self.services: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())[
            "services"
        ]
        env_file = self.home / "dot-env"
        subprocess.run([sys.executable, PROJECT / "deploy" / "make_env.py", env_file], check=True, capture_output=True)
        lines = (line for line in env_file.read_text().splitlines() if line and not line.startswith("#"))
        self.secrets = dict(line.split("=", 1) for line in lines)
        self.ports = dict(zip([*LISTENS, "log server"], free_ports(len(LISTENS) + 1), strict=True))

    def environment(self, service: str) -> dict[str, str]:
        """What the service finds in its container, with everything where it is here."""
        written = {k: self.here(str(v)) for k, v in self.services[service].get("environment", {}).items()}
        bin_folder = str(Path(sys.executable).parent)
        return {
            # The image's own (Dockerfile).
            "PATH": f"{bin_folder}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{PROJECT}:{PROJECT / 'config'}",
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            # A container has this port to itself.
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.ports["log server"]),
            # So is its broker: here another worker may listen on the same one.
            "AIRFLOW__OPERATORS__DEFAULT_QUEUE": self.name,
            **written,
            **self.extra,
        }

    def here(self, value: str) -> str:
        """The text with its variables filled in, and every address of a container replaced by the one here."""
        value = re.sub(
            r"(?<!\$)\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", lambda m: self.secrets.get(m[1], m[2] or ""), value
        )
        value = value.replace("$$", "$")
        at = make_url(self.postgres)
        value = re.sub(
            r"(postgresql\+\w+)://\w+:[^@]+@postgres:5432/(\w+)",
            lambda m: at.set(drivername=m[1], database=f"{self.name}_{m[2]}").render_as_string(hide_password=False),
            value,
        )
        value = re.sub(r"redis://:[^@]+@redis:6379/0", self.redis, value)
        for service, port in LISTENS.items():
            value = value.replace(f"{service}:{port}", f"127.0.0.1:{self.ports[service]}")
        for folder in ("slipway-keys", "slipway", "airflow", "mlflow"):
            value = re.sub(rf"/var/lib/{folder}(?![\w-])", str(self.home / folder), value)
        return value

    def command(self, service: str) -> list[str]:
        port = LISTENS.get(service)
        words = [self.here(str(word)) for word in self.services[service]["command"]]
        words = [w.replace("--host=0.0.0.0", "--host=127.0.0.1") for w in words]
        return [f"--port={self.ports[service]}" if port and w == f"--port={port}" else w for w in words]

    def once(self, service: str) -> str:
        """Run a one-shot service to its end; what it said."""
        done = subprocess.run(
            self.command(service),
            cwd=PROJECT,
            env=self.environment(service),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        if done.returncode:
            raise AssertionError(f"{service} ended with {done.returncode}: {done.stderr[-3000:]}")
        return done.stdout

    def start(self, service: str) -> None:
        self.children[service] = Child(
            Command(
                name=service,
                argv=tuple(self.command(service)),
                folder=self.home,
                environment=self.environment(service),
                log=self.home / "logs" / f"{service}.log",
            )
        )
        self.guard.watch(self.children[service].pid)

    def _end(self) -> None:
        end_sessions({child.pid for child in self.children.values()}, 15.0)
        for child in self.children.values():
            child.wait(PATIENCE_S)
        self.guard.close()

    def last_words(self) -> str:
        """The end of every service's log, for whoever reads why a test failed."""
        return "\n".join(f"{name}: {child.last_words()}" for name, child in self.children.items())

    @contextmanager
    def databases(self) -> Iterator[None]:
        """The file's databases, empty, while the block lasts."""
        engine = create_engine(self.postgres, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                for part in DATABASES:
                    connection.execute(text(f'CREATE DATABASE "{self.name}_{part}"'))
            yield
        finally:
            with engine.connect() as connection:
                for part in DATABASES:
                    connection.execute(text(f'DROP DATABASE IF EXISTS "{self.name}_{part}" WITH (FORCE)'))
            engine.dispose()

    @contextmanager
    def running(self) -> Iterator[Composed]:
        """Everything that lasts, after everything that runs once; ended with all it started."""
        for folder in ("airflow/logs", "slipway", "slipway-keys", "mlflow/artifacts", "logs"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(self.databases())
            stack.callback(self._end)
            self.once("init")
            self.once("demo-source")
            for service in LASTING:
                self.start(service)
            yield self
