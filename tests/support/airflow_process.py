"""Airflow inside the process of the tests, imported once with a home and a database of its own."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from include.config.settings import PROJECT

ROLES = {"ann": "admin", "otto": "op", "uma": "user", "vera": "viewer"}


@dataclass(frozen=True)
class AirflowProcess:
    """Where this process's Airflow is at home, and the environment it wants to be used in."""

    home: Path
    environment: Mapping[str, str]


@contextmanager
def living_with(environment: Mapping[str, str]) -> Iterator[None]:
    """The environment and the plugins' folder for one block; what is started afterwards knows nothing of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(PROJECT / "plugins"))
        yield


@pytest.fixture(scope="session")
def airflow_imported(tmp_path_factory: pytest.TempPathFactory) -> AirflowProcess:
    """Airflow as this process has it from its first import to its end."""
    if "airflow" in sys.modules:
        raise AssertionError("Airflow was imported before, with the home of whoever runs the tests.")
    home = tmp_path_factory.mktemp("airflow")
    environment = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in ROLES.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API__SECRET_KEY": "k" * 32,
        "AIRFLOW__API_AUTH__JWT_SECRET": "j" * 64,
    }
    with living_with(environment), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow import settings as airflow_settings
        from airflow.models import import_all_models
        from airflow.models.base import Base

        import_all_models()
        Base.metadata.create_all(airflow_settings.engine)
    return AirflowProcess(home, environment)
