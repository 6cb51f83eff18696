"""The benchmarks of the feature store run to their end, in small: what they stand in for changed under them once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from include.config.settings import PROJECT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "arguments", "facts"),
    [
        ("materialize", ["--year", "2", "--times", "1", "--days", "1", "--commits", "2"], {"commits": 2}),
        (
            "training_set",
            ["--orders", "20000", "--times", "1"],
            {"rows_out_are_labels_in": True, "equal_checksums": True},
        ),
        ("large_join", ["--rows", "20000"], {"rows": 20_000, "requests": 1_000_000}),
        ("online_read", [], {"unit": "ms for 1,000 keys, SQLite"}),
    ],
)
def test_a_benchmark_ends_with_one_line_that_says_what_was_measured(name, arguments, facts, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "SLIPWAY_TEST_POSTGRES"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *arguments],
        env={**environment, "PYTHONPATH": str(PROJECT), "TMPDIR": str(tmp_path)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["name"] == name
    assert line["value"] > 0
    assert facts.items() <= line.items()
