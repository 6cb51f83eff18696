"""A challenger's answers, from a process of its own, so that it can cost the champion's day no row and no more time
than its limit.

``python -m include.workflows.scoring.challenger_process FOLDER`` is that process. It reads ``request.json`` and the
rows beside it, and leaves ``scores.npy``, or ``error.txt`` with one line. It may take half of the machine's memory,
and ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.config.settings import PROJECT
from include.domain.wording import count_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

REQUEST, ROWS, SCORES, ERROR = "request.json", "rows.parquet", "scores.npy", "error.txt"
SHARE_OF_MEMORY = 0.5


class ChallengerFailed(Exception):
    """It gave no answers; the message says why."""


def scores_of(
    model_file: Path,
    digest: str,
    rows: pd.DataFrame,
    *,
    kinds: Mapping[str, str],
    classes: int | None,
    timeout_s: float,
) -> np.ndarray[Any, Any]:
    """What the model file answers to the rows, as ``estimators.predict`` gives it.

    Raises:
        ChallengerFailed: when it raised, was ended by a signal, took more memory than it may, or longer than
            ``timeout_s`` seconds. Nothing of its process is left then.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="slipway-beside-") as made:
        folder = Path(made)
        rows.reset_index(drop=True).to_parquet(folder / ROWS)
        request = {"model_file": str(model_file), "digest": digest, "kinds": dict(kinds), "classes": classes}
        (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", "include.workflows.scoring.challenger_process", str(folder)]
        with (folder / "said.txt").open("wb") as said:
            child = subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
            try:
                code = child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise ChallengerFailed(f"it had not answered after {count_of(round(timeout_s), 'second')}") from None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        if (folder / ERROR).is_file():
            raise ChallengerFailed((folder / ERROR).read_text(encoding="utf-8"))
        if code < 0:
            raise ChallengerFailed(f"its process was ended by {signal.Signals(-code).name}")
        if code or not (folder / SCORES).is_file():
            lines = (folder / "said.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise ChallengerFailed(f"its process ended with {code}: {lines[-1] if lines else 'it said nothing'}")
        return np.asarray(np.load(folder / SCORES, allow_pickle=False))


def main(folder: Path) -> None:
    """The process's whole life."""
    _held_to_its_share()
    import numpy as np
    import pandas as pd

    from include.adapters import estimators, model_files

    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    try:
        pipeline = model_files.load(Path(request["model_file"]), request["digest"])
        rows = estimators.as_input(pd.read_parquet(folder / ROWS), request["kinds"])
        np.save(folder / SCORES, estimators.predict(pipeline, rows, classes=request["classes"]))
    except Exception as error:  # noqa: BLE001 - a challenger may raise anything; the caller gets it as the reason
        (folder / SCORES).unlink(missing_ok=True)
        (folder / ERROR).write_text(f"{type(error).__name__}: {' '.join(str(error).split())}", encoding="utf-8")


def _held_to_its_share() -> None:
    """Limit its memory to its share, and end it with the process that started it (on Linux; elsewhere only the time
    limit holds)."""
    import resource

    most = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * SHARE_OF_MEMORY)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main(Path(sys.argv[1]))
