"""One row and a batch answered by a packed model, beside the pipeline it was made from, in processor time.

Boosting of 120 trees with 22 features, three of them categories, fitted on made rows. The limit is the bare pipeline
(`predict_proba` of a frame) in the same run, in turns. ``--rows`` is the size of the batch. Before anything is timed,
every answer of the batch is held against the pipeline's, bit by bit. A fresh process that imports the reader alone says
how much memory a worker needs, and how long it takes until its first answer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._common import own_peak_mb, report
from include.adapters import estimators, packing
from include.adapters.packing.files import as_columns
from include.config.settings import PROJECT
from include.domain.packed.compared import difference
from include.domain.packed.reader import Packed

KINDS = {f"n{i}": "numeric" for i in range(19)} | {f"c{i}": "categorical" for i in range(3)}
PARAMS = {
    "max_iter": 120,
    "learning_rate": 0.08,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 200,
    "early_stopping": False,
}
WORKER = """
import json, sys, time
began = time.perf_counter()
from include.domain.packed.reader import read
model = read(sys.argv[1])
model.one(json.loads(sys.argv[2]))
ready = time.perf_counter() - began
peak = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM:")) / 1024
heavy = sorted({"pandas", "sklearn", "mlflow", "scipy"} & set(sys.modules))
print(json.dumps({"ready_s": round(ready, 3), "rss_mb": round(peak), "heavy": heavy}))
"""


def made_rows(n: int) -> pd.DataFrame:
    random_ = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            name: random_.choice(list("abcdefghij"), n).astype(object)
            if kind == "categorical"
            else random_.normal(size=n)
            for name, kind in KINDS.items()
        }
    )
    frame.loc[random_.random(n) < 0.1, "n3"] = np.nan
    return estimators.as_input(frame, KINDS)


def processor_us(work: Callable[[], Any], times: int) -> float:
    """The median of the processor's microseconds for one call."""
    taken = []
    for _ in range(times):
        began = time.process_time_ns()
        work()
        taken.append((time.process_time_ns() - began) / 1e3)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=256)
    rows = parser.parse_args().rows
    frame = made_rows(20_000)
    label = (frame["n0"] + frame["n1"] * frame["n2"] + (frame["c0"] == "a") > 0.3).to_numpy().astype(int)
    spec = estimators.EstimatorSpec(
        "sklearn.ensemble.HistGradientBoostingClassifier", PARAMS, "ordinal", False, KINDS, seed=1
    )
    pipeline = estimators.fit(estimators.build(spec), frame, label)
    arrays = packing.packed_arrays(pipeline, KINDS, learned=[0, 1], classes=2, example=frame.head(64))
    packed, batch = Packed(arrays), frame.head(rows)
    columns = as_columns(batch)
    row, alone = {name: values[0] for name, values in columns.items()}, frame.head(1)
    differing = difference(pipeline.predict_proba(batch)[:, 1], packed.many(columns)).differing
    if differing:
        raise SystemExit(f"The packed model differs on {differing} of {rows} rows.")
    with estimators.one_thread():
        ours, bare = (
            processor_us(lambda: packed.one(row), 1_000),
            processor_us(lambda: pipeline.predict_proba(alone), 60),
        )
        many = processor_us(lambda: packed.many(columns), 60) / rows
        bare_many = processor_us(lambda: pipeline.predict_proba(batch), 60) / rows
    content = packing.written(arrays)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.npz"
        file.write_bytes(content)
        command = [sys.executable, "-c", WORKER, str(file), json.dumps(row)]
        said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    report(
        "packed",
        ours,
        "us of processor for one row",
        bare,
        own_peak_mb(),
        batch_us_a_row=round(many, 2),
        batch_us_a_row_bare=round(bare_many, 2),
        rows=rows,
        file_kb=round(len(content) / 1000),
        worker=json.loads(said),
    )


if __name__ == "__main__":
    main()
