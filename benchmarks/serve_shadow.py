"""A row of the online journal answered by a challenger beside the champion, in processor time of both its processes.

Boosting of 120 trees with 22 features, as in `packed`. The limit is the packed model's own answers in batches of 256,
in this process. ``--rows`` is how many the journal holds. The reading process and the challenger's are counted apart;
the service that wrote the journal does nothing for either.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks._common import own_peak_mb, report
from benchmarks.packed import KINDS, PARAMS, made_rows
from include.adapters import estimators, packing
from include.adapters.journal import Journal, JournalReader
from include.adapters.packing.files import as_columns
from include.adapters.scorer_process import Scorer
from include.domain.journal.records import AnswerRecord
from include.domain.packed.reader import Packed
from include.workflows.scoring.shadow_tail import OnlineChallenger, ShadowTail, TailLimits

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CONFIG = {"form": "packed", "kinds": KINDS, "classes": 2, "memory_mb": 1_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    count = parser.parse_args().rows
    frame = made_rows(20_000)
    label = (frame["n0"] + frame["n1"] * frame["n2"] + (frame["c0"] == "a") > 0.3).to_numpy().astype(int)
    path = "sklearn.ensemble.HistGradientBoostingClassifier"
    spec = estimators.EstimatorSpec(path, PARAMS, "ordinal", False, KINDS, seed=1)
    pipeline = estimators.fit(estimators.build(spec), frame, label)
    arrays = packing.packed_arrays(pipeline, KINDS, learned=[0, 1], classes=2, example=frame.head(16))
    columns, content = as_columns(made_rows(count)), packing.written(arrays)
    rows = [{name: _plain(values[i]) for name, values in columns.items()} for i in range(count)]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "model.npz").write_bytes(content)
        _journal(folder / "journal", rows)
        digest = hashlib.sha256(content).hexdigest()
        scorer = Scorer({**CONFIG, "file": str(folder / "model.npz"), "digest": digest})
        own = Journal(folder / "own", "shadow", NOW, lambda: NOW)
        who = OnlineChallenger("m", "challenger", digest, "packed", tuple(KINDS))
        tail = ShadowTail(who, folder / "journal", own, scorer, lambda: NOW, TailLimits())
        scorer.ask(rows[:1], [], 60.0)  # its start is not a row's
        began, theirs = time.process_time(), scorer.processor_s()
        while tail.step():
            pass
        reading, answering = time.process_time() - began, scorer.processor_s() - theirs
        scorer.end()
        own.close()
        written = sum(isinstance(e.record, AnswerRecord) for e in JournalReader(folder / "own").all())
    if (tail.counts.answered, written) != (count, count):
        raise SystemExit(f"{tail.counts.answered} of {count} rows were answered, and {written} are in the journal.")
    packed = Packed(arrays)
    began = time.process_time()
    for first in range(0, count, 256):
        packed.many({name: values[first : first + 256] for name, values in columns.items()})
    bare = (time.process_time() - began) / count * 1e6
    report(
        "serve_shadow",
        (reading + answering) / count * 1e6,
        "us of processor for a row",
        bare,
        own_peak_mb(),
        promised=60,
        reading_us=round(reading / count * 1e6, 1),
        challenger_us=round(answering / count * 1e6, 1),
        rows=count,
    )


def _journal(folder: Path, rows: list[dict[str, Any]]) -> None:
    journal = Journal(folder, "service", NOW, lambda: NOW)
    for i, row in enumerate(rows):
        journal.append([AnswerRecord(f"r{i}", f"r{i}", "m", NOW, "champion", "a" * 64, 1, 1, score=0.5, features=row)])
    journal.close()


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=float))


if __name__ == "__main__":
    main()
