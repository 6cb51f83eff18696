"""A fitted model's packed form: made, and held against its pipeline bit by bit.

``docs/packed.md`` says what can be packed and how it equals scikit-learn; ``scoring/packed_files.py`` keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.adapters import estimators, packing
from include.adapters.packing.files import as_columns
from include.config import ModelDeclaration
from include.config.gates import PackedGate
from include.domain.gates import PackedEvidence, RowsHeld
from include.domain.packed.compared import difference
from include.domain.packed.hard_rows import hard_rows
from include.domain.packed.names import ALONE, HARD, HELD_OUT
from include.domain.packed.reader import NotAnswerable, Packed
from include.workflows.evidence import probes
from include.workflows.scoring import fitted_models, packed_files

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

EXAMPLES = 16
"""Held-out rows that come with the file, with their answers: another machine can say whether it answers as this."""
ASKED_ALONE = 25
"""Of the held-out and of the hard rows, how many are also asked one by one: some products add in another order then."""
REFUSED_ALONE = 10
"""Of the rows that the packed form refuses, how many the pipeline is asked too."""
SEED = 20


@dataclass(frozen=True, slots=True)
class Packing:
    """A packed file's bytes; empty where there is none, and then ``why_not`` names the part without a packed form."""

    content: bytes = b""
    why_not: str | None = None


def packing_of(model: ModelDeclaration, pipeline: Any, held_out: pd.DataFrame, digest: str | None = None) -> Packing:
    """The packed form of a fitted pipeline.

    Args:
        pipeline: as it was loaded from its file.
        held_out: rows that it answers, two or more.
        digest: of the file that it was loaded from, which the packed one then names.
    """
    classes = model.class_count
    try:
        arrays = packing.packed_arrays(
            pipeline,
            fitted_models.kinds_of(model),
            learned=None if classes is None else estimators.learned_classes(pipeline, classes),
            classes=classes,
            example=held_out.iloc[probes.rows_to_ask(len(held_out), EXAMPLES)].reset_index(drop=True),
            about={"name": model.name, "class_names": list(model.label.classes or []), "pipeline": digest},
        )
    except (packing.NotPackable, NotAnswerable) as why:
        return Packing(why_not=str(why))
    return Packing(packing.written(arrays))


def held(
    model: ModelDeclaration, rules: PackedGate, pipeline: Any, made: Packing, held_out: pd.DataFrame
) -> PackedEvidence:
    """The packed file, read again from its bytes, held against the pipeline on held-out and on hard rows."""
    if made.why_not is not None:
        return PackedEvidence(made.why_not)
    both = _Both(model, pipeline, packed_files.opened(made.content))
    chosen = probes.rows_to_ask(len(held_out), rules.rows)
    real = as_columns(held_out.iloc[chosen].reset_index(drop=True))
    hard = hard_rows(both.packed, real, rules.hard_rows, SEED)
    alone = [both.alone(rows, _some(len(_first(rows)), ASKED_ALONE)) for rows in (real, hard)]
    return PackedEvidence(
        held={HELD_OUT: both.together(real), HARD: both.together(hard), ALONE: _joined(alone)},
        file={"digest": packed_files.digest_of(made.content), "bytes": len(made.content)},
    )


Rows = Mapping[str, Sequence[Any]]


class _Both:
    """One model in both forms."""

    def __init__(self, model: ModelDeclaration, pipeline: Any, packed: Packed) -> None:
        self.packed, self._pipeline, self._classes = packed, pipeline, model.class_count
        self._kinds = fitted_models.kinds_of(model)

    def together(self, rows: Rows) -> RowsHeld:
        """All rows at once; those that the packed form refuses are found one by one, and some of them are put to the
        pipeline, which must refuse them too."""
        count = len(_first(rows))
        try:
            answers: np.ndarray[Any, Any] | None = self.packed.many(rows)
            answered, refused = list(range(count)), list[int]()
        except NotAnswerable:
            refused = [i for i in range(count) if self._one(_row(rows, i)) is None]
            out = set(refused)
            answered = [i for i in range(count) if i not in out]
            answers = self.packed.many(_only(rows, answered)) if answered else None
        found = RowsHeld(0, 0, 0.0)
        if answers is not None:
            expected = self._slowly(_only(rows, answered))
            if expected is None:  # one of them at least; which, the rows tell that are asked alone
                found = RowsHeld(len(answered), 1, float("inf"))
            else:
                told = difference(expected, answers)
                found = RowsHeld(told.rows, told.differing, told.largest)
        asked = [refused[i] for i in _some(len(refused), REFUSED_ALONE)]
        otherwise = sum(self._slowly(_only(rows, [i])) is not None for i in asked)
        return RowsHeld(count, found.differing + otherwise, float("inf") if otherwise else found.largest, len(refused))

    def alone(self, rows: Rows, positions: Sequence[int]) -> RowsHeld:
        """Each of these rows by itself."""
        import numpy as np

        found = []
        for i in positions:
            expected, answer = self._slowly(_only(rows, [i])), self._one(_row(rows, i))
            if expected is None or answer is None:
                same = expected is None and answer is None
                found.append(RowsHeld(1, 0 if same else 1, 0.0 if same else float("inf"), int(same)))
            else:
                told = difference(expected, np.asarray([answer]))
                found.append(RowsHeld(1, told.differing, told.largest))
        return _joined(found)

    def _one(self, row: Mapping[str, Any]) -> Any:
        try:
            return self.packed.one(row)
        except NotAnswerable:
            return None

    def _slowly(self, rows: Rows) -> np.ndarray[Any, Any] | None:
        """The pipeline's answers; None where it refuses the rows."""
        import numpy as np
        import pandas as pd

        frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in rows.items()})
        try:
            with np.errstate(all="ignore"):  # very large values overflow while scikit-learn looks for infinite ones
                return estimators.predict(
                    self._pipeline, estimators.as_input(frame, self._kinds), classes=self._classes
                )
        except (ValueError, OverflowError):
            return None


def _joined(parts: Sequence[RowsHeld]) -> RowsHeld:
    return RowsHeld(
        sum(p.rows for p in parts),
        sum(p.differing for p in parts),
        max((p.largest for p in parts), default=0.0),
        sum(p.refused for p in parts),
    )


def _some(count: int, most: int) -> list[int]:
    return [int(i) for i in probes.rows_to_ask(count, most)] if count else []


def _first(rows: Rows) -> Sequence[Any]:
    return next(iter(rows.values()))


def _only(rows: Rows, positions: Sequence[int]) -> dict[str, list[Any]]:
    return {name: [values[i] for i in positions] for name, values in rows.items()}


def _row(rows: Rows, i: int) -> dict[str, Any]:
    return {name: values[i] for name, values in rows.items()}
