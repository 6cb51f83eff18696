"""``slipway serve``: what it refuses in one line, its tokens, and its state without a service."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from include.cli import main
from include.config.serving import DeclaredServing
from include.serving import tokens
from include.workflows.services.components import SERVE
from include.workflows.services.startup import start_serving


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["serve"], "No model is served online; declare `serving: {mode: online}`"),
        (["serve", "--workers", "0"], "--workers is 0; give 1 to 64."),
        (["serve", "--port", "70000"], "--port is 0 to 65535"),
        (["serve", "run", "shop"], "serve run takes no 'shop'."),
        (["serve", "token"], "serve token NAME: say whose it is."),
        (["serve", "token", "shop", "--model", "flight_dely"], "flight_dely"),
    ],
)
def test_a_mistake_is_one_line_and_the_code_64(argv, line, capsys):
    assert main(argv) == 64
    said = capsys.readouterr().err.strip()
    assert line in said
    assert len(said.splitlines()) == 1


def test_a_token_is_shown_once_and_is_for_the_models_that_are_named(home, capsys):
    assert main(["serve", "token", "shop", "--model", "flight_delay"]) == 0
    token = capsys.readouterr().out.splitlines()[0]
    assert tokens.read(tokens.file_in(home)).scopes(token) == ("predict:flight_delay",)


def test_without_a_service_the_status_says_how_to_start_it_and_the_code_is_1(capsys):
    assert main(["serve", "status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"running": False}


def test_slipway_up_starts_it_where_a_model_is_declared_online_and_its_challengers_beside_it(monkeypatch):
    def started(*modes: str) -> list[str]:
        names: list[str] = []
        models = [SimpleNamespace(name=f"m{i}", serving=DeclaredServing(mode=mode)) for i, mode in enumerate(modes)]
        monkeypatch.setattr("include.config.declared_models", lambda: models)
        start_serving(SimpleNamespace(start=names.append), lambda line: None)  # type: ignore[arg-type]
        return names

    assert started("batch", "batch") == []
    assert started("batch", "online") == [SERVE, "shadow_m1"]
