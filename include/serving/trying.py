"""Whether a candidate can answer beside a champion: the same kind of answers to whatever the champion takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from include.adapters import estimators, model_files
from include.adapters.packing.files import as_columns
from include.domain.packed.hard_rows import hard_rows
from include.domain.packed.reader import NotAnswerable, Packed
from include.domain.serving.route import ServedModel, unlike
from include.serving.models import checked
from include.serving.scores import wrong_scores

ROWS = 64
"""So many rows it is tried on."""
SLOW = 0.25
"""A packed form that takes more than this part of the deadline for one row answers in a process of its own, where the
caller does not wait for it."""


class NotBeside(Exception):
    """A candidate that cannot answer beside the champion; the message says why."""


@dataclass(frozen=True, slots=True)
class TriedBeside:
    """A candidate as it is served beside a champion; ``one_s`` and ``more_s`` as of ``CanaryArm``."""

    served: ServedModel
    one_s: float = 0.0
    more_s: float = 0.0


def tried(served: ServedModel, champion: ServedModel, pipeline: Callable[[], Path]) -> TriedBeside:
    """Ask the candidate rows such as the champion is asked.

    Args:
        served: the candidate as it is prepared.
        champion: beside which it is to answer.
        pipeline: gives the file of its pipeline, for a packed form that is too slow.

    Raises:
        NotBeside: when it answers otherwise than its kind does, or needs what the champion's callers do not give.
    """
    why = unlike(champion, served)
    if why is not None:
        raise NotBeside(why)
    kinds = {each.name: each.kind for each in served.features}
    own = set(kinds) - {each.name for each in champion.features}
    if served.by == "pipeline":
        _try_pipeline(served, kinds, own)
        return TriedBeside(served)
    one_s, more_s = _try_packed(checked(Path(served.packed), served.packed_sha256), served, kinds, own)
    if one_s <= SLOW * served.deadline_s:
        return TriedBeside(served, one_s, more_s)
    reason = f"Its packed form takes {one_s * 1000:.3g} ms a row, and {served.deadline_s * 1000:g} ms are the deadline."
    slow = {"packed": "", "packed_sha256": "", "by": "pipeline", "pipeline": str(pipeline()), "why_pipeline": reason}
    return TriedBeside(msgspec.structs.replace(served, **slow))


def _try_packed(model: Packed, served: ServedModel, kinds: Mapping[str, str], own: set[str]) -> tuple[float, float]:
    columns = hard_rows(model, as_columns(_rows(kinds)), ROWS, seed=2)
    rows = [{name: values[i] for name, values in columns.items()} for i in range(ROWS)]
    answered, times = [], []
    for row in rows:
        began = time.perf_counter()
        try:
            model.one(row)
        except NotAnswerable:
            continue
        times.append(time.perf_counter() - began)
        answered.append(row)
    if not answered:
        return 0.0, 0.0
    for names in (set[str](), own):
        asked = {name: [None if name in names else row[name] for row in answered] for name in model.features}
        began = time.perf_counter()
        try:
            found = model.many(asked).tolist()
        except NotAnswerable as error:
            raise NotBeside(_needs(own, str(error))) from None
        took = time.perf_counter() - began
        _same_kind(found, len(answered), served)
    return float(np.median(times)), took / len(answered)


def _try_pipeline(served: ServedModel, kinds: Mapping[str, str], own: set[str]) -> None:
    pipeline = model_files.load(Path(served.pipeline), served.digest)
    classes = len(served.classes) if served.task != "regression" else None
    frame = _rows(kinds)
    try:
        found = estimators.predict(pipeline, frame, classes=classes).tolist()
    except estimators.OutputsUnknown as error:
        raise NotBeside(f"It answers in another form: {error}") from None
    except Exception:  # noqa: BLE001 - made up rows may be none that it takes; what it does live is counted
        return
    _same_kind(found, len(frame), served)
    if own:
        without = estimators.as_input(frame.assign(**dict.fromkeys(own)), dict(kinds))
        try:
            found = estimators.predict(pipeline, without, classes=classes).tolist()
        except Exception as error:  # noqa: BLE001 - it took the same rows with these values
            raise NotBeside(_needs(own, f"{type(error).__name__}: {' '.join(str(error).split())}")) from None
        _same_kind(found, len(frame), served)


def _needs(own: set[str], error: str) -> str:
    return f"It does not answer without {', '.join(sorted(own))}, which the champion does not take: {error}"


def _same_kind(found: list[Any], rows: int, served: ServedModel) -> None:
    wrong = wrong_scores(found, rows, served)
    if wrong is not None:
        raise NotBeside(f"It answers otherwise than its kind: {wrong}")


def _rows(kinds: Mapping[str, str]) -> pd.DataFrame:
    texts, numbers = ["a", "b", "c", "d"], [0.0, 1.0, -1.0, 10.0]
    rows = {name: texts if kind == "categorical" else numbers for name, kind in kinds.items()}
    return estimators.as_input(pd.DataFrame(rows), dict(kinds))
