"""Several processes fetch one model file at once."""

from __future__ import annotations

import os
import subprocess
import sys

from include.config.settings import PROJECT

FETCH = """
import hashlib, sys
from contextlib import contextmanager
from pathlib import Path
from include.workflows.scoring import fitted_models

content, copies, go = Path(sys.argv[1]), int(sys.argv[2]), sys.stdin
digest = hashlib.sha256(content.read_bytes()).hexdigest()

class Registry:
    @contextmanager
    def fetched(self, model, version):
        yield content

files = fitted_models.model_files
files.load = lambda copy, expected: files.digest(copy) == expected or sys.exit("other bytes")
print("ready", flush=True)
for line in go:
    try:
        assert fitted_models.load(Registry(), "m", 1, digest)
        print("ok", flush=True)
    except BaseException as error:
        print(type(error).__name__, error, flush=True)
"""


def test_f186_four_processes_fetch_one_model_file_and_none_fails(tmp_path, monkeypatch):
    """Thirty laps: each begins without the file, and all four start at once."""
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    model = tmp_path / "model.skops"
    model.write_bytes(os.urandom(8_000_000))
    kept = tmp_path / "home" / "work" / "models"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH, str(model), "30"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        for _ in range(4)
    ]
    try:
        assert [racer.stdout.readline().strip() for racer in racers] == ["ready"] * 4
        for _ in range(30):
            for racer in racers:
                racer.stdin.write("go\n")
                racer.stdin.flush()
            assert [racer.stdout.readline().strip() for racer in racers] == ["ok"] * 4
            found = os.listdir(kept)
            assert len(found) == 1, found
            (kept / found[0]).unlink()
    finally:
        for racer in racers:
            racer.stdin.close()
            racer.wait(30)
            racer.stdout.close()
