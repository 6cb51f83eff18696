"""The command line: light to start, one line for each mistake, and machine-readable answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from include import cli
from include.commands import Answer, Mistake, Verb, VerbGroup

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def an_empty_home(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("SLIPWAY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from include.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'pydantic', 'httpx', 'yaml', 'pandas', 'numpy', 'mlflow', 'airflow', 'sqlalchemy', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", [verb.name for verb in cli.verbs()])
def test_each_verb_explains_itself_with_an_example_and_can_answer_in_json(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "example:\n" in said
    assert "--json" in said


def test_the_version_names_the_commit_it_runs_from(capsys, monkeypatch):
    monkeypatch.setenv("SLIPWAY_GIT_REVISION", "abc123")
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"slipway \d+\.\d+\.\d+ \(revision abc123, Python \d+\.\d+\.\d+\)\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ([], "the following arguments are required: VERB"),
        (["fly"], "invalid choice: 'fly'"),
        (["up", "--airflow-port", "many"], "argument --airflow-port: invalid int value: 'many'"),
        (["up", "--airflow-port", "70000"], "'70000' is no port for SLIPWAY_AIRFLOW_PORT"),
        (["retrain", "flight_dela", "--as-of", "2013-06-01", "--reason", "x"], "Did you mean 'flight_delay'?"),
        (["retrain", "flight_delay", "--as-of", "yesterday", "--reason", "x"], "'yesterday' is not a date or time"),
        (["retrain", "flight_delay", "--as-of", "2013-06-01", "--reason", " "], "--reason is empty"),
        (["rollback", "flight_delay", "--reason", "bad"], "No services were ever started in"),
        (["validate", "/nowhere"], "/nowhere is not a folder."),
    ],
)
def test_a_mistake_is_one_line_and_code_64(argv, line, capsys):
    assert cli.main(argv) == 64
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("slipway: ")
    assert line in said.err
    assert said.err.count("\n") == 1


def test_a_mistake_is_json_where_json_was_asked_for(capsys):
    assert cli.main(["validate", "/nowhere", "--json"]) == 64
    assert json.loads(capsys.readouterr().out) == {"error": "/nowhere is not a folder.", "code": 64}


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (Mistake("wrong."), 64, "slipway: wrong."),
        (KeyboardInterrupt(), 130, ""),
        (TimeoutError("too late."), 70, "slipway: too late."),
        (
            ZeroDivisionError("division by zero"),
            70,
            "slipway: ZeroDivisionError: division by zero (SLIPWAY_DEBUG=1 shows where)",
        ),
    ],
)
def test_nobody_sees_a_stack_trace(raised, code, line, monkeypatch, capsys):
    def run(args) -> Answer:
        raise raised

    monkeypatch.setattr(cli, "verbs", lambda: [Verb("toy", "is tried", "slipway toy", run, group=VerbGroup.ASK)])
    assert cli.main(["toy"]) == code
    assert capsys.readouterr().err.strip() == line


def test_declarations_that_can_be_used_are_listed(capsys):
    assert cli.main(["validate", "--offline", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"air_time", "flight_delay"} <= set(said["models"])
    assert said["problems"] == []


def test_a_broken_declaration_is_named_with_file_and_line_and_code_1(tmp_path, capsys):
    folder = tmp_path / "features" / "weather"
    folder.mkdir(parents=True)
    (folder / "view.yaml").write_text("name: weather\nowner: me\ntttl: 2h\n", encoding="utf-8")
    assert cli.main(["validate", "--offline", str(tmp_path)]) == 1
    assert "view.yaml:3: tttl is not a field" in capsys.readouterr().out


def test_status_without_services_says_how_to_start_them(an_empty_home, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_AIRFLOW_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SLIPWAY_AIRFLOW_PASSWORD", "x")
    assert cli.main(["status"]) == 69
    assert "nothing listens there" in capsys.readouterr().out


def test_the_environment_can_be_evaluated_by_a_shell_and_holds_no_secret(an_empty_home):
    script = (
        'eval "$(python -m include.cli env)"; echo "$AIRFLOW__CORE__EXECUTOR $AIRFLOW__API__HOST $SLIPWAY_HOME"; env'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=PROJECT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == f"LocalExecutor 127.0.0.1 {an_empty_home}"
    keys = an_empty_home / "keys"
    secrets = [file.read_text() for file in keys.iterdir() if file.name != "passwords.json"]
    secrets += json.loads((keys / "passwords.json").read_text()).values()
    assert len(secrets) == 6
    assert not [secret for secret in secrets if secret in done.stdout]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in keys.iterdir())
