"""A champion goes to a device as a packed file that equals it, or to another runtime with how far that is off."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from doc_examples import examples
from journey_world import LENIENT

from include.adapters import onnx_export
from include.adapters.onnx_export import ConversionFailed, EnvironmentMissing, OnnxAnswers
from include.adapters.packing.files import as_columns
from include.cli import main
from include.config.gates import PackedGate
from include.config.settings import PROJECT, settings
from include.domain.packed.compared import difference
from include.domain.packed.reader import read
from include.workflows import stores
from include.workflows.journey import kept_facts
from include.workflows.release import export as exporting
from include.workflows.scoring import packed_files

READER = PROJECT / "include" / "domain" / "packed" / "reader.py"
ONLY_NUMPY = """
import builtins, json, sys
allowed = {"numpy", "reader"} | set(sys.stdlib_module_names)
imported = builtins.__import__
def only(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and name.partition(".")[0] not in allowed:
        raise ImportError(name + " is not on this device")
    return imported(name, globals, locals, fromlist, level)
builtins.__import__ = only
"""
ASKED = """
from reader import read
model = read("model.npz")
rows = json.load(open("rows.json"))
answers = model.many(rows)
alone = [model.one({name: values[i] for name, values in rows.items()}) for i in range(len(answers))]
print(json.dumps({"check": model.check(), "many": answers.tolist(), "one": alone, "name": model.about["name"]}))
"""


def on_a_device(folder: Path, code: str) -> str:
    """What the code prints in a process that has the files of the folder, the reader and numpy, and nothing else."""
    shutil.copyfile(READER, folder / "reader.py")
    (folder / "device.py").write_text(ONLY_NUMPY + code)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-B", "device.py"]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def champion(world):
    with stores.open_ledger() as ledger:
        return ledger.candidates.get(ledger.deployments.champion(world.model).to_candidate)


@pytest.mark.moment("first champion")
def test_the_exported_file_and_its_reader_answer_alone_as_the_pipeline_does(world, champion, tmp_path):
    found = exporting.export(world.model, tmp_path / "model.npz", "npz")
    assert found.candidate_id == champion.candidate_id
    assert "hard rows are answered as by its pipeline in every bit" in found.sentence
    model, frame = stores_model(world), exporting._held_out(stores_model(world), champion)
    pipeline = exporting._pipeline(model, champion)
    expected = exporting._answered(model, pipeline, frame)[0]

    (tmp_path / "rows.json").write_text(json.dumps(as_columns(frame), default=float))
    said = json.loads(on_a_device(tmp_path, ASKED))
    assert (said["check"], said["name"]) == (0, world.model)
    assert difference(expected, np.array(said["many"])).differing == 0
    alone = [exporting._answered(model, pipeline, frame.iloc[[i]])[0][0] for i in range(5)]
    assert difference(np.array(alone), np.array(said["one"][:5])).differing == 0


@pytest.mark.moment("first champion")
def test_the_documentations_code_for_a_device_runs_with_numpy_alone(world, tmp_path):
    exporting.export(world.model, tmp_path / "flight_delay.npz", "npz")
    code = examples()["docs/packed.md > On a device"].text
    assert 0 < float(on_a_device(tmp_path, code)) < 1
    with pytest.raises(AssertionError, match="pandas is not on this device"):
        on_a_device(tmp_path, "import pandas")


def stores_model(world):
    from include.config import declarations

    return declarations().model(world.model)


@pytest.mark.moment("first champion")
def test_the_file_that_the_gate_kept_is_exported_byte_by_byte(world, champion, tmp_path):
    world.declare(world.model, gates={**LENIENT, "packed_gate": {"rows": 100, "hard_rows": 100}})
    assert world.judge("packed_gate", world.references["r"])["verdict"] == "PASS"
    with stores.open_ledger() as ledger:
        kept = packed_files.served_form(ledger, champion)
    found = exporting.export(world.model, tmp_path / "model.npz", "npz")
    assert found.digest == kept.digest == packed_files.digest_of((tmp_path / "model.npz").read_bytes())
    assert "packed_gate found it equal" in found.sentence


@pytest.mark.moment("first champion")
def test_without_the_held_out_rows_nothing_is_exported_unless_the_gate_kept_it(world, champion, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_facts.KeptFacts, "of", lambda self, kind: None)
    with pytest.raises(exporting.NotExportable, match=r"are not on this machine.*or declare packed_gate"):
        exporting.export(world.model, tmp_path / "model.npz", "npz")
    assert not (tmp_path / "model.npz").exists()


@pytest.mark.moment("published")
def test_a_model_without_a_champion_is_not_exported(world, tmp_path):
    with pytest.raises(exporting.NotExportable, match=r"has no champion yet.*run its retrain Dag"):
        exporting.export(world.model, tmp_path / "model.npz", "npz")


@pytest.mark.moment("first champion")
def test_the_command_says_what_it_wrote_and_the_same_as_json(world, tmp_path, capsys):
    to = tmp_path / "there" / "model.npz"
    assert main(["export", world.model, "--to", str(to)]) == 0
    assert capsys.readouterr().out.startswith(f"{to}: {world.model}, ")
    assert main(["export", world.model, "--to", str(to), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == packed_files.digest_of(to.read_bytes())
    assert read(to).check() == 0


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("model.bin", "ends in neither .npz nor .onnx; give --format npz or --format onnx."),
        (".", "which ends in neither"),
    ],
)
def test_a_file_whose_form_is_not_said_is_a_mistake(to, said, capsys):
    assert main(["export", "flight_delay", "--to", to]) == 64
    assert said in capsys.readouterr().err


# --- ONNX ------------------------------------------------------------------------------------------------------------


@pytest.mark.moment("first champion")
def test_onnx_is_compared_on_real_and_hard_rows_and_what_differs_is_counted(world, champion, tmp_path, monkeypatch):
    model = stores_model(world)
    pipeline = exporting._pipeline(model, champion)

    def made(python, file, trusted, kinds, rows):
        answers = {}
        for name, columns in rows.items():
            found, at = exporting._answered(model, pipeline, exporting._frame(model, columns))
            whole = np.full(len(next(iter(columns.values()))), np.nan)
            whole[at] = found
            whole[at[:3]] += 0.01 if name == "hard rows" else 0.0005
            answers[name] = np.column_stack([1 - whole, whole])
        return OnnxAnswers(b"an onnx file", answers, {"skl2onnx": "1"})

    monkeypatch.setattr(exporting, "PackedGate", lambda: PackedGate(rows=200, hard_rows=200))
    monkeypatch.setattr(onnx_export, "python_of", lambda: Path(sys.executable))
    monkeypatch.setattr(onnx_export, "converted", made)
    found = exporting.export(world.model, tmp_path / "model.onnx", "onnx")
    assert (found.off["held-out rows"].off, found.off["hard rows"].off) == (0, 3)
    assert found.off["held-out rows"].largest == pytest.approx(0.0005)
    assert found.off["hard rows"].largest == pytest.approx(0.01)
    assert 0 < found.off["hard rows"].rows < 200, "a linear model refuses infinite values, which have no right answer"
    assert (tmp_path / "model.onnx").read_bytes() == b"an onnx file"
    assert "hard rows: 3 of" in "\n".join(found.lines())


def test_without_its_environment_one_line_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.delenv(onnx_export.ENVIRONMENT, raising=False)
    with pytest.raises(EnvironmentMissing, match=r"there is no .venv-export yet. Make it: python -m venv") as missing:
        onnx_export.python_of(tmp_path)
    assert "\n" not in str(missing.value)
    monkeypatch.setenv(onnx_export.ENVIRONMENT, str(tmp_path / "python"))
    with pytest.raises(EnvironmentMissing, match=r"SLIPWAY_EXPORT_PYTHON names .*python, which is not there"):
        onnx_export.python_of(tmp_path)


def test_an_environment_that_lacks_a_library_is_told_which(tmp_path):
    """The project's own has no skl2onnx, which is why there is another."""
    with pytest.raises(EnvironmentMissing, match=r"lacks .*skl2onnx.* -m pip install -r requirements-export.txt"):
        onnx_export.converted(Path(sys.executable), tmp_path / "model.skops", [], {"x": "numeric"}, {})


def test_an_interpreter_that_ends_without_a_word_is_said_so(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(ConversionFailed, match="ended with 3: it said nothing"):
        onnx_export.converted(broken, tmp_path / "model.skops", [], {"x": "numeric"}, {})


@pytest.mark.slow
@pytest.mark.moment("first champion")
def test_a_real_conversion_is_near_on_real_rows(world, tmp_path):
    try:
        onnx_export.python_of()
    except EnvironmentMissing as missing:
        pytest.skip(str(missing))
    found = exporting.export(world.model, tmp_path / "model.onnx", "onnx")
    assert found.off["held-out rows"].largest < exporting.OFF
    assert settings().home.exists()
    assert (tmp_path / "model.onnx").stat().st_size == found.bytes
