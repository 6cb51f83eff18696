"""What a team names by an import path is not imported while a Dag file is parsed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from tests.dags.parsed import PROJECT, Parsed, parse

MODULE = """
import pathlib
with pathlib.Path({mark!r}).open("a") as file:
    file.write(__name__ + chr(10))
raise RuntimeError("imported at parse")
"""


@pytest.fixture(scope="module")
def own_everywhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[Parsed, Path]:
    """The project's Dags, one model of which names a module of the team's own wherever one may; what was imported."""
    root = tmp_path_factory.mktemp("own")
    mark = root / "imported.txt"
    (root / "recording.py").write_text(MODULE.format(mark=str(mark)), encoding="utf-8")
    declared = root / "declared"
    for folder in ("models", "features"):
        shutil.copytree(PROJECT / "include" / folder, declared / folder)
    file = declared / "models" / "flight_delay" / "model.yaml"
    model = yaml.safe_load(file.read_text(encoding="utf-8"))
    model["gates"]["own"] = [
        {"name": "early_gate", "path": "recording.gate"},
        {"name": "late_gate", "path": "recording.gate", "after": "register_challenger"},
    ]
    model["estimator"]["path"] = "recording.Estimator"
    model["preprocess"] = [{"columns": "numeric", "steps": ["recording.Encoder"]}]
    gates = model["gates"]
    gates["threshold_gate"]["criteria"].append({"metric": "recording.metric", "at_most": 1.0})
    gates["champion_gate"]["comparisons"].append({"metric": "recording.metric", "margin": 1.0})
    model["drift"]["performance"]["metric"] = "recording.loss"
    model["notify"] = {"via": "path", "path": "recording.notifier"}
    file.write_text(yaml.safe_dump(model, sort_keys=False), encoding="utf-8")
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "plugins"), str(root)])
    parsed = parse(root, declared, {"PYTHONPATH": path})
    return parsed, mark


def test_every_dag_is_parsed_and_nothing_of_it_was_imported(own_everywhere):
    parsed, mark = own_everywhere
    assert parsed.errors == {}
    assert "retrain_flight_delay" in parsed.dags
    assert not mark.exists(), mark.read_text(encoding="utf-8")


def test_its_gates_are_tasks_on_their_sides_of_registering(own_everywhere):
    parsed, _ = own_everywhere
    found = parsed.dags["retrain_flight_delay"]["tasks"]
    assert "evaluate" in found["early_gate"]["after"]
    assert "early_gate" in found["register_challenger"]["after"]
    assert "register_challenger" in found["smoke_gate"]["after"]
    assert "smoke_gate" in found["late_gate"]["after"]
    assert "late_gate" in found["shadow_window"]["after"]


def test_the_record_would_have_been_written(own_everywhere):
    """The module does record its import: without that, the test above could not fail."""
    import subprocess
    import sys

    _, mark = own_everywhere
    root = mark.parent
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import recording"], cwd=root, capture_output=True, text=True, check=False
        )
        assert "imported at parse" in done.stderr
        assert mark.read_text(encoding="utf-8") == "recording\n"
    finally:
        mark.unlink(missing_ok=True)
