"""Verbs are listed in groups, and a shell completes verbs, options and the names of models, views and gates."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include import cli
from include.commands import VerbGroup
from include.commands.completion import SHELLS
from include.config.settings import PROJECT
from include.workflows.gates import GATES

BIN = Path(sys.executable).parent


def help_text(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    return capsys.readouterr().out


def completed(tmp_path, line):
    """What a shell is offered where the cursor is at the end of ``line``."""
    answer = tmp_path / "offered"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    call = [sys.executable, "-m", "include.cli"]
    subprocess.run(call, cwd=PROJECT, env=environment | asked, check=True, capture_output=True)
    return {word.strip() for word in answer.read_text(encoding="utf-8").split("\013")}


def test_the_help_lists_each_verb_once_under_the_heading_of_its_group(capsys):
    listed, heading = {}, None
    for line in help_text(capsys).splitlines():
        if re.fullmatch(r"\S.*:", line):
            heading = line.rstrip(":")
        elif (verb := re.match(r"  ([a-z]+)  ", line)) and heading != "options":
            assert verb[1] not in listed
            listed[verb[1]] = heading
    assert listed == {verb.name: verb.group.value for verb in cli.verbs()}
    assert set(listed.values()) == {group.value for group in VerbGroup}


def test_no_line_of_the_help_is_wider_than_a_page(capsys):
    assert [line for line in help_text(capsys).splitlines() if len(line) > 110] == []


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        pytest.param("slipway re", {v.name for v in cli.verbs() if v.name.startswith("re")}, id="verbs"),
        pytest.param("slipway drift --curr", {"--current"}, id="options"),
        pytest.param("slipway retrain f", {"flight_delay"}, id="models"),
        pytest.param("slipway features sample origin_w", {"origin_weather"}, id="views"),
        pytest.param("slipway features s", {"sample", "stale"}, id="choices"),
    ],
)
def test_a_shell_is_offered_what_may_come_next(tmp_path, line, offered):
    assert completed(tmp_path, line) == offered


def test_the_gates_of_an_override_are_offered(tmp_path):
    assert {gate.name for gate in GATES} <= completed(tmp_path, "slipway override CANDIDATE ")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_is_one_that_the_shell_reads(shell, capsys, tmp_path):
    assert cli.main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    assert "slipway" in script.read_text(encoding="utf-8")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not on this machine")
    subprocess.run([shell, "-n", str(script)], check=True, timeout=60)


def test_bash_completes_with_what_it_was_given():
    words = 'eval "$(slipway completion bash)"; COMP_LINE="slipway retrain a"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; '
    words += "_python_argcomplete slipway a retrain; echo ${COMPREPLY[*]}"
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    said = subprocess.run(
        ["bash", "-c", words], env={"PATH": path}, check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert said.split() == ["air_time"]
