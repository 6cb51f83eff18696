"""A challenger's answers to online rows, in a process of its own that lives on from batch to batch.

``python -m include.workflows.scoring.shadow_child CONFIG`` is that process; ``adapters/scorer_process.py`` starts
it. It reads a JSON line a batch from its input and gives one back. It has its own copy of each row, a limit of memory,
and ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

Row = Mapping[str, Any]
OUT_OF_MEMORY = 75
"""The exit code with which it gives its memory back."""


def main(config: Mapping[str, Any]) -> None:
    """The process's whole life. ``config`` has ``file``, ``digest``, ``form`` (packed or pipeline), ``kinds``,
    ``classes`` and ``memory_mb``."""
    out = _own_output()
    _limited(int(config["memory_mb"]))
    try:
        answer = _packed(config) if config["form"] == "packed" else _pipeline(config)
    except Exception as error:  # noqa: BLE001 - whatever stops the load is told to who started it
        _say(out, {"error": _message(error)})
        return
    _say(out, {"ready": True})
    serve(answer, out)


def serve(answer: Callable[[Sequence[Row]], Sequence[Any]], out: int) -> None:
    """Answer batches until the input ends.

    Args:
        answer: as many answers as rows, each a number or one a class. It may raise for all because of one.
        out: the file that answers are written to.
    """
    for line in sys.stdin.buffer:
        asked = msgspec.json.decode(line)
        rows, alone = asked["rows"], set(asked["alone"])
        _say(
            out,
            {
                "answers": [_timed(answer, rows, i) if i in alone else None for i in range(len(rows))],
                **_all(answer, rows),
            },
        )


def _all(answer: Callable[[Sequence[Row]], Sequence[Any]], rows: Sequence[Row]) -> dict[str, Any]:
    """Scores and errors of the batch; one by one where the batch as a whole is refused."""
    try:
        found = list(answer([dict(row) for row in rows]))
        if len(found) != len(rows):
            raise ValueError(f"it gave {len(found)} answers to {len(rows)} rows")
        told = [_number(each) for each in found]
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception:  # noqa: BLE001 - a challenger may raise anything; the rows are asked one by one to tell which
        told = [_one(answer, row) for row in rows]
    return {"scores": [score for score, _ in told], "errors": [error for _, error in told]}


def _one(answer: Callable[[Sequence[Row]], Sequence[Any]], row: Row) -> tuple[Any, str | None]:
    try:
        found = list(answer([dict(row)]))
        if len(found) != 1:
            raise ValueError(f"it gave {len(found)} answers to 1 row")
        return _number(found[0])
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - as above
        return None, _message(error)


def _number(found: Any) -> tuple[Any, str | None]:
    """The score, or why there is none: JSON has no NaN, and NaN is no answer."""
    values = [float(v) for v in found] if hasattr(found, "__len__") else [float(found)]
    if not values or not all(map(math.isfinite, values)):
        return None, "it answered what is no number"
    return (values if hasattr(found, "__len__") else values[0]), None


def _timed(answer: Callable[[Sequence[Row]], Sequence[Any]], rows: Sequence[Row], i: int) -> int:
    """Microseconds of one row by itself."""
    row = dict(rows[i])
    began = time.perf_counter_ns()
    with contextlib.suppress(Exception):  # its error is told with the batch
        answer([row])
    return (time.perf_counter_ns() - began) // 1000


def _packed(config: Mapping[str, Any]) -> Callable[[Sequence[Row]], Sequence[Any]]:
    import hashlib
    from pathlib import Path

    from include.domain.packed.reader import read

    found = hashlib.sha256(Path(config["file"]).read_bytes()).hexdigest()
    if found != config["digest"]:
        raise ValueError(f"its file has the digest {found[:12]}, and {config['digest'][:12]} was judged")
    model = read(config["file"])
    for array in model.arrays.values():
        array.setflags(write=False)

    def answer(rows: Sequence[Row]) -> Sequence[Any]:
        if len(rows) == 1:
            return [model.one(rows[0])]
        found: list[Any] = model.many({name: [row[name] for row in rows] for name in model.features}).tolist()
        return found

    return answer


def _pipeline(config: Mapping[str, Any]) -> Callable[[Sequence[Row]], Sequence[Any]]:
    from pathlib import Path

    import pandas as pd

    from include.adapters import estimators, model_files

    pipeline, kinds = model_files.load(Path(config["file"]), config["digest"]), dict(config["kinds"])

    def answer(rows: Sequence[Row]) -> Sequence[Any]:
        frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in kinds})
        found: list[Any] = estimators.predict(
            pipeline, estimators.as_input(frame, kinds), classes=config["classes"]
        ).tolist()
        return found

    return answer


def _own_output() -> int:
    """The output for answers alone: what the model prints goes elsewhere."""
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _say(out: int, what: Mapping[str, Any]) -> None:
    data = msgspec.json.encode(what) + b"\n"
    while data:
        data = data[os.write(out, data) :]


def _limited(memory_mb: int) -> None:
    """Limit its memory, and end it with the process that started it; on Linux, elsewhere only the time limit holds."""
    if sys.platform != "linux":
        return
    import ctypes
    import resource

    most = memory_mb * 1_000_000
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _message(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
