"""Judges anyone's predictions by the gates the Dags run: no Airflow, no declared model, no ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from include.config.gates import JudgedGates
from include.config.loader import read_declaration
from include.config.measured_by import metrics_in
from include.config.problems import what_is_wrong
from include.domain import classes, weights
from include.domain.attempts import Attempts
from include.domain.gates import Evidence, champion_gate, slice_gate, threshold_gate
from include.domain.metrics import Task
from include.domain.tables import as_table
from include.domain.verdicts import GateResult, Mode, Verdict, worst
from include.domain.wording import count_of
from include.workflows.tables import default_gates, reading
from include.workflows.tables.checks import check_present, some, times_of
from include.workflows.tables.reading import finite

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BadPredictions = reading.BadTable


@dataclass(frozen=True, slots=True)
class PredictionColumns:
    """Which column of the predictions is what.

    Attributes:
        label: the truth.
        candidate: the candidate's scores; of a multiclass model one column for each class, in their order.
        champion: the champion's, likewise; empty where there is no champion yet.
        baseline: a naive baseline's, likewise; empty takes the mean label of these rows.
        time: when each row happened; rows of one UTC day are not taken as independent. None takes all rows as
        independent.
        slices: columns to slice by, besides those the gates name.
        weight: how much each row counts, 0 or more; None where all count the same.
    """

    label: str
    candidate: tuple[str, ...]
    champion: tuple[str, ...] = ()
    baseline: tuple[str, ...] = ()
    time: str | None = None
    slices: tuple[str, ...] = ()
    weight: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gates say. ``remarks`` are what a reader must know about how the rows were taken."""

    gates: tuple[GateResult, ...]
    rows: int
    remarks: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the blocking gates; INCONCLUSIVE when none is blocking."""
        return worst(g.verdict for g in self.gates if g.mode is Mode.BLOCKING)

    def as_lines(self) -> list[str]:
        lines: list[str] = []
        for gate in self.gates:
            lines += [as_table(gate), ""]
        lines += self.remarks
        blocking = sum(g.mode is Mode.BLOCKING for g in self.gates)
        return [*lines, f"verdict: {self.verdict.value} ({count_of(blocking, 'blocking gate')}, {self.rows:,} rows)"]

    def as_json(self) -> dict[str, Any]:
        gates = [finite(g.as_json()) for g in self.gates]
        return {"verdict": self.verdict.value, "rows": self.rows, "gates": gates, "remarks": list(self.remarks)}


def judge_file(
    data: Path, gates: Path | None, roles: PredictionColumns, *, attempts: int = 1, named: tuple[str, ...] = ()
) -> Judgement:
    """Judge the predictions in a parquet or CSV file.

    Args:
        data: the file; only the columns that are needed are read.
        gates: a YAML file as ``JudgedGates``; None takes defaults, which the judgement states.
        roles: which column is what.
        attempts: how many candidates were judged on these rows, this one included.
        named: the classes in the order of the outputs, where the gates do not name them.

    Raises:
        BadPredictions, BadDeclaration: the one line says what is wrong.
    """
    if gates is not None and not gates.is_file():
        raise BadPredictions(f"There is no file {gates}; --gates names the YAML file with the gates.")
    written = None if gates is None else _with_classes(read_declaration(gates, JudgedGates), gates, named)
    table = reading.Table(data, option="--data", may_be_empty=True)
    needed = _needed(written, roles)
    check_present(needed, table.names, f" in {data}")
    _check_label(table, roles)
    others = [name for name in needed if name != roles.label]
    frame = table.frame(others)
    frame[roles.label] = table.as_written(roles.label)
    remarks = table.remarks(others)
    if written is not None:
        declared = written
    else:
        task = _task(frame[roles.label], roles, named)
        if task == "multiclass" and not named:
            _check_names(roles.candidate, Task(task), None)
            named = tuple(class_names(task, frame[roles.label], roles.candidate))
        declared = default_gates.judged(task, frame[roles.label], named)
        remarks += default_gates.stated(declared)
    if declared.task == "regression":
        frame[roles.label] = table.column(roles.label)
        remarks += table.remarks([roles.label])
    found = judge_frame(frame, declared, roles, attempts=attempts)
    return replace(found, remarks=(*remarks, *found.remarks))


def _with_classes(declared: JudgedGates, gates: Path, named: tuple[str, ...]) -> JudgedGates:
    if not named:
        return declared
    if declared.classes is not None and list(named) != declared.classes:
        raise BadPredictions(
            f"--classes is {', '.join(named)}, and {gates} says classes: {', '.join(declared.classes)}. Name them once."
        )
    try:
        return JudgedGates(**{**declared.model_dump(exclude_unset=True), "classes": list(named)})
    except ValidationError as error:
        raise BadPredictions(f"--classes: {what_is_wrong(JudgedGates, error.errors()[0])}") from None


def _check_label(table: reading.Table, roles: PredictionColumns) -> None:
    for name in (roles.label, *roles.candidate, *roles.champion, *roles.baseline):
        kind = table.kinds[name]
        if kind not in ("numeric", "categorical", "boolean", "empty"):
            what = "labels" if name == roles.label else "scores"
            raise BadPredictions(f"Column {name!r} holds {kind} values, which are no {what}.")


def _task(label: pd.Series[Any], roles: PredictionColumns, named: tuple[str, ...]) -> str:
    """The task and classes that the columns show, when no gates declare them."""
    import pandas as pd

    if len(roles.candidate) > 1 or len(named) > 2:
        return "multiclass"
    if named or not classes.positions(classes.BINARY, label)[1]:
        return "binary"
    return "regression" if pd.api.types.is_numeric_dtype(label.dtype) else "binary"


def judge_frame(
    frame: pd.DataFrame, declared: JudgedGates, roles: PredictionColumns, *, attempts: int = 1
) -> Judgement:
    """Judge predictions that are in memory; see ``judge_file``."""
    if attempts < 1:
        raise BadPredictions(f"attempts is {attempts}; this candidate is at least the first.")
    check_present(_needed(declared, roles), [str(name) for name in frame.columns])
    if roles.label in (*roles.candidate, *roles.champion, *roles.baseline):
        raise BadPredictions(f"Column {roles.label!r} is the label and scores too; name the column of the scores.")
    task = Task(declared.task)
    frame, weight, remarks = _weighed(frame, roles)
    y = _labels(frame[roles.label], declared, roles.candidate)
    baseline = _scores(frame, roles.baseline, task, declared) if roles.baseline else None
    if baseline is None and declared.champion_gate is not None:
        baseline = _mean_label(y, task, len(roles.candidate), weight)
        remarks.append("The naive baseline is the mean label of these rows; --baseline names a better one.")
    if roles.time is None:
        remarks.append("Every row is taken for independent of every other; --time names when each happened.")
    evidence = Evidence(
        task,
        y,
        _scores(frame, roles.candidate, task, declared),
        _scores(frame, roles.champion, task, declared) if roles.champion else None,
        baseline,
        None if roles.time is None else _days(frame[roles.time]),
    ).weighted(weight)
    return Judgement(tuple(_judged(declared, evidence, frame, roles, Attempts(attempts))), len(frame), tuple(remarks))


def _judged(
    declared: JudgedGates, evidence: Evidence, frame: pd.DataFrame, roles: PredictionColumns, attempts: Attempts
) -> Iterable[GateResult]:
    has_champion, own = bool(roles.champion), metrics_in(declared, declared.task)
    if (threshold := declared.threshold_gate) is not None:
        bounds = threshold.rules(own)
        yield threshold_gate(bounds, evidence, mode=threshold.mode, min_rows=threshold.min_rows)
    if (champion := declared.champion_gate) is not None:
        rules = champion.rules(own)
        yield champion_gate(rules, evidence, mode=champion.mode, has_champion=has_champion, attempts=attempts)
    if (slices := declared.slice_gate) is not None:
        sliced = slices.rules(champion, also_by=roles.slices, own=own)
        columns = {name: frame[name] for name in slices.columns_with(roles.slices)}
        yield slice_gate(sliced, evidence, columns, mode=slices.mode, has_champion=has_champion, attempts=attempts)


# --- reading ---------------------------------------------------------------------------------------------------------


def _needed(declared: JudgedGates | None, roles: PredictionColumns) -> list[str]:
    """The columns that are read, each once."""
    gate = declared.slice_gate if declared is not None else None
    if roles.slices and gate is None:
        raise BadPredictions("--slice is given, but the gates have no slice_gate; declare one with metric and margins.")
    time = tuple(name for name in (roles.time, roles.weight) if name is not None)
    further = gate.columns_with(roles.slices) if gate is not None else ()
    return list(dict.fromkeys((roles.label, *roles.candidate, *roles.champion, *roles.baseline, *time, *further)))


# --- from columns to evidence ----------------------------------------------------------------------------------------


def _labels(column: pd.Series[Any], declared: JudgedGates, outputs: Sequence[str]) -> np.ndarray[Any, Any]:
    """The labels as floats, a class as its position; missing labels stay missing, and then no gate passes."""
    import numpy as np
    import pandas as pd

    if declared.task == "regression":
        if not pd.api.types.is_numeric_dtype(column.dtype):
            raise BadPredictions(
                f"Label {column.name!r} holds {some(column.dropna())}, which are no numbers; a regression's label is "
                "one. For classes set the task in the gates, or give --classes FIRST,SECOND."
            )
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    names = declared.classes or class_names(declared.task, column, outputs)
    y, strange = classes.positions(names, column)
    if strange:
        way_out = "" if declared.classes else f" Name yours, in the order of the outputs: {_NAME_THEM['binary']}."
        raise BadPredictions(classes.refused(str(column.name), strange, names) + way_out)
    return y


_NAME_THEM = {
    "binary": "--classes NEGATIVE,POSITIVE, or classes: [negative, positive] in the gates",
    "multiclass": "--classes A,B,C, or classes: [a, b, c] in the gates",
}


def class_names(task: str, column: pd.Series[Any], outputs: Sequence[str]) -> list[str]:
    """Where none are declared: 0 and 1, or what the names or positions of a multiclass model's outputs say.

    Raises:
        BadPredictions: when the labels are none of these.
    """
    if task == "binary":
        return list(classes.BINARY)
    found = classes.named_by(outputs, column)
    if found is None:
        strange = classes.positions(outputs, column)[1]
        raise BadPredictions(
            f"{classes.refused(str(column.name), strange, outputs)} Name yours, in the order of the outputs: "
            f"{_NAME_THEM['multiclass']}."
        )
    return list(found)


def _scores(frame: pd.DataFrame, names: tuple[str, ...], task: Task, declared: JudgedGates) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    _check_names(names, task, len(declared.classes) if declared.classes else None)
    for name in names:
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):
            raise BadPredictions(f"Column {name!r} holds {some(frame[name].dropna())}; scores are numbers.")
    scores = frame[list(names)].to_numpy(dtype=np.float64, na_value=np.nan)
    return scores if task is Task.MULTICLASS else scores[:, 0]


def _check_names(names: tuple[str, ...], task: Task, classes: int | None) -> None:
    given = f"The columns of scores are {', '.join(names)}" if len(names) > 1 else f"The column of scores is {names[0]}"
    if task is not Task.MULTICLASS and len(names) != 1:
        raise BadPredictions(f"{given}; a {task.value} model has one.")
    if task is Task.MULTICLASS and (len(names) < 2 or (classes and len(names) != classes)):
        raise BadPredictions(
            f"{given}; a multiclass model has one for each class, {classes or 'two or more'}, separated by commas."
        )


def _weighed(
    frame: pd.DataFrame, roles: PredictionColumns
) -> tuple[pd.DataFrame, np.ndarray[Any, Any] | None, list[str]]:
    """The rows that count, how much each does, and what to say of it."""
    if roles.weight is None:
        return frame, None, []
    weight = weights.checked(frame[roles.weight].to_numpy(dtype=object), roles.weight)
    counts = weight > 0
    remark = (
        f"Rows count by {roles.weight}: it sums to {weight.sum():,.6g} over {len(weight):,} rows, which are worth "
        f"{weights.effective_rows(weight):,.1f} of equal weight."
    )
    if not counts.all():
        remark += f" {int((~counts).sum()):,} rows have the weight 0 and are left out."
    return frame.loc[counts].reset_index(drop=True), weight[counts], [remark]


def _mean_label(
    y: np.ndarray[Any, Any], task: Task, classes: int, weight: np.ndarray[Any, Any] | None
) -> np.ndarray[Any, Any]:
    import numpy as np

    labelled = np.isfinite(y)
    known, counts = y[labelled], None if weight is None else weight[labelled]
    if task is Task.MULTICLASS:
        of_each = np.bincount(known.astype(np.intp), counts, classes)[:classes]
        return np.tile(of_each / max(of_each.sum(), 1e-300), (len(y), 1))
    return np.full(len(y), np.average(known, weights=counts) if len(known) else np.nan)


def _days(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """The UTC day of each row as a number; a time without a zone is UTC."""
    import numpy as np

    return times_of(column).astype("datetime64[D]").astype(np.int64)
