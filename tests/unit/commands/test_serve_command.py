"""``slipway serve``: what it refuses in one line, its tokens, and its state without a service."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from include.cli import main
from include.commands.serve import _canary_line
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
        (["serve", "status", "flight_delay", "7"], "serve status takes no '7'."),
        (["serve", "arm", "flight_delay"], "serve arm MODEL UNIT: say of which model, and which unit."),
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


def test_a_token_may_see_arms_where_that_is_asked_for(home, capsys):
    assert main(["serve", "token", "dev", "--debug"]) == 0
    token = capsys.readouterr().out.splitlines()[0]
    assert tokens.read(tokens.file_in(home)).scopes(token) == ("predict:*", "debug")


def test_without_a_service_no_arm_is_told_and_the_code_is_1(capsys):
    assert main(["serve", "arm", "flight_delay", "7"]) == 1
    assert "Nothing serves this home" in capsys.readouterr().out


def test_the_status_has_the_share_as_declared_in_force_and_observed():
    canary = {
        "candidate": "c2",
        "declared_ppm": 10_000,
        "share_ppm": 10_000,
        "observed": {"units": None, "rows": None},
        "units": {},
    }
    assert _canary_line("m", canary) == "m: beside it c2 has 1 %; no unit has asked yet"
    seen = {**canary, "observed": {"units": 0.0125, "rows": 0.5}, "units": {"canary": 25, "champion": 1_975}}
    assert _canary_line("m", seen) == "m: beside it c2 has 1 %; observed of 2,000 units 1.25%, of rows 50.00%"
    over = {**canary, "share_ppm": 0, "why": "Its lease is over."}
    assert _canary_line("m", over) == "m: beside it c2 has 1 %, and 0 % here: Its lease is over."


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
