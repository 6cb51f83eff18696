"""The answers of one packed model. This file needs numpy and nothing else: copy it beside the ``.npz`` and use both.

    model = read("flight_delay.npz")
    model.one({"carrier": "UA", "distance_miles": 1400.0})             # None is a missing value
    model.many({"carrier": ["UA", None], "distance_miles": [1400.0, 229.0]})

A model of two classes answers the probability of the last class; one of more classes, a probability for each; a
regression, the value. ``model.about`` says which model it is, ``model.features`` what it takes, ``model.check()`` in
how many of the rows that came with the file it answers differently here: it must be 0.

Why it equals scikit-learn to the last bit: the same additions in the same order, in the same types; the logistic
function by the C library's ``exp`` as SciPy's is, the exponential and the softmax by numpy's as scikit-learn's are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1


class NotAnswerable(ValueError):
    """A row that the model does not answer, or a file that this reader does not know; the message says why."""


def read(path: str | Path) -> Packed:
    """The packed model of a file; nothing in it is executed."""
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        return Packed({name: file[name] for name in file.files})


class Packed:
    """One model. ``arrays`` are the members of the file; they are not changed, and may be shared by threads."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        about = json.loads(bytes(arrays["header"]).decode("utf-8"))
        if about["format"] != FORMAT:
            raise NotAnswerable(f"the file has format {about['format']}; this reader knows {FORMAT}")
        self.about, self.arrays, self.features = about, arrays, [str(name) for name in about["features"]]
        self._codes = [None if f["codes"] is None else dict(map(tuple, f["codes"])) for f in about["inputs"]]
        self._rows = [None if f["codes"] is None else arrays[f["table"]].tolist() for f in about["inputs"]]
        self._score = self._trees if about["model"] == "trees" else self._linear
        if about["model"] == "trees":
            self._nodes = tuple(arrays[name] for name in ("feature", "threshold", "child", "value", "root", "start"))

    def one(self, row: Mapping[str, Any]) -> Any:
        """The answer to one row: a number, or ``(classes,)``. A feature that is not in it is an error, not a gap."""
        x = [0.0] * self.about["columns"]
        for name, codes, table, to in zip(self.features, self._codes, self._rows, self.about["inputs"], strict=True):
            if name not in row:
                raise NotAnswerable(f"{name} is not given; give None where its value is missing")
            value = row[name]
            if codes is None or table is None:
                number = value if type(value) is float else float(_numbers(name, (value,))[0])
                for c in to["at"]:
                    x[c] = number
            else:
                for c, part in zip(to["at"], table[_positions(name, (value,), codes, to)[0]], strict=True):
                    x[c] = part
        answer = self._answer(self._after_steps(np.array([x], order=self.about["order"])))[0]
        return answer if answer.ndim else float(answer)

    def many(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray[Any, Any]:
        """The answers to many rows, given as one sequence a feature: ``(n,)``, or ``(n, classes)``."""
        return self._answer(self.encoded(columns))

    def check(self) -> int:
        """In how many of the rows that came with the file the answer differs from the one that came with them."""
        rows, expected = self.arrays["check_rows"], self.arrays["check_answers"]
        differs = self._answer(np.array(rows, order=self.about["order"])).view(np.int64) != expected.view(np.int64)
        return int(differs.reshape(len(rows), -1).any(axis=1).sum())

    # --- from values to the columns of the estimator -----------------------------------------------------------------

    def encoded(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray[Any, Any]:
        """The columns of the estimator, ``(n, columns)``, before any rounding to float32."""
        n = max(map(len, columns.values()), default=0)
        x = np.empty((n, self.about["columns"]), order=self.about["order"])
        for name, codes, to in zip(self.features, self._codes, self.about["inputs"], strict=True):
            if name not in columns:
                raise NotAnswerable(f"{name} is not given; give None where its value is missing")
            values = columns[name]
            if len(values) != n:
                raise NotAnswerable(f"{name} has {len(values)} values, and another feature has {n}")
            if codes is None:
                x[:, to["at"]] = _numbers(name, values)[:, None]
            else:
                x[:, to["at"]] = self.arrays[to["table"]][_positions(name, values, codes, to)]
        return self._after_steps(x)

    def _after_steps(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if self.about["steps"]:
            with np.errstate(all="ignore"):
                for step in self.about["steps"]:
                    self._step(x, step["does"], slice(*step["at"]) if step["whole"] else step["at"], step["by"])
        return x

    def _step(self, x: np.ndarray[Any, Any], does: str, at: Any, by: str) -> None:
        part, value = x[:, at], self.arrays[by] if by else np.empty(0)
        if does == "fill":
            x[:, at] = np.where(np.isnan(part), value, part)
        elif does in ("refuse inf", "refuse nan"):
            _refuse(part, does)
        elif does == "clip":
            x[:, at] = np.clip(part, value[0], value[1])
        else:
            x[:, at] = _ARITHMETIC[does](part, value)

    # --- from columns to answers -------------------------------------------------------------------------------------

    def _answer(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with np.errstate(all="ignore"):
            if self.about["single"]:
                x = x.astype(np.float32)
            if self.about["refuses"]:
                _refuse(x, self.about["refuses"])
            return self._finished(self._score(x))

    def _linear(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        coefficients = self.arrays["coefficients"]
        raw: np.ndarray[Any, Any] = x @ coefficients.T + self.arrays["intercept"]
        return raw.reshape(-1, 1) if raw.ndim == 1 else raw

    def _trees(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """All trees at once, level by level; a leaf leads to itself. A missing value goes to the right; for a node
        where it goes to the left, ``feature`` names a second copy of the columns, in which it is minus infinity."""
        feature, threshold, child, value, root, start = self._nodes
        outputs = self.about["outputs"]
        if len(x) == 1:
            one = np.asarray(x[0], dtype=np.float64)
            both, node = np.concatenate((one, np.where(one == one, one, -np.inf))), root
            for _ in range(self.about["depth"]):
                node = child.take(node) + (both.take(feature.take(node)) <= threshold.take(node))
            added = value.take(node, axis=0).reshape(-1, outputs)
            added[0] += start
            return np.asarray(np.add.accumulate(added)[-1:] / self.about["divisor"])
        raw = np.empty((len(x), outputs), order=self.about["raw_order"])
        size = max(1, 40_000 // max(1, len(root)))
        for first in range(0, len(x), size):
            part = np.asarray(x[first : first + size], dtype=np.float64)
            both = np.concatenate((part, np.where(np.isnan(part), -np.inf, part)), axis=1)
            flat, row = both.ravel(), (np.arange(len(part)) * both.shape[1])[:, None]
            node = np.broadcast_to(root, (len(part), len(root))).astype(np.intp)
            for _ in range(self.about["depth"]):
                node = child.take(node) + (flat.take(feature.take(node) + row) <= threshold.take(node))
            added = value.take(node, axis=0).reshape(len(part), -1, outputs)
            added[:, 0] += start
            raw[first : first + size] = np.add.accumulate(added, axis=1)[:, -1] / self.about["divisor"]
        return raw

    def _finished(self, raw: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        link, classes, learned = self.about["link"], self.about["classes"], self.about["learned"]
        if link == "softmax":
            raw = raw - np.max(raw, axis=1).reshape(-1, 1)
            np.exp(raw, out=raw)
            raw /= np.sum(raw, axis=1).reshape(-1, 1)
        elif link in ("expit", "expit2"):
            twice = 2.0 if link == "expit2" else 1.0
            last = np.array([_expit(twice * v) for v in raw[:, 0].tolist()])
            if classes == 2:
                return last
            raw = np.stack([1 - last, last], axis=1)
        elif link == "exp":
            raw = np.exp(raw)
        if classes is None or classes == 2:
            return np.ascontiguousarray(raw[:, -1])
        whole = np.zeros((len(raw), classes))
        whole[:, learned] = raw
        return whole


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "subtract": np.subtract,
    "divide": np.divide,
    "multiply": np.multiply,
    "add": np.add,
}


def _numbers(name: str, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return values.astype(np.float64)
    try:
        return np.array([math.nan if v is None else float(v) for v in values])
    except (TypeError, ValueError, OverflowError):
        raise NotAnswerable(f"{name} holds something that is no number") from None


def _positions(name: str, values: Sequence[Any], codes: Mapping[Any, int], to: Mapping[str, Any]) -> list[int]:
    missing, unseen = to["missing"], to["unseen"]
    try:
        found = [missing if v is None or v != v else codes.get(v, unseen) for v in values]
    except TypeError:
        raise NotAnswerable(f"{name} holds something that is no category") from None
    if None in found:
        raise NotAnswerable(f"{name} is {values[found.index(None)]!r}, which the model was not made for")
    return found


def _refuse(x: np.ndarray[Any, Any], what: str) -> None:
    if (np.isinf(x) if what == "refuse inf" else ~np.isfinite(x)).any():
        named = "an infinite value" if what == "refuse inf" else "a missing or an infinite value"
        raise NotAnswerable(f"{named}, or one too large for its type, which the model does not answer")


def _expit(x: float) -> float:
    try:
        return 1.0 / (1.0 + math.exp(-x))
    except OverflowError:
        return 0.0
