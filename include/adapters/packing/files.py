"""A packed model as arrays and as one ``.npz``: equal models give equal bytes."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from include.adapters.packing.columns import Category, NotPackable, Number, columns_of
from include.adapters.packing.scores import Scored, refusal_of, scored_of
from include.domain.packed.reader import FORMAT, Packed

Arrays = dict[str, np.ndarray[Any, Any]]


def packed_arrays(
    pipeline: Any,
    kinds: Mapping[str, str],
    *,
    learned: Sequence[int] | None,
    classes: int | None,
    example: pd.DataFrame,
    about: Mapping[str, Any] | None = None,
) -> Arrays:
    """The members of the file.

    Args:
        pipeline: fitted, as it was loaded from its file.
        kinds: the kind of each feature, in order.
        learned: the declared class that each of its columns of probabilities is of; None for a regression.
        classes: how many classes are declared; None for a regression.
        example: rows of its input that it answers, at least two; they come with the file, with their answers, so that a
            reader can say whether it answers the same elsewhere.
        about: what else the file says of itself, such as the model's name; small JSON.

    Raises:
        NotPackable: when it has no packed form; the message says which part, for a sentence.
    """
    if classes is not None and (learned is None or len(learned) < 2):
        raise NotPackable("it learned one class only")
    if not hasattr(pipeline, "steps"):
        raise NotPackable(f"it is a {type(pipeline).__name__} and no pipeline of scikit-learn")
    columns = columns_of(pipeline, dict(kinds))
    estimator = pipeline.steps[-1][1]
    scored = scored_of(estimator)
    if estimator.n_features_in_ != len(columns):
        raise NotPackable(f"its estimator takes {estimator.n_features_in_} columns, and {len(columns)} were followed")
    arrays = _with_missing_copies(scored, len(columns))
    header: dict[str, Any] = {
        **(about or {}),
        "format": FORMAT,
        "features": list(kinds),
        "columns": len(columns),
        "order": _layout(pipeline, example),
        "inputs": _inputs(kinds, columns, arrays),
        "steps": _steps(columns, arrays),
        "single": scored.single,
        "refuses": refusal_of(estimator, classes is not None, len(columns), single=scored.single),
        "model": scored.model,
        "outputs": scored.outputs,
        "raw_order": scored.raw_order,
        "depth": scored.depth,
        "divisor": scored.divisor,
        "link": scored.link,
        "classes": classes,
        "learned": list(learned) if learned is not None else None,
    }
    return _with_check_rows(arrays, header, example)


def written(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """The file: members in the order of their names, without a time, not compressed."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            member = BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return made.getvalue()


def as_columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """The rows as the reader takes them: a list a feature, None for a missing value."""
    return {
        str(name): [None if missing else value for value, missing in zip(frame[name], frame[name].isna(), strict=True)]
        for name in frame.columns
    }


def _with_missing_copies(scored: Scored, columns: int) -> Arrays:
    """Where a missing value goes to the left, a node reads the second copy of its column."""
    arrays = dict(scored.arrays)
    if scored.model == "trees":
        arrays["feature"] = arrays["feature"] + columns * arrays.pop("missing_left")
    return arrays


def _layout(pipeline: Any, example: pd.DataFrame) -> str:
    """How the estimator's rows lie in memory, which decides the order in which a product adds: ``C`` or ``F``."""
    rows = example
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _, step in pipeline.steps[:-1]:
            rows = step.transform(rows)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.float64 or len(rows) < 2:
        raise NotPackable("its steps give no array of float64, or there are fewer than two rows to see its layout by")
    return "F" if rows.flags.f_contiguous and not rows.flags.c_contiguous else "C"


def _inputs(kinds: Mapping[str, str], columns: Sequence[Number | Category], arrays: Arrays) -> list[dict[str, Any]]:
    """For each feature where its values go, and for a category its codes; its table is put among the arrays."""
    found: list[dict[str, Any]] = []
    for number, (feature, kind) in enumerate(kinds.items()):
        mine = [(i, c) for i, c in enumerate(columns) if c.feature == feature]
        at = [i for i, _ in mine]
        if kind != "categorical":
            found.append({"at": at, "codes": None})
            continue
        tables = [c for _, c in mine if isinstance(c, Category)]
        first = tables[0] if tables else Category(feature, (), np.zeros(2), np.zeros(2, dtype=bool))
        if any(c.known != first.known for c in tables):
            raise NotPackable(f"{feature} is encoded in two ways")
        if not all(isinstance(c, str) for c in first.known):
            raise NotPackable(f"{feature} has categories that are no text")
        refused = np.any([c.refused for c in tables], axis=0) if tables else first.refused
        name = f"table_{number}"
        arrays[name] = np.column_stack([c.values for c in tables]) if tables else np.zeros((2, 0))
        missing, unseen = (None if no else len(first.known) + i for i, no in enumerate(refused[-2:]))
        codes = [[category, code] for code, category in enumerate(first.known)]
        found.append({"at": at, "codes": codes, "missing": missing, "unseen": unseen, "table": name})
    return found


def _steps(columns: Sequence[Number | Category], arrays: Arrays) -> list[dict[str, Any]]:
    """The chains of all numbers, position by position, each kind of step once for all columns that have it there."""
    found: list[dict[str, Any]] = []
    chains = {i: c.chain for i, c in enumerate(columns) if isinstance(c, Number)}
    for position in range(max(map(len, chains.values()), default=0)):
        here = {i: chain[position] for i, chain in chains.items() if len(chain) > position}
        for does in dict.fromkeys(step.does for step in here.values()):
            at = [i for i, step in here.items() if step.does == does]
            by = ""
            if does not in ("refuse inf", "refuse nan"):
                by = f"step_{len(found)}"
                arrays[by] = np.array([here[i].by for i in at], dtype=np.float64).T
            whole = at == list(range(at[0], at[-1] + 1))
            found.append({"does": does, "at": [at[0], at[-1] + 1] if whole else at, "whole": whole, "by": by})
    return found


def _with_check_rows(arrays: Arrays, header: dict[str, Any], example: pd.DataFrame) -> Arrays:
    """Rows and the answers that the reader gives here; that these are the pipeline's is for whoever packs to prove."""
    width = header["columns"]
    whole = {
        **arrays,
        "header": np.frombuffer(json.dumps(header).encode("ascii"), dtype=np.uint8),
        "check_rows": np.zeros((0, width)),
        "check_answers": np.zeros(0),
    }
    packed = Packed(whole)
    columns = as_columns(example)
    whole["check_rows"] = packed.encoded(columns)
    whole["check_answers"] = packed.many(columns)
    return whole
