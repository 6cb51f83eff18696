"""The registered model file in a fresh process: what it answers to rows it is asked.

``python -m include.workflows.evidence.smoke_process FOLDER`` is that process. It reads ``request.json`` and the rows
beside it, and writes ``answers.json``. It knows nothing else: no ledger, no registry, no model in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.config.settings import PROJECT

if TYPE_CHECKING:
    import pandas as pd

    from include.domain.gates import Probe

REQUEST, ANSWERS = "request.json", "answers.json"


@dataclass(frozen=True, slots=True)
class Answered:
    """What the fresh process did: why it could not load the model (None when it did), and its answers by probe."""

    load_error: str | None
    probes: Mapping[str, Probe]


def ask(
    model_file: Path,
    digest: str,
    probes: Mapping[str, pd.DataFrame],
    *,
    kinds: Mapping[str, str],
    classes: int | None,
    timeout_s: float,
) -> Answered:
    """Load the file in a fresh process and ask it every probe's rows. A failure there is returned too, not raised."""
    with tempfile.TemporaryDirectory(prefix="slipway-smoke-") as made:
        folder = Path(made)
        files = {name: f"probe-{i}.parquet" for i, name in enumerate(probes)}
        for name, file in files.items():
            probes[name].to_parquet(folder / file)
        request = {
            "model_file": str(model_file),
            "digest": digest,
            "kinds": dict(kinds),
            "classes": classes,
            "probes": files,
        }
        (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", "include.workflows.evidence.smoke_process", str(folder)]
        try:
            ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            return Answered(f"it had not answered after {timeout_s:g} s", {})
        answers = folder / ANSWERS
        if ended.returncode != 0 or not answers.is_file():
            last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return Answered(f"the process ended with {ended.returncode}: {last}", {})
        said = json.loads(answers.read_text(encoding="utf-8"))
    if said["load_error"] is not None:
        return Answered(str(said["load_error"]), {})
    return Answered(None, {name: probe_of(name, probes[name], answer) for name, answer in said["probes"].items()})


def probe_of(name: str, asked: pd.DataFrame, said: Mapping[str, Any]) -> Probe:
    """One probe as its gate takes it; ``said`` is what ``answers_of`` gave."""
    import numpy as np

    from include.domain.gates import Probe  # not above: the fresh process has no use for what it would load

    return Probe(name, len(asked), np.array(said["answers"], dtype=float), said["errors"])


def main(folder: Path) -> None:
    """The fresh process's whole life."""
    import pandas as pd

    from include.adapters import estimators, model_files

    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    said: dict[str, Any] = {"load_error": None, "probes": {}}
    try:
        pipeline = model_files.load(Path(request["model_file"]), request["digest"])
    except Exception as error:  # noqa: BLE001 - whatever stops the load is what this process is asked about
        said["load_error"] = _message(error)
    else:
        for name, file in request["probes"].items():
            rows = estimators.as_input(pd.read_parquet(folder / file), request["kinds"])
            said["probes"][name] = answers_of(pipeline, rows, classes=request["classes"])
    (folder / ANSWERS).write_text(json.dumps(said), encoding="utf-8")


def answers_of(pipeline: Any, rows: pd.DataFrame, *, classes: int | None) -> dict[str, Any]:
    """All rows at once, as scoring asks them; one by one only to tell which of them fail."""
    from include.adapters import estimators

    try:
        answers = estimators.predict(pipeline, rows, classes=classes)
        return {"answers": answers.tolist(), "errors": {}}
    except Exception:  # noqa: BLE001 - an estimator may raise anything; the rows are asked one by one to count it
        found: list[Any] = []
        errors: Counter[str] = Counter()
        for i in range(len(rows)):
            try:
                found += estimators.predict(pipeline, rows.iloc[[i]], classes=classes).tolist()
            except Exception as error:  # noqa: BLE001 - as above
                errors[_message(error)] += 1
        return {"answers": found, "errors": dict(errors)}


def _message(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
