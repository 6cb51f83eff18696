"""docs/judge.md holds: its example runs and says what is printed, and it names every field there is."""

from __future__ import annotations

import re
import shlex
from importlib import import_module

import pytest
from pydantic import BaseModel

from include.cli import main
from include.config.gates import METRICS, JudgedGates
from include.config.settings import PROJECT
from include.config.slice_gate import FAIRNESS_MEASURES

PAGE = (PROJECT / "docs/judge.md").read_text(encoding="utf-8")
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", blocks("console"), ids=["gates of a file", "default gates"])
def test_the_example_runs_and_prints_what_the_page_shows(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "docs/judge.md", "exec"), {})
    (tmp_path / "gates.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    command, _, shown = block.partition("\n")
    program, *call = shlex.split(command.removeprefix("$ "))
    assert program == "slipway"
    assert main(call) == 0
    assert capsys.readouterr().out.split() == shown.split()


def fields_of(kind, seen=()):
    for name, field in kind.model_fields.items():
        yield name
        for module, inner in re.findall(r"(include\.config\.\w+)\.(\w+)", str(field.annotation)):
            nested = getattr(import_module(module), inner)
            if isinstance(nested, type) and issubclass(nested, BaseModel) and nested not in seen:
                yield from fields_of(nested, (*seen, nested))


def test_every_field_and_measure_is_on_the_page():
    names = set(fields_of(JudgedGates)) - {"days"}  # of the replay window, which a file of predictions has not
    names |= {m for of_task in (*METRICS.values(), *FAIRNESS_MEASURES.values()) for m in of_task}
    assert {"large_rows", "ratio_at_least", "at_most", "superiority"} <= names
    assert {name for name in names if f"`{name}" not in PAGE} == set()


def test_the_readme_leads_to_the_page():
    assert "(docs/judge.md)" in README
