"""The deployment as it is written: fault 135 (no default credential, no open port), and what else must hold of it."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from waiting import PATIENCE_S

from include.config.settings import PROJECT
from include.workflows.services.environment import TUNED, USERS

COMPOSE = PROJECT / "docker-compose.yaml"
DOCKERFILE = PROJECT / "Dockerfile"
MAKE_ENV = PROJECT / "deploy" / "make_env.py"

TEXT = COMPOSE.read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
ONE_SHOT = {"init", "demo-source", "replay"}
NO_SECRET = {
    "SLIPWAY_URL",
    "SLIPWAY_OPERATOR",
    "SLIPWAY_OPERATOR_VIA",
    "SLIPWAY_OPERATOR_CONN",
    "SLIPWAY_IMAGE_TAG",
    "SLIPWAY_GIT_REVISION",
    "SLIPWAY_WORKER_CONCURRENCY",
    "SLIPWAY_SERVE_PORT",
    "SLIPWAY_SERVE_WORKERS",
    "SLIPWAY_ONLINE_MODEL",
} | {
    "SLIPWAY_AIRFLOW_PORT",
    "SLIPWAY_MLFLOW_PORT",
}
"""Variables that may have a default."""

each_service = pytest.mark.parametrize("name", SERVICES)


def variables(text: str) -> dict[str, str]:
    """Variable to the operator and the rest, for example ``:?run make env-file``."""
    return dict(re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", text))


def environment(name: str) -> dict[str, str]:
    return {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}


def make_env(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(MAKE_ENV), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def values_of(file: Path) -> dict[str, str]:
    lines = (line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


# --- fault 135: credentials ------------------------------------------------------------------------------------------


def test_f135_every_variable_that_could_be_a_secret_is_required():
    required = {name for name, rest in variables(TEXT).items() if rest.startswith(":?")}
    assert set(variables(TEXT)) - required == NO_SECRET


@each_service
def test_f135_no_password_is_written_down(name):
    for key, value in environment(name).items():
        without_variables = re.sub(r"\$\{[^}]*\}", "", value)
        in_a_url = re.search(r"://[^/@:]*:([^@/]+)@", without_variables)
        assert in_a_url is None, f"{key} has a password in its URL"
        if re.search(r"PASSWORD$|SECRET|_KEY$|TOKEN|AUTH$", key):
            assert not without_variables, f"{key} is written down"


def test_f135_postgres_asks_for_a_password_on_every_connection_over_the_network():
    assert "POSTGRES_HOST_AUTH_METHOD" not in environment("postgres")


def test_f135_each_part_has_its_own_database_role_and_password():
    created = dict(re.findall(r'^create (\w+) "\$(\w+)"$', (PROJECT / "deploy/databases.sh").read_text(), re.MULTILINE))
    used = dict(re.findall(r"://(\w+):\$\{(\w+):\?[^}]*\}@postgres:5432/", TEXT))
    assert created == used
    assert len(set(created.values())) == len(created)


def test_f135_airflow_has_users_and_none_is_let_in_without_a_password():
    settings = environment("api-server")
    named = dict(pair.split(":") for pair in settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"].split(","))
    assert named == USERS
    assert settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    given = re.search(r"users = (\{.*\})", (PROJECT / "deploy/init.sh").read_text())
    assert given is not None
    by_user: dict[str, str] = yaml.safe_load(given[1])
    assert set(by_user) == set(USERS)
    assert set(by_user.values()) <= set(environment("init"))


# --- fault 135: ports and rights -------------------------------------------------------------------------------------


@each_service
def test_f135_what_is_published_is_published_to_this_machine_only(name):
    for port in SERVICES[name].get("ports", []):
        assert str(port).startswith("127.0.0.1:")
    assert SERVICES[name].get("network_mode") is None


def test_f135_neither_the_databases_nor_the_broker_are_published():
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"api-server", "mlflow", "serve"}


@each_service
def test_f135_no_container_is_root_or_may_become_it(name):
    service = SERVICES[name]
    assert str(service["user"]).split(":")[0] not in ("", "0", "root")
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


def test_f135_the_image_does_not_run_as_root_either():
    users = re.findall(r"^USER (\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert users == [SERVICES["api-server"]["user"]]


def test_f135_mlflow_answers_known_host_names_only():
    hosts = next(a for a in SERVICES["mlflow"]["command"] if a.startswith("--allowed-hosts="))
    assert set(hosts.removeprefix("--allowed-hosts=").split(",")) == {"mlflow:5000", "localhost:*", "127.0.0.1:*"}


# --- health ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT))
def test_every_lasting_service_has_a_health_check_and_is_restarted(name):
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_what_runs_once_is_not_restarted(name):
    assert SERVICES[name]["restart"] == "no"


@each_service
def test_who_is_waited_for_has_what_is_waited_for(name):
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        condition = wanted["condition"]
        assert condition == ("service_completed_successfully" if other in ONE_SHOT else "service_healthy")


# --- the parts fit ---------------------------------------------------------------------------------------------------


def test_there_is_everything_a_distributed_airflow_needs():
    parts = {"api-server", "scheduler", "dag-processor", "triggerer", "worker", "postgres", "redis", "mlflow", "init"}
    assert parts <= set(SERVICES)
    assert environment("scheduler")["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"


def test_workers_can_be_multiplied():
    assert not {"container_name", "hostname", "ports"} & set(SERVICES["worker"])


def test_airflow_components_share_one_environment():
    for name in ("scheduler", "dag-processor", "triggerer", "worker"):
        assert environment(name) == environment("api-server")


def test_settings_shared_with_make_run_have_the_same_values():
    here = environment("worker")
    assert {key: here[key] for key in TUNED if key in here} == {key: TUNED[key] for key in TUNED if key in here}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"postgres", "redis"}))
def test_nothing_is_sent_to_anybody(name):
    assert environment(name)["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment(name)["DO_NOT_TRACK"] == "true"


@each_service
def test_images_are_pinned_to_a_release(name):
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"(postgres|redis):\d+\.\d+-\w+|slipway:\$\{SLIPWAY_IMAGE_TAG:-local\}", image)


def test_every_named_volume_is_declared_and_owned_by_the_image_where_ours_write():
    declared = set(yaml.safe_load(TEXT)["volumes"])
    mounts = [m.split(":") for s in SERVICES.values() for m in s.get("volumes", []) if not m.startswith(".")]
    assert {m[0] for m in mounts} == declared
    folders = DOCKERFILE.read_text(encoding="utf-8")
    for volume, folder in {(m[0], m[1]) for m in mounts}:
        if volume not in ("postgres-data", "redis-data"):
            assert folder in folders, f"{folder} of {volume} is not made in the Dockerfile"


def test_the_image_takes_in_no_secret_no_history_and_no_data():
    lines = (PROJECT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert lines[1] == "*"
    taken = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert taken == {path for line in copied for path in line.split()}
    assert ".env" in (PROJECT / ".gitignore").read_text(encoding="utf-8").split("\n")


# --- .env ------------------------------------------------------------------------------------------------------------


def test_a_generated_env_file_has_all_that_is_required_and_nothing_else(tmp_path):
    answer = make_env(tmp_path / ".env")
    assert answer.returncode == 0, answer.stderr
    required = {name for name, rest in variables(TEXT).items() if rest.startswith(":?")}
    assert set(values_of(tmp_path / ".env")) == required


def test_secrets_are_long_all_different_and_readable_by_their_owner_only(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        make_env(tmp_path / folder / ".env")
    values = [*values_of(tmp_path / "one/.env").values(), *values_of(tmp_path / "two/.env").values()]
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 16
    # Nothing that a URL, a shell or Compose reads as something else; Fernet's key is padded.
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+=?", value) for value in values)
    assert stat.S_IMODE(os.stat(tmp_path / "one/.env").st_mode) == 0o600


def test_an_existing_env_file_keeps_its_secrets_and_gets_what_it_lacks(tmp_path):
    file = tmp_path / ".env"
    file.write_text("REDIS_PASSWORD=mine\nSLIPWAY_AIRFLOW_PORT=8081\nAIRFLOW_JWT_SECRET=", encoding="utf-8")
    make_env(file)
    first = file.read_text(encoding="utf-8")
    assert first.startswith("REDIS_PASSWORD=mine\nSLIPWAY_AIRFLOW_PORT=8081\nAIRFLOW_JWT_SECRET=\n")
    assert values_of(file)["AIRFLOW_JWT_SECRET"]
    again = make_env(file)
    assert "nothing was changed" in again.stdout
    assert file.read_text(encoding="utf-8") == first


def test_a_folder_that_cannot_be_written_gives_one_line(tmp_path):
    answer = make_env(tmp_path / "missing" / ".env")
    assert answer.returncode == 1
    assert answer.stderr == f"{tmp_path / 'missing' / '.env'} could not be written: No such file or directory.\n"


def test_the_fernet_key_is_one():
    from cryptography.fernet import Fernet

    generated = runpy.run_path(str(MAKE_ENV))["GENERATED"]
    Fernet(generated["AIRFLOW_FERNET_KEY"]())


# --- Compose itself --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_compose_accepts_it(tmp_path):
    make_env(tmp_path / ".env")
    command = [
        "docker-compose",
        "--file",
        str(COMPOSE),
        "--env-file",
        str(tmp_path / ".env"),
        "--profile",
        "demo",
        "--profile",
        "replay",
    ]
    answer = subprocess.run([*command, "config"], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert answer.returncode == 0, answer.stderr
    assert set(yaml.safe_load(answer.stdout)["services"]) == set(SERVICES)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_f135_compose_refuses_to_start_without_generated_secrets(tmp_path):
    (tmp_path / ".env").write_text("", encoding="utf-8")
    command = ["docker-compose", "--file", str(COMPOSE), "--env-file", str(tmp_path / ".env"), "config"]
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=clean)
    assert answer.returncode != 0
    assert "run make env-file" in answer.stderr
