"""What the documentation shows and what takes a whole program to try: a simulation of a file, Airflow's own reader."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import yaml
from doc_examples import examples

from include.cli import main
from include.config.settings import PROJECT


def test_the_readme_s_try_on_a_file_runs_on_a_file(tmp_path, monkeypatch, capsys):
    section = (
        (PROJECT / "README.md").read_text(encoding="utf-8").split("## Try it on your own file")[1].split("\n## ")[0]
    )
    command = next(line for line in section.splitlines() if line.startswith(".venv/bin/slipway"))
    rng, rows = np.random.default_rng(1), 110 * 20
    frame = pd.DataFrame({"weight": rng.normal(size=rows), "place": rng.choice(["north", "south"], rows)})
    frame["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows) * 4320, unit="s")
    frame["late"] = np.where(rng.random(rows) < 1 / (1 + np.exp(-frame["weight"])), "yes", "no")
    frame["order_id"] = [f"order {i}" for i in range(rows)]
    frame.to_csv(tmp_path / "yours.csv", index=False)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)[1:]) == 0
    said = capsys.readouterr().out
    assert "labelled rows on 6 days" in said
    assert "Left out: order_id, which has a text of its own in each of 2,200 rows" in said


def test_the_connections_are_those_airflow_reads(tmp_path):
    code = (
        "from airflow.models.connection import Connection; import os\n"
        "for name, kind in (('MAIL', 'smtp'), ('CHAT', 'slack')):\n"
        "    read = Connection.from_json(os.environ[f'AIRFLOW_CONN_{name}'])\n"
        "    assert read.conn_type == kind and read.password, name\n"
    )
    shown = examples()["docs/pages.md > Notices > 2"].text
    script = f"set -a\n{shown}\n{shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    ended = subprocess.run(["bash", "-euc", script], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-500:]
    assert yaml.safe_load(examples()["docs/pages.md > Notices"].text)["notify"]["conn_id"] == "mail"
