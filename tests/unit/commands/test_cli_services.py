"""The command line beside running services: their ledger and MLflow, and whether what is declared can be sent."""

from __future__ import annotations

import json
import os
import re
import shutil
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from include import cli
from include.commands import Mistake, services
from include.commands.airflow import use_running_services
from include.config import loader
from include.config.settings import PROJECT, settings
from include.workflows.services import machine


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("SLIPWAY_LEDGER_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "x")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    return tmp_path


def running(home, ledger_url: str) -> None:
    facts = {"pid": os.getpid(), "airflow_url": "http://a:1", "mlflow_url": "http://m:2", "ledger_url": ledger_url}
    (home / "services.json").write_text(json.dumps(facts))


def test_a_verb_uses_the_ledger_and_the_mlflow_of_the_services_that_run_here(home):
    running(home, "sqlite:////elsewhere/ledger.db")
    use_running_services()
    assert (settings().ledger_url, settings().mlflow_url) == ("sqlite:////elsewhere/ledger.db", "http://m:2")


def test_what_the_shell_names_comes_first(home, monkeypatch):
    monkeypatch.setenv("SLIPWAY_LEDGER_URL", "sqlite:////mine.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mine")
    running(home, "sqlite:////elsewhere/ledger.db")
    use_running_services()
    assert (settings().ledger_url, settings().mlflow_url) == ("sqlite:////mine.db", "http://mine")


def test_a_ledger_behind_a_password_is_not_guessed(home):
    running(home, "postgresql+psycopg://ana:***@db:5432/ledger")
    with pytest.raises(Mistake, match=r"Give this shell the whole address in SLIPWAY_LEDGER_URL\."):
        use_running_services()


def test_without_services_the_settings_count(home):
    use_running_services()
    assert settings().ledger_url == f"sqlite:///{home / 'ledger.db'}"


@pytest.fixture
def told_by(tmp_path, monkeypatch):
    """Declares how the owners of one model are told."""

    def declare(notify: str) -> None:
        root = tmp_path / "declared"
        for kind in ("models", "features"):
            shutil.copytree(PROJECT / "include" / kind, root / kind)
        with (root / "models" / "air_time" / "model.yaml").open("a") as file:
            file.write(f"\nnotify: {notify}\n")
        monkeypatch.setattr(loader, "ROOT", root)
        loader.declarations.cache_clear()

    yield declare
    loader.declarations.cache_clear()


def test_doctor_says_which_package_a_declared_way_of_telling_lacks(told_by, monkeypatch, capsys):
    told_by("{via: slack}")
    found = machine.version

    def version(package: str) -> str:
        if package == "apache-airflow-providers-slack":
            raise PackageNotFoundError(package)
        return found(package)

    monkeypatch.setattr(machine, "version", version)
    cli.main(["doctor", "--json"])
    by_name = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert by_name["notify slack"] == {
        "name": "notify slack",
        "ok": False,
        "found": "air_time declares notify.via slack; install apache-airflow-providers-slack, or declare smtp or file",
    }
    assert by_name["notify file"]["ok"]


def free_gb(monkeypatch, gigabytes: float) -> None:
    usage = shutil.disk_usage("/")._replace(free=int(gigabytes * 1e9))
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)


def test_up_says_in_one_line_each_what_doctor_calls_bad_and_starts_nothing(home, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_URL", "slipway.example.org")
    free_gb(monkeypatch, 0.1)
    assert cli.main(["up"]) == 64
    said = capsys.readouterr().err.splitlines()
    assert said[0] == (
        "Warning: links: SLIPWAY_URL is 'slipway.example.org'; give an absolute address such as "
        "https://slipway.example.org."
    )
    assert said[1].endswith(f"Nothing was started. disk: 0.1 GB free for {home}, needed are 3.")
    assert len(said) == 2
    assert list(home.iterdir()) == []


def test_up_starts_on_a_disk_that_is_nearly_full_and_says_so(home, monkeypatch, capsys):
    from include.commands import services
    from include.workflows.services.environment import Place

    free_gb(monkeypatch, 1.0)
    services._check_machine(Place(home))
    assert capsys.readouterr().err == f"Warning: disk: 1 GB free for {home}, needed are 3.\n"


def test_up_names_a_home_that_cannot_be_written(home, monkeypatch):
    from include.commands import services
    from include.workflows.services.environment import Place

    (home / "file").write_text("")
    with pytest.raises(Mistake, match=r"home: .*/file/inside cannot be written"):
        services._check_machine(Place(home / "file" / "inside"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "journey_wihtin: 3d", "journey_wihtin is not a field; .* Did you mean 'journey_within'?", id="misspelt"
        ),
        pytest.param("journey_within: 0d", "journey_within is '0d'; a journey needs some time", id="no time"),
        pytest.param("notify: {late: boss}", "notify.late is 'boss'; it is one of model, data", id="nobody's role"),
    ],
)
def test_a_wrong_promise_is_named_with_file_and_line(tmp_path, capsys, text, line):
    for kind in ("models", "features"):
        shutil.copytree(PROJECT / "include" / kind, tmp_path / "d" / kind)
    file = tmp_path / "d" / "models" / "air_time" / "model.yaml"
    before = file.read_text()
    file.write_text(f"{before}\n{text}\n")
    assert cli.main(["validate", "--offline", str(tmp_path / "d")]) == 1
    said = capsys.readouterr().out.splitlines()[0]
    number = len(before.splitlines()) + 2
    assert re.match(rf"{re.escape(str(file))}:{number}: {line}", said), said


class PausedAirflow:
    """Two Dags, one of them paused."""

    def __init__(self) -> None:
        self.unpaused: list[str] = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def dags(self):
        return {"score_a": True, "score_b": False}

    def unpause(self, dag):
        self.unpaused.append(dag)


class TestUpAndPausedDags:
    def test_what_is_paused_is_said_with_the_way_to_let_it_run(self):
        airflow = PausedAirflow()
        (line,) = services._unpaused(SimpleNamespace(api=lambda: airflow), False)
        assert "1 Dag is paused and starts nothing by itself" in line
        assert "`slipway up --unpause`" in line
        assert airflow.unpaused == []

    def test_unpause_lets_run_what_is_paused_and_says_how_many(self):
        airflow = PausedAirflow()
        assert services._unpaused(SimpleNamespace(api=lambda: airflow), True) == ["  Let 1 Dag run that was paused."]
        assert airflow.unpaused == ["score_a"]
